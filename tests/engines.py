"""Two agents of the same settings and seed, of two engines or kernels, that receive the same episodes."""

from collections.abc import Iterable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from tracerl.agents.reflect import ReflectAgent

from tests.helpers import make_agent
from tests.toy_envs import Space

SPACES = {
    "discrete from 3": gym.spaces.Discrete(4, start=3),
    "multi-discrete": gym.spaces.MultiDiscrete([[2, 3], [1, 5]]),
    "multi-binary": gym.spaces.MultiBinary(3),
    "box": gym.spaces.Box(np.array([-1.0, 0.0, -np.inf]), np.array([1.0, 9.0, np.inf]), dtype=np.float64),
}
FAN_IN = ("optimizer=update_rms", "optimizer.policy.fan_in=5", "optimizer.value.fan_in=3")


def pair(
    size: int | tuple[int, ...], actions: int | gym.Space, *overrides: str, **options: Any
) -> tuple[ReflectAgent, ReflectAgent]:
    env = Space(size, actions)
    spiking = not any(override.startswith("agent=") for override in overrides)
    drawn = ["network.recurrent_scale=0.7"] if spiking else []  # the default starts them at zero
    first, second = (make_agent(env, *drawn, *overrides, f"engine={name}", **options) for name in ("torch", "fused"))
    assert (first.engine, second.engine) == ("torch", "fused")
    return first, second


def compute_by_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the kernels treat every network as too large for a cache."""
    monkeypatch.setattr("tracerl.kernels.describe.LARGEST_AT_ONCE", 0)


def by_rows(
    monkeypatch: pytest.MonkeyPatch, size: int | tuple[int, ...], actions: int, *overrides: str
) -> tuple[ReflectAgent, ReflectAgent]:
    """Return two agents of the fused engine, which equals torch; the second computes by rows."""
    _, at_once = pair(size, actions, *overrides, dtype=torch.float64)
    compute_by_rows(monkeypatch)
    return at_once, pair(size, actions, *overrides, dtype=torch.float64)[1]


def step_together(
    agents: tuple[ReflectAgent, ReflectAgent],
    size: int,
    steps: int,
    seed: int = 0,
    joined_every: int | None = None,
    silent: Mapping[int, int] | None = None,
) -> None:
    """Pass both agents the same episodes; compare actions and signals at every step and all state at the end.

    With ``joined_every``, all state is compared every so many steps and copied from the first agent to the second: for
    agents in which rounding errors grow. ``silent`` gives, for some numbers of the observation, the step up
    to which they are zero.
    """
    rng = np.random.default_rng(seed)
    torch_agent, fused_agent = agents
    actions = [agent.start(np.zeros(size, np.float32)) for agent in agents]
    for i in range(steps):
        np.testing.assert_allclose(
            actions[0], actions[1], rtol=1e-6, atol=1e-7 if isinstance(actions[0], np.ndarray) else 0
        )
        seen = rng.normal(size=size).astype(np.float32)
        seen[[place for place, until in (silent or {}).items() if i < until]] = 0
        reward = float(rng.normal()) if i % 3 else 0.0
        if rng.random() < 0.08:
            terminated = bool(rng.integers(2))
            for agent in agents:
                agent.end(reward, seen, terminated)
            actions = [agent.start(seen) for agent in agents]
        else:
            actions = [agent.step(reward, seen) for agent in agents]
        assert float(fused_agent.signal) == pytest.approx(float(torch_agent.signal), rel=1e-9, abs=1e-10), i
        if joined_every and i % joined_every == 0:
            assert_same_state(agents)
            fused_agent.restore(torch_agent.capture())
    assert_same_state(agents)


def short_and_long(names: Iterable[str]) -> list[Any]:
    """Return each name with 60 steps; the marker ``slow`` has 2,000."""
    names = list(names)
    return [(name, 60) for name in names] + [pytest.param(name, 2000, marks=pytest.mark.slow) for name in names]


def assert_same_state(agents: tuple[ReflectAgent, ReflectAgent]) -> None:
    ours, theirs = (agent.state_dict() for agent in agents)
    for name, tensor in ours.items():
        torch.testing.assert_close(
            theirs[name], tensor, rtol=1e-9, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}"
        )
