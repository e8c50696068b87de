"""The modules of a program: encoder, layers with the equations of ``tracerl.nn.layers``, and choice of an action.

A module with state gets its inputs, [n_in], and the named parts of the state, and replaces its own parts.
"""

import numpy as np
import torch
from torch import Tensor, nn

from tracerl.config.checks import ConfigError
from tracerl.export.description import Convolution, Dense, Neurons, Pool, Readout, moments
from tracerl.nn import functional as F
from tracerl.nn.encoders import ContrastEncoder, Encoder, RawEncoder, decays_of, name_of, scales_of
from tracerl.nn.heads import Head
from tracerl.nn.heads.bernoulli import Bernoulli
from tracerl.nn.heads.categorical import Categorical, MultiCategorical
from tracerl.nn.heads.discretized import Discretized
from tracerl.nn.heads.epsilon_greedy import EpsilonGreedy
from tracerl.nn.heads.gaussian import Gaussian
from tracerl.nn.layers.normalization import EPSILON

State = dict[str, Tensor]
_HEADS = (Bernoulli, Categorical, Discretized, EpsilonGreedy, Gaussian, MultiCategorical)


class Encoding(nn.Module):
    """Append traces to observations if configured, then standardise and bound them with fixed moments.

    Attributes:
        n_in: length of an observation.
        dtype: dtype of the features.
        sizes: sizes of its parts of the state. With traces they are ``seen``, 0 at the start of an episode, and
            ``trace``.
    """

    fresh: Tensor  # 1 - decay of each trace
    mean: Tensor
    deviation: Tensor
    scales: Tensor  # with traces: of each feature

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        if type(encoder) not in (RawEncoder, ContrastEncoder):
            raise ConfigError("encoder", f"must be raw or contrast for a program, got {name_of(encoder)}")
        compared, kept = decays_of(encoder)
        decays = compared + kept
        self.traces, self.n_in = len(decays), encoder.n_out // (1 + len(decays))
        self.n_compared = len(compared) * self.n_in
        self.sizes = {"seen": 1, "trace": self.traces * self.n_in} if decays else {}
        self.register_buffer("fresh", torch.tensor([1 - d for d in decays for _ in range(self.n_in)]).to(encoder.dtype))
        if decays:
            self.register_buffer("scales", scales_of(encoder))
        self.divisor = encoder.divisor
        self.clip, self.dtype, self.standardises = encoder.clip, encoder.dtype, encoder.normalizer is not None
        if self.standardises:
            mean, deviation = moments(encoder)
            self.register_buffer("mean", mean)
            self.register_buffer("deviation", deviation)

    def forward(self, observation: Tensor, parts: State) -> Tensor:
        """Return the encoded observation, [n_out]."""
        x = observation = observation / self.divisor if self.divisor != 1 else observation
        if self.traces:
            n = self.n_compared
            seen = torch.cat([observation.to(self.dtype)] * self.traces)
            start = torch.cat([seen[:n], torch.zeros_like(seen[n:])])
            contrast = seen - torch.where(parts["seen"] > 0, parts["trace"], start)
            parts["trace"] = seen - (1 - self.fresh) * contrast
            x = torch.cat([observation.to(self.dtype), contrast[:n], parts["trace"][n:]])
            parts["seen"] = torch.ones_like(parts["seen"])
        if self.standardises:
            x = ((x.double() - self.mean) / self.deviation).clamp(-self.clip, self.clip)
        if self.traces:
            x = x * self.scales
        return x.to(self.dtype)


def stage_module(stage: Neurons | Pool, number: int) -> "Layer | Pooled":
    """Return the module of a stage. The names of its state contain the index of the stage."""
    return Pooled(stage) if isinstance(stage, Pool) else Layer(stage, number)


class Layer(nn.Module):
    """A layer of neurons of any kind, spiking or graded.

    Attributes:
        sizes: sizes of its parts of the state: ``membrane_0``, ``spikes_0`` and, if adaptive or filtered, ``slow_0``.
    """

    decay: Tensor
    threshold: Tensor
    slow_decay: Tensor

    def __init__(self, stage: Neurons, number: int) -> None:
        super().__init__()
        synapses = stage.synapses
        self.currents = Convolved(synapses) if isinstance(synapses, Convolution) else Matrix(synapses)
        self.is_recurrent = isinstance(synapses, Dense) and synapses.own is not None
        self.names = [f"{name}_{number}" for name in ("membrane", "spikes", "slow")]
        self.hard, self.norm, self.adaptation = stage.reset == "hard", stage.layer_norm, stage.adaptation
        slow = stage.synapse_decay if stage.synapse_decay is not None else stage.adaptation_decay
        self.sizes = dict.fromkeys(self.names[: 2 if slow is None else 3], stage.n)
        self.graded, self.ternary = stage.graded, stage.ternary
        self.adapts, self.filters = stage.adaptation_decay is not None, stage.synapse_decay is not None
        for name, values in (("decay", stage.membrane_decay), ("threshold", stage.threshold), ("slow_decay", slow)):
            self.register_buffer(name, values)

    def forward(self, x: Tensor, parts: State) -> Tensor:
        """Advance one tick; return the spikes, or the output of graded neurons, [n]."""
        membrane, spikes, slow = self.names
        current: Tensor = self.currents(torch.cat([x, parts[spikes]]) if self.is_recurrent else x)
        if self.norm:
            centred = current - current.mean()
            current = centred * torch.rsqrt((centred * centred).mean() + EPSILON)
        threshold = self.threshold
        if self.adapts:
            parts[slow] = torch.lerp(parts[spikes], parts[slow], self.slow_decay)
            threshold = threshold + self.adaptation * parts[slow]
        if self.filters:
            parts[slow] = current = torch.lerp(current, parts[slow], self.slow_decay)
        potential = F.lif_potential(current, parts[membrane], self.decay)
        if self.graded is not None:
            parts[membrane], fired = potential, F.surrogate_integral(potential - threshold, *self.graded)
        else:
            fired = (potential >= threshold).to(potential.dtype)
            if self.ternary:
                fired = fired - (potential <= -threshold).to(potential.dtype)
            parts[membrane] = potential * (1 - fired.abs()) if self.hard else potential - threshold * fired
        parts[spikes] = fired
        return fired


class Matrix(nn.Module):
    """Dense synapses: I = W x + b, with the biases as last column of the weights."""

    weight: Tensor
    one: Tensor

    def __init__(self, synapses: Dense) -> None:
        super().__init__()
        own = [] if synapses.own is None else [synapses.own]
        blocks = [*synapses.weights, *synapses.delayed, *own, synapses.bias.unsqueeze(-1)]
        self.register_buffer("weight", torch.cat(blocks, -1))
        self.register_buffer("one", torch.ones_like(synapses.bias[:1]))

    def forward(self, x: Tensor) -> Tensor:
        """Return the currents, [n]."""
        return F.affine(self.weight, torch.cat([x, self.one]))


class Convolved(nn.Module):
    """Convolutional synapses over flat images."""

    weight: Tensor
    bias: Tensor

    def __init__(self, synapses: Convolution) -> None:
        super().__init__()
        self.shape, self.stride, self.padding = synapses.in_shape, synapses.stride, synapses.padding
        self.channels_last, self.codes = synapses.channels_last, synapses.codes
        self.register_buffer("weight", synapses.weight)
        self.register_buffer("bias", synapses.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the currents, [n]."""
        channels, height, width = self.shape
        image = x
        if self.channels_last:
            image = x.reshape(self.codes, height, width, channels // self.codes).permute(0, 3, 1, 2)
        image = image.reshape(self.shape)
        sizes = {"stride": self.stride, "padding": self.padding}
        return nn.functional.conv2d(image.unsqueeze(0), self.weight, self.bias, **sizes).flatten()


class Pooled(nn.Module):
    """Pooling of flat images, without state."""

    def __init__(self, stage: Pool) -> None:
        super().__init__()
        self.shape, self.size = stage.in_shape, stage.size
        self.sizes: dict[str, int] = {}
        self.pool = nn.functional.max_pool2d if stage.kind == "max" else nn.functional.avg_pool2d

    def forward(self, x: Tensor, parts: State) -> Tensor:
        """Return the pooled image, flat."""
        pooled: Tensor = self.pool(x.reshape(1, *self.shape), self.size, self.size)
        return pooled.flatten()


class Output(nn.Module):
    """The readout y = V zbar + c, with optional leaky integrators of y.

    Attributes:
        sizes: sizes of its parts of the state, ``filtered`` and ``integrated``.
    """

    weight: Tensor
    bias: Tensor
    input_decay: Tensor
    output_decay: Tensor

    def __init__(self, readout: Readout) -> None:
        super().__init__()
        self.sizes = {"filtered": len(readout.input_decay)}
        if readout.output_decay is not None:
            self.sizes["integrated"] = len(readout.output_decay)
        self.integrates = readout.output_decay is not None
        for name in ("weight", "bias", "input_decay", "output_decay"):
            self.register_buffer(name, getattr(readout, name))

    def forward(self, spikes: Tensor, parts: State) -> Tensor:
        """Advance one tick; return the outputs, [n_out]."""
        filtered = parts["filtered"] = torch.lerp(spikes, parts["filtered"], self.input_decay)
        outputs = F.affine(self.weight, filtered) + self.bias
        if self.integrates:
            outputs = parts["integrated"] = torch.lerp(outputs, parts["integrated"], self.output_decay)
        return outputs


class Choice(nn.Module):
    """The most probable action; see ``Head.greedy``."""

    start: Tensor
    low: Tensor
    high: Tensor
    centre: Tensor
    half_range: Tensor
    support: Tensor
    grid: Tensor

    def __init__(self, head: Head) -> None:
        super().__init__()
        if type(head) not in _HEADS:
            raise ConfigError("head", f"must be one of tracerl's own for a program, got {type(head).__name__}")
        self.kind, self.sizes = type(head), getattr(head, "sizes", (head.n_outputs,))
        if isinstance(head, Gaussian):
            for name in ("low", "high", "centre", "half_range"):
                self.register_buffer(name, getattr(head, name).cpu())
        else:
            start = np.ravel(getattr(head, "start", 0)).astype(np.int64)
            self.register_buffer("start", torch.from_numpy(start))
        if isinstance(head, Discretized):
            self.register_buffer("grid", head.grid.cpu())
        if isinstance(head, EpsilonGreedy):
            self.atoms, self.sizes = head.atoms, (head.n_actions,)
            self.register_buffer("support", head.support.cpu())

    def forward(self, outputs: Tensor) -> Tensor:
        """Return the flat action for the env: int64, or the dtype of the outputs for continuous actions."""
        if self.kind is Gaussian:
            mean = outputs[: self.centre.shape[0]].double()
            return torch.clamp(self.centre + mean * self.half_range, self.low, self.high).to(outputs.dtype)
        if self.kind is Bernoulli:
            return (outputs > 0).long()
        if self.kind is EpsilonGreedy and self.atoms > 1:
            outputs = outputs.unflatten(-1, (-1, self.atoms)).softmax(-1) @ self.support
        best = [logits.argmax(-1, keepdim=True) for logits in outputs.split(self.sizes)]
        if self.kind is Discretized:
            return self.grid.gather(-1, torch.stack(best)).squeeze(-1).to(outputs.dtype)
        return torch.cat(best) + self.start
