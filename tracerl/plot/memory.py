"""Group the state of an agent by layer: weights, traces, decays, thresholds and rates."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray[Any, Any]
Layers = dict[str, dict[str, Array]]  # numbers by layer and quantity
_LAYER_NAMES = ((r"(\w+)\.network\.hidden\.(\d+)\.", "{}_{}"), (r"(\w+)\.network\.readout\.", "{}_readout"))
_PARAMETERS = ("affine", "weight", "raw", "flat")  # suffixes of the names of learned numbers
_TRACES = ("eligibility_trace", "eligibility", "trace")


def distributions_of(memory: "Mapping[str, Tensor]") -> Layers:
    """Return the numbers for histograms by layer (``policy_0``, ``policy_readout``) and quantity.

    The eligibility trace of a whole network is split by layer, in the order of its parameters.
    """
    found: Layers = {}
    for name, tensor in memory.items():
        layer, rest = _layer_of(name)
        for quantity, values in _quantities(layer, rest, tensor):
            found.setdefault(layer, {})[quantity] = values
    for name, trace in traces_of(memory).items():
        for layer, values in _by_layer(name, trace.detach().double().cpu().numpy().ravel(), memory):
            found.setdefault(layer, {})["eligibility trace"] = values
    return found


def traces_of(memory: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Return the eligibility traces by name, without traces within a layer or an encoder."""
    ends = tuple(f".{end}" for end in _TRACES)
    ours = {name: t for name, t in memory.items() if name.endswith(ends) and t.numel() > 1}
    return {name: t for name, t in ours.items() if ".credit." not in name and not name.startswith("encoder.")}


def network_name(name: str) -> str:
    """Return the name of the network of a state entry, as in TensorBoard's tags."""
    first = name.split(".")[0]
    return {"critic": "value", "learner": "policy"}.get(first, first)


def _layer_of(name: str) -> tuple[str, str]:
    """Return the layer of an entry and the rest of its name."""
    for pattern, layer in _LAYER_NAMES:
        match = re.match(pattern, name)
        if match:
            return layer.format(network_name(match[1]), *match.groups()[1:]), name[match.end() :]
    return network_name(name), name.partition(".")[2]


def _quantities(layer: str, rest: str, tensor: "Tensor") -> Iterator[tuple[str, Array]]:
    """Yield the quantity of an entry and its numbers; nothing for an entry that is not drawn."""
    *owner, last = rest.split(".")
    values = tensor.detach().double().cpu().numpy()
    if last == "affine":  # biases are the last column of a readout, and the last row of other layers
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


def _by_layer(name: str, trace: Array, memory: "Mapping[str, Tensor]") -> Iterator[tuple[str, Array]]:
    """Yield the part of each layer of a trace over all parameters of a network; all of it for another layout."""
    network = name.rpartition(".")[0] + ".network."
    sizes: dict[str, int] = {}
    for key, tensor in memory.items():
        if key.startswith(network) and key.rpartition(".")[2] in _PARAMETERS:
            sizes[_layer_of(key)[0]] = sizes.get(_layer_of(key)[0], 0) + tensor.numel()
    if sum(sizes.values()) != len(trace):
        yield network_name(name), trace
        return
    start = 0
    for layer in sorted(sizes, key=_parameter_order):
        size = sizes[layer]
        yield layer, trace[start : start + size]
        start += size


def _parameter_order(layer: str) -> tuple[bool, int]:
    """Return a sort key in the order of a network's parameters: hidden layers by number, then the readout."""
    number = layer.rpartition("_")[2]
    return not number.isdecimal(), int(number) if number.isdecimal() else 0
