"""Read a model of traceTorch, a stack of Linear layers and neurons with a readout, as a description.

A layer without an equivalent in tracerl raises a ConfigError with its name and class.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from tracetorch import Layer, snn

from tracerl.config.checks import ConfigError
from tracerl.export.description import Convolution, Dense, NetworkDescription, Neurons, Readout
from tracerl.export.program_modules import Output, stage_module
from tracerl.nn.layers.convolution import Shape, convolved
from tracerl.nn.networks.stages import Convolutions, Stage
from tracerl.nn.wiring import INPUT

_STACK = "a stack Linear -> LIB, SLIB or LIT -> ... -> [LI or LIEMA] -> Linear"
_SPIKING = (snn.LIB, snn.SLIB, snn.LIT, snn.RLIB, snn.SRLIB, snn.RLIT)
_COMPARED = 20  # ticks


def from_model(
    model: Any, dtype: torch.dtype, shape: Sequence[int], channels_last: bool | None = None
) -> NetworkDescription:
    """Return the description of a model, whose thresholds are the next larger numbers of a dtype.

    ``shape`` and ``channels_last`` are those of the observations, for a model of images; see ``Convolutions``.

    The description is computed for a few random inputs and compared with the model, in float64, so that a module whose
    layers are not called in order raises an error.
    """
    if not isinstance(model, nn.Module):
        raise ConfigError("model", f"must be a torch.nn.Module of traceTorch's layers, got {type(model).__name__}")
    exact = _copy_at_zero(model).double().cpu().eval()
    with torch.no_grad():
        layers = list(_layers(exact, ""))
        image = None
        if any(isinstance(layer, nn.Conv2d) for _, layer in layers):
            (image,) = Convolutions([1], 1, 1, channels_last=channels_last).stages(shape)
        _compare(_description(layers, torch.float64, image), exact, image)
        return _description(layers, dtype, image)


def _copy_at_zero(model: nn.Module) -> nn.Module:
    """Return a copy of a model whose states are zero."""
    layers = [layer for layer in model.modules() if isinstance(layer, Layer)]
    states = [getattr(layer, name) for layer in layers for name in layer._state_names]
    in_place = {id(state): torch.zeros(()) for state in states if state is not None}  # torch copies none with a graph
    made = copy.deepcopy(model, in_place)
    for layer in made.modules():
        if isinstance(layer, Layer):
            layer.zero_states()
    return made


def _description(layers: list[tuple[str, Any]], dtype: torch.dtype, image: Stage | None) -> NetworkDescription:
    """Return the description of layers by name, in the order in which they are called, for images like one or none."""
    walk, stages, readout, n_in = _Walk(layers), list[Neurons](), None, 0
    if image is not None:
        seen = image.in_shape
        n_in = seen.channels * seen.height * seen.width
        while isinstance(walk.layer, nn.Conv2d):
            stages.append(_convolution(walk, image if not stages else None, seen, dtype, len(stages)))
            seen = stages[-1].synapses.out_shape  # type: ignore[union-attr]
        walk.flatten()
    while walk.layer is not None and readout is None:
        if isinstance(walk.layer, (snn.LI, snn.LIEMA)) and stages:
            decay, gain = walk.integrators()
            weight, bias = walk.linear()
            readout = weight * gain, bias, decay
            break
        name = walk.name
        weight, bias = walk.linear()
        n_in = n_in or weight.shape[1]
        if isinstance(walk.layer, _SPIKING):
            stages.append(_neurons(walk, weight, bias, dtype, len(stages)))
        elif walk.layer is None or isinstance(walk.layer, (snn.LI, snn.LIEMA)):
            readout = _plain_readout(walk, name, weight, bias)
        else:
            raise walk.error(f"tracerl cannot read: {_STACK} is expected")
    if not stages:
        raise ConfigError("model", f"must hold {_STACK}, there are no spiking neurons in it")
    if walk.layer is not None:
        raise walk.error(f"cannot follow the readout of {_STACK}")
    on_top = None if readout is None else Readout((len(stages) - 1,), *readout)
    return NetworkDescription(tuple(stages), on_top, n_in, 1)


def _layers(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers of a module by name, without those that compute nothing."""
    children = list(module.named_children())
    if isinstance(module, Layer) or not children:
        if not isinstance(module, (nn.Identity, nn.Dropout)):
            yield name or "model", module
        return
    for own, child in children:
        yield from _layers(child, f"{name}.{own}".lstrip("."))


class _Walk:
    """A walk over the layers of a model."""

    def __init__(self, layers: list[tuple[str, Any]]) -> None:
        self._ahead = iter(layers)
        self.name = ""
        self.layer: Any = None
        self.on()

    def on(self) -> None:
        """Move to the next layer; None after the last."""
        self.name, self.layer = next(self._ahead, ("", None))

    def error(self, problem: str) -> ConfigError:
        """Return an error about the current layer."""
        if self.layer is None:
            return ConfigError("model", f"must hold {_STACK}, it ends before a Linear")
        return ConfigError("model", f"holds the layer {self.name} ({type(self.layer).__name__}), which {problem}")

    def linear(self) -> tuple[Tensor, Tensor]:
        """Return weights, [n, n_in], and biases, [n], of the layer, and move on."""
        layer = self.layer
        if type(layer) is not nn.Linear:
            raise self.error(f"tracerl cannot read: {_STACK} is expected")
        self.on()
        bias = torch.zeros_like(layer.weight[:, 0]) if layer.bias is None else layer.bias.clone()
        return layer.weight.clone(), bias

    def each(self, name: str) -> Tensor:
        """Return a quantity of the layer, one number per neuron, [n]."""
        found: Tensor = getattr(self.layer, name).expand(self.layer.num_neurons).clone()
        return found

    def decay(self, name: str) -> Tensor:
        """Return a decay per tick of the layer, [n]."""
        found = self.each(name)
        if not bool((found < 1).all()):
            raise self.error(f"has {name} = 1: it must be below 1")
        return found

    def check_dimension(self, expected: int = -1) -> None:
        """Check the dimension that the neurons are along."""
        if self.layer.dim != expected:
            after = "Linear" if expected == -1 else "Conv2d"
            raise self.error(f"has dim={self.layer.dim}: it must be {expected}, as after a {after}")

    def flatten(self) -> None:
        """Move on from the layer if it flattens images."""
        if isinstance(self.layer, nn.Flatten):
            if self.layer.start_dim not in (1, -3) or self.layer.end_dim not in (-1, 3):
                raise self.error("does not flatten channels, height and width")
            self.on()

    def integrators(self) -> tuple[Tensor, Tensor]:
        """Return decays and gains of leaky integrators, each [n], and move on."""
        self.check_dimension()
        decay = self.decay("beta")
        gain = torch.ones_like(decay) if isinstance(self.layer, snn.LIEMA) else 1 / (1 - decay)
        self.on()
        return decay, gain


def _convolution(walk: _Walk, first: Stage | None, seen: Shape, dtype: torch.dtype, number: int) -> Neurons:
    """Return a convolution of images of a shape and its neurons, and move on; ``first`` has the layout of the input."""
    layer = walk.layer
    ((kernel, *others), stride, padding, dilation) = (
        each if isinstance(each, tuple) else (each,)
        for each in (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    )
    square = {kernel} == {kernel, *others} and len(set(stride)) == len(set(padding)) == 1 and padding[0] != "same"
    if not square or set(dilation) != {1} or layer.groups != 1 or layer.padding_mode != "zeros":
        problem = "must have one kernel size, stride and padding for both sides, zeros around the image,"
        raise walk.error(f"{problem} dilation=1 and groups=1")
    margin = 0 if padding[0] == "valid" else int(padding[0])
    weight = layer.weight.clone()
    bias = torch.zeros_like(weight[:, 0, 0, 0]) if layer.bias is None else layer.bias.clone()
    if layer.in_channels != seen.channels:
        raise walk.error(f"receives {layer.in_channels} channels, the image has {seen.channels}")
    out_shape = convolved(seen, layer.out_channels, kernel, stride[0], margin)
    layout = (first.channels_last, first.codes) if first is not None else (False, 1)
    walk.on()
    if not isinstance(walk.layer, _SPIKING):
        raise walk.error(f"tracerl cannot read: neurons are expected after a Conv2d in {_STACK}")
    made = _neurons(walk, weight.flatten(1), bias, dtype, number, dimension=-3)
    assert isinstance(made.synapses, Dense)
    kernels = made.synapses.weights[0].reshape(weight.shape)
    synapses = Convolution(kernels, made.synapses.bias, seen, Shape(*out_shape), int(stride[0]), margin, *layout)
    positions = out_shape[1] * out_shape[2]

    def at_each(values: Tensor) -> Tensor:
        return values.repeat_interleave(positions)

    return replace(
        made,
        synapses=synapses,
        membrane_decay=at_each(made.membrane_decay),
        threshold=at_each(made.threshold),
        synapse_decay=None if made.synapse_decay is None else at_each(made.synapse_decay),
    )


def _neurons(
    walk: _Walk, weight: Tensor, bias: Tensor, dtype: torch.dtype, number: int, dimension: int = -1
) -> Neurons:
    """Return a layer of neurons with its weights, and move on."""
    layer: Any = walk.layer
    walk.check_dimension(dimension)
    ternary = isinstance(layer, (snn.LIT, snn.RLIT))
    threshold = walk.each("pos_threshold" if ternary else "threshold")
    if ternary and not torch.equal(threshold, walk.each("neg_threshold")):
        raise walk.error("has pos_threshold and neg_threshold that differ: they must be equal")
    if bool(walk.each("bias").any()):
        raise walk.error("has a bias, which moves where it fires and not what it subtracts: it must be 0")
    if hasattr(layer, "rec_weight") and bool(walk.each("rec_weight").any()):
        raise walk.error("averages its own spikes by gamma, which tracerl's neurons do not: rec_weight must be 0")
    distances = torch.cat([-torch.logspace(1, -6, 500), torch.logspace(-6, 1, 500), torch.zeros(1)]).double()
    sent = layer.quant_fn(layer.spike_fn(distances))
    if not torch.equal(sent[:-1], (distances[:-1] > 0).double()):
        problem = "has spikes that are not 0 below the threshold and 1 above it"
        raise walk.error(f"{problem}: pass quant_fn=tracetorch.functional.round_ste()")
    threshold = threshold.to(dtype)
    if sent[-1] == 0:  # it does not fire at its threshold, as tracerl's neurons do
        threshold = torch.nextafter(threshold, torch.full_like(threshold, torch.inf))
    decay = walk.decay("beta")
    synapse_decay = walk.decay("alpha") if hasattr(layer, "alpha") else None
    walk.on()
    scale = 1 / (1 - decay)
    synapses = Dense((weight * scale.unsqueeze(-1),), bias * scale)
    sources = (number - 1 if number else INPUT,)
    return Neurons(sources, synapses, decay, threshold.double(), "soft", synapse_decay=synapse_decay, ternary=ternary)


def _plain_readout(walk: _Walk, name: str, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return V, c, k from the layers after the Linear above the last spikes."""
    if walk.layer is None:
        return weight, bias, torch.zeros_like(weight[0])
    if bool(bias.any()):
        raise walk.error(f"averages the bias of {name} too: it must be 0, or the integrators before the Linear")
    integrators = walk.error("has decays beta that differ: one is needed, or the integrators before the Linear")
    decay, gain = walk.integrators()
    if bool((decay != decay[0]).any()):
        raise integrators
    return weight * gain.unsqueeze(-1), bias, decay[:1].expand(weight.shape[1])


def _compare(description: NetworkDescription, model: nn.Module, image: Stage | None) -> None:
    """Check that a model computes what its layers compute in order."""
    stages = [stage_module(stage, i) for i, stage in enumerate(description.stages)]
    readout = [] if description.readout is None else [Output(description.readout)]
    sizes = {name: size for part in (*stages, *readout) for name, size in part.sizes.items()}
    parts = {name: torch.zeros(size, dtype=torch.float64) for name, size in sizes.items()}
    generator = torch.Generator().manual_seed(0)
    for x in torch.randn(_COMPARED, description.n_in, generator=generator, dtype=torch.float64):
        expected = x
        for part in (*stages, *readout):
            expected = part(expected, parts)
        problem = "must call its layers in the order in which it has them, and nothing else"
        received = x
        if image is not None:
            channels, height, width = image.in_shape
            received = x.reshape(image.codes, height, width, -1).permute(0, 3, 1, 2) if image.channels_last else x
            received = received.reshape(image.in_shape)
        try:
            found = model(received.unsqueeze(0))
        except Exception as error:  # whatever a module of another structure raises
            raise ConfigError("model", f"{problem}; its call raises {type(error).__name__}: {error}") from error
        if not isinstance(found, Tensor) or found.shape != (1, len(expected)) or not torch.allclose(found[0], expected):
            raise ConfigError("model", problem)
