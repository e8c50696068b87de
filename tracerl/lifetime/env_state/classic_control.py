"""Gymnasium's classic control: a state of a few numbers, and parameters that ``Drift`` changes."""

from typing import Any

from . import fields, forms
from .adapter import is_named
from .fields import Fields
from .forms import optional, real, whole

SIZES = {"CartPoleEnv": 4, "AcrobotEnv": 4, "MountainCarEnv": 2, "Continuous_MountainCarEnv": 2, "PendulumEnv": 2}
_COUNTER, _TORQUE = "steps_beyond_terminated", "last_u"  # of CartPole; of Pendulum, which draws it
# What the first reset makes.
LATE = {"MountainCarEnv": ("state",), "Continuous_MountainCarEnv": ("state",), "PendulumEnv": ("state", _TORQUE)}


class ClassicControl:
    """The state, what else an episode keeps, and every parameter of the equations that is an attribute.

    The state is an array after some calls and a tuple after others (MountainCar), of floats of 4 or of 8 bytes
    (Continuous_MountainCar): it comes back as what it was. Left out: windows and the render mode.
    """

    def matches(self, env: Any) -> bool:
        """See ``Adapter.matches``."""
        return is_named(env, "gymnasium.envs.classic_control", SIZES)

    def obstacle(self, env: Any) -> str | None:
        """Return None: all is in attributes."""
        return None

    def capture(self, env: Any) -> dict[str, Any]:
        """Return the attributes."""
        return fields.read(env, _fields(env))

    def restore(self, env: Any, state: dict[str, Any]) -> None:
        """Set the attributes."""
        fields.write(env, state, _fields(env), LATE.get(type(env).__name__, ()))


def _fields(env: Any) -> Fields:
    name, own = type(env).__name__, ("state", _COUNTER, _TORQUE)
    size = SIZES[name]
    numbers = forms.either(forms.array((size,), "f"), forms.several(real, n=size))
    found: dict[str, Any] = {"state": optional(numbers)}
    if name == "CartPoleEnv":
        found[_COUNTER] = optional(whole(0))
    if name == "PendulumEnv":
        found[_TORQUE] = optional(real)
    return {**found, **fields.parameters(env, own)}
