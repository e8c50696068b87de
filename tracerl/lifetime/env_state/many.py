"""Vector envs: many envs stepped together as one."""

from typing import Any

from gymnasium.vector import SyncVectorEnv, VectorEnv, VectorWrapper

from tracerl.config import forms
from tracerl.config.forms import optional, whole

from . import fields, generators, stack
from .adapter import is_named
from .plain import decode, encode
from .stack import EnvState

Envs = VectorEnv[Any, Any, Any]

# Gymnasium's wrappers of vector envs without a state, which ``as_boxes`` uses.
_STATELESS = ("FlattenObservation", "TransformObservation")


def unsupported_reason(envs: Any) -> str | None:
    """Return the first vector env, wrapper or env within it that cannot be captured, and why; None if all can."""
    *outer, bare = layers_of_many(envs)
    for wrapper in outer:
        if not is_named(wrapper, "gymnasium.wrappers.vector", _STATELESS):
            return f"no adapter for {type(wrapper).__name__}: it is a wrapper of vector envs that is not known"
    if type(bare) is SyncVectorEnv:
        return next((reason for reason in map(stack.unsupported_reason, bare.envs) if reason is not None), None)
    if is_named(bare, "gymnasium.envs.classic_control", ("CartPoleVectorEnv",)):
        return None
    return f"no adapter for {type(bare).__name__}: only SyncVectorEnv and CartPoleVectorEnv give out their envs' state"


def _checked(envs: Any) -> tuple[list[str], Any]:
    """Return the class names of a vector env in its wrappers, and the bare env; a ValueError if unsupported."""
    problem = unsupported_reason(envs)
    if problem is not None:
        raise ValueError(problem)
    layers = layers_of_many(envs)
    return [type(layer).__name__ for layer in layers], layers[-1]


def capture(envs: Envs) -> EnvState:
    """Return the state of a Gymnasium ``SyncVectorEnv`` or of CartPole's vector form."""
    names, bare = _checked(envs)
    sync = type(bare) is SyncVectorEnv
    return {
        "format": stack.FORMAT,
        "classes": names,
        "spaces": _spaces(bare),
        "state": encode(fields.read(bare, _sync(bare) if sync else _cart_poles(bare)), names[-1]),
        "generator": None if sync else generators.to_plain(bare._np_random),
        "envs": [stack.capture(env) for env in bare.envs] if sync else [],
    }


def restore(envs: Envs, state: EnvState) -> None:
    """Set the state of a vector env; see ``env_state.restore``."""
    names, bare = _checked(envs)
    stack.check_keys("the state of a vector env", state, ("format", "classes", "spaces", "state", "generator", "envs"))
    if state["format"] != stack.FORMAT or state["classes"] != names:
        ours = f"format {stack.FORMAT} of {names}"
        raise ValueError(f"the state must be of {ours}, got format {state['format']} of {state['classes']}")
    inner = bare.envs if type(bare) is SyncVectorEnv else []
    if not isinstance(state["envs"], list) or len(state["envs"]) != len(inner):
        came = len(state["envs"]) if isinstance(state["envs"], list) else repr(state["envs"])
        raise ValueError(f"the state must be of {len(inner)} envs, got {came}")
    values = forms.mapping(f"the state of {names[-1]}", decode(state["state"], names[-1]))
    fields.write(bare, values, _sync(bare) if inner else _cart_poles(bare))
    if not inner:
        bare._np_random = generators.from_plain(state["generator"], bare._np_random)
    for env, part in zip(inner, state["envs"], strict=True):
        stack.restore(env, part)
    stack.check_keys("spaces", state["spaces"], tuple(_spaces(bare)))
    for name, data in state["spaces"].items():
        generators.to_space(getattr(bare, name), data)


def layers_of_many(envs: Any) -> list[Any]:
    """Return a vector env and everything inside it, the bare one last."""
    found = [envs]
    while isinstance(found[-1], VectorWrapper):
        found.append(found[-1].env)
    return found


def _spaces(bare: Any) -> dict[str, Any]:
    """Return the generators of the spaces of all envs together and of one env."""
    names = ("action_space", "observation_space", "single_action_space", "single_observation_space")
    return {name: generators.from_space(getattr(bare, name)) for name in names}


def _sync(bare: Any) -> fields.Fields:
    """Return the state of Gymnasium's loop: the newest observations, ends and rewards of its envs."""
    n = bare.num_envs
    seen = optional(forms.of_space(bare.envs[0].observation_space))
    flags = dict.fromkeys(("_terminations", "_truncations", "_autoreset_envs"), forms.array((n,), "b"))
    return {**flags, "_rewards": forms.array((n,), "f"), "_env_obs": forms.several(seen, n=n)}


def _cart_poles(bare: Any) -> fields.Fields:
    """Return the state and the parameters of CartPole's vector form."""
    n = bare.num_envs
    own = {
        "state": optional(forms.array((4, n), "f")),
        "steps": forms.array((n,), "i"),
        "prev_done": forms.array((n,), "b"),
        "steps_beyond_terminated": optional(whole(0)),
    }
    return {**own, **fields.parameters(bare, (*own, "num_envs"))}
