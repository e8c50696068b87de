"""Convert the results of an env to arrays of numbers, floats and bools. Values of other types raise a TypeError."""

from collections.abc import Callable
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from gymnasium.vector import SyncVectorEnv

REAL_KINDS = "fiub"  # kinds of NumPy's dtypes of real numbers


def flag(name: str, value: Any) -> bool:
    """Return ``terminated`` or ``truncated`` as a bool. NumPy's and torch's bools, 0 and 1 are valid.

    Raises:
        TypeError: the value is another one.
    """
    number = value.item() if hasattr(value, "item") else value
    if not isinstance(number, (bool, int, float)) or number not in (0, 1):
        raise TypeError(f"{name} must be true or false, got {value!r}")
    return bool(number)


def reward_of(value: Any) -> float:
    """Return a reward as a float. Arrays and tensors of one number are valid.

    Raises:
        TypeError: the value is no real number, or one that a float cannot hold.
    """
    size = value.numel() if hasattr(value, "detach") else getattr(value, "size", 0)
    number = value.item() if size == 1 else value
    if not isinstance(number, Real):
        raise TypeError(f"reward must be a real number, got {value!r:.200}")
    try:
        return float(number)
    except OverflowError as error:
        raise TypeError(f"reward must be a real number that a float holds, got {value!r:.200}") from error


def observation_of(value: Any) -> Any:
    """Return an observation as an array of numbers, copied from a tensor's device.

    A value without NumPy's interface, such as a list, is returned unchanged.

    Raises:
        TypeError: the array has other values than real numbers.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if not hasattr(value, "__array__"):
        return value
    array = np.asarray(value)
    if array.dtype.kind not in REAL_KINDS:
        raise TypeError(f"observation must be an array of real numbers, got one of dtype {array.dtype}: {array!r:.100}")
    return array


def check_outputs(envs: Any) -> None:
    """Make the envs in a ``SyncVectorEnv`` convert what ``step`` returns, before it is written into arrays.

    ``step`` of each env is replaced, once. Other vector envs are not changed.
    """
    if isinstance(envs, SyncVectorEnv):
        as_arrays = envs.single_observation_space.shape
        for env in envs.envs:
            if "step" not in vars(env):
                vars(env)["step"] = partial(_checked_step, env.step, observation_of if as_arrays else lambda seen: seen)


def _checked_step(step: Callable[[Any], Any], seen: Callable[[Any], Any], action: Any) -> tuple[Any, ...]:
    observation, reward, terminated, truncated, info = step(action)
    return (
        seen(observation),
        reward if type(reward) is float else reward_of(reward),
        terminated if type(terminated) is bool else flag("terminated", terminated),
        truncated if type(truncated) is bool else flag("truncated", truncated),
        info,
    )
