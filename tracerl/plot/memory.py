"""The state of an agent, sorted for pictures: weights, traces, decays, thresholds and rates of each layer."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray[Any, Any]
Layers = dict[str, dict[str, Array]]  # numbers by layer and quantity
_PLACES = ((r"(\w+)\.network\.hidden\.(\d+)\.", "{}_{}"), (r"(\w+)\.network\.readout\.", "{}_readout"))
_PARAMETERS = ("affine", "weight", "raw", "flat")  # what the names of learned numbers end with
_TRACES = ("eligibility_trace", "eligibility", "trace")


def distributions_of(memory: "Mapping[str, Tensor]") -> Layers:
    """Return what can be drawn as distributions, by layer (``policy_0``, ``policy_readout``) and quantity.

    An eligibility trace of a whole network is shared out among its layers, as its parameters lie.
    """
    found: Layers = {}
    for name, tensor in memory.items():
        layer, rest = _place(name)
        for quantity, values in _quantities(layer, rest, tensor):
            found.setdefault(layer, {})[quantity] = values
    for name, trace in traces_of(memory).items():
        for layer, values in _shared_out(name, trace.detach().double().cpu().numpy().ravel(), memory):
            found.setdefault(layer, {})["eligibility trace"] = values
    return found


def traces_of(memory: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Return the eligibility traces by name; not those within a layer that they are made of, nor of the encoder."""
    ends = tuple(f".{end}" for end in _TRACES)
    ours = {name: t for name, t in memory.items() if name.endswith(ends) and t.numel() > 1}
    return {name: t for name, t in ours.items() if ".credit." not in name and not name.startswith("encoder.")}


def network_name(name: str) -> str:
    """Return the network that an entry of the state belongs to, as TensorBoard's tags call it."""
    first = name.split(".")[0]
    return "value" if first == "critic" else first


def _place(name: str) -> tuple[str, str]:
    """Return the layer of an entry, and the rest of its name."""
    for pattern, layer in _PLACES:
        match = re.match(pattern, name)
        if match:
            return layer.format(network_name(match[1]), *match.groups()[1:]), name[match.end() :]
    return network_name(name), name.partition(".")[2]


def _quantities(layer: str, rest: str, tensor: "Tensor") -> Iterator[tuple[str, Array]]:
    """Yield what an entry is, in words, and its numbers; nothing of one that no picture is made of."""
    *owner, last = rest.split(".")
    values = tensor.detach().double().cpu().numpy()
    if last == "affine":  # of a readout, the biases are its last column; of layers below its last row
        readout = layer.endswith("readout")
        weights, biases = (values[:, :-1], values[:, -1]) if readout else (values[:-1], values[-1])
        yield "weights", weights.ravel()
        yield "biases", biases.ravel()
    elif last in ("weight", "flat"):
        yield "weights", values.ravel()
    elif last == "value" and owner and owner[-1].endswith(("decay", "threshold")):
        kind = owner[-1].removesuffix("s").replace("_", " ")
        yield {"decay": "readout decay k", "membrane decay": "membrane decay m"}.get(kind, kind), values.ravel()
    elif last == "rate":
        yield "rate", values.ravel()


def _shared_out(name: str, trace: Array, memory: "Mapping[str, Tensor]") -> Iterator[tuple[str, Array]]:
    """Yield each layer's part of a trace over all parameters of a network; all of it where it is laid out otherwise."""
    network = name.rpartition(".")[0] + ".network."
    sizes: dict[str, int] = {}
    for key, tensor in memory.items():
        if key.startswith(network) and key.rpartition(".")[2] in _PARAMETERS:
            sizes[_place(key)[0]] = sizes.get(_place(key)[0], 0) + tensor.numel()
    if sum(sizes.values()) != len(trace):
        yield network_name(name), trace
        return
    start = 0
    for layer in sorted(sizes, key=_as_laid_out):
        size = sizes[layer]
        yield layer, trace[start : start + size]
        start += size


def _as_laid_out(layer: str) -> tuple[bool, int]:
    """Order layers as a network's parameters lie: hidden ones by number, then the readout."""
    number = layer.rpartition("_")[2]
    return not number.isdecimal(), int(number) if number.isdecimal() else 0
