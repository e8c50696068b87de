"""Custom rules, heads and agents that inherit from those with kernels are computed by torch."""

from typing import Any

import gymnasium as gym
import pytest
import torch
from tracerl.agents.reflect import ReflectAgent

from tests.helpers import make_agent
from tracerl.config.checks import ConfigError
from tracerl.nn.heads import Categorical
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
