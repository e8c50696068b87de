"""From a group of the config to what its ``_target_`` names, with errors that name the key on the command line."""

import inspect
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from tracerl.config import trust
from tracerl.config.checks import ConfigError
from tracerl.config.error_messages import missing
from tracerl.config.hydra_compat import NotBuilt, instantiate
from tracerl.config.moved import current

_OPEN = re.compile(r"^((env|optimizer\.\w+)\.kwargs\.|agent\.critic[.=])")


def open_keys(overrides: list[str]) -> list[str]:
    """Put a ++ before settings whose keys others name (env, optimiser, critic): Hydra wants it for what is new."""
    return [_OPEN.sub(r"++\g<0>", override) for override in overrides]


def value(cfg: DictConfig, key: str) -> Any:
    """Return a setting that another group may have left open."""
    try:
        return OmegaConf.select(cfg, key, throw_on_missing=True)
    except OmegaConfBaseException as error:
        if isinstance(error, MissingMandatoryValue):
            raise missing(str(error)) from error
        raise ConfigError(key, f"cannot be worked out: {str(error).splitlines()[0]}") from error


def with_current_targets(cfg: DictConfig) -> DictConfig:
    """Return a config in which each ``_target_`` of tracerl 0.1 is named as today; itself where there is none."""
    plain = OmegaConf.to_container(cfg)
    renamed = _with_current_targets(plain)
    return cfg if renamed == plain else OmegaConf.create(renamed)


def _with_current_targets(tree: Any) -> Any:
    if isinstance(tree, dict):
        targets = {"_target_": current(tree["_target_"])} if isinstance(tree.get("_target_"), str) else {}
        return {key: _with_current_targets(part) for key, part in tree.items()} | targets
    return [_with_current_targets(part) for part in tree] if isinstance(tree, list) else tree


def build(cfg: DictConfig, key: str, partly: bool = False, saved: Path | None = None) -> Any:
    """Build what the ``_target_`` of a group names, with errors that name the key on the command line.

    Args:
        cfg: the whole config.
        key: of the group.
        partly: return a function that takes the remaining arguments.
        saved: the saved run's file that the config comes from, where it is not trusted: see ``tracerl.config.trust``.
    """
    cfg = with_current_targets(cfg)
    if saved is not None:
        trust.check(OmegaConf.to_container(cfg[key], resolve=True), key, saved)
    _check_known(cfg[key], key)
    trusted = None if saved is None else trust.packages()
    try:
        return instantiate(cfg[key], trusted, _convert_="all", _partial_=partly)
    except NotBuilt as error:
        where = re.sub(r"(?<=[a-z])(\d+)$", r".\1", error.key)  # wrappers.0, for wrappers0
        inner = where.removeprefix("agent.")
        where = inner if inner.split(".")[0] in cfg else where  # an agent's parts are groups of their own
        if isinstance(error.reason, ConfigError):
            raise error.reason.under(where) from error
        raise ConfigError(where, f"cannot be built: {error.reason}") from error
    except InstantiationException as error:
        raise ConfigError(key, f"cannot be built: {error}") from error
    except MissingMandatoryValue as error:
        raise missing(str(error)) from error


def _check_known(node: DictConfig, key: str) -> None:
    """Raise a ConfigError for a setting added with ``+`` that what a group builds does not take."""
    target = node["_target_"]
    try:
        taken = _taken(hydra.utils.get_object(target))
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        reason = error.__cause__ or error
        raise ConfigError(
            f"{key}._target_", f"must name a class that can be imported, got {target!r}: {reason}"
        ) from error
    names = [str(name) for name in node]
    for name in names:
        if name not in taken and name != "_target_":
            exists = sorted(other for other in names if other in taken)
            raise ConfigError(f"{key}.{name}", f"does not exist. Keys of {key}: {', '.join(exists)}")


def _taken(built: Any) -> set[str]:
    """Return the settings that a class or function takes; with ``**settings`` those of its dataclass ``Settings``."""
    settings = getattr(built, "Settings", None)
    own = {field.name for field in fields(settings)} if is_dataclass(settings) else set()
    return set(inspect.signature(built).parameters) | own
