"""Convert observation spaces to a Box, the only one that agents read."""

from collections.abc import Callable
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
        return wrappers.FlattenObservation(env)
    if _is_image(space):
        return wrappers.TransformObservation(env, _scaling(space), _scaled(space))
    return env


def as_boxes(envs: Envs) -> Envs:
    """Return a vector env whose observations are Boxes; see ``as_box``."""
    space = envs.single_observation_space
    if _to_flatten(space):
        return wrappers.vector.FlattenObservation(envs)
    if _is_image(space):
        return wrappers.vector.TransformObservation(envs, _scaling(space), single_observation_space=_scaled(space))
    return envs


def _to_flatten(space: gym.Space[Any]) -> bool:
    return has_numbers(space) and (not isinstance(space, spaces.Box) or space.shape == ())


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
        scaled: Array = ((image - low) / span).astype(np.float32)
        return scaled

    return scale
