"""Import a NIR graph as the policy of an agent; see ``tracerl.from_nir``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import torch

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.export.initialise import AGENTS, dtype_of, initialised
from tracerl.nn.encoders import Encoder

if TYPE_CHECKING:
    from tracerl.lifetime.protocol import Agent

_STANDARDISED = ("apart", "nodes")  # where a file that tracerl wrote has the normaliser, if it has one


def from_nir(
    path: Any,
    env: gym.Env[Any, Any],
    agent: str = "reflect",
    settings: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    dt: float | None = None,
) -> "Agent":
    """Make an agent whose policy is initialised with a NIR network. It needs ``tracerl[nir]``.

    The graph gives the settings of the network: widths, decays, thresholds, reset, recurrence. If the graph ends with
    spikes, the readout is new. The critic is new, with the settings of the network, changed by ``agent.critic``. A file
    written by tracerl has the encoder's name and the mean and standard deviation of observations. For other files
    observations are not normalised (``encoder.normalize=false``), unless ``settings`` change this.

    Args:
        path: path of a NIR file, or a ``nir.NIRGraph``: Input -> (Affine -> LIF) ... -> [LI] -> Affine -> Output.
        env: env of the agent. Its spaces must fit the network.
        agent: ``reflect`` or ``eprop``.
        settings: settings by the keys of the command line.
        seed: seed of the weights that the graph does not have, and of actions.
        dt: seconds per tick; None: the value in the metadata, else 1e-4.

    Raises:
        ConfigError: naming the node that cannot be read, or the setting that does not fit.
    """
    checks.packages("nir", "nir", "nir")
    from tracerl.export.nir_read import from_graph, read_graph, seconds_per_tick

    checks.choice("agent", agent, AGENTS)
    graph = read_graph(path)
    given = dict(settings or {})
    period = seconds_per_tick(graph) if dt is None else checks.positive("dt", dt)
    description = from_graph(graph, period, dtype_of(given))
    about: Mapping[str, Any] = graph.metadata
    made = initialised(description, env, agent, given, _encoding(about), seed, ("path", "the NIR graph"))
    with torch.no_grad():
        _restore_moments(about, made.encoder)  # type: ignore[attr-defined]
    return made


def _encoding(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the encoder in the metadata of a graph."""
    found: dict[str, Any] = {"encoder": "raw", "encoder.normalize": about.get("normalizer") in _STANDARDISED}
    if "normalizer" in about:
        found["encoder"] = about["encoder"]
    if found["encoder"] == "contrast":  # older files without these keys have one trace of .5 and no memory
        for key, former in (("trace_decay", [0.5]), ("memory_decay", [])):
            decays = np.atleast_1d(about.get(f"encoder_{key}", former))
            found[f"encoder.{key}"] = [float(decay) for decay in decays]
        found["encoder.trace_scale"] = float(about.get("encoder_trace_scale", 1.0))
    return found


def _restore_moments(about: Mapping[str, Any], encoder: Encoder) -> None:
    """Restore the statistics of the normaliser, if the graph has them."""
    if about.get("normalizer") not in _STANDARDISED or encoder.normalizer is None:
        return
    moments = encoder.normalizer.moments
    for name in ("count", "mean", "squares"):
        mine, found = getattr(moments, name), torch.as_tensor(about[f"normalizer_{name}"], dtype=torch.float64)
        if found.dim() and found.shape != mine.shape:
            problem = f"must have {len(found)} numbers to standardise, as the NIR graph, got {len(mine)}"
            raise ConfigError("env", problem)
        mine.copy_(found)
