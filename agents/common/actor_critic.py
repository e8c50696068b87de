"""Base of actor-critics: a distribution over actions whose log-probability is differentiated, with an entropy bonus."""

from dataclasses import dataclass
from typing import Any

from gymnasium import Space

from tracerl.config import checks
from tracerl.config.ignored import ignored
from tracerl.nn.encoders import Encoder
from tracerl.nn.heads import Head, HeadSettings, MakeHead, head_for
from tracerl.nn.lifetimes import Lifetimes

from .trace_agent import TraceAgent, TraceAgentSettings


@dataclass(frozen=True, kw_only=True)
class ActorCriticSettings(TraceAgentSettings):
    """Settings that every actor-critic has; a subclass adds its own.

    Attributes:
        entropy: tau, weight of the entropy bonus.
        head: settings of the distribution over actions, or a callable that makes one; None: the defaults, unbounded.
    """

    entropy: float
    head: HeadSettings | MakeHead | None = None

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        super().__post_init__()
        checks.non_negative("entropy", self.entropy)

    def ignored_settings(self, head: Head) -> dict[str, str]:
        """Return the settings without effect beside the others and the head; see ``tracerl.config.ignored``."""
        of_bonus = ("head.target_std", "head.bonus_components") if self.entropy == 0 else ()
        found = super().ignored_settings(head) | dict.fromkeys(of_bonus, "with agent.entropy=0")
        return found | ignored(self.head, "head", head)


class ActorCritic(TraceAgent):
    """Base of agents whose policy has the objective log pi(a|s) + tau sign(signal) H(pi(.|s))."""

    settings: ActorCriticSettings

    def __init__(
        self,
        observation_space: Space[Any],
        action_space: Space[Any],
        lifetimes: Lifetimes,
        settings: ActorCriticSettings,
        encoder: Encoder,
    ) -> None:
        """Build all parts except the learners; see ``TraceAgent``.

        Args:
            observation_space: a Box; observations are flattened.
            action_space: Discrete, MultiDiscrete, MultiBinary, or a Box of floats; see ``tracerl.nn.heads``.
            lifetimes: how many lifetimes, from which seeds; maker of all tensors.
            settings: of the agent.
            encoder: built from the settings.

        Raises:
            ConfigError: naming a setting of the head, or ``env`` where its spaces are not supported.
        """
        head = head_for(action_space, lifetimes, settings.head)
        super().__init__(observation_space, head, lifetimes, settings, encoder)
        self.entropy_weight = settings.entropy * head.bonus_scale
