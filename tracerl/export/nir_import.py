"""Import a NIR graph as the policy of an agent; see ``tracerl.from_nir``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.export.description import Dense, NetworkDescription
from tracerl.nn.encoders import Encoder
from tracerl.nn.exportable import part_of
from tracerl.nn.layers import SynapticLIF
from tracerl.nn.layers.constrained import Constrained
from tracerl.nn.networks import Network
from tracerl.runs.api import make_agent

if TYPE_CHECKING:
    from tracerl.lifetime.protocol import Agent

AGENTS = ("reflect", "eprop")  # agents with network=dense as policy
_STRUCTURE = ("hidden", "neuron", "recurrent", "layer_norm")  # keys of the network that settings cannot change


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
    spikes, the readout is new. The critic is built like the policy, with new weights. A file written by tracerl has the
    encoder's name and the mean and standard deviation of observations. For other files observations are not normalised
    (``encoder.normalize=false``), unless ``settings`` change this.

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
    from tracerl.export.nir_read import from_graph, read_graph, seconds_per_tick, spans

    checks.choice("agent", agent, AGENTS)
    graph = read_graph(path)
    given = dict(settings or {})
    period = seconds_per_tick(graph) if dt is None else checks.positive("dt", dt)
    checks.choice("dtype", given.get("dtype", "float32"), ("float32", "float64"))
    description = from_graph(graph, period, getattr(torch, given.get("dtype", "float32")))
    inferred = {f"network.{key}": value for key, value in spans(description)}
    for key in (f"network.{name}" for name in _STRUCTURE):
        if key in given and given[key] != inferred[key]:
            raise ConfigError(key, f"must be {inferred[key]!r}, as in the NIR graph, got {given[key]!r}")
    about: Mapping[str, Any] = graph.metadata
    made = make_agent(env, agent, {"network": "dense", **inferred, **_encoding(about), **given}, seed=seed)
    part = part_of(made, "policy")
    assert isinstance(part.network, Network)
    _check_ends(description, part.network, made)
    with torch.no_grad():
        _write(description, part.network, part.outputs)
        _restore_moments(about, made.encoder)  # type: ignore[attr-defined]
    return made


def _encoding(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the encoder in the metadata of a graph."""
    found: dict[str, Any] = {"encoder": "raw", "encoder.normalize": about.get("normalizer") == "apart"}
    if "normalizer" in about:
        found["encoder"] = about["encoder"]
    if found["encoder"] == "contrast":  # older files without these keys have one trace of .5 and no memory
        for key, former in (("trace_decay", [0.5]), ("memory_decay", [])):
            decays = np.atleast_1d(about.get(f"encoder_{key}", former))
            found[f"encoder.{key}"] = [float(decay) for decay in decays]
    return found


def _check_ends(description: NetworkDescription, network: Network, agent: Any) -> None:
    """Check that the network fits the env."""
    code, outputs = agent.encoder.n_out, agent.head.n_outputs
    if description.n_in != code:
        made = f"encoder={agent.encoder.name} makes {code}"
        raise ConfigError("env", f"must make {description.n_in} numbers for the NIR graph, {made}")
    if description.readout is not None and len(description.readout.bias) != outputs:
        n = len(description.readout.bias)
        raise ConfigError("env", f"must have actions for the NIR graph's {n} outputs, its actions take {outputs}")


def _write(description: NetworkDescription, network: Network, outputs: slice) -> None:
    """Copy every number of a description into a network, in place."""
    from tracerl.export.nir_read import synapse_decay

    for stage, layer in zip(description.neurons, network.layers, strict=True):
        synapses: Any = layer.synapses
        assert isinstance(stage.synapses, Dense)
        own = [] if stage.synapses.own is None else [stage.synapses.own]
        rows = torch.cat([*stage.synapses.weights, *own, stage.synapses.bias.unsqueeze(-1)], -1)
        synapses.affine.copy_(rows.T)
        _assign(layer.membrane_decay, stage.membrane_decay)
        _assign(layer.threshold, stage.threshold)
        if isinstance(layer, SynapticLIF):
            _assign(layer.synapse_decay, synapse_decay(stage))
    if description.readout is not None:
        network.readout.weight[outputs].copy_(description.readout.weight)
        network.readout.bias[outputs].copy_(description.readout.bias)
        _assign(network.readout.decay, description.readout.input_decay)


def _assign(constrained: Any, values: Tensor) -> None:
    assert isinstance(constrained, Constrained)
    constrained.assign(values[: constrained.value.shape[-1]].to(constrained.value.dtype))


def _restore_moments(about: Mapping[str, Any], encoder: Encoder) -> None:
    """Restore the statistics of the normaliser, if the graph has them."""
    if about.get("normalizer") != "apart" or encoder.normalizer is None:
        return
    moments = encoder.normalizer.moments
    for name in ("count", "mean", "squares"):
        mine, found = getattr(moments, name), torch.as_tensor(about[f"normalizer_{name}"], dtype=torch.float64)
        if found.dim() and found.shape != mine.shape:
            problem = f"must have {len(found)} numbers to standardise, as the NIR graph, got {len(mine)}"
            raise ConfigError("env", problem)
        mine.copy_(found)
