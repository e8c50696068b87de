"""What an exception of an env says about its cause, read only after the env has raised it."""

from typing import Any

import gymnasium as gym
import numpy as np

_WRAPPERS = ("gymnasium", "tracerl")  # packages whose wrappers unpack what an env returns


def about_action(space: Any, action: Any) -> str:
    """Return in words that an action is not in the env's action space; an empty text if it is, or if none can tell."""
    try:
        inside = space.contains(action)
        if not inside and isinstance(space, gym.spaces.Box):  # of another float type
            inside = space.contains(np.asarray(action, space.dtype))
    except Exception:
        return ""
    return "" if inside else f" with the agent's action {action!r:.80}, which is not in {space!s:.200}"


def is_of_other_api(error: BaseException, values: int) -> bool:
    """Return whether an error is of a wrapper that expects another number of values from its env.

    Args:
        error: of a wrapper of Gymnasium or tracerl, or of other code.
        values: number of values that Gymnasium's API has.
    """
    if not isinstance(error, (ValueError, TypeError)):
        return False
    if f"(expected {values}" not in str(error) and "cannot unpack non-iterable" not in str(error):
        return False
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and str(frame.tb_frame.f_globals.get("__name__")).partition(".")[0] in _WRAPPERS
