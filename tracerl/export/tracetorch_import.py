"""Import a model of traceTorch as the policy of an agent; see ``tracerl.from_tracetorch``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.export.initialise import AGENTS, dtype_of, initialised

if TYPE_CHECKING:
    from tracerl.lifetime.protocol import Agent


def from_tracetorch(
    model: Any,
    env: gym.Env[Any, Any],
    agent: str = "reflect",
    settings: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
) -> "Agent":
    """Make an agent whose policy is initialised with a model of traceTorch. It needs ``tracerl[tracetorch]``.

    traceTorch 0.19 (https://pypi.org/project/tracetorch/) has membranes v_t = m v_{t-1} + x_t; here u_t = m v_{t-1} +
    (1-m) I_t with I = x / (1-m). Its neurons fire above their threshold, here from the next larger number on. The model
    gives the settings of the network: widths, decays, thresholds, kind of neuron. If it ends with spikes, the readout
    is new. The critic is new, with the settings of the network, changed by ``agent.critic``. The states of the model
    are not read: an episode begins at zero. Observations are not normalised (``encoder.normalize=false``), unless
    ``settings`` change this.

    Args:
        model: ``nn.Linear`` -> ``LIB``, ``SLIB`` or ``LIT``, repeated, with spikes of 0, 1 or -1; then nothing, a
            Linear, ``LI`` or ``LIEMA`` before a Linear, or either after a Linear without bias. ``nn.Conv2d`` -> neurons
            along dimension -3, repeated, and ``nn.Flatten`` may be before them: the model then receives images of
            channels, height and width, whichever axis of an observation the channels are. As ``nn.Sequential`` or any
            module that calls its layers in the order in which it has them. It is not changed.
        env: env of the agent. Its spaces must fit the network.
        agent: ``reflect`` or ``eprop``.
        settings: settings by the keys of the command line.
        seed: seed of the weights that the model does not have, and of actions.

    Raises:
        ConfigError: naming the layer that has no counterpart and its class, or the setting that does not fit.
    """
    check_version()
    from tracerl.export.tracetorch_read import from_model

    checks.choice("agent", agent, AGENTS)
    given = dict(settings or {})
    shape = getattr(env.observation_space, "shape", None) or ()
    description = from_model(model, dtype_of(given), shape, given.get("network.channels_last"))
    encoding = {"encoder": "raw", "encoder.normalize": False}
    return initialised(description, env, agent, given, encoding, seed, ("model", "the traceTorch model"))


def check_version() -> None:
    """Check that traceTorch is installed, in a version with the layers of 0.19."""
    checks.packages("tracetorch", "tracetorch", "tracetorch")
    from importlib.metadata import version

    from tracetorch import snn

    if not hasattr(snn, "LIEMA"):
        problem = f'must be of version 0.19 or later, got {version("tracetorch")}: pip install "tracerl[tracetorch]"'
        raise ConfigError("tracetorch", problem)
