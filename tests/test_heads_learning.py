"""Agents that learn with every action head."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from tests.helpers import make_agent, run_many_lifetimes, run_one_lifetime


class Echo(gym.Env):
    """One step; the reward is for the action, of any space, that the observation names."""

    def __init__(self, kind: str) -> None:
        self.observation_space = spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = {
            "multi-discrete": spaces.MultiDiscrete([3, 2], start=[1, 0]),
            "multi-binary": spaces.MultiBinary(2),
            "box": spaces.Box(-3, 1, (2,), np.float32),
        }[kind]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.asked = self.np_random.choice(np.array([-1.0, 1.0], np.float32), 2)
        return self.asked, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        if isinstance(self.action_space, spaces.Box):
            target = self.asked - 1
            return self.asked, float(-np.abs(action - target).sum()), True, False, {}
        wanted = (self.asked > 0).astype(int) + (self.action_space.start if hasattr(self.action_space, "start") else 0)
        return self.asked, float((action == wanted).mean()), True, False, {}


gym.register("Echo-v0", Echo)
for kind in ("multi-discrete", "multi-binary", "box"):
    gym.register(f"Echo-{kind}-v0", Echo, kwargs={"kind": kind})


@pytest.mark.parametrize("agent", ["reflect", "eprop", "stream_ac"])
@pytest.mark.parametrize(("per_component", "times"), [("true", 2**0.5), ("false", 1.0)])
def test_policy_step_size_does_not_depend_on_the_number_of_components(
    agent: str, per_component: str, times: float
) -> None:
    overrides = ("optimizer=intentional", "optimizer.policy.eta=0.1", f"optimizer.policy.per_component={per_component}")
    made = make_agent(gym.make("Echo-box-v0"), f"agent={agent}", *overrides)
    policy, *critic = made._rules()
    assert policy.settings.eta == pytest.approx(0.1 * times)
    assert [rule.settings.eta for rule in critic] == [0.5] * len(critic)


@pytest.mark.parametrize(
    ("kind", "floor", "more"),
    [
        ("multi-discrete", 0.9, ()),
        ("multi-binary", 0.9, ()),
        ("box", -0.7, ()),
        ("box", -0.7, ("head=discretized", "head.spacing=1")),
    ],
    ids=["multi-discrete", "multi-binary", "box", "box, discretized"],
)
def test_default_agent_learns_with_every_head_alone_and_in_a_product(
    kind: str, floor: float, more: tuple[str, ...]
) -> None:
    arguments = (f"Echo-{kind}-v0", 2000, "engine=fused", "network.hidden=[16]", *more)
    _, record = run_one_lifetime(*arguments)
    assert record.mean_return() > floor
    _, records = run_many_lifetimes(*arguments, seeds=[0, 1])
    assert records[0].mean_return() == record.mean_return()
