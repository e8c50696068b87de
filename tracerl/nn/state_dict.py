"""The state of a module by name, and loading it: the basis of an agent's ``capture`` and ``restore``."""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from tracerl.config.moved import keep_names
from tracerl.nn.module import StateModule

State = dict[str, Tensor]


def state_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield every parameter and buffer of a module by dotted name, each storage once.

    The buffers of ``StateModule.unsaved`` are left out.
    """
    for prefix, owner in module.named_modules():
        path = f"{prefix}." if prefix else ""
        for name, parameter in owner.named_parameters(recurse=False):
            yield path + name, parameter.detach()
        for name, buffer in owner.named_buffers(recurse=False):
            if name not in getattr(owner, "unsaved", ()):
                yield path + name, buffer


def load_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state of ``state_tensors`` into a module, in place.

    A tensor that is missing, unknown, or of another shape or dtype raises a ValueError with its name, and the module is
    unchanged.
    """
    mine, owners, state = dict(state_tensors(module)), dict(module.named_modules()), dict(state)
    for prefix, owner in owners.items():
        for own_name, previous in getattr(owner, "previous_names", {}).items():
            if f"{prefix}.{previous}" in state:
                state[f"{prefix}.{own_name}"] = state.pop(f"{prefix}.{previous}")
    check_names(mine, state)
    sources = {}
    for name, tensor in mine.items():
        prefix, _, own_name = name.rpartition(".")
        owner, saved = owners[prefix], state[name]
        sources[name] = owner.upgrade(own_name, saved) if isinstance(owner, StateModule) else saved
        _check_kind(name, tensor, sources[name])
    for name, tensor in mine.items():
        tensor.copy_(sources[name])


def check_names(expected: Mapping[str, object], state: Mapping[str, object]) -> None:
    """Check that a state has exactly these names; a ValueError names the first missing or unknown one."""
    missing, unknown = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing or unknown:
        problem = f"lacks {missing[0]}" if missing else f"has the unknown entry {unknown[0]}"
        raise ValueError(f"the agent's state {problem}: it belongs to an agent with other settings")


def _check_kind(name: str, target: Tensor, source: Tensor) -> None:
    """Raise a ValueError if a saved tensor has another shape or dtype."""
    if target.shape != source.shape or target.dtype != source.dtype:
        kinds = f"{target.dtype} {tuple(target.shape)}, got {source.dtype} {tuple(source.shape)}"
        raise ValueError(f"{name} of the agent's state must be {kinds}")


keep_names(globals(), memories="state_tensors", recall="load_state")
