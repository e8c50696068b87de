"""The packed state of an agent: all tensors of a lifetime in two rows, for masks, kernels and checkpoints."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tracerl.config.moved import keep_names
from tracerl.nn.flat_parameters import FlatModule
from tracerl.nn.lifetimes import Lifetimes

Array = np.ndarray[Any, Any]
Entry = tuple[nn.Module, str, Tensor]  # a buffer, with the module that owns it and its name in that module


class PackedState:
    """Two buffers with one row per lifetime; the agent's own tensors are views of them.

    So torch and the kernels use the same storage, and the state of a lifetime is copied or restored as two rows.

    Attributes:
        real: tensors in the network's dtype, [*lifetimes, n].
        wide: tensors that are int64 or float64 for every dtype of the network, as 64-bit words, int64, [*lifetimes, n].
            Where the network is float64 too, this buffer holds all tensors and ``real`` is its view as float64.
    """

    def __init__(self, module: nn.Module, lifetimes: Lifetimes) -> None:
        """Move every buffer of a module, and the parameters that are views of buffers, into the packed state.

        A buffer without a lifetimes axis raises a ValueError.
        """
        narrow, wide = list[Entry](), list[Entry]()
        for owner, name, tensor in _buffers(module):
            if tensor.shape[: len(lifetimes.shape)] != lifetimes.shape:
                raise ValueError(f"{type(owner).__name__}.{name} must carry the lifetimes axis {lifetimes.shape}")
            is_wide = max(tensor.element_size(), lifetimes.dtype.itemsize) == 8
            (wide if is_wide else narrow).append((owner, name, tensor))
        self.wide = _gather(wide, torch.int64, lifetimes)
        self.real = _gather(narrow, lifetimes.dtype, lifetimes) if narrow else self.wide.view(lifetimes.dtype)
        for part in module.modules():
            if isinstance(part, FlatModule):
                part.bind_parameters()

    @contextmanager
    def only(self, mask: Array, external: Callable[[], Sequence[tuple[Tensor, float]]] = list) -> Iterator[None]:
        """Restore, on exit, the lifetimes outside a mask (bool, [lifetimes]).

        Args:
            mask: bool, [lifetimes].
            external: returns further tensors to restore (external optimiser state), each [lifetimes, ...], with the
                value of those that did not exist before.
        """
        if mask.all():
            yield
            return
        others = torch.from_numpy(np.flatnonzero(~mask)).to(self.real.device)
        before = [(tensor, tensor[others]) for tensor in (self.real, self.wide, *(tensor for tensor, _ in external()))]
        yield
        for tensor, rows in before:
            tensor[others] = rows
        for tensor, initial in external():
            if not any(tensor is earlier for earlier, _ in before):
                tensor[others] = initial


def _buffers(module: nn.Module) -> Iterator[Entry]:
    for owner in module.modules():
        for name, tensor in owner._buffers.items():
            if tensor is not None:
                yield owner, name, tensor


def _gather(group: list[Entry], dtype: torch.dtype, lifetimes: Lifetimes) -> Tensor:
    """Copy a group of buffers into one and replace them by views of it; each takes whole numbers of ``dtype``."""
    lead = len(lifetimes.shape)
    numels = [tensor.shape[lead:].numel() for _, _, tensor in group]
    sizes = [-(-n * tensor.element_size() // dtype.itemsize) for n, (_, _, tensor) in zip(numels, group, strict=True)]
    packed = lifetimes.zeros(sum(sizes), dtype=dtype)
    start = 0
    for (owner, name, tensor), n, size in zip(group, numels, sizes, strict=True):
        own = packed[..., start : start + size].view(tensor.dtype)[..., :n]
        place = own.unflatten(-1, tensor.shape[lead:] or (1,))
        view = place if tensor.dim() > lead else place.squeeze(-1)
        view.copy_(tensor)
        owner._buffers[name] = view
        owner.__dict__[name] = view
        start += size
    return packed


keep_names(globals(), Arena="PackedState")
