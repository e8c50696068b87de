"""A control loop without a Gymnasium env: an oven held at a temperature, saved on a timer, restored after a power loss.

python examples/own_loop.py [STEPS]
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from gymnasium import spaces

import tracerl

PERIOD = 0.001  # seconds between two steps
SAVE_EVERY = 0.5  # seconds
SPACES = spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(2)  # sensor readings; heater off or on


class Oven:
    """An oven that heats while its heater is on and cools while it is off, with a changing target."""

    def __init__(self, seed: int) -> None:
        """Start cold."""
        self._rng, self._time, self.temperature, self.target = np.random.default_rng(seed), 0, -1.0, 0.0

    def heat(self, on: int) -> None:
        """Advance one period with the heater off (0) or on (1)."""
        self._time += 1
        if self._time % 200 == 0:
            self.target = self._rng.uniform(-0.5, 0.5)
        self.temperature += 0.05 * ((1.0 if on else -1.0) - self.temperature) + self._rng.normal(0, 0.005)

    def read(self) -> np.ndarray:
        """Return temperature and target."""
        return np.array([self.temperature, self.target], np.float32).clip(-1, 1)

    @property
    def error(self) -> float:
        """Absolute difference between temperature and target."""
        return abs(self.temperature - self.target)


def switch_on(path: Path) -> tracerl.OnlineAgent:
    """Return the saved agent, or a new one."""
    return tracerl.load_agent(path, SPACES) if path.exists() else tracerl.make_agent(SPACES, seed=0)


def control(agent: tracerl.OnlineAgent, oven: Oven, steps: int, path: Path) -> list[float]:
    """Step the agent at a fixed rate, save it on a timer and return the error at each step."""
    agent.reset_episode()  # the time without power is unknown, so a new episode begins
    action, errors = agent.start(oven.read()), []
    due = save_at = time.monotonic()
    for _ in range(steps):
        oven.heat(action)
        due += PERIOD
        time.sleep(max(0.0, due - time.monotonic()))
        action = agent.step(-oven.error, oven.read())
        errors.append(oven.error)
        if due >= save_at:
            agent.save(path)
            save_at += SAVE_EVERY
    return errors


def main(steps: int = 12_000) -> float:
    """Control an oven, lose power half way and continue; return minus the mean error of the last quarter."""
    oven = Oven(seed=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agent.safetensors"
        before = control(switch_on(path), oven, steps // 2, path)
        after = control(switch_on(path), oven, steps - steps // 2, path)  # a new process would do the same
    parts = [before[: len(before) // 2], before[len(before) // 2 :], after[: len(after) // 2], after[len(after) // 2 :]]
    for i, part in enumerate(parts):
        lost = " (power lost before)" if i == 2 else ""
        print(f"quarter {i + 1}: {np.mean(part):.3f} from the target on average{lost}")
    return -float(np.mean(parts[-1]))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
