"""An env and its wrappers as one state: layer by layer, from the outermost wrapper to the bare env."""

from typing import Any

import gymnasium as gym

from tracerl.config import forms

from . import generators
from .adapter import Adapter
from .atari import ATARI
from .classic_control import CLASSIC_CONTROL
from .methods import Methods
from .mujoco import MUJOCO
from .plain import decode, encode
from .toy_text import TOY_TEXT
from .unsupported import reason_of
from .wrappers import WRAPPERS

EnvState = dict[str, Any]
FORMAT = 1  # of the state; another number raises a ValueError

ADAPTERS: tuple[Adapter, ...] = (Methods(), *WRAPPERS, CLASSIC_CONTROL, TOY_TEXT, MUJOCO, ATARI)


def layers(env: Any) -> list[Any]:
    """Return the env and everything inside it, the bare env last."""
    found = [env]
    while isinstance(found[-1], gym.Wrapper):
        found.append(found[-1].env)
    return found


def adapter_of(layer: Any) -> Adapter | None:
    """Return the first adapter that knows the layer's class."""
    return next((adapter for adapter in ADAPTERS if adapter.matches(layer)), None)


def unsupported_reason(env: Any) -> str | None:
    """Name the outermost layer that cannot be captured, and why; None where all can."""
    for layer in layers(env):
        adapter = adapter_of(layer)
        reason = reason_of(layer) if adapter is None else adapter.unsupported_reason(layer)
        if reason is not None:
            return f"no adapter for {type(layer).__name__}: {reason}"
    return None


def _adapted(env: Any) -> list[tuple[Any, Adapter]]:
    """Return the layers of an env with their adapters."""
    problem = unsupported_reason(env)
    if problem is not None:
        raise ValueError(problem)
    return [(layer, adapter) for layer in layers(env) if (adapter := adapter_of(layer)) is not None]


def capture(env: gym.Env[Any, Any]) -> EnvState:
    """Return the state of an env in its wrappers; the env is not changed, and nothing is shared with it.

    Raises:
        ValueError: a layer is unsupported, or a layer holds what is no plain data; named.
    """
    adapted = _adapted(env)
    bare = adapted[-1][0]
    return {
        "format": FORMAT,
        "layers": [_capture_layer(layer, adapter) for layer, adapter in adapted],
        "generator": generators.to_plain(getattr(bare, "_np_random", None)),
        "seed": encode(getattr(bare, "_np_random_seed", None), "seed"),
    }


def _capture_layer(layer: Any, adapter: Adapter) -> dict[str, Any]:
    name = type(layer).__name__
    return {
        "class": name,
        "state": encode(adapter.capture(layer), name),
        **{key: None if space is None else generators.from_space(space) for key, space in _own_spaces(layer).items()},
    }


def restore(env: gym.Env[Any, Any], state: EnvState) -> None:
    """Let an env go on from a state.

    Args:
        env: made as the one captured was: the same wrappers in the same order, and the same arguments.
        state: of ``capture``; it is not changed, and nothing is shared with it.

    Raises:
        ValueError: a layer is unsupported; the state is of other wrappers or of another env, both named; or a value
            has an unknown name, or a type, shape or dtype that does not fit, named. The env cannot be used then.
    """
    ours = _adapted(env)
    check_keys("the state of an env", state, ("format", "layers", "generator", "seed"))
    if state["format"] != FORMAT:
        raise ValueError(f"the format of an env's state must be {FORMAT}, got {state['format']!r}")
    theirs = state["layers"]
    _check_stack([layer for layer, _ in ours], theirs)
    bare = ours[-1][0]
    seed = decode(state["seed"], "seed")
    if seed is not None and type(seed) is not int:
        raise ValueError(f"seed must be a whole number or null, got {seed!r}")
    bare._np_random_seed = seed
    bare._np_random = generators.from_plain(state["generator"], getattr(bare, "_np_random", None))
    for (layer, adapter), part in reversed(list(zip(ours, theirs, strict=True))):
        _restore_layer(layer, adapter, part)


def _check_stack(ours: list[Any], theirs: Any) -> None:
    """Raise where the state is of another stack of classes."""
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
