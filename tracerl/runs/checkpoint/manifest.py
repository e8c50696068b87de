"""``manifest.json``: the contents of a checkpoint with a digest.

``parse`` raises a ValueError whose text completes a sentence about the file. ``compose`` raises a ConfigError.
"""

import hashlib
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import gymnasium
import numpy as np
import torch

import tracerl
from tracerl.config.checks import ConfigError
from tracerl.config.forms import each, fits, mapping, of_dict, optional, real, text, whole
from tracerl.runs.checkpoint import names, plain, tensors

FORMAT = 1  # incremented by changes that an older tracerl would read wrongly
LIMIT = 64 * 2**20  # largest manifest, bytes
MOST = 16 * 2**30  # largest sum of all files, bytes, to bound the memory

_FIELDS = {
    "format": whole(),
    "step": whole(0, names.LAST_STEP),
    "created": text,
    "versions": each(text),
    "files": each(of_dict({"bytes": whole(0, MOST), "sha256": text})),
    "info": mapping,
    "digest": text,
}


def compose(step: int, files: Mapping[str, bytes], info: Mapping[str, Any]) -> bytes:
    """Return the manifest of a checkpoint; a ConfigError if ``info`` is no JSON or exceeds a limit of the reader."""
    try:
        plain.check("info", dict(info))
        if not fits(optional(real), info.get("score")):
            raise ConfigError("info.score", f"must be a number or null, got {info['score']!r:.60}")
        manifest = {
            "format": FORMAT,
            "step": step,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            "files": {name: {"bytes": len(data), "sha256": sha256(data)} for name, data in files.items()},
            "info": dict(info),
        }
        data = render({**manifest, "digest": sha256(plain.canonical(manifest))})
    except UnicodeEncodeError as error:
        raise ConfigError("info", f"must be made of Unicode text, got {error.object[error.start]!r}") from None
    if len(data) > LIMIT:
        raise ConfigError("info", f"must take at most {LIMIT:,} bytes as JSON, got {len(data):,}: use tensors")
    if sum(map(len, files.values())) > MOST:
        raise ConfigError("parts", f"must take at most {MOST:,} bytes, got {sum(map(len, files.values())):,}")
    return data


def versions() -> dict[str, str]:
    """Return the versions of Python and of the main packages, by name."""
    modules = {"tracerl": tracerl, "torch": torch, "numpy": np, "gymnasium": gymnasium}
    return {"python": platform.python_version(), **{name: str(module.__version__) for name, module in modules.items()}}


def render(manifest: Mapping[str, Any]) -> bytes:
    """Return a manifest in canonical form: a line per key, each value in canonical JSON.

    The digest covers all other keys as canonical JSON in one line.
    """
    lines = [plain.canonical(key) + b": " + plain.canonical(manifest[key]) for key in manifest]
    return b"{\n" + b",\n".join(lines) + b"\n}\n"


def sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def parse(data: bytes) -> dict[str, Any]:
    """Read an untrusted manifest."""
    manifest = plain.loads(data)
    if not isinstance(manifest, dict):
        raise ValueError("is not a dict of JSON")
    check_format(manifest.get("format"), FORMAT)
    if manifest.keys() != _FIELDS.keys():
        raise ValueError(f"must have the keys {', '.join(sorted(_FIELDS))}; got {ascii(sorted(manifest))[:120]}")
    rest = {key: value for key, value in manifest.items() if key != "digest"}
    try:
        # The digest covers values. A value has several texts (1e-05, 1E-05), of which only the canonical one is valid.
        same = manifest["digest"] == sha256(plain.canonical(rest)) and render(manifest) == data
    except ValueError as error:
        raise ValueError(f"is not valid JSON: {ascii(str(error)[:120])}") from None
    if not same:
        raise ValueError("does not match its digest: it was changed after it was written")
    try:
        for name, check in _FIELDS.items():
            check(name, manifest[name])
    except ValueError as error:
        raise ValueError(f"has an invalid entry: {ascii(str(error))[:160]}") from None
    wrong = [name for name in manifest["files"] if not names.file_name(name)]
    if wrong:
        raise ValueError(f"lists a file that no part can have: {ascii(wrong[0])[:80]}")
    if sum(entry["bytes"] for entry in manifest["files"].values()) > MOST:
        raise ValueError(f"lists more than {MOST:,} bytes")
    return manifest


def header_of(data: bytes, key: str, known: int, missing: str) -> dict[str, Any]:
    """Return the JSON header of an untrusted safetensors file.

    Args:
        data: contents of the file.
        key: of the header in the file's metadata, the only one there.
        known: format number of the headers that can be read.
        missing: what to say of a file without such a header.
    """
    metadata = tensors.metadata_of(data)
    if metadata.keys() != {key}:
        raise ValueError(missing)
    header = plain.loads(metadata[key].encode())
    check_format(header.get("format") if isinstance(header, dict) else None, known)
    found: dict[str, Any] = header
    return found


def check_format(found: Any, known: int) -> None:
    """Raise a ValueError if the format number of a file is not the known one."""
    if not isinstance(found, int) or isinstance(found, bool):
        raise ValueError("has no format: it is not tracerl's")
    if found != known:
        age = "a newer" if found > known else "an older"
        raise ValueError(f"was written by {age} tracerl (format {str(found)[:20]}); this one reads {known}")
