"""Independent oracles for the gradients: autograd through time, and real-time recurrent learning.

The networks here are written from the equations with autograd, sharing no code with the library; only the spike's
derivative is the surrogate.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tracerl.network import Sequential

Parameters = dict[str, Tensor]

SETTINGS: dict[str, Any] = dict(  # of ``Dense``: a net whose outputs are not all zero
    hidden=[16],
    membrane_decay=[0.1, 0.9],
    threshold=0.25,
    readout_decay=[0.1, 0.7],
    reset="soft",
    detach_reset=None,
    surrogate="arctan",
    slope=1.0,
    weight_scale=0.7,
    bias_scale=1.0,
    output_scale=1.0,
    ticks=1,
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


def parameters_of(network: Sequential) -> Parameters:
    """Copy a single-life network's quantities W, b, m, theta of each layer and V, c, k of the readout."""
    found: Parameters = {}
    for i, layer in enumerate(network.hidden):
        found[f"W{i}"], found[f"b{i}"] = layer.weight.clone(), layer.bias.clone()
        found[f"m{i}"] = layer.membrane_decay.value.clone()
        found[f"theta{i}"] = layer.threshold.value.clone()
    found["V"], found["c"] = network.readout.weight.clone(), network.readout.bias.clone()
    found["k"] = network.readout.decay.value.clone()
    return found


def initial_state(p: Parameters) -> dict[str, Tensor]:
    """All membranes and filters at zero."""
    depth = sum(name.startswith("W") for name in p)
    state = {f"v{i}": torch.zeros_like(p[f"b{i}"]) for i in range(depth)}
    return {**state, "zbar": torch.zeros_like(p["V"][0])}


def tick(p: Parameters, state: Mapping[str, Tensor], x: Tensor, layer: Any) -> tuple[dict[str, Tensor], Tensor]:
    """One tick of the whole network: (new state, y)."""
    new: dict[str, Tensor] = {}
    signal = x
    for i in range(len(state) - 1):
        m, theta = p[f"m{i}"], p[f"theta{i}"]
        u = m * state[f"v{i}"] + (1 - m) * (p[f"W{i}"] @ signal + p[f"b{i}"])
        z = SurrogateSpike.apply(u - theta, layer.slope, layer.surrogate_kind)
        zr = z.detach() if layer.detach_reset else z
        new[f"v{i}"] = u - theta * zr if layer.reset == "soft" else u * (1 - zr)
        signal = z
    new["zbar"] = p["k"] * state["zbar"] + (1 - p["k"]) * signal
    return new, p["V"] @ new["zbar"] + p["c"]


def bptt(network: Sequential, inputs: Tensor, g: Tensor) -> Parameters:
    """Gradient of g . y_T by every quantity, by autograd through all ticks.

    Args:
        network: a single life; only its parameters are read.
        inputs: [T, n_in].
        g: [n_out].
    """
    p = {name: value.requires_grad_() for name, value in parameters_of(network).items()}
    state = initial_state(p)
    for x in inputs:
        for _ in range(network.ticks):
            state, y = tick(p, state, x, network.hidden[0])
    gradients = torch.autograd.grad(g @ y, list(p.values()))
    return dict(zip(p, gradients, strict=True))


def rtrl(network: Sequential, inputs: Tensor, g: Tensor) -> Parameters:
    """The same gradient by real-time recurrent learning: the full Jacobian of the state, carried forward."""
    p = parameters_of(network)
    state = initial_state(p)
    jacobian = {s: {q: torch.zeros(*state[s].shape, *p[q].shape, dtype=g.dtype) for q in p} for s in state}
    layer = network.hidden[0]
    for x in inputs:
        by_state, by_parameter = _jacobians(p, state, x, layer)
        jacobian = {
            s: {
                q: by_parameter[s][q] + sum(torch.tensordot(by_state[s][r], jacobian[r][q], 1) for r in state)
                for q in p
            }
            for s in state
        }
        state, _ = tick(p, state, x, layer)
    result = {q: torch.tensordot(g @ p["V"], jacobian["zbar"][q], 1) for q in p}
    result["V"], result["c"] = torch.outer(g, state["zbar"]), g.clone()
    return result


def _jacobians(p: Parameters, state: dict[str, Tensor], x: Tensor, layer: Any) -> tuple[Any, Any]:
    """Jacobian of the next state by the last state and by the parameters, one row of the state at a time."""
    p = {name: value.clone().requires_grad_() for name, value in p.items()}
    state = {name: value.clone().requires_grad_() for name, value in state.items()}
    new, _ = tick(p, state, x, layer)
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


def scores_of(network: Sequential) -> Parameters:
    """The library's scores under the oracles' names, of the quantities rather than their raw parameters."""
    found: Parameters = {}
    for i, layer in enumerate(network.hidden):
        found[f"W{i}"], found[f"b{i}"] = layer.affine.grad[:-1].T.clone(), layer.affine.grad[-1].clone()
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
