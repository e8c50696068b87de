"""Stream AC(lambda) in the fused engine: its kernels against torch, compiled runs, many lifetimes."""

import gymnasium as gym
import pytest
import torch

from tests.engines import SPACES, by_rows, pair, short_and_long, step_together
from tests.helpers import make_agent, run_many_lifetimes, run_one_lifetime

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


@pytest.mark.parametrize(("case", "steps"), short_and_long(CASES))
def test_fused_equals_torch_step_by_step(case: str, steps: int) -> None:
    step_together(pair(4, 3, AGENT, *CASES[case], dtype=torch.float64), 4, steps, joined_every=50)


@pytest.mark.parametrize("case", CASES)
def test_large_network_is_computed_by_rows(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    agents = by_rows(monkeypatch, 5, 3, AGENT, *CASES[case])
    step_together(agents, 5, 120, joined_every=50, silent={1: 120, 3: 60})


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
