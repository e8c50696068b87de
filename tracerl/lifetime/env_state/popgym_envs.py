"""Adapters of POPGym's games of cards that test memory (Morad et al. 2023, https://arxiv.org/abs/2303.01859)."""

from itertools import product
from typing import Any

from tracerl.config import forms
from tracerl.config.forms import optional, whole

from .adapter import Adapter
from .fields import Fields

_LEVELS = ("", "Easy", "Medium", "Hard")
_LATE = {
    "RepeatPrevious": ("card",),
    "RepeatFirst": ("card",),
    "CountRecall": ("counts", "query_counts", "value", "query", "prev_query"),
    "Autoencode": (),
}  # what the first reset makes, by game
_DECKS = {"CountRecall": ("value_deck", "query_deck")}


def _cards(env: Any) -> Fields:
    """Return the order of each deck, what is left of it, the cards in play, and what the game counts."""
    game = next(name for name in _LATE if type(env).__name__.startswith(name))
    found: dict[str, Any] = {}
    for name in _DECKS.get(game, ("deck",)):
        deck = getattr(env, name)
        hand = forms.several(whole(0, deck.num_cards - 1), most=deck.num_cards)
        found[f"{name}.idx"] = forms.array((deck.num_cards,), "i")
        found[f"{name}.deck_len"] = whole(0, deck.num_cards)
        found[f"{name}.hands"] = forms.of_dict(dict.fromkeys(deck.hands, hand))
    if game == "Autoencode":
        return {**found, "mode": lambda name, value: type(env.mode)(whole(0, 1)(name, value))}
    if game == "CountRecall":
        kinds = env.num_distinct_cards
        counts, card = forms.array((kinds,), "i"), whole(0, kinds - 1)
        found |= {"counts": counts, "query_counts": counts, "last_obs": forms.array((2,), "i")}
        return {**found, "value": card, "query": card, "prev_query": optional(card)}
    return {**found, "dealt_cards": forms.array((4,), "i"), "card": whole(0, 3)}


class Popgym(Adapter):
    """The decks and the counts of a game. Rules and scales of rewards are settings."""

    def capture(self, env: Any) -> dict[str, Any]:
        """Return the state, without the enumeration of a mode."""
        found = super().capture(env)
        return {name: int(value) if name == "mode" else value for name, value in found.items()}


_GAMES = {game + level: late for (game, late), level in product(_LATE.items(), _LEVELS)}
POPGYM = Popgym("popgym.envs", dict.fromkeys(_GAMES, _cards), _GAMES)
