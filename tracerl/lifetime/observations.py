"""From any sensible observation space to a Box, the only one that agents read."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces, wrappers
from gymnasium.vector import VectorEnv

Env = gym.Env[Any, Any]
Envs = VectorEnv[Any, Any, Any]
Array = np.ndarray[Any, Any]


def as_box(env: Env) -> Env:
    """Put a wrapper around an env, where it needs one, that makes its observations a Box.

    - A Box of floats, or of one dimension, stays as it is: the encoder standardises. A single number becomes [1].
    - Images, which are Boxes of whole numbers or of bools with two or more dimensions and bounds, are scaled to [0, 1]:
      float32, of the same shape. Gymnasium's ``RescaleObservation`` is not used: it computes in the dtype of the image,
      in which there is no number between 0 and 1.
    - Discrete, MultiBinary, MultiDiscrete, and a Dict or Tuple of these and of Boxes are flattened as Gymnasium does
      it, to one dimension: numbers as they are, choices one-hot.
    - Of anything else (Text, Graph, Sequence, OneOf) the env is returned as it is: an agent that does not read
      observations accepts it, others raise (``tracerl.nn.spaces.observation_shape``).
    """
    space = env.observation_space
    if _to_flatten(space):
        return wrappers.FlattenObservation(env)
    if _is_image(space):
        return wrappers.TransformObservation(env, _scaling(space), _scaled(space))
    return env


def as_boxes(envs: Envs) -> Envs:
    """Do the same with many envs that are one: the vector form of an env."""
    space = envs.single_observation_space
    if _to_flatten(space):
        return wrappers.vector.FlattenObservation(envs)
    if _is_image(space):
        return wrappers.vector.TransformObservation(envs, _scaling(space), single_observation_space=_scaled(space))
    return envs


def _to_flatten(space: gym.Space[Any]) -> bool:
    return _has_numbers(space) and (not isinstance(space, spaces.Box) or space.shape == ())


def _has_numbers(space: gym.Space[Any]) -> bool:
    """Tell whether a space is made of numbers and choices alone, as many in every observation."""
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        parts = space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces
        return len(parts) > 0 and all(_has_numbers(part) for part in parts)
    return isinstance(space, (spaces.Box, spaces.Discrete, spaces.MultiBinary, spaces.MultiDiscrete))


def _is_image(space: gym.Space[Any]) -> bool:
    return (
        isinstance(space, spaces.Box)
        and len(space.shape) >= 2
        and space.dtype.kind in "iub"
        and space.is_bounded("both")
    )


def _scaled(space: gym.Space[Any]) -> spaces.Box:
    return spaces.Box(0.0, 1.0, space.shape, np.float32)


def _scaling(space: Any) -> Callable[[Array], Array]:
    """Return the function that takes an image, or many, from the bounds of its Box to [0, 1], in float32."""
    low: Array = space.low.astype(np.float32)
    span = space.high.astype(np.float32) - low
    span[span == 0] = 1.0  # a pixel that never changes is 0

    def scale(image: Array) -> Array:
        scaled: Array = (image.astype(np.float32) - low) / span
        return scaled

    return scale
