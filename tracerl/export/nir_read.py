"""Read a NIR graph, a stack of Affine and LIF nodes with a readout, as a description.

A node without an equivalent in tracerl raises a ConfigError with its name.
"""

from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor

from tracerl.config.checks import ConfigError, first_line
from tracerl.export.description import Dense, NetworkDescription, Neurons, Readout
from tracerl.export.units import DT, decay_of, threshold_above
from tracerl.nn.wiring import INPUT

_ROUNDING = 1e-6  # relative rounding of a float32 time constant, so that one equal to dt is not below it
_STACK = "a stack Input -> (Affine -> LIF) ... -> [LI] -> Affine -> Output"


def read_graph(path: Any) -> Any:
    """Return the ``nir.NIRGraph`` at a path, or the given one."""
    if isinstance(path, nir.NIRGraph):
        return path
    if not isinstance(path, (str, Path)):
        raise ConfigError("path", f"must be a NIR file or a nir.NIRGraph, got {type(path).__name__}")
    if not Path(path).is_file():
        raise ConfigError("path", f"must be a NIR file, there is none at {str(path)!r}")
    try:
        return nir.read(path)
    except Exception as error:  # h5py and constructors of nodes can raise any error for another file
        raise ConfigError("path", f"must be a NIR file, got {str(path)!r}: {first_line(error)}") from error


def seconds_per_tick(graph: Any) -> float:
    """Return the dt in the metadata of a graph or its nodes, else the default."""
    for owner in (graph, *graph.nodes.values()):
        found = getattr(owner, "metadata", {}).get("dt")
        if found is not None:
            return float(found)
    return DT


def from_graph(graph: Any, dt: float, dtype: torch.dtype) -> NetworkDescription:
    """Return the description of the network of a NIR graph.

    Membranes are measured from rest and normalised: W' = R W, for both forms of a file. Neurons reset to rest, unless a
    file written by tracerl says that they subtract their threshold.
    """
    own = str(graph.metadata.get("writer", "")).startswith("tracerl")
    stages: list[Neurons] = []
    walk, n_in, readout = _Walk(graph), 0, None
    while readout is None and not walk.arrived:
        if isinstance(walk.node, nir.LI):
            readout = _filtered_readout(walk, dt)
            break
        name, weight, bias = walk.affine()
        n_in = n_in or weight.shape[1]
        if isinstance(walk.node, (nir.LIF, nir.CubaLIF)):
            stages.append(_neurons(walk, weight, bias, dt, dtype, own, len(stages)))
        elif isinstance(walk.node, (nir.LI, nir.Output)):
            readout = _plain_readout(walk, name, weight, bias, dt)
        else:
            raise walk.error(f"tracerl cannot read: {_STACK} is expected")
    if not stages:
        raise ConfigError("path", f"must hold {_STACK}, there is no LIF in it")
    if not walk.arrived:
        raise walk.error(f"cannot follow the readout of {_STACK}")
    on_top = None if readout is None else Readout((len(stages) - 1,), *readout)
    return NetworkDescription(tuple(stages), on_top, n_in, int(graph.metadata.get("ticks", 1)))


class _Walk:
    """A walk along the only path of a graph from its input."""

    def __init__(self, graph: Any) -> None:
        self.nodes, self._edges = graph.nodes, [tuple(edge) for edge in graph.edges]
        inputs = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
        if len(inputs) != 1:
            raise ConfigError("path", f"must hold a graph with one Input, got {', '.join(inputs) or 'none'}")
        own = str(graph.metadata.get("writer", "")).startswith("tracerl")
        start = str(graph.metadata.get("encoder_output", "")) if own else ""  # the encoder is built from the metadata
        self.name = start if start in graph.nodes else inputs[0]
        self.node = graph.nodes[self.name]
        self.on()

    @property
    def arrived(self) -> bool:
        """Whether the current node is the output."""
        return isinstance(self.node, nir.Output)

    def error(self, problem: str) -> ConfigError:
        """Return an error about the current node."""
        return ConfigError("path", f"holds the node {self.name} ({type(self.node).__name__}), which {problem}")

    def on(self, but: str | None = None) -> None:
        """Move to the only successor of the node, except an ignored one."""
        ahead = [end for start, end in self._edges if start == self.name and end != but]
        if len(ahead) != 1:
            raise self.error(f"must lead to one other node in {_STACK}, it leads to {len(ahead)}")
        before = [start for start, end in self._edges if end == ahead[0] and start != self.name]
        self.name, self.node = ahead[0], self.nodes[ahead[0]]
        if any((self.name, start) not in self._edges for start in before):
            raise self.error(f"receives several others, {', '.join(before)} among them: {_STACK} is expected")

    def affine(self) -> tuple[str, Tensor, Tensor]:
        """Return weights, float64 [n, n_in], and biases, [n], of the node, and move on."""
        name, node = self.name, self.node
        if not isinstance(node, (nir.Affine, nir.Linear)) or node.weight.ndim != 2:
            raise self.error(f"tracerl cannot read: {_STACK} is expected")
        self.on()
        return name, *_affine(node)

    def recurrence(self) -> str | None:
        """Return the node of a recurrent connection of the current node."""
        around = [end for start, end in self._edges if start == self.name and (end, self.name) in self._edges]
        if len(around) > 1:
            raise self.error("receives itself along several ways")
        return around[0] if around else None


def _affine(node: Any) -> tuple[Tensor, Tensor]:
    weight = _tensor(node.weight)
    bias = getattr(node, "bias", None)
    return weight, torch.zeros_like(weight[:, 0]) if bias is None else _tensor(bias)


def _tensor(values: Any) -> Tensor:
    return torch.from_numpy(np.array(values, np.float64))


def _decay(walk: _Walk, tau: Any, dt: float) -> Tensor:
    """Return the decay per tick of a time constant of the node, float64."""
    decay = decay_of(np.asarray(tau, np.float64), dt)
    decay = np.where((decay < 0) & (decay > -_ROUNDING), 0.0, decay)
    if not ((decay >= 0) & (decay < 1)).all():
        raise walk.error(f"has a time constant below dt = {dt:g} s or without end; pass dt, in seconds per tick")
    return torch.from_numpy(decay)


def _neurons(
    walk: _Walk, weight: Tensor, bias: Tensor, dt: float, dtype: torch.dtype, own: bool, number: int
) -> Neurons:
    """Return a layer of neurons with its weights, and move on."""
    node, synaptic = walk.node, isinstance(walk.node, nir.CubaLIF)
    n = len(bias)
    rest = np.broadcast_to(node.v_leak, n)
    if not np.allclose(node.v_reset, rest):
        raise walk.error("resets to another level than it rests at; tracerl's neurons reset to rest")
    scale = _tensor(np.broadcast_to(node.metadata.get("scale", 1.0) if own else 1.0, n))
    gain = _tensor(np.broadcast_to(node.r * node.w_in if synaptic else node.r, n)) / scale
    threshold = threshold_above(np.broadcast_to(node.v_threshold, n) - rest, dtype).double() / scale
    if not bool((threshold > 0).all()):
        raise walk.error("has a threshold that is not above its rest")
    around, recurrent = walk.recurrence(), None
    if around is not None:
        if not isinstance(walk.nodes[around], (nir.Affine, nir.Linear)):
            raise walk.error(f"receives itself through {around}, which is neither Affine nor Linear")
        recurrent, own_bias = _affine(walk.nodes[around])
        recurrent, bias = recurrent * gain.unsqueeze(-1), bias + own_bias
    decay = _decay(walk, node.tau_mem if synaptic else node.tau, dt).expand(n)
    outlasts = _decay(walk, node.tau_syn, dt).expand(n) if synaptic else torch.zeros(n)
    reset: Any = node.metadata.get("reset", "hard") if own else "hard"
    walk.on(but=around)
    synapses = Dense((weight * gain.unsqueeze(-1),), bias * gain, own=recurrent)
    lasting = outlasts if bool(outlasts.any()) else None
    return Neurons((number - 1 if number else INPUT,), synapses, decay, threshold, reset, synapse_decay=lasting)


def _integrators(walk: _Walk, dt: float) -> tuple[Tensor, Tensor]:
    """Return decays and gains of leaky integrators, each float64 [n], and move on."""
    node = walk.node
    if np.any(node.v_leak):
        raise walk.error("rests at another level than 0")
    found = _decay(walk, np.atleast_1d(node.tau), dt), _tensor(np.atleast_1d(node.r))
    walk.on()
    return found


def _filtered_readout(walk: _Walk, dt: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return V, c, k of LI -> Affine."""
    decay, gain = _integrators(walk, dt)
    _, weight, bias = walk.affine()
    return weight * gain, bias, decay.expand(weight.shape[1])


def _plain_readout(walk: _Walk, name: str, weight: Tensor, bias: Tensor, dt: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return V, c, k from the nodes after the Affine above the last spikes."""
    if not isinstance(walk.node, nir.LI):
        return weight, bias, torch.zeros_like(weight[0])
    decay, gain = _integrators(walk, dt)
    if bool((decay != decay[0]).any()) or (bool(decay[0] > 0) and bool((bias != 0).any())):
        where = f"holds {name} under leaky integrators that differ, or with a bias that they filter"
        raise ConfigError("path", f"{where}; tracerl filters spikes, with the bias added after")
    return weight * gain.unsqueeze(-1), bias * gain, decay[:1].expand(weight.shape[1])
