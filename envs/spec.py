"""The settings of a Gymnasium env, and functions that make one or many of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium as gym
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.lifetime.env_closing import close_env
from tracerl.lifetime.loop import EnvFailed
from tracerl.lifetime.observations import as_box, as_boxes
from tracerl.lifetime.record import Milestone
from tracerl.lifetime.runners import EnvRunner, GymnasiumRunner

from . import ids

Env = gym.Env[Any, Any]
Wrap = Callable[[Env], Env]


@dataclass(frozen=True)
class EnvSpec:
    """A Gymnasium env by id. ``make`` returns one.

    Attributes:
        name: short name, used in folders and titles.
        id: id in Gymnasium. ``module:Id`` imports the module first.
        kwargs: arguments of ``gymnasium.make``.
        wrappers: functions from env to env, applied in order.
        time_aware: append the elapsed share of the time limit, 0 to 1, to the observation. If the time limit is part of
            the task, the state is incomplete without it (Pardo et al. 2018, https://arxiv.org/abs/1712.00378, section
            3).
        extra: extra of tracerl that installs the packages of the env; None if it needs none.
        steps: default number of env steps of a lifetime.
        backend: ``gymnasium``: the env itself. ``compiled``: its compiled form in the fused engine.
        vectorization: execution of many lifetimes. ``sync``: one env per lifetime, stepped in turn, with its own seed.
            ``native``: the vector env of the env, if it has one. It is faster and has one seed for all lifetimes.
        timeout: largest duration of a reset or step over all lifetimes, seconds; None: no limit.
        milestones: names such as ``w20>=475``: the step at which the mean of the last 20 returns first reaches 475.
    """

    name: str
    id: str
    kwargs: Mapping[str, Any]
    steps: int
    milestones: Sequence[str]
    wrappers: Sequence[Wrap] = ()
    time_aware: bool = False
    extra: str | None = None
    backend: str = "gymnasium"
    vectorization: str = "sync"
    timeout: float | None = None

    def __post_init__(self) -> None:
        """Check every setting; raise a ConfigError with its name."""
        if not isinstance(self.name, str) or not self.name:
            raise ConfigError("name", f"must be a short name, got {self.name!r}")
        if not isinstance(self.id, str) or not self.id:
            raise ConfigError("id", f"must be the id of a Gymnasium env, got {self.id!r}")
        if not isinstance(self.kwargs, Mapping):
            raise ConfigError("kwargs", f"must map argument names to values, got {self.kwargs!r}")
        if not isinstance(self.wrappers, (list, tuple)) or not all(callable(wrap) for wrap in self.wrappers):
            shape = "[{_target_: ..., _partial_: true}]"
            raise ConfigError("wrappers", f"must be a list such as {shape}, got {self.wrappers!r}")
        if self.extra is not None and not isinstance(self.extra, str):
            raise ConfigError("extra", f"must be the name of an extra of tracerl or null, got {self.extra!r}")
        checks.flag("time_aware", self.time_aware)
        checks.whole("steps", self.steps, 1)
        checks.choice("backend", self.backend, ("gymnasium", "compiled"))
        checks.choice("vectorization", self.vectorization, ("sync", "native"))
        if self.timeout is not None:
            checks.number("timeout", self.timeout, "seconds, from .001 to a day, or null", 0.001, 86400)
        if not isinstance(self.milestones, (list, tuple)):
            raise ConfigError("milestones", f"must be a list such as ['w20>=475'], got {self.milestones!r}")
        for milestone in self.milestones:
            Milestone.parse(milestone)

    def open(self, seeds: Sequence[int]) -> EnvRunner:
        """Return an env runner for lifetimes with these seeds.

        Raises:
            ConfigError: naming ``id``, ``kwargs``, ``wrappers``, ``time_aware``, ``backend``, ``vectorization`` or
                ``timeout``.
            EnvFailed: the code of the env or of a wrapper called ``sys.exit``.
        """
        if self.backend == "compiled":
            return self._open_compiled(seeds)
        if len(seeds) > 1:
            return GymnasiumRunner(self.make_many(len(seeds)), seeds, self.timeout)
        if self.vectorization == "native":
            raise ConfigError("vectorization", "must be sync for one lifetime, got 'native'")
        return GymnasiumRunner(self.make(), seeds, self.timeout)

    def _open_compiled(self, seeds: Sequence[int]) -> EnvRunner:
        if self.kwargs:
            raise ConfigError("kwargs", f"must be empty with backend=compiled, got {dict(self.kwargs)}")
        if self.wrappers:
            raise ConfigError("wrappers", "must be empty with backend=compiled: a compiled env has none")
        if self.time_aware:
            raise ConfigError("time_aware", "must be false with backend=compiled: such an env does not show the time")
        if self.timeout is not None:
            raise ConfigError("timeout", "must be null with backend=compiled: no env of Gymnasium is stepped there")
        from tracerl.kernels.compiled_runner import CompiledEnvRunner  # imports the compiler, which is slow

        return CompiledEnvRunner(self.id, seeds)

    def make(self) -> Env:
        """Return the env with its wrappers, and with Box observations if they can be converted.

        Raises:
            ConfigError: naming ``id``, ``kwargs``, ``wrappers`` or ``time_aware``.
        """
        with self._naming_keys():
            env = gym.make(ids.find(self.id), disable_env_checker=True, **self.kwargs)
        self._check_spaces(env)
        for i, wrap in enumerate(self.wrappers):
            try:
                env = wrap(env)
            except gym.error.DependencyNotInstalled as error:
                raise self._missing_package(error, f"wrappers.{i}") from error
            except Exception as error:
                reason = error if isinstance(error, ConfigError) else checks.described(error)
                raise ConfigError(f"wrappers.{i}", f"must suit {self.id}: {reason}") from error
            except SystemExit as error:
                raise EnvFailed(f"wrapper {i} of {self.id} failed as it was made") from error
        env = as_box(env)
        return self._show_time(env) if self.time_aware else env

    def _check_spaces(self, env: Env) -> None:
        """Raise a ConfigError for an env that says nothing of its observations or actions."""
        for name in ("observation_space", "action_space"):
            found = getattr(env.unwrapped, name, None)
            if not isinstance(found, spaces.Space):
                wanted = f"must be an env whose {name} is a Gymnasium space"
                raise ConfigError("id", f"{wanted}, got {self.id!r}, whose {name} is {found!r:.200}")

    def _show_time(self, env: Env) -> Env:
        """Apply Gymnasium's wrapper outside all others."""
        space = env.observation_space
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise ConfigError("time_aware", f"must be false if observations are no Box of one axis, got {space}")
        if env.spec is None or env.spec.max_episode_steps is None:
            raise ConfigError("time_aware", f"must be false for {self.id}: it has no time limit with these settings")
        return gym.wrappers.TimeAwareObservation(env, flatten=True, normalize_time=True)

    def make_many(self, n: int) -> VectorEnv[Any, Any, Any]:
        """Return the envs of n lifetimes.

        Raises:
            ConfigError: naming ``id``, ``kwargs``, ``wrappers``, ``time_aware`` or ``vectorization``.
        """
        if self.vectorization == "native":
            return self._make_native(n)
        made = list[Env]()
        try:
            for lifetime in range(n):
                made.append(self.make())
                self._check_same_spaces(made[0], made[-1], lifetime)
        except BaseException:
            for env in made:
                close_env(env)
            raise
        return SyncVectorEnv([partial(lambda env: env, env) for env in made], autoreset_mode=AutoresetMode.DISABLED)

    def _check_same_spaces(self, first: Env, env: Env, lifetime: int) -> None:
        """Raise a ConfigError if the env of a lifetime has other spaces than that of the first."""
        for name in ("observation_space", "action_space"):
            ours, theirs = getattr(first, name), getattr(env, name)
            if ours != theirs:
                problem = f"must have one {name} for all lifetimes, got {ours} and, for lifetime {lifetime}, {theirs}"
                raise ConfigError("id", problem)

    def _make_native(self, n: int) -> VectorEnv[Any, Any, Any]:
        if self.wrappers:
            raise ConfigError("wrappers", "must be empty with vectorization=native: they take one env")
        if self.time_aware:
            raise ConfigError("time_aware", "must be false with vectorization=native: it takes one env")
        with self._naming_keys():
            found = ids.find(self.id)
            spec = gym.spec(found) if isinstance(found, str) else found
        if spec.vector_entry_point is None:
            raise ConfigError("vectorization", f"must be sync: {self.id} has no vector form of its own")
        with self._naming_keys():
            envs = gym.make_vec(spec, n, "vector_entry_point", **self.kwargs)
        if envs.metadata.get("autoreset_mode") not in (AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED):
            raise ConfigError("vectorization", f"must be sync: {self.id}'s own vector form hides final observations")
        return as_boxes(envs)

    @contextmanager
    def _naming_keys(self) -> Iterator[None]:
        """Convert errors of Gymnasium to a ConfigError with the key."""
        try:
            yield
        except gym.error.DependencyNotInstalled as error:
            raise self._missing_package(error) from error
        except ConfigError:
            raise
        except (gym.error.Error, ImportError) as error:
            if self.extra is not None and isinstance(error, ModuleNotFoundError):
                raise self._missing_package(error) from error
            raise ConfigError("id", f"must be an env that Gymnasium can make, got {self.id!r}: {error}") from error
        except Exception as error:
            if not self.kwargs:
                raise ConfigError("id", f"could not be made: {self.id} raised {checks.described(error)}") from error
            given = f"must suit {self.id}, got {dict(self.kwargs)}"
            raise ConfigError("kwargs", f"{given}: {checks.described(error)}") from error
        except SystemExit as error:
            raise EnvFailed(f"{self.id} failed as it was made") from error

    def _missing_package(self, error: Exception, wrapper: str = "") -> ConfigError:
        """Return an error that names the missing package of an env, or of a wrapper where the env has no extra."""
        if wrapper and self.extra is None:
            return ConfigError(wrapper, f"needs packages that are not installed: {error}")
        missing = str(error) if self.extra is None else f'pip install "tracerl[{self.extra}]"'
        return ConfigError("id", f"{self.id} needs packages that are not installed: {missing}")
