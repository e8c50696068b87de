"""A live env as plain data and back: what a life needs to go on, to the bit, after its process has ended.

``capture`` returns everything that a later step or reset reads: of the env, of every wrapper around it, and of all
random generators. ``restore`` gives it to another env, made with the same arguments, new or used; no reset is needed.
A state holds None, bools, numbers, strings, NumPy arrays, and lists and dicts of such; ``split`` parts the arrays from
the rest, which is then JSON. Nothing in it is ever executed: only attributes that an adapter names are set.

Known are Gymnasium's classic control, toy text, MuJoCo and its wrappers, Atari without repeated actions, and every
class with ``state_dict`` and ``load_state_dict`` (see ``methods``), as this project's own envs and wrappers have them.
``obstacle`` says what stands in the way of another env.

The env goes on to the bit on a machine of the same kind with packages of the same versions. Left out: windows,
settings of wrappers, and functions that a wrapper was given (``TransformObservation``), which must not remember
anything.
"""

from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

from . import many, stack
from .plain import join, split

Env = gym.Env[Any, Any]
Envs = VectorEnv[Any, Any, Any]
EnvState = dict[str, Any]

__all__ = ["EnvState", "capture", "capture_many", "join", "obstacle", "restore", "restore_many", "split"]


def obstacle(env: Env | Envs) -> str | None:
    """Name the outermost layer of an env that cannot be captured, and why; None where all can.

    Args:
        env: an env in its wrappers, or a vector env.
    """
    return many.obstacle(env) if isinstance(env, VectorEnv) else stack.obstacle(env)


def capture(env: Env) -> EnvState:
    """Return the state of an env in its wrappers; the env is not changed, and nothing is shared with it.

    Raises:
        ValueError: there is an obstacle, or a layer holds what is no plain data; named.
    """
    return stack.capture(env)


def restore(env: Env, state: EnvState) -> None:
    """Let an env go on from a state.

    Args:
        env: made as the one captured was: the same wrappers in the same order, and the same arguments.
        state: of ``capture``; it is not changed, and nothing is shared with it.

    Raises:
        ValueError: there is an obstacle; the state is of other wrappers or of another env, both named; or a value has
            an unknown name, or a type, shape or dtype that does not fit, named. The env is not to be used then.
    """
    stack.restore(env, state)


def capture_many(envs: Envs) -> EnvState:
    """Return the state of a vector env: Gymnasium's ``SyncVectorEnv``, or its own vector form of CartPole.

    Raises:
        ValueError: as ``capture``.
    """
    return many.capture(envs)


def restore_many(envs: Envs, state: EnvState) -> None:
    """Let a vector env go on from a state.

    Args:
        envs: as many envs, made as those captured were.
        state: of ``capture_many``.

    Raises:
        ValueError: as ``restore``.
    """
    many.restore(envs, state)
