"""Write a description as a model of traceTorch."""

from collections.abc import Iterator
from typing import Any

import torch
import tracetorch
from torch import Tensor, nn
from tracetorch import functional, snn

from tracerl.config.checks import ConfigError
from tracerl.export.description import Convolution, Dense, NetworkDescription, Neurons, Pool, Readout
from tracerl.nn.wiring import INPUT

_SMALLEST = 1e-30  # decay in place of 0, which traceTorch does not have


class Stack(tracetorch.Model):  # type: ignore[misc]
    """Layers of traceTorch, one after the other.

    Attributes:
        layers: in the order in which they are called.
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Advance one tick on the inputs, [*, n_in] or images; return the outputs, [*, n_out]."""
        found: Tensor = self.layers(x)
        return found


def to_model(description: NetworkDescription) -> Stack:
    """Write a network as a model of traceTorch; raise a ConfigError naming the setting that it cannot represent."""
    if description.ticks != 1:
        raise ConfigError("network.ticks", f"must be 1 for traceTorch's models, got {description.ticks}")
    assert description.readout is not None
    modules: list[nn.Module] = []
    for i, stage in enumerate(description.stages):
        if isinstance(stage, Pool):
            raise ConfigError("network.pool", f"must be 1 for traceTorch's models, got {stage.size}")
        if stage.sources != ((i - 1) if i else INPUT,) or stage.delayed:
            raise ConfigError("network", "must be of layers in a row for traceTorch's models")
        if isinstance(stage.synapses, Dense) and i and _is_image(description.stages[i - 1]):
            modules.append(nn.Flatten(-3))
        modules += _layer(stage)
    if description.readout.sources != (len(description.stages) - 1 if description.stages else INPUT,):
        raise ConfigError("network", "must have its readout on the last layer for traceTorch's models")
    if description.stages and _is_image(description.stages[-1]):
        modules.append(nn.Flatten(-3))
    modules += _readout(description.readout)
    made: Stack = Stack(*modules).to(description.readout.weight.dtype)
    return made


def _is_image(stage: Any) -> bool:
    return isinstance(stage.synapses, Convolution)


def _layer(stage: Neurons) -> Iterator[nn.Module]:
    """Yield the Linear or Conv2d and the neurons of a layer."""
    synapses = stage.synapses
    own = isinstance(synapses, Dense) and synapses.own is not None
    for key, value, needed in (
        ("neuron", "alif" if stage.adaptation_decay is not None else "lif", "lif, synaptic or ternary"),
        ("neuron", "lif" if stage.graded is None else "graded", "lif, synaptic or ternary"),
        ("reset", stage.reset, "soft"),
        ("layer_norm", str(stage.layer_norm).lower(), "false"),
        ("recurrent", str(own).lower(), "false"),
    ):
        if value not in needed.replace(",", "").split():
            raise ConfigError(f"network.{key}", f"must be {needed} for traceTorch's models, got {value}")
    decay = _per_neuron(stage, "membrane_decay", stage.membrane_decay).double()
    if isinstance(synapses, Dense):
        (weight,) = synapses.weights
        yield _filled(nn.Linear(weight.shape[1], stage.n), weight, synapses.bias, 1 - decay)
    else:
        channels, seen, kernel, _ = synapses.weight.shape
        made = nn.Conv2d(seen, channels, kernel, synapses.stride, synapses.padding)
        yield _filled(made, synapses.weight, synapses.bias, 1 - decay)
    threshold = _per_neuron(stage, "threshold", stage.threshold)
    below = torch.nextafter(threshold, torch.full_like(threshold, -torch.inf)).double()  # >= becomes >
    dimension = -1 if isinstance(synapses, Dense) else -3
    shared: dict[str, Any] = {"num_neurons": len(decay), "dim": dimension, "quant_fn": functional.round_ste()}
    shared["beta"] = _decay(decay)
    if stage.ternary:
        yield snn.LIT(**shared, pos_threshold=below, neg_threshold=below)
    elif stage.synapse_decay is not None:
        alpha = _per_neuron(stage, "synapse_decay", stage.synapse_decay).double()
        yield snn.SLIB(**shared, threshold=below, alpha=_decay(alpha))
    else:
        yield snn.LIB(**shared, threshold=below)


def _readout(readout: Readout) -> Iterator[nn.Module]:
    """Yield the filter of the spikes, where there is one, the Linear, and integrators after it."""
    if bool(readout.input_decay.any()):
        yield snn.LIEMA(len(readout.input_decay), beta=_decay(readout.input_decay.double()))
    made = nn.Linear(readout.weight.shape[1], readout.weight.shape[0])
    yield _filled(made, readout.weight, readout.bias, torch.ones_like(readout.bias).double())
    if readout.output_decay is not None:
        yield snn.LIEMA(len(readout.output_decay), beta=_decay(readout.output_decay.double()))


def _per_neuron(stage: Neurons, key: str, values: Tensor) -> Tensor:
    """Return a quantity by neuron, or by channel of a convolution, whose positions share it in traceTorch."""
    if isinstance(stage.synapses, Dense):
        return values
    by_channel = values.unflatten(0, (stage.synapses.out_shape.channels, -1))
    if bool((by_channel != by_channel[:, :1]).any()):
        problem = "must be the same at all positions of a convolution for traceTorch's models, such as one number"
        raise ConfigError(f"network.{key}", problem)
    found: Tensor = by_channel[:, 0]
    return found


def _decay(values: Tensor) -> Tensor:
    return values.clamp(min=_SMALLEST)


def _filled(made: Any, weight: Tensor, bias: Tensor, scale: Tensor) -> nn.Module:
    """Return a Linear or Conv2d in float64 with these weights and biases times a factor per output, [n]."""
    filled: nn.Module = made.double()
    with torch.no_grad():
        made.weight.copy_((weight.double().flatten(1) * scale.unsqueeze(-1)).reshape(weight.shape))
        made.bias.copy_(bias.double() * scale)
    return filled
