"""The torch engine on a GPU; skipped without one."""

import numpy as np
import pytest
import torch

from tests.helpers import make_agent
from tests.toy_envs import Space
from tracerl.lifetime.protocol import StepType

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device that torch can use")


@pytest.mark.parametrize("optimizer", ["intentional", "obgd"])
def test_many_lifetimes_are_equal_on_cpu_and_gpu(optimizer: str) -> None:
    env, seeds, rng = Space(4, 2), list(range(8)), np.random.default_rng(0)
    overrides = ("network.hidden=[16]", f"optimizer={optimizer}", "engine=torch")
    here = make_agent(env, *overrides, seed=seeds)
    there = make_agent(env, *overrides, seed=seeds, device="cuda")
    step_types = np.full(8, StepType.FIRST, np.int8)
    for i in range(60):
        seen, rewards = rng.normal(size=(8, 4)).astype(np.float32), rng.normal(size=8)
        assert here.advance(step_types, rewards, seen).tolist() == there.advance(step_types, rewards, seen).tolist(), i
        ended = step_types >= StepType.TERMINATED
        step_types = np.where(
            ended, StepType.FIRST, np.where(rng.random(8) < 0.1, StepType.TERMINATED, StepType.MID)
        ).astype(np.int8)
    for ours, theirs in zip(here.state_dict().values(), there.state_dict().values(), strict=True):
        torch.testing.assert_close(theirs.cpu(), ours, rtol=1e-3, atol=1e-4)


def test_auto_selects_torch_on_a_gpu_and_gives_the_reason() -> None:
    env = Space(4, 2)
    agent = make_agent(env, "engine=auto", seed=[0, 1], device="cuda")
    assert (agent.engine, agent.engine_reason) == ("torch", "it runs on the CPU, not on cuda")
