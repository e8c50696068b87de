"""Every space of Gymnasium round-trips through JSON."""

import json

import numpy as np
import pytest
from gymnasium import spaces

from tracerl.config.checks import ConfigError
from tracerl.runs.plain_spaces import from_plain, to_plain

BOX = spaces.Box(np.array([-1.0, -np.inf], np.float32), np.array([2.5, np.inf], np.float32))
SPACES = [
    BOX,
    spaces.Box(0, 255, (3, 4, 2), np.uint8),
    spaces.Box(-np.inf, np.inf, (), np.float64),
    spaces.Box(0.1, 0.3, (2, 2), np.float16),
    spaces.Box(-(2**62), 2**62, (2,), np.int64),
    spaces.Discrete(5, start=-2),
    spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[0, 1], [2, 3]]),
    spaces.MultiDiscrete([2, 3], dtype=np.int32),
    spaces.MultiBinary([2, 3]),
    spaces.MultiBinary(4),
    spaces.Text(7, min_length=2, charset="aé"),
    spaces.Tuple([BOX, spaces.Discrete(2)]),
    spaces.Dict({"b": BOX, "a": spaces.Dict({"x": spaces.Discrete(3)})}),
    spaces.Sequence(BOX, stack=True),
    spaces.Graph(BOX, spaces.Discrete(3)),
    spaces.Graph(BOX, None),
    spaces.OneOf([BOX, spaces.Discrete(3)]),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_space_round_trips(space: spaces.Space) -> None:
    again = from_plain(json.loads(json.dumps(to_plain(space), allow_nan=False)))
    assert again == space and type(again) is type(space)
    again.seed(3)
    space.seed(3)
    assert str(again.sample()) == str(space.sample())


def test_custom_space_raises_an_error_naming_it() -> None:
    class Mine(spaces.Box):
        pass

    with pytest.raises(ConfigError, match="space must be one of Gymnasium's own to be saved, got Box"):
        to_plain(Mine(0, 1, (2,)))


@pytest.mark.parametrize(
    "plain",
    [None, 3, [], {}, {"kind": []}, {"kind": "Box"}, {"kind": "Box", "shape": "x"}, {"kind": "Discrete", "n": -1}]
    + [{"kind": "Box", "low": 0, "high": 1, "shape": shape, "dtype": "float32"} for shape in ([-1], [2**40], [1.5])]
    + [{"kind": "Discrete", "n": 2, "seed": 3, "more": 1}, {"kind": "Tuple", "spaces": [{"kind": "system"}]}],
)
def test_invalid_space_raises_a_value_error(plain: object) -> None:
    with pytest.raises(ValueError, match="has a space that Gymnasium does not have"):
        from_plain(plain)
