"""An agent in one safetensors file: its state as tensors, what it was built from as JSON in the header.

The header's metadata hold one JSON text with a digest of the whole file, the format's number, versions, settings,
spaces and seeds. A file is written under a hidden name and synced before it takes its name. A digest notices damage; it
is no signature.

An agent that cannot be saved or a file that cannot be loaded raises a ConfigError that names it; ``unpack_agent`` a
ValueError whose text is the end of a sentence about the file.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gymnasium import Space

from tracerl.config.checks import ConfigError
from tracerl.config.trust import check_literal
from tracerl.lifetime.arguments import origin_of

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1  # raised by whatever an older tracerl would read wrongly

_KEY = "tracerl_agent"  # of the metadata
_DIGITS = 64  # of a SHA-256 in hexadecimal
_MARK = b'{\\"digest\\":\\"'  # before the digest, as JSON within JSON has it


@dataclass(frozen=True)
class AgentSpec:
    """What an agent was built from."""

    # JSON: ``agent``, the tree of ``_target_`` and arguments, all resolved; ``dtype``; ``device``
    settings: dict[str, Any]
    spaces: tuple[Space[Any], Space[Any]]  # of observations and of actions
    seeds: list[int]  # one per lifetime

    def write(self, agent: Any, path: str | Path) -> None:
        """Save the agent in a file; see ``write_agent``."""
        write_agent(agent, path)

    def reduce(self, agent: Any) -> tuple[Any, ...]:
        """Return what pickle keeps of the agent: the contents of its file."""
        from tracerl.runs.build import unpickled_agent

        return unpickled_agent, (pack_agent(agent),)


@dataclass(frozen=True)
class SavedAgent:
    """What a file holds."""

    spec: AgentSpec  # what the agent was built from
    engine: str  # that computed its steps; ``auto`` of an agent without engines
    mode: dict[str, bool]  # whether it was ``in_episode``, ``frozen`` and ``greedy``
    state: dict[str, "Tensor"]  # what its ``capture`` returned


def pack_agent(agent: Any) -> bytes:
    """Write an agent as the contents of a file.

    Raises:
        ConfigError: the agent was built by its class, so that its settings are not known, or one of its spaces is none
            of Gymnasium's own.
    """
    from tracerl.runs.checkpoint import manifest, plain, tensors
    from tracerl.runs.plain_spaces import to_plain

    spec: AgentSpec = origin_of(agent)
    check_literal(spec.settings, "settings", "a saved agent")
    told = {
        "digest": "0" * _DIGITS,
        "format": FORMAT,
        "versions": manifest.versions(),
        "settings": spec.settings,
        "spaces": [to_plain(space) for space in spec.spaces],
        "seeds": spec.seeds,
        "engine": getattr(agent, "engine", "auto"),
        "mode": {
            "in_episode": getattr(agent, "in_episode", False),
            "frozen": getattr(agent, "frozen", False),
            "greedy": getattr(getattr(agent, "head", None), "greedy", False),
        },
    }
    plain.check("agent", told)
    data = tensors.pack("agent", agent.capture(), {_KEY: plain.canonical(told).decode()})
    start, digest = _digest(data)
    return data[:start] + digest + data[start + _DIGITS :]


def _digest(data: bytes) -> tuple[int, bytes]:
    """Return where the digest stands in a file, and what it is of the rest."""
    start = data.find(_MARK) + len(_MARK)
    found = hashlib.sha256(data[:start])
    found.update(memoryview(data)[start + _DIGITS :])
    return start, found.hexdigest().encode()


def unpack_agent(data: bytes) -> SavedAgent:
    """Read the contents of a file that may come from anywhere; nothing is built or imported."""
    from tracerl.runs.checkpoint import manifest, plain, tensors
    from tracerl.runs.plain_spaces import from_plain

    metadata = tensors.metadata_of(data)
    if metadata.keys() != {_KEY}:
        raise ValueError("holds no agent that tracerl saved")
    told = plain.loads(metadata[_KEY].encode())
    manifest.check_format(told.get("format") if isinstance(told, dict) else None, FORMAT)
    start, digest = _digest(data)
    if data[start : start + _DIGITS] != digest:
        raise ValueError("does not match its digest: it is damaged, or was changed after it was written")
    state = tensors.unpack(data, described=True)
    try:
        settings, spaces, seeds = told["settings"], told["spaces"], told["seeds"]
        engine, mode = told["engine"], told["mode"]
        fits = {type(seed) for seed in seeds} == {int} and {type(flag) for flag in mode.values()} == {bool}
        fits = fits and mode.keys() == {"in_episode", "frozen", "greedy"} and isinstance(settings["agent"], dict)
        observations, actions = map(from_plain, spaces)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"lacks what an agent is built from: {error!r:.80}") from error
    if not fits or settings.keys() != {"agent", "dtype", "device"}:
        raise ValueError("has settings, seeds or a mode of another kind")
    check_literal(settings, "settings", "a saved agent")
    return SavedAgent(AgentSpec(settings, (observations, actions), seeds), engine, mode, state)


def write_agent(agent: Any, path: str | Path) -> None:
    """Save an agent in a file and wait until it is on the disk.

    After a kill or a loss of power the file is the old one or the new one. One process writes a file at a time.
    """
    from tracerl.runs.files import write_atomic

    write_atomic(Path(os.path.realpath(path)), pack_agent(agent))  # a link stays, what it names is replaced


def read_agent(path: str | Path) -> SavedAgent:
    """Read the file of an agent that may come from anywhere: all of it verifies, or nothing of it is used."""
    from tracerl.runs.checkpoint import manifest
    from tracerl.runs.checkpoint.folder import BadCheckpoint, Folder

    target = Path(os.path.realpath(path))
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
