"""An env and its wrappers as one state: layer by layer, from the outermost wrapper to the bare env."""

from typing import Any

import gymnasium as gym

from . import generators
from .adapter import Adapter
from .atari import Atari
from .classic_control import ClassicControl
from .methods import Methods
from .mujoco import Mujoco
from .plain import decode, encode
from .toy_text import ToyText
from .unsupported import Unsupported
from .wrappers import Stateful, Stateless

EnvState = dict[str, Any]
FORMAT = 1  # of the state; another number is refused

ADAPTERS: tuple[Adapter, ...] = (
    Methods(),
    Stateless(),
    Stateful(),
    ClassicControl(),
    ToyText(),
    Mujoco(),
    Atari(),
    Unsupported(),
)


def layers(env: Any) -> list[Any]:
    """Return the env and everything inside it, the bare env last."""
    found = [env]
    while isinstance(found[-1], gym.Wrapper):
        found.append(found[-1].env)
    return found


def adapter_of(layer: Any) -> Adapter:
    """Return the first adapter that knows the layer's class; the last one takes all others."""
    return next(adapter for adapter in ADAPTERS if adapter.matches(layer))


def obstacle(env: Any) -> str | None:
    """Name the outermost layer that cannot be captured, and why; None where all can."""
    for layer in layers(env):
        reason = adapter_of(layer).obstacle(layer)
        if reason is not None:
            return f"no adapter for {type(layer).__name__}: {reason}"
    return None


def capture(env: Any) -> EnvState:
    """Return the state of an env; see ``tracerl.lifetime.env_state.capture``."""
    problem = obstacle(env)
    if problem is not None:
        raise ValueError(problem)
    bare = layers(env)[-1]
    return {
        "format": FORMAT,
        "layers": [_capture_layer(layer) for layer in layers(env)],
        "generator": generators.to_plain(getattr(bare, "_np_random", None)),
        "seed": encode(getattr(bare, "_np_random_seed", None), "seed"),
    }


def _capture_layer(layer: Any) -> dict[str, Any]:
    name = type(layer).__name__
    return {
        "class": name,
        "state": encode(adapter_of(layer).capture(layer), name),
        **{key: None if space is None else generators.from_space(space) for key, space in _own_spaces(layer).items()},
    }


def restore(env: Any, state: EnvState) -> None:
    """Give an env a state; see ``tracerl.lifetime.env_state.restore``."""
    problem = obstacle(env)
    if problem is not None:
        raise ValueError(problem)
    check_keys("the state of an env", state, ("format", "layers", "generator", "seed"))
    if state["format"] != FORMAT:
        raise ValueError(f"the format of an env's state must be {FORMAT}, got {state['format']!r}")
    ours, theirs = layers(env), state["layers"]
    _check_stack(ours, theirs)
    bare = ours[-1]
    seed = decode(state["seed"], "seed")
    if seed is not None and type(seed) is not int:
        raise ValueError(f"seed must be a whole number or null, got {seed!r}")
    bare._np_random_seed = seed
    bare._np_random = generators.from_plain(state["generator"], getattr(bare, "_np_random", None))
    for layer, part in reversed(list(zip(ours, theirs, strict=True))):
        _restore_layer(layer, part)


def _check_stack(ours: list[Any], theirs: Any) -> None:
    """Raise where the state is of another stack of classes."""
    if not isinstance(theirs, list):
        raise ValueError(f"the layers of an env's state must be a list, got {theirs!r}")
    for part in theirs:
        check_keys("a layer", part, ("class", "state", "action_space", "observation_space"))
    here, there = [type(layer).__name__ for layer in ours], [part["class"] for part in theirs]
    if here != there:
        raise ValueError(f"the state is of {_drawn(there)}, the env is {_drawn(here)}")


def _restore_layer(layer: Any, part: dict[str, Any]) -> None:
    name = type(layer).__name__
    for key, space in _own_spaces(layer).items():
        if space is not None:
            generators.to_space(space, part[key])
        elif part[key] is not None:
            raise ValueError(f"{name} has no {key} of its own, the state has generators of one")
    values = decode(part["state"], name)
    if not isinstance(values, dict):
        raise ValueError(f"the state of {name} must be a dict, got {values!r}")
    adapter_of(layer).restore(layer, values)


def _own_spaces(layer: Any) -> dict[str, Any]:
    """Return a layer's spaces; None where a wrapper hands out those of the env inside it."""
    prefix = "_" if isinstance(layer, gym.Wrapper) else ""
    return {name: getattr(layer, prefix + name, None) for name in ("action_space", "observation_space")}


def check_keys(what: str, part: Any, keys: tuple[str, ...]) -> None:
    """Raise where something is no dict of exactly these keys."""
    if not isinstance(part, dict) or set(part) != set(keys):
        came = ", ".join(map(str, part)) if isinstance(part, dict) else repr(part)
        raise ValueError(f"{what} must be a dict of {', '.join(keys)}; got {came}")


def _drawn(names: list[Any]) -> str:
    return "<".join(map(str, names)) + ">" * (len(names) - 1)
