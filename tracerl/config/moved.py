"""Current names of modules of tracerl 0.1, for the `_target_` of saved runs and for imports with a warning."""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

MOVED: dict[str, tuple[str, ...]] = {  # within tracerl; a module can be split into several
    "actor_critic": ("agents.common.actor_critic",),
    "agent": ("lifetime.protocol",),
    "arena": ("nn.packed_state",),
    "assembly": ("runs.build",),
    "averages": ("nn.averages",),
    "building": ("config.instantiate",),
    "checkpoint": ("runs.checkpoint",),
    "checkpointing": ("runs.checkpoint.schedule",),
    "checks": ("config.checks",),
    "compiled": ("kernels.compiled_runner",),
    "credit": ("nn.credit",),
    "encoders": ("nn.encoders",),
    "envs.observations": ("lifetime.observations",),
    "envs.state": ("lifetime.env_state",),
    "envs.state.forms": ("config.forms",),
    "episodes": ("runs.logging.episodes",),
    "events": ("runs.logging.event_file",),
    "experiment": ("runs.execute",),
    "explain": ("config.error_messages",),
    "flat": ("nn.flat_parameters",),
    "folders": ("runs.folders",),
    "functional": ("nn.functional",),
    "functional_actions": ("nn.functional.distributions",),
    "generators": ("nn.generators",),
    "groups": ("runs.compare",),
    "guard": ("lifetime.divergence",),
    "heads": ("nn.heads",),
    "hydra_versions": ("config.hydra_compat",),
    "interrupt": ("runs.signals",),
    "job": ("run",),
    "kernels.classic_control": ("kernels.envs.classic_control",),
    "kernels.compile": ("kernels.jit",),
    "kernels.pcg64": ("kernels.envs.pcg64",),
    "kernels.twins": ("kernels.envs.dispatch",),
    "launching": ("runs.launch",),
    "layers": ("nn.layers",),
    "layout": ("runs.logging.custom_scalars",),
    "library": ("runs.api",),
    "life": ("lifetime.api",),
    "lifetime": ("lifetime.loop",),
    "lifetimes": ("lifetime.vector_loop",),
    "lives": ("nn.lifetimes",),
    "logger": ("runs.logging.tensorboard",),
    "memories": ("nn.state_dict",),
    "module": ("nn.module",),
    "network": ("nn.networks",),
    "online": ("agents.common.online",),
    "parts": ("nn.exportable",),
    "pictures": ("recording.images",),
    "population": ("lifetime.independent_agents",),
    "presence": ("runs.lock",),
    "progress": ("runs.logging.progress",),
    "recording": ("recording.recorder",),
    "records": ("runs.logging.event_file",),
    "resume": ("runs.resume",),
    "runs": ("runs.saved_run",),
    "scaling": ("nn.normalizers",),
    "sheets": ("recording.raster",),
    "snapshots": ("runs.logging.images",),
    "spaces": ("nn.spaces",),
    "stats": ("lifetime.record", "lifetime.statistics"),
    "streams": ("nn.random",),
    "summary": ("runs.summary",),
    "threads": ("config.threads",),
    "topology": ("nn.wiring",),
    "trace_network": ("nn.networks.tracetorch",),
    "view": ("nn.views",),
    "world": ("lifetime.runners",),
}


HEAD = ("max_std", "clipped_log_prob", "mean_margin")  # settings of ``head`` that were settings of ``agent``
HEAD_GROUP = (  # all settings of the group ``head``
    *HEAD,
    *("target_std", "reference_std", "bins", "spacing", "bonus_components"),
)
HEAD_TARGET = "tracerl.nn.heads.HeadSettings"
ADDED: dict[str, Any] = {  # settings since, with what earlier runs have
    "head.target_std": None,
    "head.reference_std": None,
    "head.bins": None,
    "head.spacing": 1.0,
    "head.bonus_components": None,
    "agent.trunk": "separate",
    "agent.value_weight": 1.0,
    "agent.target_rate": 1.0,
    "agent.horizon_share": 4e-4,
    "network.conv_membrane_decay": None,
    "network.rate_target": None,
    "checkpoint.best_by": "return",
    "eval.every": None,
    "eval.episodes": 10,
    "eval.steps": 100_000,
    "eval.greedy": False,
    "deploy.rounding": "export",
    "agent.channels": [],
    "agent.kernel": 3,
    "agent.stride": 1,
    "optimizer.policy.fan_in": None,
    "optimizer.value.fan_in": None,
    "encoder.trace_scale": 1.0,
}
BESIDE = {"encoder.trace_scale": "encoder.trace_decay"}  # the former is added to runs that have the latter
# Settings of the critic since, whose value was that of the policy's network.
INHERITED = {f"agent.critic.{name}": f"network.{name}" for name in ("surrogate", "layer_norm")}
# Settings whose default has changed since: a number, true or false, a word or None. ``resume=RUN`` keeps those of the
# saved run.
CHANGED = (
    *("head.max_std", "head.mean_margin", "head.reference_std"),
    *("optimizer.policy.rms_floor", "optimizer.policy.slow_decay"),
    *("agent.critic.surrogate", "agent.critic.layer_norm"),
    *("network.bias_scale", "encoder.trace_scale", "encoder.normalize"),
    *("agent.discount", "agent.trace_decay", "agent.entropy", "optimizer.policy.lr"),
    *("network.layer_norm", "network.reset", "network.weight_scale"),
    *("optimizer.policy.update_decay", "optimizer.policy.kappa"),
)


def current_settings(saved: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of a saved run under their current names, with those that were added since.

    The latter are those of ``ADDED`` that the current run has, but for ``BESIDE``, and those of ``INHERITED`` if the
    saved run has a critic of its own settings.

    Args:
        saved: settings by dotted name.
        here: those of the current run.
    """
    absent = {key for key, other in BESIDE.items() if other not in saved}
    found = {key: value for key, value in ADDED.items() if key in here and key not in absent} | {
        key: current(value) if key.endswith("_target_") and isinstance(value, str) else value
        for key, value in saved.items()
    }
    if any(key.startswith("agent.critic.") for key in saved):
        inherited = {key: found[old] for key, old in INHERITED.items() if key in here and old in found}
        found = inherited | found
    old = [name for name in HEAD if f"agent.{name}" in found]
    if "head._target_" in here and old and "head._target_" not in found:
        found |= {"head._target_": HEAD_TARGET, **{f"head.{name}": found.pop(f"agent.{name}") for name in old}}
    return found


def previous_defaults(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of ``CHANGED`` of a saved run, under their current names; those of a head if it has one.

    Args:
        saved: settings by dotted name.
    """
    found = current_settings(saved, dict.fromkeys((*CHANGED, "head._target_")))
    has_head = "head._target_" in found
    return {key: found[key] for key in CHANGED if key in found and (has_head or not key.startswith("head."))}


def homes(path: str) -> list[str]:
    """Return the current candidates for a dotted path of tracerl 0.1; the path itself if it did not move."""
    package, _, rest = path.partition(".")
    parts = rest.split(".")
    for size in range(len(parts), 0, -1):
        found = MOVED.get(".".join(parts[:size])) if package == "tracerl" else None
        if found:
            return [".".join([package, home, *parts[size:]]) for home in found]
    return [path]


def current(path: str) -> str:
    """Return the current dotted path of a class or function of tracerl 0.1; the path itself if it did not move."""
    for home in homes(path):
        module, _, name = home.rpartition(".")
        if home != path and _has(module, name):
            return home
    return path


def attribute_of(*modules: str) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for a module that finds moved attributes in other modules, with a warning.

    Submodules next to the first module are left to the import system.
    """

    def find(name: str) -> Any:
        package = import_module(modules[0].rpartition(".")[0])
        if not name.startswith("__") and PathFinder.find_spec(f"{package.__name__}.{name}", package.__path__) is None:
            for module in modules:
                if _has(module, name):
                    warnings.warn(f"{name} is now in {module}", DeprecationWarning, stacklevel=2)
                    return getattr(import_module(module), name)
        raise AttributeError(f"no {name!r} in {', '.join(modules)}")

    return find


def keep_names(namespace: dict[str, Any], **names: str) -> None:
    """Add aliases with a warning for attributes of a module (``globals()``) under their previous names.

    The function is hidden from type checkers, so that they report misspelt names.
    """

    def find(name: str) -> Any:
        if name in names:
            warnings.warn(f"{name} is now {names[name]}", DeprecationWarning, stacklevel=2)
            return getattr(import_module(namespace["__name__"]), names[name])
        raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")

    namespace["__getattr__"] = find


def keep_arguments(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator of a function whose keyword arguments have previous names too, with a warning."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for old in names.keys() & kwargs.keys():
                warnings.warn(f"argument {old} is now {names[old]}", DeprecationWarning, stacklevel=2)
                if names[old] in kwargs:
                    raise TypeError(f"{function.__name__}() got both {old} and {names[old]}, which are one argument")
                kwargs[names[old]] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate


def previous_method(old: str, new: str) -> Callable[..., Any]:
    """Return a method for a class under its previous name: it warns and calls the method of the current name."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        warnings.warn(f"{old} is now {new}", DeprecationWarning, stacklevel=2)
        return getattr(self, new)(*args, **kwargs)

    call.__name__, call.__doc__ = old, f"``{new}`` by its previous name."
    return call


def previous_attribute(old: str, new: str) -> Any:
    """Return a property for a class: the attribute under its previous name, with a warning."""

    def find(self: Any) -> Any:
        warnings.warn(f"{old} is now {new}", DeprecationWarning, stacklevel=2)
        return getattr(self, new)

    return property(find)


def current_method(owner: object, new: str, old: str) -> Callable[..., Any]:
    """Return a method of an object of any class; a class that defines it under its previous name only gets a warning.

    A class that defines the previous name takes precedence over its bases that define the current one.
    """
    for kind in type(owner).__mro__:
        if new in vars(kind):
            break
        if old in vars(kind):
            warnings.warn(f"{kind.__qualname__}.{old} is now {new}", DeprecationWarning, stacklevel=3)
            new = old
            break
    found: Callable[..., Any] = getattr(owner, new)
    return found


def _has(module: str, name: str) -> bool:
    try:
        return hasattr(import_module(module), name)
    except ModuleNotFoundError:
        return False


class _Moved(MetaPathFinder, Loader):
    """A finder that imports a module by its name in tracerl 0.1."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        """Return the spec of a moved module; None for any other."""
        parent = getattr(sys.modules.get(fullname.rpartition(".")[0]), "__spec__", None)
        inside = isinstance(getattr(parent, "loader", None), _Moved)
        if not inside and fullname.removeprefix("tracerl.") not in MOVED:
            return None
        with suppress(ModuleNotFoundError):
            return ModuleSpec(fullname, self, is_package=True) if find_spec(homes(fullname)[0]) else None
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Add all previous attributes to the module."""
        module.__getattr__ = attribute_of(*homes(module.__name__))  # type: ignore[method-assign]


def install() -> None:
    """Add the finder of moved modules after all other finders."""
    sys.meta_path.append(_Moved())
