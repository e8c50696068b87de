"""A warning if no neuron of a layer has fired, so that nothing is learned through it."""

import sys
import warnings
from collections.abc import Sequence
from typing import Any

from tracerl.config.checks import ConfigWarning
from tracerl.lifetime.protocol import Agent, ManyAgents
from tracerl.lifetime.record import Record

PATIENCE = 1_000  # env steps without a spike


class SilentLayers:
    """A callback that warns once, after the first ``PATIENCE`` env steps."""

    every = PATIENCE

    def next_call(self, step: int) -> int:
        """Return the env step of the warning; afterwards one that is never reached."""
        return PATIENCE if step < PATIENCE else sys.maxsize

    def call(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Read the firing rates of all layers; see ``ScheduledCallback.call``."""
        found = [name for each in getattr(agent, "agents", [agent]) for name in silent_layers(each)]
        if found:
            warnings.warn(
                f"no neuron of the layer {found[0]} has fired in {PATIENCE:,} env steps, so that nothing is learned"
                " through it. Its currents are too small: try network.layer_norm=true, a larger network.weight_scale,"
                " a smaller network.threshold or encoder.normalize=true.",
                ConfigWarning,
                stacklevel=1,
            )

    def call_at_end(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Do nothing, because fewer steps prove nothing."""


def silent_layers(agent: Any) -> list[str]:
    """Return the names of an agent's spiking layers in which no neuron of some lifetime has fired yet."""
    from torch.nn import Module

    from tracerl.nn.layers.graded import Graded
    from tracerl.nn.layers.spiking import SpikingLayer

    modules = dict(agent.named_modules()) if isinstance(agent, Module) else {}
    layers = {name: each for name, each in modules.items() if isinstance(each, SpikingLayer)}
    return [name for name, each in layers.items() if not isinstance(each, Graded) and not each.rate.any(-1).all()]
