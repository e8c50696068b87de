"""Gymnasium's toy text: FrozenLake, Taxi, CliffWalking and Blackjack."""

from typing import Any

from . import fields, forms
from .adapter import is_named
from .fields import Fields
from .forms import flag, optional, text, whole

NAMES = ("FrozenLakeEnv", "TaxiEnv", "CliffWalkingEnv", "BlackjackEnv")
_CARDS = ("player", "dealer", "dealer_top_card_suit", "dealer_top_card_value_str")
_WALK = ("s", "lastaction")
LATE = {"FrozenLakeEnv": _WALK, "CliffWalkingEnv": _WALK, "TaxiEnv": ("s",), "BlackjackEnv": _CARDS}  # made by a reset


class ToyText:
    """Where the walker is, or which cards lie on the table. Maps, rules and tables of transitions are settings."""

    def matches(self, env: Any) -> bool:
        """See ``Adapter.matches``."""
        return is_named(env, "gymnasium.envs.toy_text", NAMES)

    def obstacle(self, env: Any) -> str | None:
        """Return None: all is in attributes."""
        return None

    def capture(self, env: Any) -> dict[str, Any]:
        """Return the attributes."""
        return fields.read(env, _fields(env))

    def restore(self, env: Any, state: dict[str, Any]) -> None:
        """Set the attributes."""
        fields.write(env, state, _fields(env), LATE[type(env).__name__])


def _fields(env: Any) -> Fields:
    if type(env).__name__ == "BlackjackEnv":
        hand = forms.several(whole(1, 10))
        return dict(zip(_CARDS, (hand, hand, text, text), strict=True))
    places, actions = env.observation_space.n, env.action_space.n
    walk: Fields = {"s": whole(0, int(places) - 1), "lastaction": optional(whole(0, int(actions) - 1))}
    if type(env).__name__ == "TaxiEnv":
        return {**walk, "fickle_step": flag, "taxi_orientation": whole(0)}
    return walk
