"""The base class of modules with state: an nn.Module whose tensors are plain attributes."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn


def shape_in_words(found: object) -> str:
    """Return the shape of a tensor, or what else was found in its place."""
    return f"the shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"{found!r:.200}"


class StateModule(nn.Module):
    """nn.Module with its buffers, parameters and submodules in the instance's own ``__dict__`` as well.

    nn.Module looks them up through ``__getattr__``, which takes half a microsecond. Two hundred look-ups would be a
    fifth of a step of half a millisecond. States are updated in place, so both places refer to the same tensor.

    Attributes:
        tracked: names of the buffers that only learning needs and that are zero at the start of an episode: eligibility
            traces and derivatives.
        unsaved: names of the buffers that a saved state does not have: constants, and copies of other tensors.
        previous_names: names under which earlier versions saved buffers or parameters, by the present one.
    """

    tracked: tuple[str, ...] = ()
    unsaved: tuple[str, ...] = ()
    previous_names: Mapping[str, str] = {}

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register a buffer; see ``nn.Module.register_buffer``."""
        super().register_buffer(name, tensor, persistent)
        self.__dict__[name] = tensor

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; parameters and submodules are also stored in ``__dict__``.

        A tensor that is assigned to a buffer of its shape is copied into it, because other modules share its memory.
        """
        buffer = self.__dict__.get("_buffers", {}).get(name)
        if buffer is not None and isinstance(value, Tensor) and value is not buffer and value.shape == buffer.shape:
            buffer.copy_(value)
            return
        super().__setattr__(name, value)
        if isinstance(value, (Tensor, nn.Module)):
            self.__dict__[name] = value

    def upgrade(self, name: str, tensor: Tensor) -> Tensor:
        """Return a saved buffer or parameter of the module in its present form.

        A subclass overrides it where an earlier version saved another form.

        Args:
            name: of the buffer or parameter.
            tensor: as it was saved.
        """
        return tensor

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "StateModule":
        """Move or convert every tensor, then update ``__dict__``."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.__dict__.update(self._parameters)
        self.__dict__.update(self._buffers)
        return self
