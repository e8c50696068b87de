"""An env and its wrappers as one state: layer by layer, from the outermost wrapper to the bare env."""

from typing import Any

import gymnasium as gym

from tracerl.config import forms

from . import generators
from .adapter import Adapter, Methods, is_named
from .gymnasium_envs import ATARI, CLASSIC_CONTROL, MUJOCO, TOY_TEXT
from .plain import decode, encode
from .popgym_envs import POPGYM
from .wrappers import WRAPPERS

EnvState = dict[str, Any]
FORMAT = 1  # of the state; another number raises a ValueError

ADAPTERS: tuple[Adapter, ...] = (Methods(), *WRAPPERS, CLASSIC_CONTROL, TOY_TEXT, MUJOCO, ATARI, POPGYM)
# Measured for LunarLander: with all positions, angles, velocities and sleep flags, the terrain and the generator, the
# first observation of a copy differs by 1e-8 to 1e-5, unless the copy is made right after a reset.
_BOX2D = (
    "Box2D starts each step from the impulses of the last one, in joints and contacts, which it neither gives out nor"
    " takes: a copy of all positions and velocities goes another way from its first step on"
)
_PICTURES = "it keeps every picture since it was read or written last, without bound"
REASONS = {
    ("gymnasium.envs.box2d", "LunarLander"): _BOX2D,
    ("gymnasium.envs.box2d", "BipedalWalker"): _BOX2D,
    ("gymnasium.envs.box2d", "CarRacing"): _BOX2D,
    ("gymnasium.wrappers", "RecordVideo"): _PICTURES,
    ("gymnasium.wrappers", "RenderCollection"): _PICTURES,
}


def layers(env: Any) -> list[Any]:
    """Return the env and everything inside it, the bare env last."""
    found = [env]
    while isinstance(found[-1], gym.Wrapper):
        found.append(found[-1].env)
    return found


def adapter_of(layer: Any) -> Adapter | None:
    """Return the adapter of a layer; None where there is none."""
    return next((adapter for adapter in ADAPTERS if adapter.matches(layer)), None)


def unsupported_reason(env: Any) -> str | None:
    """Return the outermost layer that cannot be captured, and why; None if all can."""
    for layer in layers(env):
        adapter = adapter_of(layer)
        reason = _why_unknown(layer) if adapter is None else adapter.unsupported_reason(layer)
        if reason is not None:
            return f"no adapter for {type(layer).__name__}: {reason}"
    return None


def _why_unknown(layer: Any) -> str:
    known = (reason for (package, name), reason in REASONS.items() if is_named(layer, package, (name,)))
    return next(known, "it has no state_dict() and load_state_dict(state) of its own")


def _adapted(env: Any) -> list[tuple[Any, Adapter]]:
    """Return the layers of an env with their adapters."""
    problem = unsupported_reason(env)
    if problem is not None:
        raise ValueError(problem)
    return [(layer, adapter) for layer in layers(env) if (adapter := adapter_of(layer)) is not None]


def capture(env: gym.Env[Any, Any]) -> EnvState:
    """Return the state of an env; see ``env_state.capture``."""
    adapted = _adapted(env)
    bare = adapted[-1][0]
    return {
        "format": FORMAT,
        "layers": [_layer_state(layer, adapter) for layer, adapter in adapted],
        "generator": generators.to_plain(getattr(bare, "_np_random", None)),
        "seed": encode(getattr(bare, "_np_random_seed", None), "seed"),
    }


def _layer_state(layer: Any, adapter: Adapter) -> dict[str, Any]:
    name, own = type(layer).__name__, _own_spaces(layer)
    spaces = {key: None if space is None else generators.from_space(space) for key, space in own.items()}
    return {"class": name, "state": encode(adapter.capture(layer), name), **spaces}


def restore(env: gym.Env[Any, Any], state: EnvState) -> None:
    """Set the state of an env; see ``env_state.restore``."""
    ours = _adapted(env)
    check_keys("the state of an env", state, ("format", "layers", "generator", "seed"))
    if state["format"] != FORMAT:
        raise ValueError(f"the format of an env's state must be {FORMAT}, got {state['format']!r}")
    theirs, bare = state["layers"], ours[-1][0]
    _check_stack([layer for layer, _ in ours], theirs)
    seed = decode(state["seed"], "seed")
    if seed is not None and type(seed) is not int:
        raise ValueError(f"seed must be a whole number or null, got {seed!r}")
    bare._np_random_seed = seed
    bare._np_random = generators.from_plain(state["generator"], getattr(bare, "_np_random", None))
    for (layer, adapter), part in reversed(list(zip(ours, theirs, strict=True))):
        _restore_layer(layer, adapter, part)


def _check_stack(ours: list[Any], theirs: Any) -> None:
    """Raise a ValueError if the state is of other classes."""
    if not isinstance(theirs, list):
        raise ValueError(f"the layers of an env's state must be a list, got {theirs!r}")
    for part in theirs:
        check_keys("a layer", part, ("class", "state", "action_space", "observation_space"))
    here, there = [type(layer).__name__ for layer in ours], [part["class"] for part in theirs]
    if here != there:
        raise ValueError(f"the state is of {_drawn(there)}, the env is {_drawn(here)}")


def _restore_layer(layer: Any, adapter: Adapter, part: dict[str, Any]) -> None:
    name = type(layer).__name__
    for key, space in _own_spaces(layer).items():
        if space is not None:
            generators.to_space(space, part[key])
        elif part[key] is not None:
            raise ValueError(f"{name} has no {key} of its own, the state has generators of one")
    adapter.restore(layer, forms.mapping(f"the state of {name}", decode(part["state"], name)))


def _own_spaces(layer: Any) -> dict[str, Any]:
    """Return a layer's spaces; None if a wrapper returns those of the env inside it."""
    prefix = "_" if isinstance(layer, gym.Wrapper) else ""
    return {name: getattr(layer, prefix + name, None) for name in ("action_space", "observation_space")}


def check_keys(what: str, part: Any, keys: tuple[str, ...]) -> None:
    """Raise a ValueError if something is no dict of exactly these keys."""
    if not isinstance(part, dict) or set(part) != set(keys):
        came = ", ".join(map(str, part)) if isinstance(part, dict) else repr(part)
        raise ValueError(f"{what} must be a dict of {', '.join(keys)}; got {came}")


def _drawn(names: list[Any]) -> str:
    return "<".join(map(str, names)) + ">" * (len(names) - 1)
