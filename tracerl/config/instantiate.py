"""Build the ``_target_`` of a group of the config. Errors name the key on the command line."""

import copy
import inspect
import re
import warnings
from dataclasses import MISSING, Field, fields, is_dataclass
from importlib.resources import files
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
from tracerl.config.moved import HEAD, HEAD_GROUP, HEAD_TARGET, current

_OPEN = re.compile(rf"^(((env|optimizer\.\w+)\.kwargs|callbacks|agent\.critic)[.=]|agent\.({'|'.join(HEAD)})=)")


def open_keys(overrides: list[str]) -> list[str]:
    """Add ++ to overrides of open groups (env, optimiser, critic, callbacks) and of moved keys, as Hydra requires."""
    return [_OPEN.sub(r"++\g<0>", override) for override in overrides]


def value(cfg: DictConfig, key: str) -> Any:
    """Return a setting that can depend on another group."""
    try:
        return OmegaConf.select(cfg, key, throw_on_missing=True)
    except OmegaConfBaseException as error:
        if isinstance(error, MissingMandatoryValue):
            raise missing(str(error)) from error
        raise ConfigError(key, f"cannot be resolved: {str(error).splitlines()[0]}") from error


def with_current_keys(cfg: DictConfig, category: type[Warning] | None) -> DictConfig:
    """Return a config whose settings of a head under ``agent`` are moved to ``head``; ``cfg`` is not changed.

    This is done for an agent that accepts a head and does not accept these settings. A custom ``agent.head`` gets only
    the settings of the group that it accepts. The classes of both are imported; a ConfigError names a missing one.
    A warning of this category, if any, names the settings.
    """
    agent = cfg.get("agent") or {}
    old = [name for name in HEAD if name in agent]
    taken = _taken(agent["_target_"], "agent") if old else set()
    old = [] if "head" not in taken or taken & set(old) else old
    left = _left_over(agent.get("head"))
    if not old and not left:
        return cfg
    cfg = copy.deepcopy(cfg)
    OmegaConf.set_struct(cfg, False)
    moved = {name: cfg.agent.pop(name) for name in old}
    for name in left:
        cfg.agent.head.pop(name)
    if not old:
        return cfg
    if category is not None:
        warnings.warn("; ".join(f"agent.{name} is now head.{name}" for name in old), category, stacklevel=3)
    if cfg.agent.get("head") is None:
        cfg.agent.head = "${head}" if "head" in cfg else {"_target_": HEAD_TARGET}
    if cfg.agent.head.get("_target_") == HEAD_TARGET:
        cfg.agent.head.update(moved)
    return cfg


def _left_over(head: Any) -> list[str]:
    """Return the settings of the group ``head`` that a custom head, merged over ``${head}``, does not accept."""
    if not isinstance(head, DictConfig) or head.get("_target_", HEAD_TARGET) == HEAD_TARGET:
        return []
    found = [name for name in HEAD_GROUP if name in head]
    return sorted(set(found) - _taken(head["_target_"], "agent.head")) if found else []


def _renamed_targets(tree: Any) -> Any:
    """Return a tree with the current name of each ``_target_`` of tracerl 0.1."""
    if isinstance(tree, dict):
        targets = {"_target_": current(tree["_target_"])} if isinstance(tree.get("_target_"), str) else {}
        return {key: _renamed_targets(part) for key, part in tree.items()} | targets
    return [_renamed_targets(part) for part in tree] if isinstance(tree, list) else tree


def build(cfg: DictConfig, key: str, partly: bool = False, saved: Path | None = None) -> Any:
    """Build the ``_target_`` of a group. Errors name the key on the command line.

    Args:
        cfg: the whole config.
        key: key of the group.
        partly: return a function of the remaining arguments.
        saved: the untrusted file that the config comes from, if any; see ``tracerl.config.trust``.
    """
    plain = OmegaConf.to_container(cfg)
    renamed_targets = _renamed_targets(plain)
    cfg = cfg if renamed_targets == plain else OmegaConf.create(renamed_targets)
    for renamed in (False, True):  # the second check imports the agent's class, after the first found it trusted
        if renamed and key == "agent":
            cfg = with_current_keys(cfg, DeprecationWarning if saved is None else None)
        if saved is not None:
            trust.check(OmegaConf.to_container(cfg[key], resolve=True), key, saved)
    _check_known(cfg[key], key)
    trusted = None if saved is None else trust.packages()
    try:
        return instantiate(cfg[key], trusted, _convert_="all", _partial_=partly)
    except NotBuilt as error:
        where = re.sub(r"(?<=[a-z])(\d+)$", r".\1", error.key)  # wrappers.0, for wrappers0
        inner = where.removeprefix("agent.")
        where = inner if inner.split(".")[0] in cfg else where  # parts of an agent are separate groups
        if isinstance(error.reason, ConfigError):
            raise error.reason.under(where) from error
        unknown = _unknown(cfg, where) if isinstance(error.reason, TypeError) else None
        raise unknown or ConfigError(where, f"cannot be built: {' '.join(str(error.reason).split())}") from error
    except InstantiationException as error:
        raise ConfigError(key, f"cannot be built: {' '.join(str(error).split())}") from error
    except MissingMandatoryValue as error:
        raise missing(str(error)) from error


def _check_known(node: DictConfig, key: str) -> None:
    """Raise a ConfigError for a setting that the target of a group does not accept, and for one that it lacks."""
    if not _is_target(node):
        raise ConfigError(key, f"must be settings with a _target_, got {'null' if node is None else node}")
    taken = _taken(node["_target_"], key)
    names = [str(name) for name in node if name != "_target_"]
    unknown = [name for name in names if name not in taken]
    if key == "logger":
        unknown = [name for name in unknown if not _is_target(node[name])]  # others are loggers
    elif _takes_any(node["_target_"]):
        unknown = []
    if unknown:
        exists = sorted(name for name in names if name in taken) or sorted(taken)
        raise ConfigError(f"{key}.{unknown[0]}", f"does not exist. Keys of {key}: {', '.join(exists)}")
    for field in _settings(hydra.utils.get_object(node["_target_"])):
        if field.default is MISSING and field.default_factory is MISSING and field.name not in names:
            raise ConfigError(f"{key}.{field.name}", "must be set")


def _unknown(cfg: DictConfig, where: str) -> ConfigError | None:
    """Return an error for the first setting of a part of the config that its target does not accept; None: all are."""
    part = OmegaConf.select(cfg, where)
    if not _is_target(part):
        return None
    parameters = inspect.signature(hydra.utils.get_object(part["_target_"])).parameters.values()
    taken, names = {parameter.name for parameter in parameters}, [str(name) for name in part if name != "_target_"]
    unknown = [name for name in names if name not in taken]
    if not unknown or any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    accepted = ", ".join(sorted(name for name in taken if name in names))
    problem = f"does not exist for {part['_target_']}, which has {accepted}{_of_other_kinds(where, unknown[0])}"
    return ConfigError(f"{where}.{unknown[0]}", problem)


def _of_other_kinds(where: str, name: str) -> str:
    """Return in words for which kinds of observations ``auto`` has a setting; empty if it has none of that name."""
    group, *path = where.split(".")
    file = files("tracerl.configs") / group / "auto.yaml"
    if not file.is_file():
        return ""
    raw: Any = OmegaConf.to_container(OmegaConf.create(file.read_text(encoding="utf-8")), resolve=False)
    for key in (*path, name):
        raw = raw.get(key) if isinstance(raw, dict) else None
    kinds = [kind for kind in ("vectors", "images") if isinstance(raw, str) and f"{kind}:" in raw]
    return f"; {group}=auto has it for {kinds[0]} alone" if len(kinds) == 1 else ""


def _is_target(node: Any) -> bool:
    """Return whether a setting is to be built itself, as each logger is."""
    return isinstance(node, DictConfig) and "_target_" in node


def _takes_any(target: str) -> bool:
    """Return whether a class or function has ``**settings`` and does not say which these are."""
    built = hydra.utils.get_object(target)
    kinds = [parameter.kind for parameter in inspect.signature(built).parameters.values()]
    return inspect.Parameter.VAR_KEYWORD in kinds and not _settings(built)


def _taken(target: str, key: str) -> set[str]:
    """Return the settings that a class or function accepts; for an agent with ``**settings``, those of ``Settings``.

    A target that names nothing raises a ConfigError with the key.
    """
    try:
        built = hydra.utils.get_object(target)
        parameters = inspect.signature(built).parameters
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        reason = error.__cause__ or error
        problem = f"must name a class that can be imported, got {target!r}: {reason}"
        raise ConfigError(f"{key}._target_", problem) from error
    return {*parameters, *(field.name for field in _settings(built))}


def _settings(built: Any) -> tuple[Field[Any], ...]:
    """Return the fields of the ``Settings`` of an agent's class; none for others."""
    settings = getattr(built, "Settings", None)
    return fields(settings) if is_dataclass(settings) else ()
