"""The weights, decays and thresholds of a layer by TensorBoard tag, for logging as distributions."""

from typing import Any

from torch import Tensor, nn

from tracerl.nn.layers.constrained import Constrained


def distributions_of(layer: nn.Module, name: str) -> dict[str, Tensor]:
    """Return the weights, biases, decays and thresholds of a layer of any kind, each [*lifetimes, ...].

    Args:
        layer: with a ``weight`` (its own or of its ``synapses``), an optional ``bias``, and ``Constrained`` children.
        name: such as ``policy_0``: its weights are ``weights/policy_0``, its membrane decays
            ``decays/policy_0_membrane``.
    """
    synapses: Any = getattr(layer, "synapses", layer)
    found: dict[str, Tensor] = {f"weights/{name}": synapses.weight}
    if hasattr(synapses, "bias"):
        found[f"weights/{name}_bias"] = synapses.bias
    for part_name, part in layer.named_children():
        if isinstance(part, Constrained) and part.kind == "decay":
            of_what = part_name.removesuffix("decay").removesuffix("_")
            found[f"decays/{name}_{of_what}".removesuffix("_")] = part.value
        elif isinstance(part, Constrained):
            rise = getattr(layer, f"{part_name}_rise", None)
            found[f"{part_name}s/{name}"] = part.value if rise is None else part.value + rise
    return found
