"""Pieces of a life's memory."""

from typing import Any

from tracerl.kernels.compile import kernel


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
def spread(value: Any, n: int, row: Any) -> None:
    """Write a shared value (n = 1), or one per neuron, into a scratch row."""
    for h in range(row.size):
        row[h] = value[h] if n > 1 else value[0]
