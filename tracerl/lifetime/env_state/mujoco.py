"""Gymnasium's MuJoCo envs."""

from typing import Any

import numpy as np

from tracerl.config import forms

from . import fields
from .adapter import Adapter

_NAMES = (
    *("AntEnv", "HalfCheetahEnv", "HopperEnv", "HumanoidEnv", "HumanoidStandupEnv", "InvertedDoublePendulumEnv"),
    *("InvertedPendulumEnv", "PusherEnv", "ReacherEnv", "SwimmerEnv", "Walker2dEnv"),
)
_LATE = {"ReacherEnv": ("goal",), "PusherEnv": ("goal_pos", "cylinder_pos")}  # places that a reset draws

# What the simulator computes on its way through a step, from where the step began: the envs read some of it before the
# next step (a speed is the difference of two places), so it cannot be computed anew from where the step ended.
DERIVED = (
    *("xpos", "xquat", "xmat", "xipos", "ximat", "geom_xpos", "geom_xmat", "site_xpos", "site_xmat", "subtree_com"),
    *("cinert", "cvel", "cacc", "cfrc_ext", "cfrc_int", "qacc", "qfrc_actuator", "qfrc_constraint", "actuator_force"),
    *("sensordata",),
)


class Mujoco(Adapter):
    """The integration state (``mjSTATE_INTEGRATION``), what was derived from it, and the env's parameters.

    The integration state has the time, positions, velocities, activations, controls, applied forces and the warm start
    of the solver. ``mj_forward`` is not called: it would move on the warm start, and the derived quantities with it.
    Left out: the model, of which a user may have changed something, and the renderer.
    """

    def capture(self, env: Any) -> dict[str, Any]:
        """Return the state, float64, and the rest."""
        import mujoco  # loaded by the env

        integration = np.empty(_size(env))
        mujoco.mj_getState(env.model, env.data, integration, _all())
        return {
            "integration": integration,
            "derived": fields.read(env.data, _derived(env)),
            "parameters": fields.read(env, _parameters(env)),
        }

    def restore(self, env: Any, state: dict[str, Any]) -> None:
        """Set the state and the rest."""
        import mujoco

        known = {"integration": forms.array((_size(env),), "f"), "derived": forms.of_dict(_derived(env))}
        values = fields.checked(env, state, {**known, "parameters": forms.mapping})
        fields.write(env, values["parameters"], _parameters(env), late=_LATE.get(type(env).__name__, ()))
        mujoco.mj_setState(env.model, env.data, values["integration"].astype(np.float64), _all())
        for name, value in values["derived"].items():
            getattr(env.data, name)[...] = value


def _all() -> int:
    import mujoco

    return int(mujoco.mjtState.mjSTATE_INTEGRATION)


def _parameters(env: Any) -> fields.Fields:
    late = _LATE.get(type(env).__name__, ())
    return {**dict.fromkeys(late, forms.array((2,), "fi")), **fields.parameters(env, late)}


def _derived(env: Any) -> fields.Fields:
    return {name: forms.like(getattr(env.data, name)) for name in DERIVED}


def _size(env: Any) -> int:
    """Return how many numbers the integration state has."""
    import mujoco

    return int(mujoco.mj_stateSize(env.model, _all()))


MUJOCO = Mujoco("gymnasium.envs.mujoco", dict.fromkeys(_NAMES, _parameters), _LATE)
