"""Custom rules, heads and agents that inherit from those with kernels are computed by torch."""

from functools import partial
from typing import Any

import gymnasium as gym
import pytest
import torch
from tracerl.agents.reflect import ReflectAgent

from tests.helpers import make_agent
from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.nn.heads import Categorical, head_for
from tracerl.nn.lifetimes import Lifetimes
from tracerl.optim import ObGD
from tracerl.optim.obgd import OvershootingBounded

SMALL = "network.hidden=[16]"


class Cautious(ObGD):
    """A step-size rule that inherits from one with a kernel."""

    def build(self, network: Any, trace_decay: float, lifetimes: Lifetimes) -> OvershootingBounded:
        return Halved(self, lifetimes)


class Halved(OvershootingBounded):
    """Half the steps of ObGD."""

    def forward(self, network: Any, trace: torch.Tensor, signal: torch.Tensor) -> None:
        super().forward(network, trace, signal / 2)


class Fair(Categorical):
    """A head that inherits from one with a kernel."""

    def __init__(self, space: Any, lifetimes: Lifetimes) -> None:
        super().__init__(int(space.n), lifetimes)


class Shared(Categorical):
    """A head with a setting, which it checks."""

    def __init__(self, space: Any, lifetimes: Lifetimes, share: Any) -> None:
        super().__init__(int(space.n), lifetimes)
        checks.unit_interval("share", share)
        checks.whole("env", int(space.n), 2)


def no_head(space: Any, lifetimes: Lifetimes) -> None:
    """A function that an invalid ``agent.head`` names."""


class Other(ReflectAgent):
    """An agent that inherits from the one with kernels."""


@pytest.mark.parametrize(
    ("overrides", "lacking"),
    [
        (["optimizer=obgd", f"optimizer.policy._target_={__name__}.Cautious"], "Halved"),
        ([f"agent.head={{_target_:{__name__}.Fair,_partial_:true}}"], "Fair"),
        ([f"agent._target_={__name__}.Other"], "Other"),
    ],
)
def test_subclass_of_a_part_with_a_kernel_is_computed_by_torch(overrides: list[str], lacking: str) -> None:
    agent = make_agent(gym.make("CartPole-v1"), SMALL, "engine=auto", *overrides)
    assert agent.engine == "torch" and lacking in agent.engine_reason
    with pytest.raises(ConfigError, match=f"engine cannot be fused.*{lacking}"):
        make_agent(gym.make("CartPole-v1"), SMALL, "engine=fused", *overrides)


def test_invalid_head_raises_an_error_naming_the_key() -> None:
    for wrong in ("3", f"{{_target_:{__name__}.no_head,_partial_:true}}"):
        with pytest.raises(ConfigError, match="head must be null or _target_ of a head"):
            make_agent(gym.make("CartPole-v1"), f"agent.head={wrong}")


@pytest.mark.parametrize("agent", ["reflect", "stream_ac"])
def test_setting_that_a_head_refuses_is_named_under_head(agent: str) -> None:
    head = f"agent.head={{_target_:{__name__}.Shared,_partial_:true,share:2}}"
    with pytest.raises(ConfigError, match=r"^head\.share must be a number in \[0, 1\], got 2"):
        make_agent(gym.make("CartPole-v1"), f"agent={agent}", head)


def test_head_made_from_python_names_its_settings_and_the_env() -> None:
    for share, space, key in ((2, 3, "head.share"), (0.5, 1, "env")):
        with pytest.raises(ConfigError) as found:
            head_for(gym.spaces.Discrete(space), Lifetimes(0), partial(Shared, share=share))
        assert found.value.key == key
