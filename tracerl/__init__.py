"""Online reinforcement learning with spiking networks: one lifetime, one pass, constant memory.

The names here are imported when they are first used, so that ``import tracerl`` costs nothing.
"""

import os
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tracerl.config.moved import install

if TYPE_CHECKING:
    from tracerl.agents.common.online import OnlineAgent as OnlineAgent
    from tracerl.config.checks import ConfigError as ConfigError
    from tracerl.export.nir_export import to_nir as to_nir
    from tracerl.export.nir_import import from_nir as from_nir
    from tracerl.export.tracetorch_export import to_tracetorch as to_tracetorch
    from tracerl.export.tracetorch_import import from_tracetorch as from_tracetorch
    from tracerl.lifetime.api import Every as Every
    from tracerl.lifetime.api import Lifetime as Lifetime
    from tracerl.lifetime.api import live as live
    from tracerl.lifetime.callbacks import Callback as Callback
    from tracerl.lifetime.callbacks import CallbackFailed as CallbackFailed
    from tracerl.lifetime.callbacks import Episode as Episode
    from tracerl.lifetime.callbacks import RunState as RunState
    from tracerl.lifetime.evaluation import Evaluation as Evaluation
    from tracerl.lifetime.evaluation import evaluate as evaluate
    from tracerl.lifetime.loop import Diverged as Diverged
    from tracerl.lifetime.loop import EnvFailed as EnvFailed
    from tracerl.lifetime.loop import Step as Step
    from tracerl.lifetime.loop import WrongEnvApi as WrongEnvApi
    from tracerl.lifetime.protocol import Agent as Agent
    from tracerl.lifetime.protocol import AgentMethods as AgentMethods
    from tracerl.lifetime.protocol import StepType as StepType
    from tracerl.lifetime.record import Record as Record
    from tracerl.nn.lifetimes import Lifetimes as Lifetimes
    from tracerl.nn.networks import Network as Network
    from tracerl.runs.api import launch as launch
    from tracerl.runs.api import load_agent as load_agent
    from tracerl.runs.api import make_agent as make_agent
    from tracerl.runs.api import make_env as make_env
    from tracerl.runs.api import make_network as make_network
    from tracerl.runs.pretrained import load_pretrained as load_pretrained
    from tracerl.runs.saved_run import load as load

__version__ = "0.1.0"

if not os.path.isdir(os.path.join(__path__[0], "agents")):  # a checkout: agents, envs, configs are beside this folder
    __path__.append(os.path.dirname(__path__[0]))

install()

_HOMES = {
    "lifetime.protocol": ("Agent", "AgentMethods", "StepType"),
    "config.checks": ("ConfigError",),
    "export.nir_export": ("to_nir",),
    "export.nir_import": ("from_nir",),
    "export.tracetorch_export": ("to_tracetorch",),
    "export.tracetorch_import": ("from_tracetorch",),
    "runs.api": ("launch", "load_agent", "make_agent", "make_env", "make_network"),
    "runs.pretrained": ("load_pretrained",),
    "lifetime.api": ("Every", "Lifetime", "live"),
    "lifetime.callbacks": ("Callback", "CallbackFailed", "Episode", "RunState"),
    "lifetime.evaluation": ("Evaluation", "evaluate"),
    "lifetime.loop": ("Diverged", "EnvFailed", "Step", "WrongEnvApi"),
    "nn.lifetimes": ("Lifetimes",),
    "nn.networks": ("Network",),
    "agents.common.online": ("OnlineAgent",),
    "runs.saved_run": ("load",),
    "lifetime.record": ("Record",),
}
_PREVIOUS = {"Life": "Lifetime", "Lives": "Lifetimes", "Verbs": "AgentMethods"}
__all__ = ["__version__", *sorted(name for names in _HOMES.values() for name in names)]


def __getattr__(name: str) -> Any:
    """Import a name from where it is defined."""
    if name in _PREVIOUS:
        warnings.warn(f"tracerl.{name} is now tracerl.{_PREVIOUS[name]}", DeprecationWarning, stacklevel=2)
        name = _PREVIOUS[name]
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"tracerl.{module}"), name)
    raise AttributeError(f"module 'tracerl' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List what is meant to be used, and the modules imported so far."""
    return sorted({*globals(), *__all__})
