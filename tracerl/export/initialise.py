"""Make an agent whose policy is a network from elsewhere, given as a description."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import torch
from torch import Tensor

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.export.description import Convolution, Dense, NetworkDescription, Neurons
from tracerl.nn.exportable import check_known, part_of
from tracerl.nn.layers import SynapticLIF
from tracerl.nn.layers.constrained import Constrained
from tracerl.nn.networks import Network
from tracerl.runs.api import make_agent

if TYPE_CHECKING:
    from tracerl.lifetime.protocol import Agent

AGENTS = ("reflect", "eprop")  # agents with network=dense as policy
# Keys of the network that settings cannot change.
_STRUCTURE = (
    *("hidden", "neuron", "recurrent", "layer_norm", "channels", "kernel", "stride", "padding", "pool"),
    *("membrane_decay", "threshold", "synapse_decay", "readout_decay"),
)


def dtype_of(settings: Mapping[str, Any]) -> torch.dtype:
    """Return the dtype of an agent of these settings, by the keys of the command line."""
    name = settings.get("dtype", "float32")
    checks.choice("dtype", name, ("float32", "float64"))
    found: torch.dtype = getattr(torch, name)
    return found


def initialised(
    description: NetworkDescription,
    env: gym.Env[Any, Any],
    agent: str,
    settings: Mapping[str, Any],
    encoding: Mapping[str, Any],
    seed: int,
    source: tuple[str, str],
) -> "Agent":
    """Make an agent whose policy begins as a network.

    Args:
        description: of convolutional or dense layers in a row.
        env: env of the agent. Its spaces must fit the network.
        agent: ``reflect`` or ``eprop``.
        settings: settings by the keys of the command line.
        encoding: settings of the encoder, unless ``settings`` change them.
        seed: seed of the weights that the description does not have, and of actions.
        source: for errors, the argument that the network comes from, and what it is.

    Raises:
        ConfigError: naming the setting that does not fit.
    """
    key, name = source
    inferred = {f"network.{setting}": value for setting, value in _spans(description, key)}
    for setting in (f"network.{part}" for part in _STRUCTURE):
        if setting in settings and setting in inferred and settings[setting] != inferred[setting]:
            problem = f"must be {inferred[setting]!r}, as in {name}, got {settings[setting]!r}"
            raise ConfigError(setting, problem)
    kind = "conv" if "network.channels" in inferred else "dense"
    made = make_agent(env, agent, {"network": kind, **inferred, **encoding, **settings}, seed=seed)
    part = part_of(made, "policy")
    check_known(part.network)
    assert isinstance(part.network, Network)
    _check_ends(description, made, name)
    with torch.no_grad():
        _write(description, part.network, part.outputs)
    if part.weight_bits is not None:
        made.policy.rounding.begin(part.network)  # type: ignore[attr-defined]
    return made


def _check_ends(description: NetworkDescription, agent: Any, name: str) -> None:
    """Check that the network fits the env."""
    code, outputs = agent.encoder.n_out, agent.head.n_outputs
    if description.n_in != code:
        made = f"encoder={agent.encoder.name} makes {code}"
        raise ConfigError("env", f"must make {description.n_in} numbers for {name}, {made}")
    if description.readout is not None and len(description.readout.bias) != outputs:
        n = len(description.readout.bias)
        raise ConfigError("env", f"must have actions for {name}'s {n} outputs, its actions take {outputs}")


def _write(description: NetworkDescription, network: Network, outputs: slice) -> None:
    """Copy every number of a description into a network, in place."""
    for stage, layer in zip(description.neurons, network.layers, strict=True):
        synapses: Any = layer.synapses
        if isinstance(stage.synapses, Convolution):
            kernels = stage.synapses.weight.flatten(1)
            synapses.affine.copy_(torch.cat([kernels, stage.synapses.bias.unsqueeze(-1)], -1).T)
        else:
            synapses.affine.copy_(_rows(stage.synapses).T)
        _assign(layer.membrane_decay, stage.membrane_decay)
        _assign(layer.threshold, stage.threshold)
        if isinstance(layer, SynapticLIF):
            _assign(layer.synapse_decay, _synapse_decay(stage))
    if description.readout is not None:
        network.readout.weight[outputs].copy_(description.readout.weight)
        network.readout.bias[outputs].copy_(description.readout.bias)
        _assign(network.readout.decay, description.readout.input_decay)


def _rows(synapses: Dense) -> Tensor:
    """Return weights and biases, [n, rows]."""
    own = [] if synapses.own is None else [synapses.own]
    return torch.cat([*synapses.weights, *own, synapses.bias.unsqueeze(-1)], -1)


def _assign(constrained: Any, values: Tensor) -> None:
    assert isinstance(constrained, Constrained)
    constrained.assign(values[: constrained.value.shape[-1]].to(constrained.value.dtype))


def _spans(description: NetworkDescription, key: str) -> Iterator[tuple[str, Any]]:
    """Yield the settings of ``network=dense`` of a description, by key."""
    layers = description.neurons
    images = [layer.synapses for layer in layers if isinstance(layer.synapses, Convolution)]
    yield "hidden", [layer.n for layer in layers if isinstance(layer.synapses, Dense)]
    if images:
        yield "channels", [image.out_shape.channels for image in images]
        yield "kernel", [image.weight.shape[-1] for image in images]
        yield "stride", [image.stride for image in images]
        yield "padding", [image.padding for image in images]
        yield "pool", 1
        yield "channels_last", images[0].channels_last
    yield "membrane_decay", _span([layer.membrane_decay for layer in layers])
    yield "threshold", _span([layer.threshold for layer in layers])
    synaptic = any(layer.synapse_decay is not None for layer in layers)
    plain = "synaptic" if synaptic else "lif"  # without a decaying current, a synaptic neuron is equivalent
    yield "neuron", _common(key, "neuron", ["ternary" if layer.ternary else plain for layer in layers])
    if synaptic:
        yield "synapse_decay", _span([_synapse_decay(layer) for layer in layers])
    if description.readout is not None:
        yield "readout_decay", _span([description.readout.input_decay])
    yield "reset", _common(key, "reset", [layer.reset for layer in layers])
    own = [isinstance(layer.synapses, Dense) and layer.synapses.own is not None for layer in layers]
    yield "recurrent", _common(key, "recurrent", own)
    yield "layer_norm", False
    yield "ticks", description.ticks


def _synapse_decay(layer: Neurons) -> Tensor:
    """Return the decay a per tick, [n]: 0 without decaying currents, which is equivalent."""
    return torch.zeros_like(layer.membrane_decay) if layer.synapse_decay is None else layer.synapse_decay


def _span(values: list[Tensor]) -> Any:
    """Return one number if all are equal, else their range."""
    together = torch.cat(values)
    low, high = float(together.min()), float(together.max())
    return low if low == high else [low, high]


def _common(key: str, setting: str, values: list[Any]) -> Any:
    """Return the value that all layers share."""
    if len(set(values)) > 1:
        raise ConfigError(key, f"holds layers that differ in network.{setting}, which must be equal: {values}")
    return values[0]
