"""Convert observation spaces to a Box, the only one that agents read."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces, wrappers
from gymnasium.vector import VectorEnv

from tracerl.nn.spaces import has_numbers

Env = gym.Env[Any, Any]
Envs = VectorEnv[Any, Any, Any]
Array = np.ndarray[Any, Any]


class ScaledImage(spaces.Box):
    """Images of whole numbers, scaled from their bounds to [0, 1]; which part of the range they use is unknown."""


def as_box(env: Env) -> Env:
    """Return an env whose observations are a Box, wrapped if needed.

    - A Box of floats, or of one dimension, is kept: the encoder standardises. A single number becomes [1].
    - Images, which are Boxes of whole numbers or of bools with two or more dimensions and bounds, are scaled to [0, 1]:
      float32, of the same shape. Gymnasium's ``RescaleObservation`` is not used, because it computes in the dtype of
      the image, which has no numbers between 0 and 1.
    - Discrete, MultiBinary, MultiDiscrete, and a Dict or Tuple of these and of Boxes are flattened by Gymnasium to one
      dimension: numbers unchanged, choices one-hot.
    - For any other space (Text, Graph, Sequence, OneOf) the env is returned unchanged. An agent that does not read
      observations accepts it; others raise an error (``tracerl.nn.spaces.observation_shape``).
    """
    space = env.observation_space
    if _to_flatten(space):
        flat = wrappers.FlattenObservation(env)
        flat.func = _flattening(space)
        return flat
    if _is_image(space):
        return wrappers.TransformObservation(env, _scaling(space), _scaled(space))
    return env


def as_boxes(envs: Envs) -> Envs:
    """Return a vector env whose observations are Boxes; see ``as_box``."""
    space = envs.single_observation_space
    if _to_flatten(space):
        flat = wrappers.vector.FlattenObservation(envs)
        flat.wrapper.func = _flattening(space)
        return flat
    if _is_image(space):
        return wrappers.vector.TransformObservation(envs, _scaling(space), single_observation_space=_scaled(space))
    return envs


def _to_flatten(space: gym.Space[Any]) -> bool:
    return has_numbers(space) and (not isinstance(space, spaces.Box) or space.shape == ())


def _flattening(space: gym.Space[Any]) -> Callable[[Any], Any]:
    """Return Gymnasium's flattening with a check before it, because it takes an index of -1 for the last choice."""

    def flatten(observation: Any) -> Any:
        check_choices(space, observation)
        return spaces.utils.flatten(space, observation)

    return flatten


def check_choices(space: gym.Space[Any], value: Any) -> None:
    """Check the choices in an observation; numbers of a Box are not checked.

    Raises:
        ValueError: a choice is outside its Discrete, MultiDiscrete or MultiBinary, or a part of a Dict or Tuple is
            missing.
    """
    if isinstance(space, spaces.Dict):
        for name, part in space.spaces.items():
            if not isinstance(value, Mapping) or name not in value:
                raise ValueError(f"the observation {value!r:.80} has no part {name!r}")
            check_choices(part, value[name])
    elif isinstance(space, spaces.Tuple):
        if not hasattr(value, "__len__") or len(value) != len(space.spaces):
            raise ValueError(f"the observation {value!r:.80} must have {len(space.spaces)} parts")
        for part, each in zip(space.spaces, value, strict=True):
            check_choices(part, each)
    elif not isinstance(space, spaces.Box) and not _is_in(space, value):
        raise ValueError(f"the observation {np.asarray(value).tolist()!r:.80} is not in its space {space}")


def _is_in(space: Any, value: Any) -> bool:
    """Return whether choices are in their Discrete, MultiDiscrete or MultiBinary space."""
    if isinstance(space, spaces.Discrete) and isinstance(value, (int, np.integer)):  # the usual case
        return bool(0 <= value - space.start < space.n)
    if isinstance(space, spaces.MultiBinary):
        first, count = 0, 2
    else:
        first, count = space.start, space.n if isinstance(space, spaces.Discrete) else space.nvec
    chosen, shape = np.asarray(value), space.shape or ()
    if chosen.size != math.prod(shape):
        return False
    chosen = chosen.reshape(shape) - first
    return bool(((chosen >= 0) & (chosen < count)).all())


def _is_image(space: gym.Space[Any]) -> bool:
    return (
        isinstance(space, spaces.Box)
        and len(space.shape) >= 2
        and space.dtype.kind in "iub"
        and space.is_bounded("both")
    )


def _scaled(space: Any) -> spaces.Box:
    is_binary = (space.high.astype(np.float64) - space.low <= 1).all()
    return (spaces.Box if is_binary else ScaledImage)(0.0, 1.0, space.shape, np.float32)


def _scaling(space: Any) -> Callable[[Array], Array]:
    """Return a function that scales one or many images from the bounds of their Box to [0, 1], float32."""
    low: Array = space.low.astype(np.float64)  # float32 has no whole numbers beyond 2^24
    span = space.high.astype(np.float64) - low
    span[span == 0] = 1.0  # a pixel that never changes is 0

    def scale(image: Array) -> Array:
        if np.shape(image)[-low.ndim :] != low.shape:
            raise ValueError(f"the image has the shape {np.shape(image)}, its space {low.shape}")
        scaled: Array = ((image - low) / span).astype(np.float32)
        return scaled

    return scale
