"""The categorical head against torch.distributions and autograd."""

import pytest
import torch
from torch.distributions import Categorical as Reference

from tracerl.heads import Categorical
from tracerl.lives import Lives


@pytest.mark.parametrize("seeds", [0, [0, 1, 2]])
def test_score_and_entropy_equal_autograd(seeds: int | list[int]) -> None:
    lives = Lives(seeds, torch.float64)
    head = Categorical(4, lives)
    logits = lives.normal(2.0, 4).requires_grad_()
    uniform = lives.uniform(0, 1)
    with torch.no_grad():
        action = head.sample(logits, uniform)
    reference = Reference(logits=logits)
    torch.testing.assert_close(head.log_probability(), reference.log_prob(action).detach())
    torch.testing.assert_close(head.entropy(), reference.entropy().detach())
    (score,) = torch.autograd.grad(reference.log_prob(action).sum(), logits, retain_graph=True)
    (entropy_gradient,) = torch.autograd.grad(reference.entropy().sum(), logits)
    torch.testing.assert_close(head.score(), score)
    torch.testing.assert_close(head.entropy_gradient(head.entropy()), entropy_gradient)


def test_actions_come_as_often_as_their_probability() -> None:
    head = Categorical(3, Lives(0, torch.float64))
    logits = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64).log()
    grid = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    actions = [int(head.sample(logits, uniform)) for uniform in grid]
    assert [actions.count(action) for action in range(3)] == [200, 500, 300]


def test_no_random_number_leaves_the_action_space() -> None:
    head = Categorical(3, Lives(0))
    logits = torch.tensor([-50.0, 50.0, -50.0])
    for uniform in (0.0, 1 - 2**-53):
        assert int(head.sample(logits, torch.tensor(uniform, dtype=torch.float64))) in range(3)
