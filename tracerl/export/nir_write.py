"""Write a description as a NIR graph (https://neuroir.org; Pedersen et al. 2024, doi 10.1038/s41467-024-52259-9)."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import nir
import numpy as np
import torch
from torch import Tensor

from tracerl.config.checks import ConfigError
from tracerl.export.description import Convolution, Dense, NetworkDescription, Neurons, Pool, Readout
from tracerl.export.nir_encoder import add_encoder
from tracerl.export.units import threshold_below, time_constant
from tracerl.nn.encoders import Encoder, decays_of
from tracerl.nn.wiring import INPUT

Form = Literal["plain", "scaled"]
FORMS = ("plain", "scaled")


@dataclass
class _Draft:
    """A graph under construction, from its input to its output."""

    dt: float  # seconds per tick
    form: Form  # see ``to_graph``
    nodes: dict[str, Any] = field(default_factory=dict)  # by name
    edges: list[tuple[str, str]] = field(default_factory=list)  # pairs of names
    ends: dict[int, str] = field(default_factory=dict)  # name of the output node of a stage
    shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)  # output shape of a stage

    def add(self, name: str, node: Any, *sources: str) -> str:
        """Add a node with its sources; return its name."""
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources]
        return name

    def flat(self, stage: int) -> str:
        """Return the node with the output of a stage as a vector."""
        shape = self.shapes[stage]
        if len(shape) > 1:
            node = nir.Flatten(np.array(shape), start_dim=0, end_dim=-1)
            self.ends[stage] = self.add(f"flatten_{stage}", node, self.ends[stage])
            self.shapes[stage] = (int(np.prod(shape)),)
        return self.ends[stage]


def to_graph(
    description: NetworkDescription,
    dt: float,
    form: Form,
    metadata: Mapping[str, Any],
    encoder: Encoder | None = None,
) -> Any:
    """Write a network as a NIR graph.

    Args:
        description: description of the network. Without a readout, the output is the spikes of the last layer.
        dt: seconds per tick.
        form: ``plain``: R = 1, weights unchanged. ``scaled``: R = tau / dt, weights times (1-m), membranes scaled so
            that the neurons of a layer share one threshold, in a CubaLIF whose current lasts one tick
            (tau_syn = dt). The spikes are equal. Only this form is read correctly by both snnTorch and Norse if
            decays or thresholds differ within a layer.
        metadata: metadata of the graph; ``dt``, ``ticks``, ``reset`` and ``form`` are added.
        encoder: write its nodes before those of the network; see ``add_encoder``.
    """
    draft = _Draft(dt, form)
    _add_input(draft, description, encoder)
    for i, stage in enumerate(description.stages):
        if isinstance(stage, Pool):
            _add_pool(draft, i, stage)
        else:
            if form == "scaled" and stage.synapse_decay is None:
                stage = replace(stage, synapse_decay=torch.zeros_like(stage.membrane_decay))
            _add_neurons(draft, i, stage)
    if description.readout is None:
        last = len(description.stages) - 1
        end, shape = draft.ends[last], draft.shapes[last]
    else:
        end, shape = _add_readout(draft, description.readout), (len(description.readout.bias),)
    draft.add("output", nir.Output(np.array(shape)), end)
    resets = {stage.reset for stage in description.neurons}
    about = {"dt": dt, "ticks": description.ticks, "reset": "soft" if "soft" in resets else "hard", "form": form}
    return nir.NIRGraph(draft.nodes, draft.edges, metadata={**about, **metadata})


def graph_bytes(graph: Any) -> bytes:
    """Return a NIR graph as an HDF5 file."""
    memory = io.BytesIO()
    nir.write(memory, graph)
    return memory.getvalue()


def _add_input(draft: _Draft, description: NetworkDescription, encoder: Encoder | None) -> None:
    readers = [stage for stage in description.neurons if INPUT in stage.sources]
    images = [stage.synapses.in_shape for stage in readers if isinstance(stage.synapses, Convolution)]
    draft.shapes[INPUT] = images[0] if images else (description.n_in,)
    shape = draft.shapes[INPUT]
    if encoder is not None and not images:
        shape = (encoder.n_out // (1 + sum(map(len, decays_of(encoder)))),)
    draft.ends[INPUT] = draft.add("input", nir.Input(np.array(shape)))
    if encoder is not None:
        draft.ends[INPUT] = add_encoder(draft.add, encoder, shape, description.ticks, draft.dt)


def _add_neurons(draft: _Draft, i: int, stage: Neurons) -> None:
    """Add a layer: its synapses, its neurons and, if recurrent, the cycle."""
    gain, threshold = _gain(stage, draft.form)
    shape: tuple[int, ...] = (stage.n,)
    if isinstance(stage.synapses, Convolution):
        shape, currents = stage.synapses.out_shape, [_add_convolution(draft, i, stage, gain)]
    else:
        currents = _add_dense(draft, i, stage.sources, stage.synapses, gain)
    node = _neurons(draft, stage, gain, threshold, shape)
    name = draft.add(f"{'lif' if stage.synapse_decay is None else 'cubalif'}_{i}", node, *currents)
    if isinstance(stage.synapses, Dense) and stage.synapses.own is not None:
        own = nir.Linear(_scaled(stage.synapses.own, gain))
        draft.edges.append((draft.add(f"recurrent_{i}", own, name), name))
    draft.ends[i], draft.shapes[i] = name, shape


def _gain(stage: Neurons, form: Form) -> tuple[Tensor, Tensor]:
    """Return the factor of currents and membranes, float64 [n], and the thresholds, [n]."""
    theta = stage.threshold
    if form == "plain":
        return torch.ones_like(theta, dtype=torch.float64), theta
    assert stage.synapse_decay is not None
    shared = theta if bool((theta == theta[0]).all()) else torch.ones_like(theta)
    gain = (1 - stage.membrane_decay.double()) * (1 - stage.synapse_decay.double())
    return gain * (shared.double() / theta.double()), shared


def _neurons(draft: _Draft, stage: Neurons, gain: Tensor, threshold: Tensor, shape: tuple[int, ...]) -> Any:
    """Return the node of the neurons of a layer."""
    scale = gain.numpy().copy()
    tau, scaled = time_constant(stage.membrane_decay, draft.dt), draft.form == "scaled"
    parameters = {"v_leak": np.zeros_like(tau), "v_reset": np.zeros_like(tau)}
    parameters["v_threshold"] = threshold_below(threshold)
    parameters["r"] = tau / draft.dt if scaled else np.ones_like(tau)
    scale *= parameters["r"]
    if stage.synapse_decay is None:
        parameters["tau"] = tau
    else:
        tau_syn = time_constant(stage.synapse_decay, draft.dt)
        parameters |= {"tau_mem": tau, "tau_syn": tau_syn, "w_in": tau_syn / draft.dt if scaled else np.ones_like(tau)}
        scale *= parameters["w_in"]
    parameters = {name: values.reshape(shape) for name, values in parameters.items()}
    metadata = {"dt": draft.dt, "reset": stage.reset, "scale": scale.reshape(shape)}  # v here = scale * v in tracerl
    kind = nir.LIF if stage.synapse_decay is None else nir.CubaLIF
    return kind(**parameters, metadata=metadata)


def _scaled(weight: Tensor, gain: Tensor) -> np.ndarray[Any, Any]:
    """Return weights times the gain of their neurons along the first axis, in the dtype of the weights."""
    values = weight.double() * gain.reshape(-1, *[1] * (weight.dim() - 1))
    return values.to(weight.dtype).numpy()


def _add_dense(draft: _Draft, i: int, sources: tuple[int, ...], synapses: Dense, gain: Tensor) -> list[str]:
    """Add the synapses of a layer: an Affine for the first source, a Linear for each further one."""
    added = []
    for place, (source, weight) in enumerate(zip(sources, synapses.weights, strict=True)):
        values = _scaled(weight, gain)
        if place:
            node, called = nir.Linear(values), f"linear_{i}_{place}"
        else:
            node, called = nir.Affine(values, _scaled(synapses.bias, gain)), f"affine_{i}"
        added.append(draft.add(called, node, draft.flat(source)))
    return added


def _add_convolution(draft: _Draft, i: int, stage: Neurons, gain: Tensor) -> str:
    synapses = stage.synapses
    assert isinstance(synapses, Convolution)
    channels = gain.reshape(synapses.out_shape[0], -1)
    if bool((channels != channels[:, :1]).any()):
        raise ConfigError("form", "must be plain: neurons of a convolution share weights, with no scale for each")
    weight, bias = (_scaled(values, channels[:, 0]) for values in (synapses.weight, synapses.bias))
    node = nir.Conv2d(synapses.in_shape[1:], weight, synapses.stride, synapses.padding, 1, 1, bias)
    return draft.add(f"conv_{i}", node, draft.ends[stage.sources[0]])


def _add_pool(draft: _Draft, i: int, stage: Pool) -> None:
    sides = np.array([stage.size, stage.size])
    node = nir.AvgPool2d(kernel_size=sides, stride=sides, padding=np.array([0, 0]))
    draft.ends[i] = draft.add(f"pool_{i}", node, draft.ends[stage.sources[0]])
    draft.shapes[i] = stage.out_shape


def _add_readout(draft: _Draft, readout: Readout) -> str:
    """Add the integrators, if any, and the readout weights; return the last node."""
    ends, blocks, start = [], [], 0
    for place, source in enumerate(readout.sources):
        end = draft.flat(source)
        columns = slice(start, start + draft.shapes[source][0])
        if bool(readout.input_decay[columns].any()):
            integrators = _integrators(draft, readout.input_decay[columns])
            end = draft.add(f"li_{place}" if len(readout.sources) > 1 else "li", integrators, end)
        ends.append(end)
        blocks.append(readout.weight[:, columns].numpy())
        start = columns.stop
    if len(ends) == 1:
        last = draft.add("readout", nir.Affine(blocks[0], readout.bias.numpy()), ends[0])
    else:  # inputs of a node are summed, but not every reader sums at the output
        names = [draft.add(f"linear_out_{i}", nir.Linear(block), ends[i]) for i, block in enumerate(blocks)]
        identity = np.eye(len(readout.bias), dtype=blocks[0].dtype)
        last = draft.add("readout", nir.Affine(identity, readout.bias.numpy()), *names)
    if readout.output_decay is None:
        return last
    return draft.add("li_out", _integrators(draft, readout.output_decay), last)


def _integrators(draft: _Draft, decay: Tensor) -> Any:
    tau = time_constant(decay, draft.dt)
    metadata = {"dt": draft.dt, "scale": np.ones_like(tau)}
    return nir.LI(tau=tau, r=np.ones_like(tau), v_leak=np.zeros_like(tau), metadata=metadata)
