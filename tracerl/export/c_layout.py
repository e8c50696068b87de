"""The layout of an agent's state in C: the places of its buffers, and the kernels' records as tables of C.

The structs that ``c/layout.c`` declares have the field names of ``tracerl.kernels.layout``, and are filled from the
records that ``tracerl.kernels.describe`` makes. In C, numbers of 64 bits always stand apart from those of the network's
type, as in the packed state of a float32 agent.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tracerl.kernels.describe import Layout
from tracerl.kernels.layout import ABSENT, GAUSSIAN

Array = np.ndarray[Any, Any]
Place = Callable[[str, int], int]  # from the path of an offset and its value to the value in C
SOURCES = Path(__file__).parent / "c"
_TYPES = {"offset": np.int32, "int32_t": np.int32, "double": np.float64}  # of the numbers in a struct

# Offsets by their path in the record of the agent; those of layers all point at numbers of the network's type.
_WIDE = re.compile(
    r"moments\.\w+|policy\.step_rule\.bias_correction|critic\.step_rule\.bias_correction|stream\.counter|encoder\.trace|"
    r"reward_scaler\.discounted|growing_discount\.age|head\.sent|fault|sums"
)
_IN_CONSTANTS = re.compile(r"head\.(sizes|grid|low|high|centre|half_range|least|most|ends)|encoder\.\w+_decays")
_LEARNING = re.compile(
    r"critic\..*|policy\.network\.score|policy\.eligibility_trace|policy\.step_rule\..*|reward_scaler\..*|growing_discount\..*|"
    r"log_prob_trace\..*|value|signal|entropy|sums|head\.(mean|std|std_gain|excess)|"
    r"layer\.(surrogate|reset_gain|reset_drive|rate|sensitivity|readout_credit\..*|path_credit\..*|presynaptic\..*)"
)


@dataclass(frozen=True)
class Buffer:
    """A tensor of the packed state.

    Attributes:
        name: in the agent's ``state_dict``.
        tensor: a view of the packed state.
        is_wide: int64 or float64 for every dtype of the network.
    """

    name: str
    tensor: Tensor
    is_wide: bool

    def __len__(self) -> int:
        """Count the numbers."""
        return self.tensor.numel()


@cache
def structs() -> dict[str, list[tuple[str, str]]]:
    """Return the fields of every struct of ``c/layout.c``: type and name, in order."""
    text = re.sub(r"/\*.*?\*/", "", (SOURCES / "layout.c").read_text(encoding="utf-8"), flags=re.DOTALL)
    found = dict[str, list[tuple[str, str]]]()
    for struct, body in re.findall(r"^struct (\w+) \{(.*?)\};", text, re.MULTILINE | re.DOTALL):
        members = re.findall(r"((?:struct )?\w+) ([\w, ]+);", body)
        found[struct] = [(kind, name.strip()) for kind, names in members for name in names.split(",")]
    return found


def initialiser(struct: str, record: Any, place: Place, path: str = "") -> str:
    """Return a record of the kernels as the initialiser of a struct."""
    parts = []
    for kind, name in structs()[struct]:
        value, at = record[name], f"{path}.{name}" if path else name
        if kind.startswith("struct "):
            text = initialiser(kind.removeprefix("struct "), value, place, at)
        elif kind == "offset":
            text = str(place(at, int(value)))
        else:
            text = number(float(value)) if kind == "double" else str(int(value))
        parts.append(f".{name} = {text}")
    return f"{{{', '.join(parts)}}}"


def _settings(struct: str, record: Any, path: str = "") -> Iterator[str]:
    """Yield the fields of a record that are no offsets and not 0, by their path."""
    for kind, name in structs()[struct]:
        value, at = record[name], f"{path}.{name}"
        if kind.startswith("struct "):
            yield from _settings(kind.removeprefix("struct "), value, at)
        elif kind != "offset" and value != 0:
            yield f"{at} {number(float(value))}"


@cache
def _aligned(struct: str) -> np.dtype[Any]:
    """Return the dtype of a struct, with the gaps that a compiler leaves before numbers of 8 bytes."""
    fields = structs()[struct]
    return np.dtype([(name, _TYPES.get(kind) or _aligned(kind.removeprefix("struct "))) for kind, name in fields], True)


def number(value: float, digits: int = 17) -> str:
    """Return a number as a literal of C that is read back as the same float64, or with 9 digits the same float32."""
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = repr(value) if digits == 17 else f"{value:.{digits}g}"
    return text if re.search(r"[.en]", text) else f"{text}.0"


class StateLayout:
    """The state of one agent in C, of the build that learns or of the one that acts only.

    Attributes:
        buffers: those that the build has, in the order of the packed state.
        reals: how many numbers of the network's type they have.
        words: how many numbers of 64 bits they have.
        identity: a number of 64 bits that another layout does not have.
        settings: a number of 32 bits that the same layout with other settings does not have; it is not 0.
    """

    def __init__(self, agent: Any, learns: bool) -> None:
        """Lay out the state of an agent of one lifetime."""
        parts = agent.fused_parts()
        self.records, self._learns = Layout(parts), learns
        self._is_double = parts.state.real.dtype == torch.float64
        self._is_gaussian = int(self.records.agent[0]["head"]["kind"]) == GAUSSIAN
        named = [
            (f"{prefix}.{name}".lstrip("."), tensor)
            for prefix, owner in agent.named_modules()
            for name, tensor in owner._buffers.items()
            if tensor is not None
        ]
        self._all = [Buffer(name, tensor, tensor.element_size() == 8) for name, tensor in named]
        if self._is_double:  # all numbers have 64 bits: wide are those that the records say are
            hit = self._hit(wide_only=True)
            self._all = [Buffer(b.name, b.tensor, b.name in hit or not b.tensor.is_floating_point()) for b in self._all]
        needed = {buffer.name for buffer in self._all} if learns else self._hit()
        self.buffers = [buffer for buffer in self._all if buffer.name in needed]
        self._starts, counts = dict[str, int](), {False: 0, True: 0}
        for buffer in self.buffers:
            self._starts[buffer.name] = counts[buffer.is_wide]
            counts[buffer.is_wide] += len(buffer)
        self.reals, self.words = counts[False], counts[True]
        previous = {  # the identity of a layout does not change with the names
            f"{prefix}.{new}": f"{prefix}.{old}"
            for prefix, owner in agent.named_modules()
            for new, old in getattr(owner, "previous_names", {}).items()
        }
        listed = [f"{previous.get(each.name, each.name)} {len(each)} {each.is_wide}" for each in self.buffers]
        digest = hashlib.sha256("\n".join([str(learns), *listed]).encode()).digest()
        self.identity = int.from_bytes(digest[:8], "little")
        self.settings = self._number_of_settings(agent)

    def _is_wide(self, path: str) -> bool:
        action = path == "head.action" and not self._is_gaussian
        return action or (not path.startswith("layer.") and re.search(rf"(^|\.)({_WIDE.pattern})$", path) is not None)

    def _owner(self, path: str, value: int) -> Buffer:
        """Return the buffer that an offset of the packed state points into."""
        wide = self._is_wide(path)
        there = [buffer for buffer in self._all if self._is_double or buffer.is_wide == wide]
        return max((b for b in there if b.tensor.storage_offset() <= value), key=lambda b: b.tensor.storage_offset())

    def _is_left_out(self, path: str, value: int) -> bool:
        return value == ABSENT or (not self._learns and _LEARNING.fullmatch(path) is not None)

    def _hit(self, wide_only: bool = False) -> set[str]:
        """Return the names of the buffers that the records of this build point into."""
        found = set[str]()

        def record(path: str, value: int) -> int:
            points = not self._is_left_out(path, value) and not _IN_CONSTANTS.fullmatch(path)
            if points and (self._is_wide(path) or not wide_only):
                found.add(self._owner(path, value).name)
            return value

        self._text(record)
        return found

    def _place(self, path: str, value: int) -> int:
        """Return an offset in C."""
        if self._is_left_out(path, value):
            return ABSENT
        if _IN_CONSTANTS.fullmatch(path):
            return value
        owner = self._owner(path, value)
        return self._starts[owner.name] + value - int(owner.tensor.storage_offset())

    def _text(self, place: Place) -> tuple[str, list[str]]:
        agent, layers = self.records.agent[0], self.records.layers
        count = len(layers) if self._learns else int(agent["policy"]["network"]["len_hidden"])
        return (
            initialiser("agent", agent, place),
            [initialiser("layer", layer, place, "layer") for layer in layers[:count]],
        )

    def tables(self) -> str:
        """Return the records as constants of C."""
        agent, layers = self._text(self._place)
        rows = "".join(f"    {_wrapped(layer)},\n" for layer in layers)
        one = f"static const struct agent agent = {_wrapped(agent)};\n"
        return f"{one}static const struct layer layers[] = {{\n{rows}}};\n"

    @property
    def table_bytes(self) -> int:
        """Return how many bytes the records take in C."""
        return _aligned("agent").itemsize + len(self._text(self._place)[1]) * _aligned("layer").itemsize

    def _number_of_settings(self, agent: Any) -> int:
        """Return a digest of the settings in the records and the constants.

        Those that are 0 do not count, so that a later version can add one that is off.
        """
        records = [("agent", self.records.agent[0]), *(("layer", layer) for layer in self.records.layers)]
        found = [f"{i}{text}" for i, (struct, record) in enumerate(records) for text in _settings(struct, record)]
        numbers = [*self.records.constants, *np.ravel(getattr(agent.head, "start", 0))]
        digest = hashlib.sha256("\n".join([*found, *(number(float(value)) for value in numbers)]).encode()).digest()
        return int.from_bytes(digest[:4], "little") | 1

    def values(self) -> tuple[Array, list[int | float]]:
        """Return the present state: the reals, float64, [reals], and the words, each an int or a float."""
        reals = [buffer.tensor.reshape(-1).double().numpy() for buffer in self.buffers if not buffer.is_wide]
        words = [buffer.tensor.reshape(-1).tolist() for buffer in self.buffers if buffer.is_wide]
        return np.concatenate(reals), [word for part in words for word in part]


def _wrapped(text: str, width: int = 116) -> str:
    """Return an initialiser in lines."""
    lines, line = [], ""
    for part in text.split(" "):
        if len(line) + len(part) >= width:
            lines.append(line.rstrip())
            line = ""
        line += f"{part} "
    return "\n     ".join([*lines, line.rstrip()])
