"""Export a network of an agent as a model of traceTorch; see ``tracerl.to_tracetorch``."""

from typing import Any

from tracerl.export.description import describe
from tracerl.export.nir_export import folded
from tracerl.export.tracetorch_import import check_version
from tracerl.nn.exportable import part_of


def to_tracetorch(agent: Any, *, network: str = "policy", fold_normalizer: bool = False) -> Any:
    """Return a network of an agent as a ``tracetorch.Model``. It needs ``tracerl[tracetorch]``.

    The model is Linear -> ``LIB``, ``SLIB`` or ``LIT``, repeated, then ``LIEMA`` -> Linear: the equations of
    ``tracerl.from_tracetorch``, backwards. A convolution is a ``Conv2d``; the model then takes images, [*, channels,
    height, width]. Its parameters are copies, of the agent's dtype, on the CPU. Each call is a tick on the encoded
    observation, [*, n_in]; ``zero_states()`` begins an episode. The choice of an action from the outputs is not part of
    it.

    Args:
        agent: agent of one lifetime, with layers in a row, soft reset and currents that are not standardised
            (``network=dense`` or, with one ``membrane_decay`` and ``threshold``, ``network=conv``).
        network: ``policy`` or ``value``.
        fold_normalizer: fold the normalisation of observations into the first weights.

    Raises:
        ConfigError: the agent has no such network, or naming the setting that traceTorch cannot represent.
    """
    check_version()
    from tracerl.export.tracetorch_write import to_model

    description = describe(part_of(agent, network))
    return to_model(folded(description, agent.encoder) if fold_normalizer else description)
