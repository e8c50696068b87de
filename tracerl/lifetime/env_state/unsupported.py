"""Classes that cannot be captured to the bit, and why; and all that nobody knows."""

from typing import Any

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
_UNKNOWN = "it has no state_dict() and load_state_dict(state) of its own"


class Unsupported:
    """Takes every layer that no other adapter takes, and says why nobody does.

    LunarLander was measured: given the positions, angles, velocities and sleep of all its bodies, the terrain and the
    generator, a copy differs from the original by 1e-8 to 1e-5 in the observation of the first step, where it is not
    made right after a reset.
    """

    def matches(self, env: Any) -> bool:
        """Return True."""
        return True

    def obstacle(self, env: Any) -> str | None:
        """Give the reason."""
        module, name = type(env).__module__, type(env).__qualname__
        for (package, known), reason in REASONS.items():
            if name == known and module.startswith(package + "."):
                return reason
        return _UNKNOWN

    def capture(self, env: Any) -> dict[str, Any]:
        """Raise a ValueError: there is an obstacle."""
        raise ValueError(self.obstacle(env))

    def restore(self, env: Any, state: dict[str, Any]) -> None:
        """Raise a ValueError: there is an obstacle."""
        raise ValueError(self.obstacle(env))
