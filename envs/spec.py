"""Settings of a Gymnasium env, and the making of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym

from tracerl import checks
from tracerl.checks import ConfigError
from tracerl.stats import Milestone


@dataclass(frozen=True)
class EnvSpec:
    """A Gymnasium env by id; ``make`` makes one.

    Attributes:
        name: short name, used in folders and titles.
        id: as Gymnasium registers it; ``module:Id`` imports the module first.
        kwargs: handed to ``gymnasium.make``.
        steps: env steps a life in it lasts by default.
        milestones: such as ``w20>=475``: the step at which the mean of the last 20 returns first reaches 475.
    """

    name: str
    id: str
    kwargs: Mapping[str, Any]
    steps: int
    milestones: Sequence[str]

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        if not isinstance(self.id, str) or not self.id:
            raise ConfigError("id", f"must be the id of a Gymnasium env, got {self.id!r}")
        if not isinstance(self.kwargs, Mapping):
            raise ConfigError("kwargs", f"must map argument names to values, got {self.kwargs!r}")
        checks.whole("steps", self.steps, 1)
        if isinstance(self.milestones, str):
            raise ConfigError("milestones", f"must be a list such as ['w20>=475'], got {self.milestones!r}")
        for milestone in self.milestones:
            Milestone.parse(milestone)

    def make(self) -> gym.Env[Any, Any]:
        """Make the env.

        Raises:
            ConfigError: naming ``id`` or ``kwargs``.
        """
        try:
            return gym.make(self.id, disable_env_checker=True, **self.kwargs)
        except gym.error.DependencyNotInstalled as error:
            raise ConfigError("id", f"{self.id} needs a package that is not installed: {error}") from error
        except (gym.error.Error, ModuleNotFoundError) as error:
            raise ConfigError("id", f"must be an env that Gymnasium can make, got {self.id!r}: {error}") from error
        except Exception as error:
            raise ConfigError("kwargs", f"must suit {self.id}, got {dict(self.kwargs)}: {error}") from error
