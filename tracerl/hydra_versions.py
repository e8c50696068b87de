"""What differs between Hydra 1.3 and 1.4, in one place."""

from collections.abc import Callable
from typing import Any

import hydra
from omegaconf import OmegaConf

# From 1.4 on, Hydra wants to be told which targets a config may name. Here it is the user's own command line that names
# them, and agents and envs of the user's own are what the framework is for: all of them may be.
_UNCHECKED: Any = getattr(hydra.utils, "UNSAFE_DISABLE_EXECUTION_CHECKS", None)


def main(task: Callable[..., Any], config_path: str, config_name: str) -> Callable[[], None]:
    """Return ``hydra.main`` of a task, with the defaults of Hydra 1.3 and later."""
    options: dict[str, Any] = {"version_base": "1.3"} if _UNCHECKED is None else {"execution_whitelist": _UNCHECKED}
    decorate: Any = hydra.main(config_path=config_path, config_name=config_name, **options)
    entry: Callable[[], None] = decorate(task)
    return entry


def register(name: str, resolver: Callable[..., Any], use_cache: bool = False) -> None:
    """Register a resolver for ``${name:...}``, replacing an earlier one."""
    omegaconf: Any = OmegaConf  # 1.3's has an older function by the name of 1.4's
    add = omegaconf.register_new_resolver if _UNCHECKED is None else omegaconf.register_resolver
    add(name, resolver, use_cache=use_cache, replace=True)


def instantiate(config: Any, **options: Any) -> Any:
    """Return ``hydra.utils.instantiate`` of a config."""
    if _UNCHECKED is not None:
        options["_execution_whitelist_"] = _UNCHECKED
    return hydra.utils.instantiate(config, **options)
