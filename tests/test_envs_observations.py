"""Observation spaces of any kind become a Box or raise an error naming the space."""

import ast
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import FilterObservation
from tracerl.envs.spec import EnvSpec

from tests.helpers import compose, make_agent
from tests.toy_envs import Shown, Words
from tracerl.config import hydra_compat
from tracerl.config.checks import ConfigError
from tracerl.lifetime.api import live
from tracerl.lifetime.loop import EnvFailed
from tracerl.lifetime.observations import as_box, as_boxes
from tracerl.nn.lifetimes import Lifetimes

PLACE = spaces.Box(-1, 1, (2,), np.float32)
HALF = np.array([0.5, -0.5], np.float32)
FLAT: dict[str, tuple[gym.Space, Any, list[float]]] = {
    "Discrete": (spaces.Discrete(4, start=2), np.int64(3), [0, 1, 0, 0]),
    "MultiBinary": (spaces.MultiBinary([2, 2]), np.array([[1, 0], [0, 1]], np.int8), [1, 0, 0, 1]),
    "MultiDiscrete": (spaces.MultiDiscrete([2, 3]), np.array([1, 2]), [0, 1, 0, 0, 1]),
    "Tuple": (spaces.Tuple([spaces.Discrete(2), PLACE]), (np.int64(1), HALF), [0, 1, 0.5, -0.5]),
    "Dict": (
        spaces.Dict({"a": spaces.Dict({"place": PLACE}), "b": spaces.Discrete(3)}),
        {"a": {"place": HALF}, "b": np.int64(0)},
        [0.5, -0.5, 1, 0, 0],
    ),
    "number": (spaces.Box(0, 9, (), np.float32), np.array(7, np.float32), [7]),
}
IMAGES: dict[str, tuple[spaces.Box, list[list[float]], list[list[float]]]] = {
    "uint8": (spaces.Box(0, 255, (1, 3), np.uint8), [[0, 51, 255]], [[0, 0.2, 1]]),
    "bool": (spaces.Box(0, 1, (2, 1), np.bool_), [[False], [True]], [[0], [1]]),
    "int16": (spaces.Box(-3, 5, (2, 2), np.int16), [[-3, 1], [5, 3]], [[0, 0.5], [1, 0.75]]),
    "int32 of a small range": (spaces.Box(2**30, 2**30 + 10, (1, 2), np.int32), [[2**30 + 5, 2**30]], [[0.5, 0]]),
    "pixels of their own bounds, one that never changes": (
        spaces.Box(np.array([[0, 2]]), np.array([[4, 2]]), dtype=np.int64),
        [[1, 2]],
        [[0.25, 0]],
    ),
}
KEPT = [
    spaces.Box(-1, 1, (3,), np.float64),
    spaces.Box(0, 255, (3,), np.uint8),
    spaces.Box(0, 1, (4, 4, 2), np.float32),
    spaces.Box(np.iinfo(np.int32).min, np.inf, (2, 2), np.int32),
]
UNSUPPORTED = [
    spaces.Text(5),
    spaces.Graph(PLACE, None),
    spaces.Sequence(PLACE),
    spaces.OneOf([PLACE, spaces.Discrete(2)]),
]
PLACES, TEXT = spaces.Dict({"b": PLACE, "a": PLACE}), spaces.Text(5)
PARTLY = [
    (spaces.Dict({}), "must have observations of at least one number for this agent, got Dict()"),
    (spaces.Tuple([]), "must have observations of at least one number for this agent, got Tuple()"),
    (
        spaces.Dict({"place": PLACE, "mission": TEXT, "places": PLACES, "word": TEXT}),
        "got a Dict: its entry 'mission' is a Text, "
        "which gymnasium.wrappers.FilterObservation with filter_keys=['place', 'places'] leaves out",
    ),
    (
        spaces.Tuple([PLACE, TEXT]),
        "got a Tuple: its entry '1' is a Text, which gymnasium.wrappers.FilterObservation with filter_keys=[0] leaves "
        "out",
    ),
    (spaces.Dict({"a": spaces.Dict({"b": TEXT})}), "got a Dict: its entry 'a.b' is a Text"),
    (
        spaces.Dict({"a": spaces.Dict({}), "b": PLACE}),
        "its entry 'a' is a Dict without entries, which gymnasium.wrappers.FilterObservation with filter_keys=['b'] "
        "leaves out",
    ),
]


def shows(env: gym.Env, expected: Any) -> None:
    """Assert that reset and step return the expected array, which is in the Box."""
    for observation in (env.reset(seed=0)[0], env.step(0)[0]):
        np.testing.assert_array_equal(observation, expected)
        assert observation.dtype == env.observation_space.dtype
        assert env.observation_space.contains(observation)


@pytest.mark.parametrize("name", FLAT)
def test_discrete_becomes_one_hot_and_compound_spaces_one_vector(name: str) -> None:
    space, shown, expected = FLAT[name]
    env = as_box(Shown(space, shown))
    assert isinstance(env.observation_space, spaces.Box) and env.observation_space.shape == (len(expected),)
    shows(env, expected)


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_scaled_from_their_bounds_to_0_to_1(name: str) -> None:
    space, shown, expected = IMAGES[name]
    env = as_box(Shown(space, np.array(shown, space.dtype)))
    assert env.observation_space == spaces.Box(0, 1, space.shape, np.float32)
    shows(env, np.array(expected, np.float32))


@pytest.mark.parametrize("space", KEPT, ids=str)
def test_float_vectors_are_unchanged_without_a_wrapper(space: spaces.Box) -> None:
    env = Shown(space, space.sample())
    assert as_box(env) is env
    envs = SyncVectorEnv([lambda: env] * 2)
    assert as_boxes(envs) is envs


@pytest.mark.parametrize("space", UNSUPPORTED, ids=lambda space: type(space).__name__)
def test_space_without_numbers_is_unchanged_and_raises_an_error_in_an_agent(space: gym.Space) -> None:
    env = Shown(space, None)
    assert as_box(env) is env
    with pytest.raises(ConfigError) as caught:
        make_agent(env)
    assert "makes of Discrete, MultiBinary and MultiDiscrete, and Dict and Tuple of these" in str(caught.value)
    assert str(caught.value).endswith(f"got {space}")


@pytest.mark.parametrize(("space", "problem"), PARTLY, ids=str)
def test_first_entry_without_numbers_is_named_with_a_wrapper_that_leaves_it_out(space: gym.Space, problem: str) -> None:
    env = Shown(space, None)
    assert as_box(env) is env
    with pytest.raises(ConfigError) as caught:
        make_agent(env)
    assert str(caught.value).endswith(problem)
    if "filter_keys" in problem:
        keys = ast.literal_eval(problem.partition("filter_keys=")[2].removesuffix(" leaves out"))
        assert make_agent(as_box(FilterObservation(env, keys)))


@pytest.mark.parametrize("name", [*FLAT, *IMAGES])
def test_vector_env_gives_each_lifetime_its_single_observations(name: str) -> None:
    space, shown, _ = {**FLAT, **IMAGES}[name]
    if isinstance(space, spaces.Box):
        shown = np.array(shown, space.dtype)
    alone = as_box(Shown(space, shown))
    envs = as_boxes(SyncVectorEnv([lambda: Shown(space, shown)] * 2, autoreset_mode=AutoresetMode.NEXT_STEP))
    assert envs.single_observation_space == alone.observation_space
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    for observations in (envs.reset(seed=0)[0], envs.step(np.zeros(2, np.int64))[0]):
        np.testing.assert_array_equal(observations, [alone.reset()[0]] * 2)
        assert observations.dtype == alone.observation_space.dtype


OUTSIDE: dict[str, tuple[gym.Space, Any]] = {
    "Discrete below": (spaces.Discrete(4), -1),
    "Discrete above": (spaces.Discrete(4), 4),
    "Discrete below its start": (spaces.Discrete(4, start=5), np.int64(1)),
    "MultiDiscrete": (spaces.MultiDiscrete([2, 3]), np.array([2, 0])),
    "MultiDiscrete of another size": (spaces.MultiDiscrete([2, 3]), np.array([0])),
    "MultiBinary": (spaces.MultiBinary(3), np.array([0, 1, 7], np.int8)),
    "MultiBinary with NaN": (spaces.MultiBinary(3), np.array([0, 1, np.nan])),
    "Tuple": (spaces.Tuple([spaces.Discrete(2), PLACE]), (-1, HALF)),
    "Tuple without its second part": (spaces.Tuple([spaces.Discrete(2), PLACE]), (1,)),
    "Dict without a part": (spaces.Dict({"a": PLACE, "b": spaces.Discrete(2)}), {"a": HALF}),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_choice_outside_its_space_raises_an_error(name: str) -> None:
    with pytest.raises(ValueError, match=r"the observation .* (is not in its space|has no part 'b'|must have 2 parts)"):
        as_box(Shown(*OUTSIDE[name])).reset()


def test_choice_outside_its_space_ends_a_lifetime_with_its_value() -> None:
    env = as_box(Shown(spaces.Discrete(4), -1))
    with pytest.raises(EnvFailed, match=r"reset .*the observation -1 is not in its space Discrete\(4\)"):
        live(make_agent(env), env, 5).finish()
    envs = as_boxes(SyncVectorEnv([lambda: Shown(spaces.Discrete(4), -1)] * 2))
    with pytest.raises(ValueError, match="the observation -1 is not in its space"):
        envs.reset()


def test_image_of_another_shape_raises_an_error() -> None:
    for shown in (3, np.zeros((6, 5), np.uint8), np.zeros((1, 6), np.uint8)):
        with pytest.raises(ValueError, match=r"the image has the shape \(.*\), its space \(6, 6\)"):
            as_box(Shown(spaces.Box(0, 255, (6, 6), np.uint8), shown)).reset()


def test_spec_makes_envs_with_a_box_observation() -> None:
    spec = EnvSpec("Lake", "FrozenLake-v1", {}, 1, [])
    np.testing.assert_array_equal(spec.make().reset(seed=0)[0], np.eye(16)[0])
    envs = spec.make_many(2)
    np.testing.assert_array_equal(envs.reset(seed=[0, 1])[0], np.eye(16)[[0, 0]])


def test_random_agent_runs_without_numeric_observations() -> None:
    make = hydra_compat.instantiate(compose("agent=random").agent, _convert_="all", _partial_=True)
    spec = EnvSpec("Words", "tests.toy_envs:Words-v0", {}, 1, [])
    assert isinstance(spec.make().unwrapped, Words)
    for runner in (spec.open([0]), spec.open([0, 1])):
        assert make(runner.observation_space, runner.action_space, Lifetimes(0)).start(None) in runner.action_space
