"""Gymnasium's classic control: the state, what else an episode keeps, and the parameters, which ``Drift`` changes.

The state is an array after some calls and a tuple after others (MountainCar), of floats of 4 or of 8 bytes
(Continuous_MountainCar): it comes back as what it was. Left out: windows and the render mode.
"""

from typing import Any

from tracerl.config import forms
from tracerl.config.forms import optional, real, whole

from . import fields
from .adapter import Adapter
from .fields import Fields

_SIZES = {"CartPoleEnv": 4, "AcrobotEnv": 4, "MountainCarEnv": 2, "Continuous_MountainCarEnv": 2, "PendulumEnv": 2}
_COUNTER, _TORQUE = "steps_beyond_terminated", "last_u"  # of CartPole; of Pendulum, which draws it
_LATE = {"MountainCarEnv": ("state",), "Continuous_MountainCarEnv": ("state",), "PendulumEnv": ("state", _TORQUE)}


def _fields(env: Any) -> Fields:
    name, own = type(env).__name__, ("state", _COUNTER, _TORQUE)
    size = _SIZES[name]
    numbers = forms.either(forms.array((size,), "f"), forms.several(real, n=size))
    found: dict[str, Any] = {"state": optional(numbers)}
    if name == "CartPoleEnv":
        found[_COUNTER] = optional(whole(0))
    if name == "PendulumEnv":
        found[_TORQUE] = optional(real)
    return {**found, **fields.parameters(env, own)}


CLASSIC_CONTROL = Adapter("gymnasium.envs.classic_control", dict.fromkeys(_SIZES, _fields), _LATE)
