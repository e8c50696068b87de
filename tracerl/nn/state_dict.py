"""Everything that a module remembers, by name, and back: what an agent's ``capture`` and ``restore`` are made of."""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from tracerl.config.moved import keep_names
from tracerl.nn.flat_parameters import FlatModule

State = dict[str, Tensor]


def state_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield every parameter and buffer of a module by dotted name, each piece of memory once.

    ``flat`` of a FlatModule is left out: the parameters are its parts.
    """
    for prefix, owner in module.named_modules():
        path = f"{prefix}." if prefix else ""
        for name, parameter in owner.named_parameters(recurse=False):
            yield path + name, parameter.detach()
        for name, buffer in owner.named_buffers(recurse=False):
            if not (isinstance(owner, FlatModule) and name == "flat"):
                yield path + name, buffer


def load_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Write a state back where ``state_tensors`` found it, in place.

    Raises:
        ValueError: naming what is missing, left over, or of another shape or dtype.
    """
    mine = dict(state_tensors(module))
    check_names(mine, state)
    for name, tensor in mine.items():
        write(name, tensor, state[name])


def check_names(expected: Mapping[str, object], state: Mapping[str, object]) -> None:
    """Check that a state has these names and no other."""
    missing, unknown = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing or unknown:
        problem = f"lacks {missing[0]}" if missing else f"has {unknown[0]}, which is not known here"
        raise ValueError(f"the agent's state {problem}: it is of an agent with other settings")


def write(name: str, target: Tensor, source: Tensor) -> None:
    """Copy one tensor in place, checked to be of the same kind."""
    if target.shape != source.shape or target.dtype != source.dtype:
        kinds = f"{target.dtype} {tuple(target.shape)}, got {source.dtype} {tuple(source.shape)}"
        raise ValueError(f"{name} of the agent's state must be {kinds}")
    target.copy_(source)


keep_names(globals(), memories="state_tensors", recall="load_state")
