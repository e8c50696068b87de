"""Save and read an agent in one safetensors file: its state as tensors, its settings as JSON in the header.

The metadata of the header hold one JSON text with a digest of the whole file, the number of the format, versions,
settings, spaces and seeds. A file is written and synced under a temporary name, then renamed. The digest detects
damage. It is no signature.

An agent that cannot be saved and a file that cannot be loaded raise a ConfigError with its name. ``unpack_agent``
raises a ValueError whose text completes a sentence about the file.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gymnasium import Space

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.config.trust import check_literal
from tracerl.lifetime.arguments import origin_of

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1  # incremented by changes that an older tracerl would read wrongly

_KEY = "tracerl_agent"  # key of the metadata
_DIGITS = 64  # digits of a hexadecimal SHA-256
_MARK = b'{\\"digest\\":\\"'  # bytes before the digest: JSON within JSON


@dataclass(frozen=True)
class AgentSpec:
    """The settings, spaces and seeds that an agent was built from."""

    settings: dict[str, Any]  # ``agent``, the resolved tree of ``_target_`` and arguments; ``dtype``; ``device``
    spaces: tuple[Space[Any], Space[Any]]  # observation and action space
    seeds: list[int]  # one seed per lifetime

    def write(self, agent: Any, path: str | Path) -> None:
        """Save the agent in a file; see ``write_agent``."""
        write_agent(agent, path)

    def copies(self, agent: Any, n: int) -> Any:
        """Build an agent of ``n`` lifetimes, each with the state of ``agent``; see ``AgentOrigin.copies``."""
        from tracerl.runs.build import copied_agent

        return copied_agent(agent, n)

    def reduce(self, agent: Any) -> tuple[Any, ...]:
        """Return the pickled form of the agent: the contents of its file."""
        from tracerl.runs.build import unpickled_agent

        return unpickled_agent, (pack_agent(agent),)


@dataclass(frozen=True)
class SavedAgent:
    """The contents of a file."""

    spec: AgentSpec  # settings, spaces and seeds
    engine: str  # engine of its steps; ``auto`` for an agent without engines
    mode: dict[str, bool]  # flags ``in_episode``, ``frozen`` and ``greedy``
    on_nonfinite: str  # see ``make_agent``; ``raise`` for an agent that does not check its inputs
    state: dict[str, "Tensor"]  # result of ``agent.capture``


def pack_agent(agent: Any) -> bytes:
    """Return an agent as the contents of a file.

    Raises:
        ConfigError: the agent was built by its class, so that its settings are unknown, or a space is not Gymnasium's.
    """
    from tracerl.runs.checkpoint import manifest, plain, tensors
    from tracerl.runs.plain_spaces import to_plain

    spec: AgentSpec = origin_of(agent)
    check_literal(spec.settings, "settings", "a saved agent")
    header = {
        "digest": "0" * _DIGITS,
        "format": FORMAT,
        "versions": manifest.versions(),
        "settings": spec.settings,
        "spaces": [to_plain(space) for space in spec.spaces],
        "seeds": spec.seeds,
        "engine": getattr(agent, "engine", "auto"),
        "on_nonfinite": getattr(agent, "on_nonfinite", "raise"),
        "mode": {
            "in_episode": getattr(agent, "in_episode", False),
            "frozen": getattr(agent, "frozen", False),
            "greedy": getattr(getattr(agent, "head", None), "greedy", False),
        },
    }
    plain.check("agent", header)
    data = tensors.pack("agent", agent.capture(), {_KEY: plain.canonical(header).decode()})
    start, digest = _digest(data)
    return data[:start] + digest + data[start + _DIGITS :]


def _digest(data: bytes) -> tuple[int, bytes]:
    """Return the offset of the digest in a file, and the digest of the other bytes."""
    start = data.find(_MARK) + len(_MARK)
    found = hashlib.sha256(data[:start])
    found.update(memoryview(data)[start + _DIGITS :])
    return start, found.hexdigest().encode()


def unpack_agent(data: bytes) -> SavedAgent:
    """Read the contents of an untrusted file. Nothing is built or imported."""
    from tracerl.runs.checkpoint import manifest, tensors
    from tracerl.runs.plain_spaces import from_plain

    header = manifest.header_of(data, _KEY, FORMAT, "holds no agent that tracerl saved")
    start, digest = _digest(data)
    if data[start : start + _DIGITS] != digest:
        raise ValueError("does not match its digest: it is damaged, or was changed after it was written")
    state = tensors.unpack(data, described=True)
    try:
        settings, spaces, seeds = header["settings"], header["spaces"], header["seeds"]
        engine, mode = header["engine"], header["mode"]
        on_nonfinite = header.get("on_nonfinite", "raise")  # files before 2026-12-02 lack it
        fits = {type(seed) for seed in seeds} == {int} and {type(flag) for flag in mode.values()} == {bool}
        fits = fits and mode.keys() == {"in_episode", "frozen", "greedy"} and isinstance(settings["agent"], dict)
        fits = fits and on_nonfinite in ("raise", "skip")
        observations, actions = map(from_plain, spaces)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"lacks what an agent is built from: {error!r:.80}") from error
    if not fits or settings.keys() != {"agent", "dtype", "device"}:
        raise ValueError("has settings, seeds or a mode of another kind")
    check_literal(settings, "settings", "a saved agent")
    return SavedAgent(AgentSpec(settings, (observations, actions), seeds), engine, mode, on_nonfinite, state)


def write_agent(agent: Any, path: str | Path) -> None:
    """Save an agent in a file and wait until it is on the disk.

    After a kill or a power loss the file is either the old or the new one. A file has one writer at a time.
    """
    from tracerl.runs.files import write_named

    target = os.path.realpath(checks.path("path", path))
    write_named(Path(target), pack_agent(agent))  # a link is kept, and its target is replaced


def read_agent(path: str | Path) -> SavedAgent:
    """Read the untrusted file of an agent. The whole file is verified before any of it is used."""
    from tracerl.runs.checkpoint import manifest
    from tracerl.runs.checkpoint.folder import BadCheckpoint, Folder

    target = Path(os.path.realpath(checks.path("path", path)))
    try:
        with Folder(target.parent) as folder:
            size = folder.size(target.name)
            if size > manifest.MOST:
                raise ValueError(f"has {size:,} bytes, more than {manifest.MOST:,}")
            return unpack_agent(folder.read(target.name, size))
    except BadCheckpoint as error:
        raise ConfigError(str(path), f"cannot be loaded: {error.problem.partition(': ')[2]}") from error
    except ValueError as error:
        raise ConfigError(str(path), f"cannot be loaded: it {error}") from error
