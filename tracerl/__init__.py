"""Online reinforcement learning with spiking networks: one lifetime, one pass, constant memory.

The names here are imported when they are first used, so that ``import tracerl`` costs nothing.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracerl.agent import Agent as Agent
    from tracerl.agent import Verbs as Verbs
    from tracerl.checks import ConfigError as ConfigError
    from tracerl.export.nir_export import to_nir as to_nir
    from tracerl.export.nir_import import from_nir as from_nir
    from tracerl.library import launch as launch
    from tracerl.library import load_agent as load_agent
    from tracerl.library import make_agent as make_agent
    from tracerl.library import make_env as make_env
    from tracerl.library import make_network as make_network
    from tracerl.life import Every as Every
    from tracerl.life import Life as Life
    from tracerl.life import live as live
    from tracerl.lifetime import Diverged as Diverged
    from tracerl.lifetime import EnvFailed as EnvFailed
    from tracerl.lifetime import Step as Step
    from tracerl.lifetime import WrongEnvApi as WrongEnvApi
    from tracerl.lives import Lives as Lives
    from tracerl.network import Network as Network
    from tracerl.online import OnlineAgent as OnlineAgent
    from tracerl.runs import load as load
    from tracerl.stats import Record as Record

__version__ = "0.1.0"

if not os.path.isdir(os.path.join(__path__[0], "agents")):  # a checkout: agents, envs, configs are beside this folder
    __path__.append(os.path.dirname(__path__[0]))

_HOMES = {
    "agent": ("Agent", "Verbs"),
    "checks": ("ConfigError",),
    "export.nir_export": ("to_nir",),
    "export.nir_import": ("from_nir",),
    "library": ("launch", "load_agent", "make_agent", "make_env", "make_network"),
    "life": ("Every", "Life", "live"),
    "lifetime": ("Diverged", "EnvFailed", "Step", "WrongEnvApi"),
    "lives": ("Lives",),
    "network": ("Network",),
    "online": ("OnlineAgent",),
    "runs": ("load",),
    "stats": ("Record",),
}
__all__ = ["__version__", *sorted(name for names in _HOMES.values() for name in names)]


def __getattr__(name: str) -> Any:
    """Import a name from where it is defined."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"tracerl.{module}"), name)
    raise AttributeError(f"module 'tracerl' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List what is meant to be used, and the modules imported so far."""
    return sorted({*globals(), *__all__})
