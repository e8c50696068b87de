"""Convolution and pooling: ``nn/layers/convolution.py`` and ``pooling.py``, one to one; arguments as in ``neurons``.

The innermost loops run over the channels of the currents, which are adjacent in weights and, here, in currents.
"""

from typing import Any

import numpy as np

from tracerl.kernels.jit import kernel
from tracerl.kernels.layout import ABSENT
from tracerl.kernels.memory import part, row_of, table, zero
from tracerl.kernels.scratch import BY_POSITION, CORNERS, IMAGE, OFFSETS, POOLED
from tracerl.kernels.steps import add_to_traces


@kernel
def n_positions(synapses: Any) -> int:
    """Return the number of positions of a kernel in an image, one per neuron of a channel."""
    return int(synapses.out_shape.height * synapses.out_shape.width)


@kernel
def is_plain(synapses: Any) -> bool:
    """Return whether flat images are laid out as ``padded_image`` is."""
    return bool(synapses.padding == 0 and not synapses.channels_last)


@kernel
def padded_image(synapses: Any, x: Any, scratch: Any) -> Any:
    """Return flat images laid out as (channels, height, width) with their padding: x, or a copy in the row IMAGE."""
    if is_plain(synapses):
        return x
    image = row_of(scratch, IMAGE, synapses.padded)
    zero(image, 0, image.size)
    move_pixels(synapses, x, image, True)
    return image


@kernel
def move_pixels(synapses: Any, x: Any, image: Any, inwards: bool) -> None:
    """Copy the pixels of flat images x to ``padded_image`` or, not inwards, back."""
    channels, height, width = synapses.in_shape.channels, synapses.in_shape.height, synapses.in_shape.width
    per_code = channels // synapses.codes if synapses.channels_last else 1
    padding = synapses.padding
    for c in range(channels):
        first = c // per_code * per_code * height * width + c % per_code
        for i in range(height):
            at = (c * (height + 2 * padding) + i + padding) * (width + 2 * padding) + padding
            for j in range(width):
                pixel = first + (i * width + j) * per_code
                if inwards:
                    image[at + j] = x[pixel]
                else:
                    x[pixel] = image[at + j]


@kernel
def places(synapses: Any, scratch: Any) -> tuple[Any, Any]:
    """Return where the patch of each position begins in ``padded_image``, and where each pixel of a patch is in it."""
    size, columns, rows = synapses.kernel, synapses.out_shape.width, synapses.out_shape.height
    width = synapses.in_shape.width + 2 * synapses.padding
    area = width * (synapses.in_shape.height + 2 * synapses.padding)
    corners = scratch[CORNERS].view(np.uint32)[: rows * columns]  # unsigned: a negative index costs a comparison
    for i in range(rows):
        for j in range(columns):
            corners[i * columns + j] = (i * width + j) * synapses.stride
    offsets, r = scratch[OFFSETS].view(np.uint32)[: synapses.rows - 1], 0
    for c in range(synapses.in_shape.channels):
        for i in range(size):
            for j in range(size):
                offsets[r] = c * area + i * width + j
                r += 1
    return corners, offsets


@kernel
def four(i: int, n: int) -> tuple[int, int, int, int]:
    """Return i and the next three numbers, each at most n - 1."""
    return i, min(i + 1, n - 1), min(i + 2, n - 1), min(i + 3, n - 1)


@kernel
def add_products(image: Any, rows: Any, corners: Any, offsets: Any, sums: Any) -> None:
    """sums[i] += sum_j image[corners[i] + offsets[j]] rows[j], four rows at a time and only where a pixel is not 0."""
    n, nil = offsets.size, image.dtype.type(0)
    for j in range(0, n, 4):
        j0, j1, j2, j3 = four(j, n)
        has_1, has_2, has_3 = j + 1 < n, j + 2 < n, j + 3 < n
        to_0, to_1, to_2, to_3 = offsets[j0], offsets[j1], offsets[j2], offsets[j3]
        for i in range(corners.size):
            at = corners[i]
            x0, x1 = image[at + to_0], image[at + to_1] if has_1 else nil
            x2, x3 = image[at + to_2] if has_2 else nil, image[at + to_3] if has_3 else nil
            if x0 == 0 and x1 == 0 and x2 == 0 and x3 == 0:
                continue
            for h in range(rows.shape[1]):
                sums[i, h] += x0 * rows[j0, h] + x1 * rows[j1, h] + x2 * rows[j2, h] + x3 * rows[j3, h]


@kernel
def add_scalar_products(weights: Any, signals: Any, corners: Any, offsets: Any, image: Any) -> None:
    """image[corners[i] + offsets[j]] += weights[j] . signals[i], for four i at a time: the adjoint."""
    n, nil = corners.size, image.dtype.type(0)
    for j in range(offsets.size):
        to = offsets[j]
        for i in range(0, n, 4):
            i0, i1, i2, i3 = four(i, n)
            x0, x1, x2, x3 = nil, nil, nil, nil
            for h in range(signals.shape[1]):
                weight = weights[j, h]
                x0 += weight * signals[i0, h]
                x1 += weight * signals[i1, h]
                x2 += weight * signals[i2, h]
                x3 += weight * signals[i3, h]
            image[corners[i0] + to] += x0
            image[corners[i1] + to] += x1 if i1 > i0 else nil
            image[corners[i2] + to] += x2 if i2 > i1 else nil
            image[corners[i3] + to] += x3 if i3 > i2 else nil


@kernel
def convolve(memory: Any, synapses: Any, x: Any, current: Any, scratch: Any) -> None:
    """``ConvolutionalSynapses.forward``."""
    channels, n = synapses.channels, n_positions(synapses)
    weights = table(memory, synapses.affine, synapses.rows, channels)
    currents, sums = current.reshape(channels, n), row_of(scratch, BY_POSITION, current.size).reshape(n, channels)
    for p in range(n):
        for c in range(channels):
            sums[p, c] = weights[synapses.rows - 1, c]
    corners, offsets = places(synapses, scratch)
    add_products(padded_image(synapses, x, scratch), weights, corners, offsets, sums)
    for c in range(channels):
        for p in range(n):
            currents[c, p] = sums[p, c]


@kernel
def by_position(synapses: Any, signal: Any, scratch: Any) -> Any:
    """Return a signal at the currents, [channels, positions], as [positions, channels]."""
    channels, n = synapses.channels, n_positions(synapses)
    signals, found = signal.reshape(channels, n), row_of(scratch, BY_POSITION, signal.size).reshape(n, channels)
    for c in range(channels):
        for p in range(n):
            found[p, c] = signals[c, p]
    return found


@kernel
def convolution_vjp(memory: Any, synapses: Any, signal: Any, below: Any, scratch: Any) -> None:
    """``ConvolutionalSynapses.vjp`` of one signal at the currents."""
    signals = by_position(synapses, signal, scratch)
    weights = table(memory, synapses.affine, synapses.rows, synapses.channels)
    corners, offsets = places(synapses, scratch)
    image = below if is_plain(synapses) else row_of(scratch, IMAGE, synapses.padded)
    zero(image, 0, image.size)
    add_scalar_products(weights, signals, corners, offsets, image)
    if not is_plain(synapses):
        move_pixels(synapses, below, image, False)


@kernel
def add_convolution_to_traces(
    memory: Any, agent: Any, learner: Any, synapses: Any, start: int, signal: Any, active: Any, sums: Any, scratch: Any
) -> None:
    """``ConvolutionalSynapses.write_products`` of the image and constant from ``start`` on; ``add_to_traces``."""
    network = learner.network
    rows, channels, signals = synapses.rows, synapses.channels, by_position(synapses, signal, scratch)
    trace = part(memory, start, synapses.n_in + 1)
    scores = table(memory, synapses.affine + network.score - network.flat, rows, channels)
    for r in range(rows):
        for c in range(channels):
            scores[r, c] = 0
    corners, offsets = places(synapses, scratch)
    add_products(padded_image(synapses, part(trace, 0, synapses.n_in), scratch), signals, offsets, corners, scores)
    for p in range(corners.size):
        for c in range(channels):
            scores[rows - 1, c] += trace[synapses.n_in] * signals[p, c]
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
