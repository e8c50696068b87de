"""Export a network of an agent as a NIR graph; see ``tracerl.to_nir``."""

from dataclasses import replace
from typing import Any

from tracerl.config import checks
from tracerl.export.about import folded, metadata
from tracerl.export.description import describe, part_of
from tracerl.export.units import DT


def to_nir(
    agent: Any,
    *,
    network: str = "policy",
    dt: float = DT,
    form: Any = "plain",
    without_readout: bool = False,
    fold_normalizer: bool = False,
    about: dict[str, Any] | None = None,
) -> Any:
    """Return a network of an agent as a NIR graph for ``nir.write``. It needs ``tracerl[nir]``.

    Args:
        agent: agent of one lifetime.
        network: ``policy`` or ``value``.
        dt: seconds per tick.
        form: ``plain``, or ``scaled``: equal spikes in a form for snnTorch's reader if decays or thresholds differ
            within a layer.
        without_readout: end with the spikes of the last layer. The readout weights are in the metadata only.
        fold_normalizer: fold the normalisation of observations into the first weights.
        about: additional metadata of the graph.

    Returns:
        A ``nir.NIRGraph``.

    Raises:
        ConfigError: the agent has no such network, or NIR cannot represent it.
    """
    checks.packages("nir", "nir", "nir")
    from tracerl.export.nir_write import FORMS, to_graph

    checks.positive("dt", dt)
    checks.choice("form", form, FORMS)
    description = describe(part_of(agent, network))
    words = metadata(description, agent.encoder, fold_normalizer) | {"network": network} | (about or {})
    if fold_normalizer:
        description = folded(description, agent.encoder)
    if without_readout:
        if len(description.readout.sources if description.readout else ()) != 1 or not description.stages:
            problem = "must be false: the readout is not above a single layer of spikes"
            raise checks.ConfigError("without_readout", problem)
        description = replace(description, readout=None)
    return to_graph(description, dt=dt, form=form, metadata=words)
