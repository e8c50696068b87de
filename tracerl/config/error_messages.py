"""Messages for Hydra's errors that name the key on the command line."""

import difflib
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, QuotedString, Sweep
from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from tracerl.config.checks import ConfigError
from tracerl.config.hydra_compat import compose
from tracerl.config.search_path import search_path

_CONFIGS = "tracerl.configs"  # package


def explain(error: Exception, arguments: Sequence[str]) -> str:
    """Return a message for an error of Hydra with the key and the existing keys or choices."""
    message = str(error)
    if isinstance(error, MissingConfigException):
        there = f"\nThere are: {', '.join(error.options)}" if error.options else ""
        plugin = re.search(r"hydra/(launcher|sweeper)/(joblib|optuna|ray|submitit_local|submitit_slurm)\b", message)
        resumed = any(argument.startswith("resume=") for argument in arguments) and not search_path(arguments)
        again = "\nA run that was started with --config-dir needs it again" if resumed else ""
        return message.splitlines()[0] + (': pip install "tracerl[sweep]"' if plugin else "") + there + again
    if "Missing mandatory value" in message:
        return str(missing(message))
    found = re.search(r"Could not override '([^']+)'", message)
    if found is None:
        return message.strip()
    key = found[1].split("@")[0]
    others = [argument for argument in arguments if not argument.startswith(f"{key}=")]
    inner = re.search(r"full_key: (\S+)", str(error.__cause__))
    if inner is not None and inner[1].startswith(f"{key}."):  # of a mapping: checkpoint={evry: 3}
        key = inner[1]
    parent, _, name = key.rpartition(".")
    exists = _keys_of(parent, others)
    while parent and not exists:  # the typo is in a parent key
        parent, _, name = parent.rpartition(".")
        exists = _keys_of(parent, others)
    path = f"{parent}." if parent else ""
    if name in exists:
        return f"{path}{name} is a value, there is no {key} in it"
    agent = next((argument for argument in reversed(others) if argument.startswith("agent=")), None)
    if not exists or (agent is not None and not parent and name in _groups()):
        listed = f".\nKeys and groups: {', '.join(exists)}" if exists else ""
        return f"there is no {key}" + (f" with {agent}" if agent else "") + listed
    near = difflib.get_close_matches(name, exists, 1, cutoff=0.5)
    hint = f" Did you mean {path}{near[0]}?" if near else ""
    whose = f"Keys of {parent}" if parent else "Keys and groups"
    return f"there is no {path}{name}.{hint}\n{whose}: {', '.join(exists)}"


def refuse_options(arguments: Sequence[str]) -> None:
    """Raise a ConfigError for a key that is written as an option, such as ``--env CartPole``, or is not UTF-8."""
    for argument in arguments:
        if not argument.isascii() and argument.encode("utf-8", "ignore").decode("utf-8") != argument:
            key, _, value = argument.partition("=")
            raise ConfigError(ascii(key)[1:-1], f"must be UTF-8, got {ascii(value)}")
    for argument, following in zip(arguments, [*arguments[1:], "-"], strict=True):
        found = re.fullmatch(r"--(([a-z_]+)[\w.-]*)(?:=(.*))?", argument)
        if found is not None and found[2] in _keys_of("", []):
            value = found[3] or ("..." if following.startswith("-") or "=" in following else following)
            raise ConfigError(argument, f"is not an option: settings are written as KEY=VALUE, {found[1]}={value}")


def check_choices(arguments: Sequence[str]) -> None:
    """Raise a ConfigError for a group of the config whose choice is no name, such as ``logger=null``."""
    for argument in arguments:
        key = argument.partition("=")[0].lstrip("+").partition("@")[0]
        folder = files(_CONFIGS) / key
        if "=" not in argument or not key or not folder.is_dir():
            continue
        try:
            override = OverridesParser.create().parse_override(argument)
        except HydraException:
            continue  # Hydra's own message follows
        chosen = override.value()
        for choice in chosen.list if isinstance(chosen, ChoiceSweep) else [chosen]:
            names = choice if isinstance(choice, list) else [choice]
            if not isinstance(choice, Sweep) and not all(isinstance(name, (str, QuotedString)) for name in names):
                choices = ", ".join(sorted(path.name[:-5] for path in folder.iterdir() if path.name.endswith(".yaml")))
                wanted = f"one of {choices}" if choices else "chosen by name"
                raise ConfigError(key, f"must be {wanted}, got {argument.partition('=')[2]}")


def _groups() -> set[str]:
    """Return the names of the groups of the config, those that only some agents have included."""
    return {path.name for path in files(_CONFIGS).iterdir() if path.is_dir()}


def _keys_of(parent: str, arguments: Sequence[str]) -> list[str]:
    """Return the keys under a dotted name in the config with the chosen groups; none if it has no such name."""
    node: Any = _with_choices(arguments)
    try:
        for part in filter(None, parent.split(".")):
            node = node[part]
        return sorted(str(key) for key in node if key != "_target_")
    except (OmegaConfBaseException, KeyError, TypeError):
        return []


def _with_choices(arguments: Sequence[str]) -> Any:
    """Return the config with the chosen groups, without those that it does not have; None if it cannot be composed."""
    chosen, path = [text for text in arguments if re.fullmatch(r"\w+=[\w.-]+", text)], search_path(arguments)
    while True:
        try:
            return compose([*chosen, *path])
        except (HydraException, OmegaConfBaseException) as error:
            found = re.search(r"Could not override '([^'@]+)", str(error))
            kept = [text for text in chosen if found is not None and not text.startswith(f"{found[1]}=")]
            if found is None or len(kept) == len(chosen):
                return None
            chosen = kept


def missing(message: str) -> ConfigError:
    """Return an error with the key for Hydra's error about a missing value."""
    key = re.search(r"Missing mandatory value: ([\w.]+)", message)
    name = key[1] if key else "a setting"
    return ConfigError(name, f"must be given: {name}=...")
