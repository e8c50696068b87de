"""Convert tensors to the bytes of a safetensors file and back, bit-identical.

``unpack`` and ``metadata_of`` raise a ValueError whose text completes a sentence about the file.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from tracerl.config.checks import ConfigError
from tracerl.runs.checkpoint import plain

_DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "U16": torch.uint16,
    "U32": torch.uint32,
    "U64": torch.uint64,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}
_RESERVED = "__metadata__"  # reserved by safetensors
_HEADER = 16 * 2**20  # largest header, bytes; the library allows 100 MB
_DIMENSIONS = 64  # limit of torch's operations


def pack(
    key: str, tensors: Mapping[str, Tensor | np.ndarray[Any, Any]], metadata: Mapping[str, str] | None = None
) -> bytes:
    """Return tensors as the contents of a file, the same bytes for the same tensors.

    Args:
        key: name of the tensors, for messages.
        tensors: any shapes, strides and devices, of whole or real numbers or booleans; they may share memory.
        metadata: texts by name for the header; ``metadata_of`` reads them back.

    Raises:
        ConfigError: naming a tensor that cannot be written, such as a complex, quantized or sparse one.
    """
    ready = {}
    for name, value in tensors.items():
        if not isinstance(name, str) or name in ("", _RESERVED) or name.encode(errors="ignore").decode() != name:
            raise ConfigError(key, f"must hold tensors under names of text other than {_RESERVED}, got {name!r:.60}")
        ready[name] = _copy(f"{key}.{name}", value)
    data = safetensors.torch.save(ready, None if metadata is None else dict(metadata))
    if _header_bytes(data) > _HEADER:
        raise ConfigError(key, f"must have names and shapes of at most {_HEADER:,} bytes, got {_header_bytes(data):,}")
    return data


def _copy(key: str, value: Any) -> Tensor:
    """Return a contiguous copy of a tensor or array on the CPU, as the library requires."""
    if isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray):
        try:
            value = torch.from_numpy(np.array(value, order="C"))
        except (TypeError, ValueError) as error:  # objects, texts, times; the other byte order
            raise ConfigError(key, f"must be an array of numbers in this machine's byte order: {error}") from None
    if not isinstance(value, Tensor):
        raise ConfigError(key, f"must be a tensor or an array, got {type(value).__name__}")
    if value.dtype not in _DTYPES.values() or value.layout != torch.strided or value.device.type == "meta":
        dtypes = ", ".join(str(dtype)[6:] for dtype in _DTYPES.values())
        came = f"{value.dtype}, {value.layout}, on {value.device}"
        raise ConfigError(key, f"must be a dense tensor of {dtypes}; got {came}")
    if value.dim() > _DIMENSIONS:
        raise ConfigError(key, f"must have at most {_DIMENSIONS} dimensions, got {value.dim()}")
    # Cloning normalises booleans from foreign memory, in which any byte but 0 is true, to bytes of 0 and 1.
    return value.detach().to("cpu").clone(memory_format=torch.contiguous_format)


def metadata_of(data: bytes) -> dict[str, str]:
    """Return the metadata in the header of an untrusted file; empty without metadata."""
    found = _header(data).get(_RESERVED, {})
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise ValueError("has metadata that are not text")
    return found


def unpack(data: bytes, described: bool = False) -> dict[str, Tensor]:
    """Read tensors on the CPU, in separate memory, from the contents of an untrusted file.

    The library checks that the tensors are adjacent in the file and have the sizes of their shapes. This function
    also raises an error for headers above 16 MiB, duplicate names, more than 64 dimensions, unknown entries of a
    tensor, and dtypes that ``pack`` does not write.

    Args:
        data: contents of the file.
        described: whether the file may have metadata; see ``metadata_of``.

    Raises:
        ValueError: saying what is wrong with the contents.
    """
    entries = _header(data)
    if described:
        entries.pop(_RESERVED, None)
    if not all(_is_entry(entry) for entry in entries.values()):
        raise ValueError("has a header that does not describe tensors of tracerl's")
    try:
        found = safetensors.torch.load(data)
    except Exception as error:  # the library and torch raise many kinds
        raise ValueError(f"is not a safetensors file: {ascii(str(error)[:120])}") from error
    for tensor in found.values():
        if tensor.dtype == torch.bool and tensor.numel() and int(tensor.view(torch.uint8).max()) > 1:
            raise ValueError("has booleans that are neither 0 nor 1")
    return found


def _header_bytes(data: bytes) -> int:
    return int.from_bytes(data[:8], "little")


def _header(data: bytes) -> dict[str, Any]:
    size = _header_bytes(data)
    if size > _HEADER:
        raise ValueError(f"has a header of {size:,} bytes, more than {_HEADER:,}")
    if len(data) < 8 + size:
        raise ValueError("ends within its header")
    try:
        header = plain.loads(data[8 : 8 + size])
    except ValueError as error:
        raise ValueError(f"has a header that {error}") from None
    if not isinstance(header, dict):
        raise ValueError("has a header that does not describe tensors of tracerl's")
    return header


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        return False
    dtype, shape = entry["dtype"], entry["shape"]
    return isinstance(dtype, str) and dtype in _DTYPES and isinstance(shape, list) and len(shape) <= _DIMENSIONS
