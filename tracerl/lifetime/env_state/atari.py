"""Atari's games, of the package ale_py."""

from typing import Any

import numpy as np

from tracerl.config import forms

from . import fields
from .adapter import Adapter


class Atari(Adapter):
    """The state of the emulator with its generator, in the form of bytes that it has itself.

    The emulator repeats its last action with ``repeat_action_probability`` per frame, and does not give out which that
    was: with a probability above 0 a copy takes another action in its first frames, now and then. With 0 it is exact,
    and ``gymnasium.wrappers.StickyAction`` around the bare env, below ``AtariPreprocessing``, does the same where it
    can be captured. Left out: sound.
    """

    def unsupported_reason(self, env: Any) -> str | None:
        """Name the probability of repeated actions where it is not 0."""
        probability = env.ale.getFloat("repeat_action_probability")
        if probability == 0:
            return None
        return (
            f"with repeat_action_probability={probability:g} its emulator keeps the action that it repeats to itself;"
            " use 0 and the wrapper gymnasium.wrappers.StickyAction around the bare env"
        )

    def capture(self, env: Any) -> dict[str, Any]:
        """Return the emulator's state: uint8, [bytes]."""
        state = env.ale.cloneState(include_rng=True).serialize()
        return {"emulator": np.frombuffer(state, np.uint8)}

    def restore(self, env: Any, state: dict[str, Any]) -> None:
        """Hand the state to the emulator, which checks that it is of its game."""
        import ale_py  # loaded by the env

        values = fields.checked(env, state, {"emulator": _bytes})
        try:
            env.ale.restoreState(ale_py.ALEState(values["emulator"].tobytes()))
        except (SystemError, RuntimeError) as error:
            game = type(env).__name__
            raise ValueError(f"{game}.emulator must be a state of this game ({env._game})") from error


def _bytes(name: str, value: Any) -> Any:
    n = value.size if isinstance(value, np.ndarray) else 0
    return forms.array((n,), "u")(name, value)


ATARI = Atari("ale_py", {"AtariEnv": lambda _: {"emulator": _bytes}})
