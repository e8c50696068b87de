"""Views of a lifetime's packed state and of scratch."""

from typing import Any

from tracerl.kernels.jit import kernel
from tracerl.kernels.scratch import ACTIVE, ONES


@kernel
def part(memory: Any, start: int, size: int) -> Any:
    """Return a view of ``size`` numbers from ``start`` on.

    A function, because what a slice takes to compile is then compiled once and not at every use.
    """
    return memory[start : start + size]


@kernel
def row_of(scratch: Any, row: int, size: int) -> Any:
    """Return a view of the first ``size`` numbers of a scratch row."""
    return scratch[row, :size]


@kernel
def zero(memory: Any, start: int, size: int) -> None:
    """Set ``size`` numbers from ``start`` on to zero."""
    for i in range(start, start + size):
        memory[i] = 0


@kernel
def per_neuron(memory: Any, start: int, count: int, row: Any) -> Any:
    """Return a quantity of every neuron: as it stands in memory, or a shared one (count = 1) in a scratch row."""
    if count > 1:
        return part(memory, start, row.size)
    for h in range(row.size):
        row[h] = memory[start]
    return row


@kernel
def table(memory: Any, start: int, rows: int, n: int) -> Any:
    """Return a view of ``rows`` rows of n numbers from ``start`` on.

    For loops over rows: a call of ``part`` per row takes as long as what is done with a row.
    """
    return memory[start : start + rows * n].reshape(rows, n)


@kernel
def active_rows(layer: Any, scratch: Any) -> Any:
    """Return 0 for the rows of a layer whose input has always been zero, else 1: all numbers of such a row are zero."""
    return scratch[ACTIVE if layer.is_bottom else ONES]
