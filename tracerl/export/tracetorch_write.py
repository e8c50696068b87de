"""Write a description as a model of traceTorch."""

from collections.abc import Iterator
from typing import Any

import torch
import tracetorch
from torch import Tensor, nn
from tracetorch import functional, snn

from tracerl.config.checks import ConfigError
from tracerl.export.description import Dense, NetworkDescription, Neurons, Readout
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
        """Advance one tick on the inputs, [*, n_in]; return the outputs, [*, n_out]."""
        found: Tensor = self.layers(x)
        return found


def to_model(description: NetworkDescription) -> Stack:
    """Write a network as a model of traceTorch; raise a ConfigError naming the setting that it cannot represent."""
    if description.ticks != 1:
        raise ConfigError("network.ticks", f"must be 1 for traceTorch's models, got {description.ticks}")
    assert description.readout is not None
    modules: list[nn.Module] = []
    for i, stage in enumerate(description.stages):
        if not isinstance(stage, Neurons) or not isinstance(stage.synapses, Dense) or stage.delayed:
            raise ConfigError("network", "must be of dense layers in a row for traceTorch's models")
        if stage.sources != ((i - 1) if i else INPUT,):
            raise ConfigError("network", "must be of dense layers in a row for traceTorch's models")
        modules += _layer(stage, stage.synapses)
    if description.readout.sources != (len(description.stages) - 1 if description.stages else INPUT,):
        raise ConfigError("network", "must have its readout on the last layer for traceTorch's models")
    modules += _readout(description.readout)
    made: Stack = Stack(*modules).to(description.readout.weight.dtype)
    return made


def _layer(stage: Neurons, synapses: Dense) -> Iterator[nn.Module]:
    """Yield the Linear and the neurons of a layer."""
    for key, value, needed in (
        ("neuron", "alif" if stage.adaptation_decay is not None else "lif", "lif, synaptic or ternary"),
        ("neuron", "lif" if stage.graded is None else "graded", "lif, synaptic or ternary"),
        ("reset", stage.reset, "soft"),
        ("layer_norm", str(stage.layer_norm).lower(), "false"),
        ("recurrent", str(synapses.own is not None).lower(), "false"),
    ):
        if value not in needed.replace(",", "").split():
            raise ConfigError(f"network.{key}", f"must be {needed} for traceTorch's models, got {value}")
    decay = stage.membrane_decay.double()
    (weight,) = synapses.weights
    yield _linear(weight.double() * (1 - decay).unsqueeze(-1), synapses.bias.double() * (1 - decay))
    below = torch.nextafter(stage.threshold, torch.full_like(stage.threshold, -torch.inf)).double()  # >= becomes >
    shared: dict[str, Any] = {"num_neurons": stage.n, "quant_fn": functional.round_ste(), "beta": _decay(decay)}
    if stage.ternary:
        yield snn.LIT(**shared, pos_threshold=below, neg_threshold=below)
    elif stage.synapse_decay is not None:
        yield snn.SLIB(**shared, threshold=below, alpha=_decay(stage.synapse_decay.double()))
    else:
        yield snn.LIB(**shared, threshold=below)


def _readout(readout: Readout) -> Iterator[nn.Module]:
    """Yield the filter of the spikes, where there is one, the Linear, and integrators after it."""
    if bool(readout.input_decay.any()):
        yield snn.LIEMA(len(readout.input_decay), beta=_decay(readout.input_decay.double()))
    yield _linear(readout.weight.double(), readout.bias.double())
    if readout.output_decay is not None:
        yield snn.LIEMA(len(readout.output_decay), beta=_decay(readout.output_decay.double()))


def _decay(values: Tensor) -> Tensor:
    return values.clamp(min=_SMALLEST)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    with torch.no_grad():
        made.weight.copy_(weight)
        made.bias.copy_(bias)
    return made
