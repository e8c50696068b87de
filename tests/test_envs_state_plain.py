"""Plain values round-trip through a state; other values raise an error."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from tests.states import identical, round_trip
from tracerl.lifetime import env_state as states
from tracerl.lifetime.env_state.plain import decode, encode


class Counting(gym.Env):
    """A custom env with ``state_dict``, whose state has every supported type."""

    observation_space = spaces.Box(-10, 10, (1,))
    action_space = spaces.Discrete(2)
    values: dict[str, Any]

    def state_dict(self) -> dict[str, Any]:
        return self.values

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.values = state


VALUES: dict[str, Any] = {
    "none": None,
    "flags": [True, np.bool_(False)],
    "whole": [0, -(2**63), 2**63, -(2**127), np.int8(3), np.uint64(2**64 - 1)],
    "real": [0.1, -0.0, 5e-324, float("inf"), float("-inf"), float("nan"), np.float32(0.1), np.float64(1 / 3)],
    "text": "ä/~$\n",
    "pair": (1, (2.0, [3])),
    "nested": {"a/b": {"~": np.arange(3)}, "a~1b": np.ones((2, 0))},
    "odd": [np.array(np.nan), np.array([np.nan, np.inf]), np.arange(6).reshape(2, 3).T, np.zeros(2, np.float16)],
}


def types(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: types(item) for key, item in value.items()}
    return [type(value), *map(types, value)] if isinstance(value, (list, tuple)) else type(value)


def test_state_dict_of_a_user_env_round_trips_with_its_types() -> None:
    env, other = Counting(), Counting()
    env.values = VALUES
    assert states.unsupported_reason(env) is None
    states.restore(other, round_trip(states.capture(env)))
    assert identical(other.values, VALUES) and types(other.values) == types(VALUES)


@pytest.mark.parametrize(
    "value", [object(), {1: 2}, {"$int": "3"}, {1, 2}, b"x", 1j, np.array(["x"]), np.array([None])]
)
def test_data_that_is_not_plain_raises_an_error_naming_it(value: Any) -> None:
    env = Counting()
    env.values = {"deep": [0, value]}
    with pytest.raises(ValueError, match="^Counting.deep.1 must be plain data"):
        states.capture(env)


@pytest.mark.parametrize(
    "data",
    [{"$int": "x"}, {"$int": 3}, {"$tuple": 3}, {"$scalar": 3}, {"$eval": "1"}, {"$float": 1.0}, {"$int": "1", "b": 2}],
)
def test_unknown_tags_raise_an_error(data: Any) -> None:
    with pytest.raises(ValueError, match="^here must be plain data"):
        decode(data, "here")
    assert decode(encode(2**70, "here"), "here") == 2**70


def test_arrays_and_the_rest_must_match() -> None:
    arrays, rest = states.split({"a": np.zeros(2), "b": [np.ones(1)]})
    assert sorted(arrays) == ["a", "b/0"]
    with pytest.raises(ValueError, match="the arrays must have 'b/0'"):
        states.join({"a": arrays["a"]}, rest)
    with pytest.raises(ValueError, match="it does not name .*more"):
        states.join({**arrays, "more": np.zeros(1)}, rest)
