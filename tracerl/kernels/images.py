"""Convolution and pooling: ``nn/layers/convolution.py`` and ``pooling.py``, one to one; arguments as in ``neurons``.

The innermost loops run over the positions of an image, which are adjacent in patches and in currents.
"""

from typing import Any

from tracerl.kernels.jit import kernel
from tracerl.kernels.layout import ABSENT
from tracerl.kernels.memory import row_of, table, zero
from tracerl.kernels.scratch import PATCH, POOLED
from tracerl.kernels.steps import add_to_traces


@kernel
def n_positions(synapses: Any) -> int:
    """Return the number of positions of a kernel in an image, one per neuron of a channel."""
    return int(synapses.out_shape.height * synapses.out_shape.width)


@kernel
def geometry(synapses: Any, r: int) -> tuple[int, int, int, int, int]:
    """Return where the channel of row r of the patches begins in the flat images, and what leads from there.

    Returns:
        The first input of the channel, the distances of rows and of columns in the flat images, and the offset of the
        row's pixel from the corner of a patch, down and right; padding is subtracted.
    """
    area, size, per_code = synapses.in_shape.height * synapses.in_shape.width, synapses.kernel, 1
    channel, dy, dx = r // (size * size), r // size % size - synapses.padding, r % size - synapses.padding
    if synapses.channels_last:
        per_code = synapses.in_shape.channels // synapses.codes
    start = channel // per_code * per_code * area + channel % per_code
    return start, synapses.in_shape.width * per_code, per_code, dy, dx


@kernel
def unfold(memory: Any, synapses: Any, x: Any) -> None:
    """``ConvolutionalSynapses._unfold``: write the patches of the flat images x."""
    columns, stride = synapses.out_shape.width, synapses.stride
    patches = table(memory, synapses.patches, synapses.rows, n_positions(synapses))
    for r in range(synapses.rows - 1):
        start, down, right, dy, dx = geometry(synapses, r)
        for i in range(synapses.out_shape.height):
            y = i * stride + dy
            for j in range(columns):
                at = j * stride + dx
                inside = 0 <= y < synapses.in_shape.height and 0 <= at < synapses.in_shape.width
                patches[r, i * columns + j] = x[start + y * down + at * right] if inside else 0


@kernel
def fold(synapses: Any, r: int, patch: Any, images: Any) -> None:
    """Add what belongs to row r of the patches, [positions], to flat images: one row of ``_fold``."""
    columns, stride = synapses.out_shape.width, synapses.stride
    start, down, right, dy, dx = geometry(synapses, r)
    for i in range(synapses.out_shape.height):
        y = i * stride + dy
        for j in range(columns):
            at = j * stride + dx
            if 0 <= y < synapses.in_shape.height and 0 <= at < synapses.in_shape.width:
                images[start + y * down + at * right] += patch[i * columns + j]


@kernel
def is_zero(row: Any) -> bool:
    """Return whether all numbers of a row are zero, as those of most patches of a sparse image are."""
    total = row.dtype.type(0)
    for i in range(row.size):
        total += abs(row[i])
    return bool(total == 0)


@kernel
def convolve(memory: Any, synapses: Any, x: Any, current: Any) -> None:
    """``ConvolutionalSynapses.forward``."""
    unfold(memory, synapses, x)
    rows, channels, n = synapses.rows, synapses.channels, n_positions(synapses)
    patches, weights = table(memory, synapses.patches, rows, n), table(memory, synapses.affine, rows, channels)
    currents = current.reshape(channels, n)
    for c in range(channels):
        for p in range(n):
            currents[c, p] = weights[rows - 1, c]
    for r in range(rows - 1):
        patch = patches[r]
        if is_zero(patch):
            continue
        for c in range(channels):
            weight = weights[r, c]
            for p in range(n):
                currents[c, p] += weight * patch[p]


@kernel
def convolution_vjp(memory: Any, synapses: Any, signal: Any, below: Any, scratch: Any) -> None:
    """``ConvolutionalSynapses.vjp`` of one signal at the currents."""
    rows, channels, n = synapses.rows, synapses.channels, n_positions(synapses)
    weights, signals = table(memory, synapses.affine, rows, channels), signal.reshape(channels, n)
    patch = row_of(scratch, PATCH, n)
    zero(below, 0, below.size)
    for r in range(rows - 1):
        for p in range(n):
            patch[p] = 0
        for c in range(channels):
            weight = weights[r, c]
            for p in range(n):
                patch[p] += weight * signals[c, p]
        fold(synapses, r, patch, below)


@kernel
def add_convolution_to_traces(
    memory: Any, agent: Any, learner: Any, synapses: Any, start: int, signal: Any, active: Any, sums: Any
) -> None:
    """``ConvolutionalSynapses.write_products`` of what was received, from ``start`` on; ``steps.add_to_traces``."""
    network = learner.network
    rows, channels, n = synapses.rows, synapses.channels, n_positions(synapses)
    trace, signals = table(memory, start, rows, n), signal.reshape(channels, n)
    scores = table(memory, synapses.affine + network.score - network.flat, rows, channels)
    for r in range(rows):
        received = trace[r]
        silent = is_zero(received)
        for c in range(channels):
            total = memory.dtype.type(0)
            if not silent:
                for p in range(n):
                    total += received[p] * signals[c, p]
            scores[r, c] = total
    if agent.by_rows:
        add_to_traces(memory, learner, synapses.affine, rows, channels, active, sums)


@kernel
def pool(memory: Any, pooling: Any, x: Any, scratch: Any) -> Any:
    """``Pooling.forward``; return the pooled vector, in the scratch row POOLED."""
    size, width = pooling.size, pooling.in_shape.width
    pooled = row_of(scratch, POOLED, pooling.n_out)
    for o in range(pooling.n_out):
        first = first_member(pooling, o)
        total, most, winner = memory.dtype.type(0), x[first], 0
        for k in range(size * size):
            value = x[first + k // size * width + k % size]
            total += value
            if value > most:
                most, winner = value, k
        if pooling.winners == ABSENT:
            pooled[o] = total / memory.dtype.type(size * size)
        else:
            pooled[o], memory[pooling.winners + o] = most, winner
    return pooled


@kernel
def first_member(pooling: Any, o: int) -> int:
    """Return the first input of the square of output o."""
    size, columns, rows = pooling.size, pooling.out_shape.width, pooling.out_shape.height
    row = o // (rows * columns) * pooling.in_shape.height + o // columns % rows * size
    return int(row * pooling.in_shape.width + o % columns * size)


@kernel
def pooling_vjp(memory: Any, pooling: Any, signal: Any, below: Any) -> None:
    """``Pooling.vjp`` of one signal."""
    size, width = pooling.size, pooling.in_shape.width
    zero(below, 0, below.size)
    for o in range(pooling.n_out):
        first = first_member(pooling, o)
        if pooling.winners == ABSENT:
            for k in range(size * size):
                below[first + k // size * width + k % size] = signal[o] / memory.dtype.type(size * size)
        else:
            k = int(memory[pooling.winners + o])
            below[first + k // size * width + k % size] = signal[o]
