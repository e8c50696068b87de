"""Stream AC(lambda) in the fused engine: its kernels against torch, compiled runs, many lifetimes."""

import math

import gymnasium as gym
import numpy as np
import pytest
import torch

from tests.engines import FAN_IN, SPACES, assert_same_state, by_rows, pair, short_and_long, step_together
from tests.helpers import make_agent, run_many_lifetimes, run_one_lifetime
from tracerl.lifetime.protocol import StepType

AGENT, SMALL = "agent=stream_ac", "agent.hidden=[8,6]"

CASES = {
    "two layers": ("agent.hidden=[9,7]",),
    "one layer": ("agent.hidden=[9]",),
    "three layers": ("agent.hidden=[6,5,4]", "agent.sparsity=0.5"),
    "contrast, nothing scaled": (SMALL, "encoder=contrast", "encoder.normalize=false", "agent.scale_reward=false"),
    "intentional": (SMALL, "optimizer=intentional"),
    "sgd": (SMALL, "optimizer=sgd"),
    "update rms": (SMALL, "optimizer=update_rms"),
    "as in the paper": (),
}
TWO = ("agent.channels=[3,4]", "agent.kernel=[3,2]", "agent.stride=[1,2]", SMALL)
IMAGES: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "channels first": ((2, 7, 6), TWO),
    "channels last, contrast": ((6, 5, 2), ("agent.channels=[3]", "agent.hidden=[7]", "encoder=contrast")),
    "intentional": ((7, 6, 2), (*TWO, "optimizer=intentional")),
    "update rms": ((7, 6, 2), (*TWO, *FAN_IN)),
}


@pytest.mark.parametrize(("case", "steps"), short_and_long(CASES))
def test_fused_equals_torch_step_by_step(case: str, steps: int) -> None:
    step_together(pair(4, 3, AGENT, *CASES[case], dtype=torch.float64), 4, steps, joined_every=50)


@pytest.mark.parametrize("case", CASES)
def test_large_network_is_computed_by_rows(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    agents = by_rows(monkeypatch, 5, 3, AGENT, *CASES[case])
    step_together(agents, 5, 120, joined_every=50, silent={1: 120, 3: 60})


@pytest.mark.parametrize("seeds", [[4], [4, 5, 6]], ids=str)
@pytest.mark.parametrize("case", IMAGES)
def test_fused_equals_torch_over_images(case: str, seeds: list[int]) -> None:
    shape, overrides = IMAGES[case]
    agents = pair(shape, 3, AGENT, *overrides, seed=seeds, dtype=torch.float64)
    n, rng, ended = len(seeds), np.random.default_rng(0), np.ones(len(seeds), bool)
    for i in range(200):
        going_on = rng.choice([*[StepType.MID] * 18, StepType.TERMINATED, StepType.TRUNCATED], n)
        step_types = np.where(ended, StepType.FIRST, going_on)
        rewards, seen, ended = rng.normal(size=n), rng.normal(size=(n, *shape)), step_types > StepType.MID
        np.testing.assert_array_equal(*(agent.advance(step_types, rewards, seen) for agent in agents))
        if i % 50 == 49:
            assert_same_state(agents)
            agents[1].restore(agents[0].capture())  # rounding errors grow


@pytest.mark.parametrize("case", IMAGES)
def test_large_convolutional_network_is_computed_by_rows(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shape, overrides = IMAGES[case]
    agents = by_rows(monkeypatch, shape, 3, AGENT, *overrides)
    step_together(agents, math.prod(shape), 120, joined_every=50, silent={1: 120, 3: 60})


@pytest.mark.parametrize(("space", "steps"), short_and_long(["box", "multi-discrete"]))
def test_fused_equals_torch_with_other_heads(space: str, steps: int) -> None:
    overrides = (AGENT, SMALL, "agent.sparsity=0.3", "agent.entropy=0.3")
    step_together(pair(4, SPACES[space], *overrides, dtype=torch.float64), 4, steps, joined_every=50)


def test_compiled_runs_equal_those_through_gymnasium() -> None:
    options = {"seeds": [3, 4, 5], "milestones": ["w5>=20"]}
    inside, records = run_many_lifetimes(
        "CartPole-v1", 800, AGENT, SMALL, "engine=fused", backend="compiled", **options
    )
    through, expected = run_many_lifetimes("CartPole-v1", 800, AGENT, SMALL, "engine=fused", **options)
    assert torch.equal(inside.policy.network.flat, through.policy.network.flat)
    assert [record.returns for record in records] == [record.returns for record in expected]


@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_one_of_many_lifetimes_equals_that_of_its_seed(engine: str) -> None:
    arguments = ("CartPole-v1", 100, AGENT, SMALL, f"engine={engine}")
    together, records = run_many_lifetimes(*arguments, seeds=[3, 4], dtype=torch.float64)
    for i in range(2):
        alone, record = run_one_lifetime(*arguments, seed=3 + i, dtype=torch.float64)
        assert records[i].returns == record.returns
        torch.testing.assert_close(together.policy.network.flat[i], alone.policy.network.flat, rtol=1e-9, atol=1e-12)


def test_auto_selects_the_kernels_or_gives_the_reason() -> None:
    env = gym.make("CartPole-v1")
    assert make_agent(env, AGENT, SMALL, "engine=auto").engine == "fused"
    agent = make_agent(env, AGENT, SMALL, "engine=auto", "encoder=population")
    assert (agent.engine, agent.engine_reason) == ("torch", "it has no kernel for the encoder population")
