"""Ids of Gymnasium envs: of packages that register theirs on demand, and of versions that newer ones follow."""

import warnings
from importlib import import_module

import gymnasium as gym
from gymnasium.envs import registration
from gymnasium.envs.registration import EnvSpec, find_highest_version, get_env_id, parse_env_id

from tracerl.config.checks import ConfigError, ConfigWarning

# By namespace: what to import, its function that registers the envs where importing does not, the extra of tracerl.
_ON_DEMAND = {"ALE": ("ale_py", None, "atari"), "MinAtar": ("minatar.gym", "register_envs", "minatar")}


def find(env_id: str) -> EnvSpec | str:
    """Find an env by its id, importing the package that registers it where that is known.

    A version that a newer one follows is warned about in one line, as Gymnasium does in several.

    Args:
        env_id: as Gymnasium registers it; ``module:Id`` imports the module first.

    Returns:
        What Gymnasium makes the env from: its spec, or the id itself where Gymnasium has none by exactly that name.

    Raises:
        ConfigError: naming ``id``; the version is gone and a newer one is there, or the env's package is not installed.
        ModuleNotFoundError: there is no such module.
    """
    module, _, name = env_id.rpartition(":")
    if module:
        import_module(module)
    elif name not in registration.registry:
        _register(name)
    try:
        namespace, short, version = parse_env_id(name)
    except gym.error.Error:
        return env_id
    newest = find_highest_version(namespace, short)
    if version is not None and newest is not None and version < newest:
        newer = get_env_id(namespace, short, newest)
        if name not in registration.registry:
            raise ConfigError("id", f"must be an env that Gymnasium has: {name} is gone, its successor is {newer}")
        warnings.warn(ConfigWarning(f"env.id={env_id} is out of date, its successor is {newer}"), stacklevel=1)
    return registration.registry.get(name, env_id)


def _register(name: str) -> None:
    """Let the package of an id's namespace register its envs, where Gymnasium does not know the namespace yet."""
    namespace = name.rpartition("/")[0]
    if namespace not in _ON_DEMAND or any(spec.namespace == namespace for spec in registration.registry.values()):
        return
    module, function, extra = _ON_DEMAND[namespace]
    try:
        package = import_module(module)
    except ImportError as error:
        problem = f'{name} needs packages that are not installed: pip install "tracerl[{extra}]"'
        raise ConfigError("id", problem) from error
    if function is not None:
        getattr(package, function)()
