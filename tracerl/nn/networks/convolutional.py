"""Convolutional layers over an image, followed by dense layers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tracerl.config import checks
from tracerl.nn.layers import Pooling
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks.base import Network
from tracerl.nn.networks.neurons import Neurons
from tracerl.nn.networks.sequential import Dense, Sequential
from tracerl.nn.networks.stages import Convolutions, Stage, image_of


@dataclass(frozen=True, kw_only=True)
class Convolutional(Dense):
    """Settings of a sequence of convolutional layers, with or without pooling, then dense ones; ``build`` makes it.

    ``channels``, ``kernel``, ``stride``, ``padding``, ``pool`` and ``channels_last`` are those of ``Convolutions``. The
    neurons are those of ``Neurons``. Decays and thresholds that are drawn or learned per neuron differ between
    positions; only the weights are shared. Layers return flat vectors, so that dense layers can follow directly.
    ``recurrent`` applies to the dense layers only.

    Attributes:
        hidden: neurons of each dense layer, first layer first; may be empty.
        pool_kind: ``average``, or ``max`` of the spikes of a square.
        conv_membrane_decay: ``membrane_decay`` of the convolutional layers; None: the same as that of the dense ones.
    """

    channels: Any
    kernel: Any
    stride: Any
    padding: Any
    pool: Any
    pool_kind: Any
    channels_last: bool | None
    conv_membrane_decay: Any = None

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        if isinstance(self.hidden, (list, tuple)) and not self.hidden:
            Neurons.__post_init__(self)
        else:
            super().__post_init__()
        checks.choice("pool_kind", self.pool_kind, ("average", "max"))
        if self.conv_membrane_decay is not None:
            checks.span("conv_membrane_decay", self.conv_membrane_decay, "a number in [0, 1)", 0.0, 1.0)
        if self.recurrent and not self.hidden:
            raise checks.ConfigError("recurrent", "must be false without dense layers, the only recurrent ones")
        for name in ("learn_membrane_decay", "learn_threshold"):
            if self.credit == "auto" and getattr(self, name):
                expected = "must be false where credit is auto, which is presynaptic with convolutions: no trace for it"
                raise checks.ConfigError(name, expected)
        _ = self.convolutions  # checked when made

    def ignored_settings(self) -> dict[str, str]:
        """Return the settings without effect beside the others; see ``tracerl.config.ignored``."""
        found = super().ignored_settings()
        if set(self.convolutions.per_layer("pool")) == {1}:
            found["pool_kind"] = "with pool=1"
        if self.conv_membrane_decay is not None and not self.hidden:
            found["membrane_decay"] = "with conv_membrane_decay and without dense layers"
        return found

    @property
    def convolutions(self) -> Convolutions:
        """The settings of the convolutional layers."""
        return Convolutions(self.channels, self.kernel, self.stride, self.padding, self.pool, self.channels_last)

    def build(self, shape: Sequence[int], n_out: int, lifetimes: Lifetimes) -> Network:
        """Make a network of these settings.

        Args:
            shape: of the observations; see ``Convolutions.stages``.
            n_out: number of outputs.
            lifetimes: maker of tensors; its generators are advanced.

        Raises:
            ConfigError: naming the setting that does not fit observations of that shape.
        """
        layers: list[Any] = []
        m = self.membrane_decay if self.conv_membrane_decay is None else self.conv_membrane_decay
        convolutional = replace(self, membrane_decay=m)
        initial = {name: getattr(self, name) for name in ("weight_scale", "bias_scale", "sparsity")}
        for stage in self._stages(shape):
            layers.append(convolutional.checked_layer(stage.synapses(lifetimes, **initial), lifetimes))
            if stage.pool > 1:
                layers.append(Pooling(stage.convolved, stage.pool, self.pool_kind, lifetimes))
        for width in self.hidden:
            layers.append(self.dense(layers[-1].n_out, width, lifetimes))
        return Sequential(layers, self.readout(layers[-1].n_out, n_out, lifetimes), lifetimes, self.ticks, self.credit)

    def description(self, shape: Sequence[int]) -> str:
        """Describe the network for observations of a shape, such as ``16 of 3x3, dense 128 (images of 10x10)``."""
        layers = [f"{stage.channels} of {stage.kernel}x{stage.kernel}" for stage in self._stages(shape)]
        layers += [f"dense {', '.join(map(str, self.hidden))}"] if self.hidden else []
        _, height, width = image_of(shape, self.channels_last)
        return f"{', '.join(layers)} (images of {height}x{width})"

    def _stages(self, shape: Sequence[int]) -> list[Stage]:
        with checks.under("network"):
            return self.convolutions.stages(shape)
