"""A warning if all rewards are equal and the agent has no critic, so that no action is better than another."""

import math
import sys
import warnings
from collections.abc import Sequence

from tracerl.config.checks import ConfigWarning
from tracerl.lifetime.protocol import Agent, ManyAgents, agents_of
from tracerl.lifetime.record import Record, steps_of_all

PATIENCE = 1_000  # rewards per lifetime that must all be equal


class EqualRewards:
    """A callback that warns once if the first rewards of every lifetime are equal.

    It is called at each step until two rewards differ, and not afterwards.
    """

    every = PATIENCE  # env steps after which it warns

    def __init__(self) -> None:
        self._first: list[float] = []  # the first reward of each lifetime
        self._settled = False

    def next_call(self, step: int) -> int:
        """Return the next env step, or one that is never reached."""
        return sys.maxsize if self._settled or step >= PATIENCE else step + 1

    def call(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Compare the return of each lifetime with its first reward times its steps."""
        earned = [record.earned + record.episode_return for record in records]
        pairs = zip(earned, records, strict=True)
        self._first = self._first or [total / max(record.step, 1) for total, record in pairs]
        for total, first, record in zip(earned, self._first, records, strict=True):
            if not math.isclose(total, first * record.step, rel_tol=1e-9):
                self._settled = True
                return
        if steps_of_all(records) >= PATIENCE:
            self._settled = True
            warnings.warn(
                f"the first {PATIENCE:,} rewards were all {self._first[0]:g}, which says nothing about any action: an"
                " agent without a critic (agent.signal=reward or advantage, agent=reflect_classic) has nothing to learn"
                " from here. agent=reflect with agent.signal=td does.",
                ConfigWarning,
                stacklevel=1,
            )

    def call_at_end(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Do nothing, because fewer rewards prove nothing."""


def reward_check(agent: object) -> list[EqualRewards]:
    """Return the callback for an agent that learns no value: ``critic = None`` without ``looks_ahead``.

    Of many agents, the first is asked.
    """
    first = agents_of(agent)[0]
    learns_values = getattr(first, "critic", ...) is not None or getattr(first, "looks_ahead", False)
    return [] if learns_values else [EqualRewards()]
