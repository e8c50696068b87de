"""Independent references for the gradients: autograd through time, and real-time recurrent learning.

The networks here are written from the equations with autograd and share no code with the library; only the spike's
derivative is the surrogate.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tracerl.nn.layers import ALIF, ConvolutionalSynapses, Graded, SpikingLayer, SynapticLIF, Ternary
from tracerl.nn.networks import Network
from tracerl.nn.wiring import INPUT

Parameters = dict[str, Tensor]

SETTINGS: dict[str, Any] = dict(  # of ``Dense``: not all outputs of the network are zero
    hidden=[16],
    neuron="lif",
    membrane_decay=[0.1, 0.9],
    threshold=0.25,
    readout_decay=[0.1, 0.7],
    adaptation=0.6,
    adaptation_decay=[0.5, 0.95],
    synapse_decay=[0.1, 0.8],
    reset="soft",
    detach_reset=None,
    surrogate="arctan",
    slope=1.0,
    recurrent=False,
    layer_norm=False,
    weight_scale=0.7,
    recurrent_scale=0.7,
    bias_scale=1.0,
    sparsity=0.0,
    output_scale=1.0,
    ticks=1,
    credit="otpe",
    feedback="symmetric",
    feedback_decay=0.0,
    learn_membrane_decay=False,
    learn_threshold=False,
    learn_readout_decay=False,
)


class SurrogateSpike(torch.autograd.Function):
    """A step with a triangle or arctan derivative."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor, slope: float, kind: str) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.slope, ctx.kind = slope, kind
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (distance,) = ctx.saved_tensors
        if ctx.kind == "triangle":
            psi = ctx.slope * torch.relu(1 - ctx.slope * distance.abs())
        else:
            psi = ctx.slope / (1 + (math.pi / 2 * ctx.slope * distance) ** 2)
        return grad * psi, None, None


def parameters_of(network: Network) -> Parameters:
    """Copy a single-lifetime network's quantities W, b, m, theta of each spiking node and V, c, k of the readout."""
    found: Parameters = {}
    for i, layer in spiking(network):
        affine = layer.synapses.affine
        found[f"W{i}"], found[f"b{i}"] = affine[:-1].T.clone(), affine[-1].clone()
        found[f"m{i}"] = layer.membrane_decay.value.clone()
        found[f"theta{i}"] = layer.threshold.value.clone()
    found["V"], found["c"] = network.readout.weight.clone(), network.readout.bias.clone()
    found["k"] = network.readout.decay.value.clone()
    return found


def spiking(network: Network) -> list[tuple[int, SpikingLayer]]:
    """The spiking nodes with their numbers."""
    return [(i, node.layer) for i, node in enumerate(network.wiring.nodes) if isinstance(node.layer, SpikingLayer)]


def initial_state(network: Network) -> dict[str, Tensor]:
    """All membranes, spikes, adaptations, currents and filters at zero, where the network has them."""
    sent_on = {source for node in network.wiring.nodes for source in node.delayed}
    state: dict[str, Tensor] = {}
    for i, layer in spiking(network):
        names = ["v"] + ["z"] * (layer.recurrent or i in sent_on or isinstance(layer, ALIF))
        names += ["a"] * isinstance(layer, ALIF) + ["i"] * isinstance(layer, SynapticLIF)
        names += ["rise"] * (layer.threshold_rise is not None)
        state |= {f"{name}{i}": torch.zeros_like(layer.membrane) for name in names}
    return {**state, "zbar": torch.zeros_like(network.readout.weight[0])}


def tick(
    p: Parameters, state: Mapping[str, Tensor], x: Tensor, network: Network, stop: bool = False
) -> tuple[dict[str, Tensor], Tensor]:
    """One tick of the whole network: (new state, y).

    Args:
        p: quantities.
        state: before the tick.
        x: input.
        network: gives the connections and the kind of neuron of each node.
        stop: stops the gradient through spikes that arrive a tick later, as e-prop is defined.
    """
    new: dict[str, Tensor] = {}
    handed = {INPUT: x}
    for i, node in enumerate(network.wiring.nodes):
        late = [*node.delayed, i] if getattr(node.layer, "recurrent", False) else [*node.delayed]
        arrived = [state[f"z{source}"].detach() if stop else state[f"z{source}"] for source in late]
        received = torch.cat([handed[source] for source in node.sources] + arrived)
        if isinstance(node.layer, SpikingLayer):
            advanced, handed[i] = neurons(p, state, i, received, node.layer)
            new |= {name: value for name, value in advanced.items() if name in state}
        else:
            handed[i] = pooled(received, node.layer)
    spikes = torch.cat([handed[i] for i in network.wiring.outputs])
    new["zbar"] = p["k"] * state["zbar"] + (1 - p["k"]) * spikes
    return new, p["V"] @ new["zbar"] + p["c"]


def neurons(
    p: Parameters, state: Mapping[str, Tensor], i: int, received: Tensor, layer: SpikingLayer
) -> tuple[dict[str, Tensor], Tensor]:
    """One tick of one layer: (its new state, its spikes)."""
    m, threshold, new = p[f"m{i}"], p[f"theta{i}"], {}
    current = currents(p[f"W{i}"], p[f"b{i}"], received, layer.synapses)
    if layer.norm is not None:
        current = torch.nn.functional.layer_norm(current, current.shape, eps=1e-5)
    if isinstance(layer, SynapticLIF):
        decay = layer.synapse_decay.value
        current = new[f"i{i}"] = decay * state[f"i{i}"] + (1 - decay) * current
    if isinstance(layer, ALIF):
        rho = layer.adaptation_decay.value
        new[f"a{i}"] = rho * state[f"a{i}"] + (1 - rho) * state[f"z{i}"]
        threshold = threshold + layer.adaptation * new[f"a{i}"]
    if layer.threshold_rise is not None:
        threshold = threshold + state[f"rise{i}"]
    u = m * state[f"v{i}"] + (1 - m) * current
    if isinstance(layer, Graded):
        new[f"v{i}"], new[f"z{i}"] = u, graded(u - threshold, layer.slope, layer.surrogate_kind)
        return new, new[f"z{i}"]
    z = SurrogateSpike.apply(u - threshold, layer.slope, layer.surrogate_kind)
    sent = z
    if isinstance(layer, Ternary):
        below = SurrogateSpike.apply(-u - threshold, layer.slope, layer.surrogate_kind)
        z, sent = z + below, z - below
    zr, signed = (z.detach(), sent.detach()) if layer.detach_reset else (z, sent)
    new[f"v{i}"] = u - threshold * signed if layer.reset == "soft" else u * (1 - zr)
    new[f"z{i}"] = sent
    if layer.threshold_rise is not None:
        change = layer.threshold_step * (z.detach() - layer.rate_target)
        new[f"rise{i}"] = torch.relu(state[f"rise{i}"] + change)
    return new, sent


def graded(x: Tensor, slope: float, kind: str) -> Tensor:
    """Return the output of a neuron that does not spike, differentiable by autograd."""
    if kind in ("rectifier", "centered_rectifier"):
        return torch.nn.functional.leaky_relu(slope * x, 0.01) - (0.4 * slope if kind == "centered_rectifier" else 0.0)
    if kind == "arctan":
        return 2 / math.pi * torch.atan(math.pi / 2 * slope * x)
    return torch.where(slope * x.abs() < 1, slope * x - slope**2 * x * x.abs() / 2, x.sign() / 2)


def currents(weight: Tensor, bias: Tensor, received: Tensor, synapses: Any) -> Tensor:
    """W x + b, or a convolution with W over the image that x is."""
    if not isinstance(synapses, ConvolutionalSynapses):
        return weight @ received + bias
    channels, height, width = synapses.in_shape
    if synapses.channels_last:
        image = received.reshape(synapses.codes, height, width, -1).permute(0, 3, 1, 2)
    else:
        image = received.reshape(channels, height, width)
    kernels = weight.reshape(-1, channels, synapses.kernel, synapses.kernel)
    geometry = dict(stride=synapses.stride, padding=synapses.padding)
    return torch.nn.functional.conv2d(image.reshape(1, *synapses.in_shape), kernels, bias, **geometry).flatten()


def pooled(received: Tensor, pooling: Any) -> Tensor:
    """The average or the maximum of squares of an image."""
    pool = torch.nn.functional.avg_pool2d if pooling.kind == "average" else torch.nn.functional.max_pool2d
    return pool(received.reshape(1, *pooling.in_shape), pooling.size).flatten()


def bptt(network: Network, inputs: Tensor, g: Tensor, stop: bool = False) -> Parameters:
    """Return the gradient of g . y_T by every quantity, by autograd through all ticks.

    Args:
        network: a single lifetime; only its parameters are read.
        inputs: [T, n_in].
        g: [n_out].
        stop: see ``tick``.
    """
    p = {name: value.requires_grad_() for name, value in parameters_of(network).items()}
    state = initial_state(network)
    for x in inputs:
        for _ in range(network.ticks):
            state, y = tick(p, state, x, network, stop)
    gradients = torch.autograd.grad(g @ y, list(p.values()))
    return dict(zip(p, gradients, strict=True))


def rtrl(network: Network, inputs: Tensor, g: Tensor) -> Parameters:
    """Return the same gradient by real-time recurrent learning: the full Jacobian of the state, computed forward."""
    p = parameters_of(network)
    state = initial_state(network)
    jacobian = {s: {q: torch.zeros(*state[s].shape, *p[q].shape, dtype=g.dtype) for q in p} for s in state}
    for x in inputs:
        by_state, by_parameter = _jacobians(p, state, x, network)
        jacobian = {
            s: {
                q: by_parameter[s][q] + sum(torch.tensordot(by_state[s][r], jacobian[r][q], 1) for r in state)
                for q in p
            }
            for s in state
        }
        state, _ = tick(p, state, x, network)
    result = {q: torch.tensordot(g @ p["V"], jacobian["zbar"][q], 1) for q in p}
    result["V"], result["c"] = torch.outer(g, state["zbar"]), g.clone()
    return result


def _jacobians(p: Parameters, state: dict[str, Tensor], x: Tensor, network: Network) -> tuple[Any, Any]:
    """Jacobian of the next state by the last state and by the parameters, one row of the state at a time."""
    p = {name: value.clone().requires_grad_() for name, value in p.items()}
    state = {name: value.clone().requires_grad_() for name, value in state.items()}
    new, _ = tick(p, state, x, network)
    leaves = [*state.values(), *p.values()]
    by_state: Any = {}
    by_parameter: Any = {}
    for s, value in new.items():
        rows = [torch.autograd.grad(v, leaves, retain_graph=True, allow_unused=True) for v in value]
        stacked = [
            torch.stack([torch.zeros_like(leaf) if row[j] is None else row[j] for row in rows])
            for j, leaf in enumerate(leaves)
        ]
        by_state[s] = dict(zip(state, stacked, strict=False))
        by_parameter[s] = dict(zip(p, stacked[len(state) :], strict=True))
    return by_state, by_parameter


def scores_of(network: Network) -> Parameters:
    """Return the library's gradients under the names used here, by quantities instead of raw parameters."""
    found: Parameters = {}
    for i, layer in spiking(network):
        grad = layer.synapses.affine.grad
        found[f"W{i}"], found[f"b{i}"] = grad[:-1].T.clone(), grad[-1].clone()
        m, theta = layer.membrane_decay, layer.threshold
        if m.raw is not None:
            found[f"m{i}"] = m.raw.grad / (m.value * (1 - m.value))
        if theta.raw is not None:
            found[f"theta{i}"] = theta.raw.grad / torch.sigmoid(theta.raw)
    readout = network.readout
    found["V"], found["c"] = readout.affine.grad[..., :-1].clone(), readout.affine.grad[..., -1].clone()
    if readout.decay.raw is not None:
        found["k"] = readout.decay.raw.grad / (readout.decay.value * (1 - readout.decay.value))
    return found
