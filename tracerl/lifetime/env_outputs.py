"""Convert the results of an env to arrays of numbers, floats and bools. Values of other types raise a TypeError."""

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


class CheckedEnv:
    """``step`` and ``reset`` of one env of a ``SyncVectorEnv``, which writes what they return into shared arrays.

    Results are checked and converted first. What ``info`` holds is left out, because Gymnasium would merge the infos of
    all envs and fails where they differ.

    Attributes:
        lifetime: index of the env.
        frozen: lifetimes that have stopped, bool, [lifetimes]; their envs are neither stepped nor reset.
        failed: whether the newest call raised.
    """

    def __init__(self, env: Any, lifetime: int, frozen: np.ndarray[Any, Any]) -> None:
        self._step, self._reset = env.step, env.reset
        self.lifetime, self.frozen, self.failed = lifetime, frozen, False
        space = env.observation_space
        self._shape = space.shape or None
        self._unused = space.sample() if self._shape is None else np.zeros(self._shape)  # observation while frozen

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one env step; see ``gymnasium.Env.step``."""
        if self.frozen[self.lifetime]:
            return self._unused, 0.0, False, False, {}
        self.failed = True
        observation, reward, terminated, truncated, _ = self._step(action)
        observation = self._checked(observation)
        reward = reward if type(reward) is float else reward_of(reward)
        terminated = terminated if type(terminated) is bool else flag("terminated", terminated)
        truncated = truncated if type(truncated) is bool else flag("truncated", truncated)
        self.failed = False
        return observation, reward, terminated, truncated, {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; see ``gymnasium.Env.reset``. Without options they are None, as for a single env."""
        if self.frozen[self.lifetime]:
            return self._unused, {}
        self.failed = True
        observation, _ = self._reset(seed=seed, options=options or None)
        observation = self._checked(observation)
        self.failed = False
        return observation, {}

    def _checked(self, observation: Any) -> Any:
        """Return an observation, as an array if its space has a shape."""
        if self._shape is None:
            return observation
        found = observation_of(observation)
        if getattr(found, "shape", None) != self._shape:
            came = f"one of shape {found.shape}" if hasattr(found, "shape") else f"{found!r:.80}"
            raise ValueError(f"observation must be an array of shape {self._shape}, got {came}")
        return found


def check_outputs(envs: Any, frozen: np.ndarray[Any, Any]) -> None:
    """Make the envs in a ``SyncVectorEnv`` check what they return, before it is written into arrays.

    ``step`` and ``reset`` of each env are those of a ``CheckedEnv``. Other vector envs are not changed.

    Args:
        envs: a vector env.
        frozen: see ``CheckedEnv``; it may change later.
    """
    if not isinstance(envs, SyncVectorEnv):
        return
    for lifetime, env in enumerate(envs.envs):
        checked = _checked_env(env)
        if checked is not None:
            checked.frozen = frozen
        elif "step" not in vars(env):
            checked = CheckedEnv(env, lifetime, frozen)
            vars(env).update(step=checked.step, reset=checked.reset)


def _checked_env(env: Any) -> CheckedEnv | None:
    """Return what has replaced ``step`` and ``reset`` of an env; None if nothing has."""
    found = getattr(vars(env).get("step"), "__self__", None)
    return found if isinstance(found, CheckedEnv) else None


def failed_env(envs: Any) -> str:
    """Return in words which env of a vector env has raised: that of a lifetime, or one of them."""
    for env in getattr(envs, "envs", ()):
        checked = _checked_env(env)
        if checked is not None and checked.failed:
            return f"the env of lifetime {checked.lifetime}"
    return "an env"
