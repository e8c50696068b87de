"""Tensors and info round-trip bit-identically or raise an error before anything is written."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.checkpoints import quick  # noqa: F401  quick is a fixture
from tracerl.config.checks import ConfigError
from tracerl.runs.checkpoint.read import read
from tracerl.runs.checkpoint.store import write

DTYPES = [getattr(torch, name) for name in "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64".split()]
DTYPES += [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def contents(tensor: Tensor) -> tuple[torch.dtype, tuple[int, ...], bytes]:
    raw = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    return tensor.dtype, tuple(tensor.shape), raw


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    """Sample tensors of any content, dtype and shape, including NaN payloads."""
    dtype, shape = draw(st.sampled_from(DTYPES)), draw(st.lists(st.integers(0, 3), max_size=3))
    size = int(np.prod(shape)) * dtype.itemsize
    raw = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), np.uint8).copy()
    flat = torch.from_numpy(raw & 1 if dtype == torch.bool else raw)
    return flat.view(dtype).reshape(shape) if size else torch.empty(shape, dtype=dtype)


plain_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    parts=st.dictionaries(
        st.from_regex("[a-z0-9_-]{1,9}", fullmatch=True),
        st.dictionaries(st.text(min_size=1), tensors(), max_size=4),
        max_size=3,
    ),
    info=st.dictionaries(st.text().filter(lambda key: key != "score"), plain_json, max_size=4),
    step=st.integers(0, 10**15),
)
def test_round_trip_is_bit_identical(parts: dict[str, dict[str, Tensor]], info: dict[str, Any], step: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = read(write(Path(folder), step, parts, info))
    assert found.step == step and found.info == info
    assert repr(found.info) == repr(info)  # in which -0.0 and 0, 1 and True, and the order of keys differ
    there = {part: {name: contents(tensor) for name, tensor in named.items()} for part, named in found.parts.items()}
    assert there == {part: {name: contents(tensor) for name, tensor in named.items()} for part, named in parts.items()}


def test_signs_payloads_strides_and_shared_memory_are_preserved(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    odd = torch.tensor([0x7FF8000000000123, -(2**63), 0x7FF0000000000001]).view(torch.float64)  # NaN, -0.0, signalling
    parameter = torch.nn.Parameter(torch.ones(2))
    array = np.arange(6.0)[::-2]
    array.flags.writeable = False
    there = {"t": base.T, "same": base, "row": base[1], "wide": torch.ones(1).expand(5), "odd": odd, "p": parameter}
    arrays = {"reversed": array, "zero": np.array(2.5, np.float32), "flags": np.array([2, 0], np.uint8).view(bool)}
    found = read(write(tmp_path, 1, {"agent": {**there, **arrays}}, {"pair": (1, 2)}))
    agent = found.parts["agent"]
    for name, tensor in there.items():
        assert contents(agent[name]) == contents(tensor.detach())
    assert agent["reversed"].tolist() == [5.0, 3.0, 1.0] and agent["reversed"].dtype == torch.float64
    assert agent["zero"].shape == () and agent["zero"].item() == 2.5
    assert agent["flags"].tolist() == [True, False]
    agent["same"].zero_()
    assert agent["row"].tolist() == [4.0, 5.0, 6.0, 7.0] and base.sum() == 66
    assert found.info == {"pair": [1, 2]}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"../agent": {}}, r"^parts must have names .* got '../agent'"),
        ({"": {}}, "^parts must have names"),
        ({"Agent": {}}, "^parts must have names"),
        ({"agent\n": {}}, "^parts must have names"),
        ({"a" * 65: {}}, "^parts must have names"),
        ({f"part{i}": {} for i in range(257)}, "^parts must be at most 256, got 257"),
        ({"agent": {"": torch.zeros(1)}}, r"^parts.agent must hold tensors under names of text .* got ''"),
        ({"agent": {"__metadata__": torch.zeros(1)}}, "^parts.agent must hold tensors under names"),
        ({"agent": {"\ud800": torch.zeros(1)}}, "^parts.agent must hold tensors under names"),
        ({"agent": {"w": [1.0]}}, "^parts.agent.w must be a tensor or an array, got list"),
        ({"agent": {"w": np.array(["a"])}}, "^parts.agent.w must be an array of numbers"),
        ({"agent": {"w": np.array([{}])}}, "^parts.agent.w must be an array of numbers"),
        ({"agent": {"w": np.zeros(2, ">f8" if sys.byteorder == "little" else "<f8")}}, "this machine's byte order"),
        (
            {"agent": {"w": np.ma.masked_array([1.0], [True])}},
            "^parts.agent.w must be a tensor or an array, got Masked",
        ),
        (
            {"agent": {"w": torch.zeros(2, dtype=torch.complex64)}},
            "^parts.agent.w must be a dense tensor of bool, uint8",
        ),
        ({"agent": {"w": torch.zeros(2, 2).to_sparse()}}, "^parts.agent.w must be a dense tensor .* torch.sparse_coo"),
        ({"agent": {"w": torch.zeros(2, device="meta")}}, "^parts.agent.w must be a dense tensor .* on meta"),
        ({"agent": {"w": torch.zeros([1] * 65)}}, "^parts.agent.w must have at most 64 dimensions, got 65"),
    ],
)
def test_tensors_that_cannot_be_restored_raise_an_error(tmp_path: Path, parts: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        write(tmp_path, 1, parts, {})
    assert not list(tmp_path.iterdir())


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"env": {"position": [1.0, float("nan")]}}, r"^info.env.position\[1\] must be .* finite .* got nan"),
        ({"a": float("inf")}, "^info.a must be"),
        ({"a": {1: 2}}, "^info.a must have keys of text, got 1"),
        ({"a": np.int64(3)}, r"^info.a must be .* got np.int64\(3\)"),
        ({"a": [b"x"]}, r"^info.a\[0\] must be"),
        ({"a": 2**5000}, "^info.a must be .* up to 4096 bits"),
        ({"a": "\ud800"}, r"^info must be made of Unicode text, got '\\ud800'"),
        ({"a": nested(200)}, "^info.a.* must be nested at most 100 deep"),
        ({"score": "high"}, "^info.score must be a number or null, got 'high'"),
        ({"score": True}, "^info.score must be a number or null, got True"),
    ],
)
def test_info_that_cannot_be_restored_raises_an_error(tmp_path: Path, info: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        write(tmp_path, 1, {}, info)
    assert not list(tmp_path.iterdir())
