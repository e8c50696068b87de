"""Hydra's errors, in words that name the key on the command line."""

import difflib
import re
from collections.abc import Sequence
from typing import Any

import hydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from tracerl.config import hydra_compat
from tracerl.config.checks import ConfigError


def explain(error: Exception, arguments: Sequence[str]) -> str:
    """Turn an error of Hydra's into one screen that names the key and lists what exists."""
    message = str(error)
    if isinstance(error, MissingConfigException):
        there = f"\nThere are: {', '.join(error.options)}" if error.options else ""
        return message.splitlines()[0] + _extra_for(message) + there
    if "Missing mandatory value" in message:
        return str(missing(message))
    found = re.search(r"Could not override '([^']+)'", message)
    if found is None:
        return message.strip()
    key = found[1].split("@")[0]
    others = [argument for argument in arguments if not argument.startswith(f"{key}=")]
    parent, _, name = key.rpartition(".")
    exists = _keys_of(parent, others)
    while parent and not exists:  # the typo is further up
        parent, _, name = parent.rpartition(".")
        exists = _keys_of(parent, others)
    path = f"{parent}." if parent else ""
    if name in exists:
        return f"{path}{name} is a value, there is no {key} in it"
    near = difflib.get_close_matches(name, exists, 1, cutoff=0.5)
    hint = f" Did you mean {path}{near[0]}?" if near else ""
    return (
        f"there is no {path}{name}.{hint}\n{f'Keys of {parent}' if parent else 'Keys and groups'}: {', '.join(exists)}"
    )


def refuse_options(arguments: Sequence[str]) -> None:
    """Raise a ConfigError for a key that is written as an option, such as ``--env CartPole``."""
    for argument, following in zip(arguments, [*arguments[1:], "-"], strict=True):
        found = re.fullmatch(r"--(([a-z_]+)[\w.-]*)(?:=(.*))?", argument)
        if found is not None and found[2] in _keys_of("", []):
            value = found[3] or ("..." if following.startswith("-") or "=" in following else following)
            raise ConfigError(argument, f"is not an option: settings are written as KEY=VALUE, {found[1]}={value}")


def _extra_for(message: str) -> str:
    """Say what to install where a launcher or sweeper is missing that a package brings."""
    plugins = "joblib|optuna|ray|submitit_local|submitit_slurm"
    if re.search(rf"hydra/(launcher|sweeper)/({plugins})\b", message) is None:
        return ""
    return ': pip install "tracerl[sweep]"'


def _keys_of(parent: str, arguments: list[str]) -> list[str]:
    """List the keys under a dotted name, in the config with the groups that the command line chose."""
    chosen = [argument for argument in arguments if re.fullmatch(r"\w+=[\w.-]+", argument)]
    for overrides in (chosen, []):
        try:
            with hydra_compat.configs("tracerl.configs"):
                node: Any = hydra.compose("run", overrides)
            for part in filter(None, parent.split(".")):
                node = node[part]
            return sorted(str(key) for key in node if key != "_target_")
        except (HydraException, OmegaConfBaseException, KeyError, TypeError):
            continue
    return []


def missing(message: str) -> ConfigError:
    """Turn Hydra's words about a value that was not given into an error that names its key."""
    key = re.search(r"Missing mandatory value: ([\w.]+)", message)
    name = key[1] if key else "a setting"
    return ConfigError(name, f"must be given: {name}=...")
