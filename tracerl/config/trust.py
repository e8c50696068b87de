"""Check that the files of an untrusted saved run name only classes of a few packages."""

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
from tracerl.config.overrides import key_and_value

# tracerl, Gymnasium, and the packages of the envs in the project's yamls.
_PACKAGES = ("tracerl", "gymnasium", "ale_py", "minatar", "popgym")
# Packages and classes of tracerl that a config can name. Others open files, such as writers of logs and videos.
_PARTS = (
    "tracerl.agents",
    "tracerl.runs.checkpoint.schedule.CheckpointSettings",
    "tracerl.runs.deploy.DeploySettings",
    "tracerl.runs.evaluations.EvalSettings",
    "tracerl.nn.encoders",
    "tracerl.envs.spec.EnvSpec",
    "tracerl.nn.heads",
    "tracerl.runs.logging.csv_file.Csv",
    "tracerl.runs.logging.loggers.Loggers",
    "tracerl.runs.logging.mlflow.MLflow",
    "tracerl.runs.logging.tensorboard.EventStream",
    "tracerl.runs.logging.tensorboard.Silent",
    "tracerl.runs.logging.tensorboard.TensorBoard",
    "tracerl.runs.logging.wandb.WandB",
    "tracerl.nn.networks",
    "tracerl.optim",
    "tracerl.rules",
    "tracerl.nn.networks.tracetorch",
)
_ADDRESSES = ("tracking_uri", "entity")  # settings of loggers: where your data and password would go
_IDS = ("id", "env_id")  # keys of an env id: ``module:Id`` imports the module


def packages() -> frozenset[str]:
    """Return the trusted packages: those of tracerl's envs and the plugins of Gymnasium.

    Plugins are read from the metadata of installed packages, so later imports do not add any.
    """
    plugins = entry_points(group="gymnasium.envs")
    return frozenset({*_PACKAGES, *(re.split(r"[.:]", plugin.value)[0] for plugin in plugins)})


def check(tree: Any, key: str, source: Path, own: Sequence[str] = (), trust: bool = False) -> None:
    """Check a tree of a config from a saved run before it is built.

    Each ``_target_`` must be a class of ``_PARTS``, or a Gymnasium wrapper or space of the trusted packages. The id of
    an env must not import another module. No logger has an address. Interpolations must not call a resolver.

    Args:
        tree: nested mappings, sequences and values. Interpolations can be unresolved.
        key: dotted name of the tree; empty for the whole config.
        source: file of the saved run, for messages.
        own: overrides of the user's command line, which can name any class.
        trust: print each untrusted name instead of raising an error.

    Raises:
        ConfigError: naming the key, its value and the option that allows it.
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
    """Check that a resolved saved config has no interpolation in its values and keys.

    ``key`` is the dotted name of the tree, empty for the whole config. A ConfigError names the key.
    """
    for place, value in _leaves(tree, key):
        if "${" in place or (isinstance(value, str) and "${" in value):
            raise ConfigError(place, f"must be a value, not an interpolation, got {value!r:.80} ({source})")


def _untrusted(tree: Any, key: str, trusted: frozenset[str]) -> Iterator[tuple[str, Any, str]]:
    """Yield the dotted key and value of each untrusted entry, and the reason."""
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
        elif path[0] == "logger" and path[-1] in _ADDRESSES:
            yield place, value, "chooses where a log goes"
        elif ":" in value.partition("${")[2]:
            yield place, value, "calls a resolver"


def _leaves(tree: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield every leaf, empty containers included, with its dotted key."""
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
    """Return whether an env id imports no module or a module of a trusted package."""
    module, colon, name = env_id.partition(":")
    if "${" in env_id or ":" in name:
        return False
    return not colon or (re.fullmatch(r"\w+(\.\w+)*", module) is not None and module.split(".")[0] in trusted)


def _find(name: Any, trusted: frozenset[str]) -> Any:
    """Return the class of a dotted name, looked up like Hydra does, within the trusted packages.

    None if it is missing or a parent is no module of these packages.
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
    except Exception:  # a failing import can raise any error
        return None
    if isinstance(found, type) and found.__module__.split(".")[0] in trusted:
        return found
    return None


def _is_part(found: Any) -> bool:
    """Return whether an object is a class that may be built from a saved run."""
    if found is None:
        return False
    name = f"{found.__module__}.{found.__qualname__}"
    if any(name == part or name.startswith(f"{part}.") for part in _PARTS):
        return True
    import gymnasium
    from gymnasium.wrappers import RecordVideo  # writes files to any path

    return issubclass(found, (gymnasium.Wrapper, gymnasium.Space)) and not issubclass(found, RecordVideo)


def _names(override: str, place: str, name: Any) -> bool:
    """Return whether a user's override sets a key or a parent of it to the value found."""
    key, text = key_and_value(override)
    whole = rf"(?<![\w.]){re.escape(str(name))}(?![\w.])"
    return f"{place}.".startswith(f"{key}.") and re.search(whole, text) is not None
