"""Adapters of Gymnasium's bare envs: classic control, toy text, MuJoCo and Atari. Windows and sound are left out."""

from typing import Any

import numpy as np

from tracerl.config import forms
from tracerl.config.forms import flag, optional, real, text, whole

from . import fields
from .adapter import Adapter
from .fields import Fields

_SIZES = {"CartPoleEnv": 4, "AcrobotEnv": 4, "MountainCarEnv": 2, "Continuous_MountainCarEnv": 2, "PendulumEnv": 2}
_COUNTER, _TORQUE = "steps_beyond_terminated", "last_u"  # of CartPole; of Pendulum, for drawing


def _classic_control(env: Any) -> Fields:
    """Return the state, other attributes of an episode, and the parameters, which ``Drift`` changes.

    The state is an array after some calls and a tuple after others (MountainCar), of floats of 4 or 8 bytes
    (Continuous_MountainCar). Its type is kept.
    """
    name = type(env).__name__
    size = _SIZES[name]
    found: dict[str, Any] = {"state": optional(forms.either(forms.array((size,), "f"), forms.several(real, n=size)))}
    if name == "CartPoleEnv":
        found[_COUNTER] = optional(whole(0))
    if name == "PendulumEnv":
        found[_TORQUE] = optional(real)
    return {**found, **fields.parameters(env, ("state", _COUNTER, _TORQUE))}


CLASSIC_CONTROL = Adapter(
    "gymnasium.envs.classic_control",
    dict.fromkeys(_SIZES, _classic_control),
    {"MountainCarEnv": ("state",), "Continuous_MountainCarEnv": ("state",), "PendulumEnv": ("state", _TORQUE)},
)

_CARDS = ("player", "dealer", "dealer_top_card_suit", "dealer_top_card_value_str")
_WALK = ("s", "lastaction")


def _toy_text(env: Any) -> Fields:
    """Return the position of the walker, or the cards on the table. Maps, rules and transitions are settings."""
    if type(env).__name__ == "BlackjackEnv":
        hand = forms.several(whole(1, 10))
        return dict(zip(_CARDS, (hand, hand, text, text), strict=True))
    places, actions = env.observation_space.n, env.action_space.n
    walk: Fields = {"s": whole(0, int(places) - 1), "lastaction": optional(whole(0, int(actions) - 1))}
    if type(env).__name__ == "TaxiEnv":
        return {**walk, "fickle_step": flag, "taxi_orientation": whole(0)}
    return walk


_LATE = {"FrozenLakeEnv": _WALK, "CliffWalkingEnv": _WALK, "TaxiEnv": ("s",), "BlackjackEnv": _CARDS}
TOY_TEXT = Adapter("gymnasium.envs.toy_text", dict.fromkeys(_LATE, _toy_text), _LATE)

_BODIES = (
    *("AntEnv", "HalfCheetahEnv", "HopperEnv", "HumanoidEnv", "HumanoidStandupEnv", "InvertedDoublePendulumEnv"),
    *("InvertedPendulumEnv", "PusherEnv", "ReacherEnv", "SwimmerEnv", "Walker2dEnv"),
)
_PLACES = {"ReacherEnv": ("goal",), "PusherEnv": ("goal_pos", "cylinder_pos")}  # drawn by a reset
# What the simulator computes within a step from the state before it. Envs read some of it before the next step (a speed
# is the difference of two positions), so it cannot be computed from the state after the step.
_DERIVED = (
    *("xpos", "xquat", "xmat", "xipos", "ximat", "geom_xpos", "geom_xmat", "site_xpos", "site_xmat", "subtree_com"),
    *("cinert", "cvel", "cacc", "cfrc_ext", "cfrc_int", "qacc", "qfrc_actuator", "qfrc_constraint", "actuator_force"),
    *("sensordata",),
)


def _parameters(env: Any) -> Fields:
    late = _PLACES.get(type(env).__name__, ())
    return {**dict.fromkeys(late, forms.array((2,), "fi")), **fields.parameters(env, late)}


class Mujoco(Adapter):
    """The integration state (``mjSTATE_INTEGRATION``), the quantities derived from it, and the env's parameters.

    The integration state has the time, positions, velocities, activations, controls, applied forces and the warm start
    of the solver. ``mj_forward`` is not called, because it would advance the warm start. Left out: the model, which a
    user may have changed, and the renderer.
    """

    def capture(self, env: Any) -> dict[str, Any]:
        """Return the state, float64, and the rest."""
        import mujoco  # loaded by the env

        kind, size = _integration(env)
        integration = np.empty(size)
        mujoco.mj_getState(env.model, env.data, integration, kind)
        derived = fields.read(env.data, _derived(env))
        return {"integration": integration, "derived": derived, "parameters": super().capture(env)}

    def restore(self, env: Any, state: dict[str, Any]) -> None:
        """Set the state and the rest."""
        import mujoco

        kind, size = _integration(env)
        known = {"integration": forms.array((size,), "f"), "derived": forms.of_dict(_derived(env))}
        values = fields.checked(env, state, {**known, "parameters": forms.mapping})
        super().restore(env, values["parameters"])
        mujoco.mj_setState(env.model, env.data, values["integration"].astype(np.float64), kind)
        for name, value in values["derived"].items():
            getattr(env.data, name)[...] = value


def _derived(env: Any) -> Fields:
    return {name: forms.like(getattr(env.data, name)) for name in _DERIVED}


def _integration(env: Any) -> tuple[int, int]:
    """Return MuJoCo's number of the integration state, and its size."""
    import mujoco

    kind = int(mujoco.mjtState.mjSTATE_INTEGRATION)
    return kind, int(mujoco.mj_stateSize(env.model, kind))


MUJOCO = Mujoco("gymnasium.envs.mujoco", dict.fromkeys(_BODIES, _parameters), _PLACES)


class Atari(Adapter):
    """The state of the emulator (ale_py) with its generator, as bytes in its own format.

    The emulator repeats its last action with ``repeat_action_probability`` per frame and does not return that action.
    With a probability above 0 a copy can take another action in its first frames. With 0 the copy is exact, and
    ``gymnasium.wrappers.StickyAction`` around the bare env, below ``AtariPreprocessing``, has the same effect.
    """

    def unsupported_reason(self, env: Any) -> str | None:
        """Return the probability of repeated actions if it is not 0."""
        probability = env.ale.getFloat("repeat_action_probability")
        if probability == 0:
            return None
        return (
            f"with repeat_action_probability={probability:g} its emulator keeps the action that it repeats to itself;"
            " use 0 and the wrapper gymnasium.wrappers.StickyAction around the bare env"
        )

    def capture(self, env: Any) -> dict[str, Any]:
        """Return the emulator's state: uint8, [bytes]."""
        return {"emulator": np.frombuffer(env.ale.cloneState(include_rng=True).serialize(), np.uint8)}

    def restore(self, env: Any, state: dict[str, Any]) -> None:
        """Set the emulator's state. The emulator checks that it is of the same game."""
        import ale_py  # loaded by the env

        values = fields.checked(env, state, {"emulator": _bytes})
        try:
            env.ale.restoreState(ale_py.ALEState(values["emulator"].tobytes()))
        except (SystemError, RuntimeError) as error:
            game = type(env).__name__
            raise ValueError(f"{game}.emulator must be a state of this game ({env._game})") from error


def _bytes(name: str, value: Any) -> Any:
    return forms.array((value.size if isinstance(value, np.ndarray) else 0,), "u")(name, value)


ATARI = Atari("ale_py", {"AtariEnv": lambda _: {}})
