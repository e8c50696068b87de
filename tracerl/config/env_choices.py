"""Choices of the group ``env`` that no yaml names: ``env=CartPole-v1`` is ``env=gymnasium env.id=CartPole-v1``."""

import re

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

_ID = re.compile(r"env/(.+-v\d+|.+:.+)")  # with a version or the module that registers it; the env is looked up later


class EnvIds(ConfigSource):
    """A config source with a yaml for every Gymnasium id, used if no file has the name."""

    @staticmethod
    def scheme() -> str:
        """Return the scheme of the path of the source."""
        return "gymnasium"

    def load_config(self, config_path: str) -> ConfigResult:
        """Return the contents of the yaml of an env."""
        found = _ID.fullmatch(config_path)
        config = OmegaConf.create({"defaults": ["/env/gymnasium@_here_", "_self_"], "id": found[1] if found else "???"})
        return ConfigResult(self.provider, f"{self.scheme()}://", config, {"package": None})

    def available(self) -> bool:
        """Return True: the source always exists."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Return False: there are no groups."""
        return False

    def is_config(self, config_path: str) -> bool:
        """Return whether a choice is written as an id."""
        return _ID.fullmatch(config_path) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return no choices: only yamls are listed."""
        return []


class AfterYamls(SearchPathPlugin):
    """A plugin that appends the source to Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the source."""
        search_path.append(provider="tracerl", path=f"{EnvIds.scheme()}://")


def register() -> None:
    """Register the choices in Hydra. Repeated calls have no effect."""
    for plugin in (EnvIds, AfterYamls):
        Plugins.instance().register(plugin)
