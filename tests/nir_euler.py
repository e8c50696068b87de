"""A reference simulation of NIR graphs: forward Euler of each node's differential equation, in float64."""

from typing import Any

import nir
import numpy as np
import torch

Array = np.ndarray[Any, Any]


def simulate(graph: Any, inputs: Array, dt: float) -> tuple[Array, dict[str, Array]]:
    """Run a graph from rest, v_leak. Where the metadata of a node say so, it starts at its first input.

    The inputs of a node are summed; in a cycle of neurons and weights, the weights pass on their input of the
    previous tick.

    Args:
        graph: a ``nir.NIRGraph``.
        inputs: [ticks, *shape of the input].
        dt: seconds per tick.

    Returns:
        The output at every tick, and the output of each node at every tick.
    """
    states: dict[str, Array] = {}
    sent: dict[str, Array] = {}
    history: dict[str, list[Array]] = {name: [] for name in graph.nodes}
    order = _order(graph)
    for x in inputs:
        for name in order:
            node = graph.nodes[name]
            arriving = [sent[start] for start, end in graph.edges if end == name and start in sent]
            value = np.asarray(x, np.float64) if isinstance(node, nir.Input) else np.sum(arriving, 0)
            sent[name] = _step(node, value, states, name, dt)
            history[name].append(sent[name])
    found = {name: np.array(values) for name, values in history.items()}
    return found[next(name for name, node in graph.nodes.items() if isinstance(node, nir.Output))], found


def _order(graph: Any) -> list[str]:
    """Return the names of the nodes, each after its inputs of the same tick."""
    edges = [tuple(edge) for edge in graph.edges]
    weights = (nir.Affine, nir.Linear)
    prompt = [(a, b) for a, b in edges if not ((b, a) in edges and isinstance(graph.nodes[a], weights))]
    order: list[str] = []
    while len(order) < len(graph.nodes):
        order.append(
            next(
                name
                for name in graph.nodes
                if name not in order and all(start in order for start, end in prompt if end == name)
            )
        )
    return order


def _step(node: Any, x: Array, states: dict[str, Array], name: str, dt: float) -> Array:
    if isinstance(node, (nir.Affine, nir.Linear)):
        return node.weight.astype(float) @ x + getattr(node, "bias", 0.0)
    if isinstance(node, nir.Conv2d):
        weight, bias = (torch.tensor(np.asarray(values), dtype=torch.float64) for values in (node.weight, node.bias))
        convolve = torch.nn.functional.conv2d
        sides = {"stride": tuple(map(int, node.stride)), "padding": tuple(map(int, node.padding))}
        return convolve(torch.from_numpy(x)[None], weight, bias, **sides)[0].numpy()
    if isinstance(node, nir.AvgPool2d):
        return torch.nn.functional.avg_pool2d(torch.from_numpy(x), tuple(map(int, node.kernel_size))).numpy()
    if isinstance(node, nir.Flatten):
        return x.ravel()
    if isinstance(node, nir.Scale):
        return node.scale * x
    if isinstance(node, nir.Delay):
        assert np.all(node.delay == dt) and node.metadata["start"] == "input"
        before, states[name] = states.get(name, x), x
        return before
    if isinstance(node, nir.LI):
        v = states.get(name, x if node.metadata.get("start") == "input" else node.v_leak)
        states[name] = v + dt / node.tau * (node.v_leak - v + node.r * x)
        return states[name]
    if isinstance(node, nir.CubaLIF):
        i = states.get(f"{name}.i", np.zeros(node.tau_syn.shape))
        states[f"{name}.i"] = x = i + dt / node.tau_syn * (-i + node.w_in * x)
    if isinstance(node, (nir.LIF, nir.CubaLIF)):
        v = states.get(name, node.v_leak)
        tau = node.tau_mem if isinstance(node, nir.CubaLIF) else node.tau
        v = v + dt / tau * (node.v_leak - v + node.r * x)
        fired = v > node.v_threshold
        states[name] = np.where(fired, node.v_reset, v)
        return fired.astype(float)
    assert isinstance(node, (nir.Input, nir.Output)), node
    return x
