"""Testing on held-out digits does not change the agent."""

import pytest
import torch

from tests.helpers import compose, script
from tracerl.config import hydra_compat

held_out_digits = script("held_out_digits")
SMALL = ("engine=torch", "network.hidden=[8]", "env.kwargs.held_out=0.02", "env.kwargs.split=held_out")


@pytest.mark.parametrize("showings", [1, 3])
def test_accuracy_uses_greedy_actions_and_does_not_change_the_agent(showings: int) -> None:
    config = compose("env=Digits", *SMALL, f"env.kwargs.showings={showings}")
    spec = hydra_compat.instantiate(config.env, _convert_="all")
    agent, _ = held_out_digits.trained(config, spec, 20, seed=0)
    before = {name: tensor.clone() for name, tensor in agent.state_dict().items()}
    found = held_out_digits.accuracy(agent, spec.make(), seed=0)
    assert 0.0 <= found <= 1.0
    assert found == held_out_digits.accuracy(agent, spec.make(), seed=0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in agent.state_dict().items())
    assert all(not layer.membrane.any() for layer in agent.policy.network.layers)


def test_constant_answer_has_the_accuracy_of_its_share() -> None:
    config = compose("env=Digits", *SMALL)
    spec = hydra_compat.instantiate(config.env, _convert_="all")
    agent, _ = held_out_digits.trained(config, spec, 1, seed=0)
    env = spec.make()
    with torch.inference_mode():
        agent.policy.network.flat.zero_()
        agent.policy.network.readout.affine[7, -1] = 10.0
    share = float((env.unwrapped.labels == 7).mean())
    assert held_out_digits.accuracy(agent, env, seed=0) == pytest.approx(share)


def test_agent_without_a_head_raises_an_error() -> None:
    config = compose("env=Digits", "agent=random")
    spec = hydra_compat.instantiate(config.env, _convert_="all")
    with pytest.raises(SystemExit, match="RandomAgent has no head"):
        held_out_digits.trained(config, spec, 1, seed=0)
