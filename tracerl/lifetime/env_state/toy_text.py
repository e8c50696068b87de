"""Gymnasium's toy text: FrozenLake, Taxi, CliffWalking and Blackjack.

The state is where the walker is, or which cards lie on the table. Maps, rules and transitions are settings.
"""

from typing import Any

from tracerl.config import forms
from tracerl.config.forms import flag, optional, text, whole

from .adapter import Adapter
from .fields import Fields

_CARDS = ("player", "dealer", "dealer_top_card_suit", "dealer_top_card_value_str")
_WALK = ("s", "lastaction")
_LATE = {"FrozenLakeEnv": _WALK, "CliffWalkingEnv": _WALK, "TaxiEnv": ("s",), "BlackjackEnv": _CARDS}


def _fields(env: Any) -> Fields:
    if type(env).__name__ == "BlackjackEnv":
        hand = forms.several(whole(1, 10))
        return dict(zip(_CARDS, (hand, hand, text, text), strict=True))
    places, actions = env.observation_space.n, env.action_space.n
    walk: Fields = {"s": whole(0, int(places) - 1), "lastaction": optional(whole(0, int(actions) - 1))}
    if type(env).__name__ == "TaxiEnv":
        return {**walk, "fickle_step": flag, "taxi_orientation": whole(0)}
    return walk


TOY_TEXT = Adapter("gymnasium.envs.toy_text", dict.fromkeys(_LATE, _fields), _LATE)
