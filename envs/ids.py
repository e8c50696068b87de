"""Look up ids of Gymnasium envs, including packages that register envs on demand and outdated versions."""

import warnings
from importlib import import_module

import gymnasium as gym
from gymnasium.envs import registration
from gymnasium.envs.registration import EnvSpec, find_highest_version, get_env_id, parse_env_id

from tracerl.config.checks import ConfigError, ConfigWarning

# By namespace: module to import, its function that registers the envs if needed, the extra of tracerl.
_ON_DEMAND = {"ALE": ("ale_py", None, "atari"), "MinAtar": ("minatar.gym", "register_envs", "minatar")}


def find(env_id: str) -> EnvSpec | str:
    """Find an env by its id, and import the package that registers it if known.

    An outdated version gives a warning in one line instead of Gymnasium's several lines.

    Args:
        env_id: id in Gymnasium. ``module:Id`` imports the module first.

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
            raise ConfigError("id", f"must be an existing Gymnasium env: {name} was removed, its successor is {newer}")
        warnings.warn(ConfigWarning(f"env.id={env_id} is out of date, its successor is {newer}"), stacklevel=1)
    return registration.registry.get(name, env_id)


def _register(name: str) -> None:
    """Let the package of an id's namespace register its envs if the namespace is not registered yet."""
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
