"""Warnings after the first steps of a lifetime: layers without a spike, observations that hardly vary."""

import math
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from tracerl.config.checks import ConfigWarning
from tracerl.lifetime.protocol import Agent, ManyAgents, agents_of
from tracerl.lifetime.record import Record

PATIENCE = 1_000  # env steps
SMALL_DEVIATION = 1e-4  # root of what nn.normalizers adds to a variance; one as small as this is scaled up to .7


class FirstStepsCheck:
    """A callback that looks at an agent after the first ``PATIENCE`` env steps and warns of what it cannot learn from.

    It is called once. A resumed lifetime that is older is not checked again.
    """

    every = PATIENCE

    def next_call(self, step: int) -> int:
        """Return the env step of the warnings; afterwards one that is never reached."""
        return PATIENCE if step < PATIENCE else sys.maxsize

    def call(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Look at all agents; see ``ScheduledCallback.call``."""
        for problem_of in (silent_layer_problem, small_observation_problem):
            found = [problem for each in agents_of(agent) if (problem := problem_of(each))]
            if found:
                warnings.warn(found[0], ConfigWarning, stacklevel=1)

    def call_at_end(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Do nothing, because fewer steps prove nothing."""


def silent_layer_problem(agent: Any) -> str:
    """Return a sentence about the first layer of an agent without a spike; empty if there is none."""
    names = silent_layers(agent)
    if not names:
        return ""
    return (
        f"no neuron of the layer {names[0]} has fired in {PATIENCE:,} env steps, so that nothing is learned"
        " through it. Its currents are too small: try network.layer_norm=true, a larger network.weight_scale,"
        " a smaller network.threshold or encoder.normalize=true."
    )


def silent_layers(agent: Any) -> list[str]:
    """Return the names of an agent's spiking layers in which no neuron of some lifetime has fired yet."""
    from torch.nn import Module

    from tracerl.nn.layers.graded import Graded
    from tracerl.nn.layers.spiking import SpikingLayer

    modules = dict(agent.named_modules()) if isinstance(agent, Module) else {}
    layers = {name: each for name, each in modules.items() if isinstance(each, SpikingLayer)}
    return [name for name, each in layers.items() if not isinstance(each, Graded) and not each.rate.any(-1).all()]


def small_observation_problem(agent: Any) -> str:
    """Return a sentence about observations that an agent standardises and does not scale up to 1; empty if it does."""
    small = [each for each in largest_deviations(agent) if each < SMALL_DEVIATION]
    if not small:
        return ""
    return (
        f"the largest standard deviation of a number of the observation is {small[0]:.1g} after {PATIENCE:,} env"
        f" steps. One below {SMALL_DEVIATION:g} is taken for noise and is not scaled up to 1: multiply the observations"
        " by a constant in a wrapper of the env."
    )


def largest_deviations(agent: Any) -> list[float]:
    """Return the largest standard deviation of a standardised feature, per lifetime with observations that vary."""
    from torch.nn import Module

    from tracerl.nn.normalizers import ObservationNormalizer

    modules = agent.modules() if isinstance(agent, Module) else ()
    moments = [each.moments for each in modules if isinstance(each, ObservationNormalizer)]
    variances = [each.squares.amax(-1) / (each.count.squeeze(-1) - 1) for each in moments]
    return [math.sqrt(variance) for each in variances for variance in each.flatten().tolist() if variance > 0]
