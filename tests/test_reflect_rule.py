"""REFLECT(lambda): its traces against gradients, and its special cases."""

import copy

import pytest
import torch
from torch import Tensor

from tests.oracles import initial_state, parameters_of, scores_of, tick
from tests.test_gradients import build, relative_error, stream
from tracerl.config.checks import ConfigError
from tracerl.nn.heads import Categorical
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.random import UniformStream
from tracerl.optim import SGD
from tracerl.rules.reflect import LogProbTrace, TraceLearner
from tracerl.rules.signals import AdvantageSignal, RewardSignal

LIFETIMES = Lifetimes(0, torch.float64)


def follow(decay: float, steps: int) -> tuple[TraceLearner, LogProbTrace, Tensor, Tensor]:
    """Step a policy with fixed weights and accumulate its traces; return them with the inputs and actions."""
    network = build(0, n_out=3)
    learner = TraceLearner(network, SGD(lr=1.0).build(network, decay, LIFETIMES), decay, LIFETIMES)
    head, log_prob_trace = Categorical(3, LIFETIMES), LogProbTrace(decay, LIFETIMES)
    inputs, actions = stream(0, steps), []
    random = UniformStream(LIFETIMES)
    for x in inputs:
        head.sample(network(x), random)
        actions.append(head.action.clone())
        log_prob_trace.accumulate(head.log_probability())
        learner.accumulate(head.score())
    return learner, log_prob_trace, inputs, torch.stack(actions)


def test_eligibility_trace_is_the_gradient_of_the_log_prob_trace() -> None:
    decay = 0.9
    learner, log_prob_trace, inputs, actions = follow(decay, 60)
    p = {name: value.requires_grad_() for name, value in parameters_of(learner.network).items()}
    state, total = initial_state(learner.network), torch.zeros((), dtype=torch.float64)
    for x, action in zip(inputs, actions, strict=True):
        state, y = tick(p, state, x, learner.network)
        total = decay * total + torch.log_softmax(y, -1)[action]
    torch.testing.assert_close(log_prob_trace.trace, total.detach())
    torch.testing.assert_close(log_prob_trace.average(), 0.1 * total.detach())
    learner.network.score.copy_(learner.eligibility_trace)
    traces = scores_of(learner.network)
    gradients = dict(zip(p, torch.autograd.grad(total, list(p.values())), strict=True))
    for name in ("W0", "b0", "V", "c"):
        assert relative_error(traces[name], gradients[name]) <= 1e-10, name


def test_zero_trace_decay_is_one_step_actor_critic() -> None:
    learner, _, _, _ = follow(0.0, 20)
    before, score = learner.network.flat.clone(), learner.network.score.clone()
    learner.update(torch.tensor(-0.7, dtype=torch.float64))
    torch.testing.assert_close(learner.network.flat, before - 0.7 * score)


def test_reset_clears_the_eligibility_trace() -> None:
    learner, log_prob_trace, _, _ = follow(0.9, 20)
    weights = learner.network.flat.clone()
    learner.reset_state()
    log_prob_trace.reset_state()
    assert learner.eligibility_trace.abs().max() == 0
    assert log_prob_trace.trace == 0
    assert torch.equal(learner.network.flat, weights)


def test_signals_by_hand() -> None:
    rewards = [torch.tensor(value, dtype=torch.float64) for value in (4.0, 8.0, 0.0)]
    assert [float(RewardSignal()(reward)) for reward in rewards] == [4.0, 8.0, 0.0]
    advantage = AdvantageSignal(0.5, LIFETIMES)
    # averages before each reward: none, 4, (.5 * (.5 * 4) + .5 * 8) / (1 - .25) = 20/3
    torch.testing.assert_close(
        torch.stack([advantage(reward) for reward in rewards]),
        torch.tensor([0.0, 4.0, -20 / 3], dtype=torch.float64),
    )


@pytest.mark.parametrize("decay", [0.99, 0.9999, 0.999999])
def test_advantage_of_a_constant_reward_is_zero_in_float32(decay: float) -> None:
    advantage = AdvantageSignal(decay, Lifetimes(0))
    assert [float(advantage(torch.tensor(0.1))) for _ in range(50)] == [0.0] * 50


def test_average_whose_decay_rounds_to_one_raises_an_error() -> None:
    assert AdvantageSignal(0.99999999, LIFETIMES).decay == 0.99999999
    with pytest.raises(ConfigError, match="average_decay must be below 1 as a number of torch.float32, got 0.99999999"):
        AdvantageSignal(0.99999999, Lifetimes(0))


def test_copy_learns_independently() -> None:
    learner, _, _, _ = follow(0.9, 20)
    clone = copy.deepcopy(learner)
    clone.update(torch.tensor(1.0, dtype=torch.float64))
    assert not torch.equal(clone.network.flat, learner.network.flat)
    affine = clone.network.layers[0].synapses.affine
    assert torch.equal(affine.flatten(), clone.network.flat[: affine.numel()])
