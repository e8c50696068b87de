"""A live env as plain data and back, so that a lifetime continues bit-identically after its process has ended.

``capture`` returns all that a later step or reset reads: of the env, of every wrapper, and of all random generators.
``restore`` sets it in another env, made with the same arguments, new or used. No reset is needed. A state holds None,
bools, numbers, strings, NumPy arrays, and lists and dicts of these. ``split`` separates the arrays from the rest, which
is then JSON. Nothing in a state is executed: only attributes that an adapter names are set.

Supported are Gymnasium's classic control, toy text, MuJoCo and its wrappers, Atari without repeated actions, and every
class with ``state_dict`` and ``load_state_dict`` (``adapter.Methods``). ``unsupported_reason`` names the reason for
another env. The results are bit-identical on a machine of the same kind with packages of the same versions. Left out:
windows, settings of wrappers, and functions given to a wrapper (``TransformObservation``), which must have no state.
"""

from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

from tracerl.config.moved import keep_names

from . import many, stack
from .plain import join, split
from .stack import EnvState
from .statistics import Statistics, envs_of, restore_statistics, statistics_in, statistics_of

__all__ = [
    "EnvState",
    "Statistics",
    "capture",
    "envs_of",
    "join",
    "restore",
    "restore_statistics",
    "split",
    "statistics_in",
    "statistics_of",
    "unsupported_reason",
]

Envs = gym.Env[Any, Any] | VectorEnv[Any, Any, Any]


def unsupported_reason(env: Envs) -> str | None:
    """Return the outermost layer of an env or vector env that cannot be captured, and why; None if all can."""
    return many.unsupported_reason(env) if isinstance(env, VectorEnv) else stack.unsupported_reason(env)


def capture(env: Envs) -> EnvState:
    """Return the state of an env or vector env in its wrappers. The env is not changed, and nothing is shared with it.

    Raises:
        ValueError: naming a layer that is unsupported or has a value that is no plain data.
    """
    return many.capture(env) if isinstance(env, VectorEnv) else stack.capture(env)


def restore(env: Envs, state: EnvState) -> None:
    """Set the state of an env or vector env.

    Args:
        env: made like the captured one: the same wrappers in the same order, the same arguments, as many envs.
        state: result of ``capture``. It is not changed, and nothing is shared with it.

    Raises:
        ValueError: naming an unsupported layer, other wrappers or another env, or an entry with an unknown name or a
            type, shape or dtype that does not fit. The env cannot be used then.
    """
    if isinstance(env, VectorEnv):
        many.restore(env, state)
    else:
        stack.restore(env, state)


keep_names(globals(), obstacle="unsupported_reason", capture_many="capture", restore_many="restore")
