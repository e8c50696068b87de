"""Exchange the state of an agent with its C program: the bytes of ``agent_save`` and ``agent_load``."""

import struct
from typing import Any

import numpy as np
import torch

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.export.c_layout import StateLayout
from tracerl.export.c_support import check_exportable

_MARK = b"tracerl1"
_HEADER = struct.Struct("<8sQIIII")


def save_state(agent: Any, *, learns: bool = True, real: str = "float32") -> bytes:
    """Return the state of an agent as ``agent_load`` of its C program reads it.

    Args:
        agent: of one lifetime, with the settings of the exported one; within an episode or between two.
        learns: for a build with ``TRACERL_LEARN 1``; False: for one that acts only.
        real: dtype of the build: ``float32``, or ``float64`` for ``TRACERL_REAL=double``.

    Raises:
        ConfigError: the agent cannot be exported, or ``real`` is another dtype.
    """
    checks.choice("real", real, ("float32", "float64"))
    check_exportable(agent)
    layout, dtype = StateLayout(agent, learns), np.dtype(real).newbyteorder("<")
    reals, words = layout.values()
    header = _HEADER.pack(_MARK, layout.identity, dtype.itemsize, layout.reals, layout.words, layout.settings)
    packed = [struct.pack("<q" if isinstance(word, int) else "<d", word) for word in words]
    data = header + reals.astype(dtype).tobytes() + b"".join(packed)
    return data + struct.pack("<Q", _sum_of(data))


@torch.inference_mode()
def load_state(agent: Any, data: bytes) -> None:
    """Continue with the state that ``agent_save`` wrote, of either build and either type.

    A state of a build that acts only has the weights, the membranes and the encoder's state; the rest of the agent
    stays as it is.

    Args:
        agent: of one lifetime, with the settings of the exported one; it is updated in place.
        data: all bytes that ``agent_save`` wrote.

    Raises:
        ConfigError: the agent cannot be exported, or the bytes are not a whole state of an agent of these settings. The
            agent is then unchanged.
    """
    check_exportable(agent)
    if len(data) < _HEADER.size + 8 or data[:8] != _MARK:
        raise ConfigError("data", f"must be what agent_save wrote, got {len(data)} bytes that do not begin as it does")
    _, identity, size, n_reals, n_words, settings = _HEADER.unpack_from(data)
    layouts = {layout.identity: layout for layout in (StateLayout(agent, learns) for learns in (True, False))}
    layout = layouts.get(identity)
    if layout is None or settings not in (layout.settings, 0):  # 0: of an earlier version
        problem = "must be of an agent with the same settings, got the state of one with others or of another env"
        raise ConfigError("data", problem)
    expected = _HEADER.size + size * layout.reals + 8 * layout.words + 8
    whole = size in (4, 8) and (n_reals, n_words) == (layout.reals, layout.words) and len(data) == expected
    if not whole or data[-8:] != struct.pack("<Q", _sum_of(data[:-8])):
        raise ConfigError("data", f"must be the {expected} bytes of agent_save unchanged, got {len(data)} that are not")
    reals = np.frombuffer(data, f"<f{size}", layout.reals, _HEADER.size).astype(np.float64)
    words = np.frombuffer(data, "<i8", layout.words, _HEADER.size + size * layout.reals).astype(np.int64)
    taken = {False: 0, True: 0}
    for buffer in layout.buffers:
        start = taken[buffer.is_wide]
        taken[buffer.is_wide] = end = start + len(buffer)
        numbers = torch.from_numpy((words if buffer.is_wide else reals)[start:end])
        numbers = numbers.view(buffer.tensor.dtype) if buffer.is_wide else numbers
        buffer.tensor.copy_(numbers.reshape(buffer.tensor.shape))
    agent.in_episode = True  # the bytes do not record it, and most states are taken within an episode


def _sum_of(data: bytes) -> int:
    """Return the FNV-1a sum of bytes, 64 bits."""
    total = 0xCBF29CE484222325
    for byte in data:
        total = (total ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return total
