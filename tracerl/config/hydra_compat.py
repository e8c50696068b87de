"""The differences between Hydra 1.3 and 1.4."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from tracerl.config import env_choices

# From 1.4 on, Hydra requires a list of allowed targets. A user's command line may name any target, because users add
# agents and envs. A saved run may not: ``tracerl.config.trust``.
_UNCHECKED: Any = getattr(hydra.utils, "UNSAFE_DISABLE_EXECUTION_CHECKS", None)


def main(task: Callable[..., Any], config_path: str, config_name: str) -> Callable[[], None]:
    """Return ``hydra.main`` of a task, with the defaults of Hydra 1.3 and later."""
    options: dict[str, Any] = {"version_base": "1.3"} if _UNCHECKED is None else {"execution_whitelist": _UNCHECKED}
    _register_all()
    decorate: Any = hydra.main(config_path=config_path, config_name=config_name, **options)
    entry: Callable[[], None] = decorate(task)
    return entry


@contextmanager
def configs(module: str) -> Iterator[None]:
    """A context in which ``hydra.compose`` reads the configs of a module, also within another Hydra program."""
    options = {"version_base": "1.3"} if _UNCHECKED is None else {}
    _register_all()
    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_module(module, **options):
            yield
    finally:
        GlobalHydra.instance().hydra = outer  # restore the instance that Hydra replaced


def compose(overrides: Sequence[str], name: str = "run", **options: Any) -> DictConfig:
    """Return ``hydra.compose`` of the config of a run, or of another, with these overrides."""
    with configs("tracerl.configs"):
        return hydra.compose(name, list(overrides), **options)


def _register_all() -> None:
    """Register the choices of envs, and ``tracerl.input``, which returns its mapping; see ``runs.by_input``."""
    env_choices.register()
    register("tracerl.input", lambda by_kind: by_kind)


def register(name: str, resolver: Callable[..., Any], use_cache: bool = False) -> None:
    """Register a resolver for ``${name:...}`` and replace an earlier one."""
    omegaconf: Any = OmegaConf  # in 1.3 the function with the name of 1.4 is an older one
    add = omegaconf.register_new_resolver if _UNCHECKED is None else omegaconf.register_resolver
    add(name, resolver, use_cache=use_cache, replace=True)


class NotBuilt(Exception):
    """A ``_target_`` could not be built."""

    def __init__(self, key: str, reason: BaseException) -> None:
        super().__init__(f"{key}: {reason}")
        self.key, self.reason = key, reason


def instantiate(config: Any, packages: Collection[str] | None = None, **options: Any) -> Any:
    """Return ``hydra.utils.instantiate`` of a config. From Hydra 1.4 on, targets are in the allowed packages, if given.

    Raises:
        NotBuilt: with the error that 1.3 wraps up and 1.4 lets through with a note.
        MissingMandatoryValue: a value was not given.
    """
    if _UNCHECKED is not None:
        options["_execution_whitelist_"] = _UNCHECKED if packages is None else [f"{name}.*" for name in packages]
    try:
        return hydra.utils.instantiate(config, **options)
    except Exception as error:
        own = [str(error)] if isinstance(error, InstantiationException) else []
        found = re.search(r"full_key: ([\w.]+)", "\n".join(own + getattr(error, "__notes__", [])))
        if found is None:
            raise
        raise NotBuilt(found[1], error.__cause__ or error if own else error) from error
