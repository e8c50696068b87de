"""What the files of a saved run may name: nothing that runs code from outside a few packages, unless it is trusted."""

import importlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from tracerl.config.checks import ConfigError
from tracerl.config.moved import current

# tracerl, Gymnasium, and those that the project's own yamls name envs of.
_PACKAGES = ("tracerl", "gymnasium", "ale_py", "minatar")
# Packages and classes of tracerl that a config is made of. Others open files, such as the writers of logs and videos.
_PARTS = (
    "tracerl.agents",
    "tracerl.runs.checkpoint.schedule.CheckpointSettings",
    "tracerl.nn.encoders",
    "tracerl.envs.spec.EnvSpec",
    "tracerl.nn.heads",
    "tracerl.runs.logging.tensorboard.Silent",
    "tracerl.runs.logging.tensorboard.TensorBoard",
    "tracerl.nn.networks",
    "tracerl.optim",
    "tracerl.rules",
    "tracerl.nn.networks.tracetorch",
)
_IDS = ("id", "env_id")  # of an env: ``module:Id`` imports the module


def packages() -> frozenset[str]:
    """Return the trusted packages: those of tracerl's own envs, and those that Gymnasium loads as its plugins.

    Plugins are read from the metadata of what is installed, so nothing that was imported later joins them.
    """
    plugins = entry_points(group="gymnasium.envs")
    return frozenset({*_PACKAGES, *(re.split(r"[.:]", plugin.value)[0] for plugin in plugins)})


def check(tree: Any, key: str, source: Path, own: Sequence[str] = (), trust: bool = False) -> None:
    """Check a tree of a config that comes from a saved run, before anything of it is built.

    A ``_target_``, wherever it is nested, must be a class: one of ``_PARTS``, or a Gymnasium wrapper or space out of
    the trusted packages. The id of an env must import no other module. Interpolations must call no resolver.

    Args:
        tree: nested mappings, sequences and values; interpolations in it may be unresolved.
        key: dotted name of the tree; empty for the whole config.
        source: file of the saved run, for messages.
        own: overrides of the user's own command line; what they name is free.
        trust: raise nothing; print a line for each name that is not trusted.

    Raises:
        ConfigError: naming the key, its value and what allows it.
    """
    trusted = packages()
    for place, name, why in _untrusted(tree, key, trusted):
        if any(_names(override, place, name) for override in own):
            continue
        if not trust:
            problem = f"is {name!r}: it comes from a saved run ({source}) and {why}"
            raise ConfigError(place, f"{problem}; --trust (trust=True from Python) allows it, if you trust its maker")
        print(f"trusted: {place}={name} of {source} will be run", file=sys.stderr, flush=True)


def check_literal(tree: Any, key: str, source: str | Path) -> None:
    """Check that a saved config, which is written resolved, has no interpolation among its values and keys.

    Args:
        tree: nested mappings, sequences and values.
        key: dotted name of the tree; empty for the whole config.
        source: what was saved, for messages.

    Raises:
        ConfigError: naming the key.
    """
    for place, value in _leaves(tree, key):
        if "${" in place or (isinstance(value, str) and "${" in value):
            raise ConfigError(place, f"must be a value, not an interpolation, got {value!r:.80} ({source})")


def _untrusted(tree: Any, key: str, trusted: frozenset[str]) -> Iterator[tuple[str, Any, str]]:
    """Yield the dotted key and the value of what is not trusted, and why it is not."""
    listed = ", ".join(sorted(trusted))
    for place, value in _leaves(tree, key):
        path = place.split(".")
        if "_target_" in path:
            if str(value).split(".")[0] not in trusted:
                yield place, value, f"is outside the trusted packages ({listed})"
            elif not _is_part(_find(value, trusted)):
                yield place, value, "is neither a part of an agent or run of tracerl nor a Gymnasium wrapper or space"
        elif not isinstance(value, str):
            continue
        elif (path[-1] in _IDS or "_args_" in path) and not _is_plain(value, trusted):
            yield place, value, f"imports a module outside the trusted packages ({listed})"
        elif ":" in value.partition("${")[2]:
            yield place, value, "calls a resolver"


def _leaves(tree: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield every value that is no container, and every empty container, with its dotted key."""
    items: Any = ()
    if isinstance(tree, Mapping):
        items = tree.items()
    elif isinstance(tree, (list, tuple)):
        items = enumerate(tree)
    if not items:
        yield key, tree
    for name, value in items:
        yield from _leaves(value, f"{key}.{name}" if key else str(name))


def _is_plain(env_id: str, trusted: frozenset[str]) -> bool:
    """Say whether an env's id imports nothing, or a module of a trusted package."""
    module, colon, name = env_id.partition(":")
    if "${" in env_id or ":" in name:
        return False
    return not colon or (re.fullmatch(r"\w+(\.\w+)*", module) is not None and module.split(".")[0] in trusted)


def _find(name: Any, trusted: frozenset[str]) -> Any:
    """Return what a dotted name stands for, looked up as Hydra does, without leaving the trusted packages.

    Returns:
        None where the way there leads over what is no module of these packages, or nothing is there.
    """
    if not isinstance(name, str) or not re.fullmatch(r"\w+(\.\w+)+", name):
        return None
    parts = current(name).split(".")
    try:
        found: Any = importlib.import_module(parts[0])
        for i, part in enumerate(parts[1:], 2):
            if not isinstance(found, ModuleType) or found.__name__.split(".")[0] not in trusted:
                return None
            found = getattr(found, part) if hasattr(found, part) else importlib.import_module(".".join(parts[:i]))
    except Exception:  # whatever a module raises that cannot be imported here
        return None
    if isinstance(found, type) and found.__module__.split(".")[0] in trusted:
        return found
    return None


def _is_part(found: Any) -> bool:
    """Say whether something is a class that may be built from a saved run."""
    if found is None:
        return False
    name = f"{found.__module__}.{found.__qualname__}"
    if any(name == part or name.startswith(f"{part}.") for part in _PARTS):
        return True
    import gymnasium
    from gymnasium.wrappers import RecordVideo  # writes files, wherever it is told to

    return issubclass(found, (gymnasium.Wrapper, gymnasium.Space)) and not issubclass(found, RecordVideo)


def _names(override: str, place: str, name: Any) -> bool:
    """Say whether an override of the user's own sets a key, or one above it, to what is found there."""
    key, _, text = override.lstrip("+~").partition("=")
    whole = rf"(?<![\w.]){re.escape(str(name))}(?![\w.])"
    return f"{place}.".startswith(f"{key}.") and re.search(whole, text) is not None
