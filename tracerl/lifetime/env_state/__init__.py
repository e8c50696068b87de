"""A live env as plain data and back: what a lifetime needs to go on bit-identically after its process has ended.

``capture`` returns everything that a later step or reset reads: of the env, of every wrapper around it, and of all
random generators. ``restore`` gives it to another env, made with the same arguments, new or used; no reset is needed.
A state holds None, bools, numbers, strings, NumPy arrays, and lists and dicts of such; ``split`` parts the arrays from
the rest, which is then JSON. Nothing in it is ever executed: only attributes that an adapter names are set.

Known are Gymnasium's classic control, toy text, MuJoCo and its wrappers, Atari without repeated actions, and every
class with ``state_dict`` and ``load_state_dict`` (see ``methods``), as this project's own envs and wrappers have them.
``unsupported_reason`` says what stands in the way of another env.

The env goes on bit-identically on a machine of the same kind with packages of the same versions. Left out: windows,
settings of wrappers, and functions that a wrapper was given (``TransformObservation``), which must have no
state.
"""

from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

from tracerl.config.moved import keep_names

from . import many, stack
from .many import capture as capture_many
from .many import restore as restore_many
from .plain import join, split
from .stack import EnvState, capture, restore

__all__ = ["EnvState", "capture", "capture_many", "join", "unsupported_reason", "restore", "restore_many", "split"]


def unsupported_reason(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> str | None:
    """Name the outermost layer of an env or vector env that cannot be captured, and why; None where all can."""
    return many.unsupported_reason(env) if isinstance(env, VectorEnv) else stack.unsupported_reason(env)


keep_names(globals(), obstacle="unsupported_reason")
