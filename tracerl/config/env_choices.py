"""Choices of the group ``env`` that no yaml names: ``env=CartPole-v1`` is ``env=gymnasium env.id=CartPole-v1``."""

import re

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

_ID = re.compile(r"env/(.+-v\d+|.+:.+)")  # with a version, or the module that registers it; is it there, an env says


class EnvIds(ConfigSource):
    """A yaml for every id of a Gymnasium env, looked for where no file has the name."""

    @staticmethod
    def scheme() -> str:
        """Return what begins the source's path."""
        return "gymnasium"

    def load_config(self, config_path: str) -> ConfigResult:
        """Return what the yaml of the env would hold."""
        found = _ID.fullmatch(config_path)
        config = OmegaConf.create({"defaults": ["/env/gymnasium@_here_", "_self_"], "id": found[1] if found else "???"})
        return ConfigResult(self.provider, f"{self.scheme()}://", config, {"package": None})

    def available(self) -> bool:
        """Say that it is there."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Say that there are no groups."""
        return False

    def is_config(self, config_path: str) -> bool:
        """Say whether a choice is written as an id."""
        return _ID.fullmatch(config_path) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """List nothing: the yamls are what is offered."""
        return []


class AfterYamls(SearchPathPlugin):
    """Puts the source at the end of Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append it."""
        search_path.append(provider="tracerl", path=f"{EnvIds.scheme()}://")


def register() -> None:
    """Let Hydra know the choices; once or more often."""
    for plugin in (EnvIds, AfterYamls):
        Plugins.instance().register(plugin)
