"""REFLECT of traceTorch against traceTorch 0.3.0 and autograd; the trace of the product; lifetimes."""

from typing import Any

import pytest
import torch
from torch import Tensor
from tracetorch import loss as their_loss

from tests.test_layers_trace import LEARNED, copy_of, network_of, parameters_by_their_name
from tracerl.nn.lifetimes import Lifetimes
from tracerl.optim import SGD, TorchOptim
from tracerl.rules.classic_learner import ClassicLearner
from tracerl.rules.reflect_classic import PairedReflect, Reflect, Timescales

DOUBLE = torch.float64


def timescales_of(*decays: float, lifetimes: Lifetimes, learn: bool = True) -> Timescales:
    """Return timescales with a buffer for their gradients."""
    made = Timescales(decays, lifetimes, learn_decay=learn, learn_mixture=learn)
    for parameter in made.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return made


def stream(steps: int, n: int, dtype: torch.dtype = torch.float32) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Probabilities, the output chosen and the reward."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(steps):
        p = torch.softmax(torch.randn(n, generator=generator, dtype=dtype), -1)
        action = torch.multinomial(p, 1, generator=generator).squeeze()
        reward = torch.randn((), generator=generator, dtype=dtype)
        found.append((p, torch.nn.functional.one_hot(action, n).to(dtype), reward))
    return found


def test_500_steps_equal_tracetorch() -> None:
    """Loss, signal and the decay's gradient, to 1e-5 in float32."""
    lifetimes = Lifetimes(0)
    timescales = timescales_of(0.9, lifetimes=lifetimes)
    mine, theirs = Reflect(timescales, 4, lifetimes), their_loss.Reflect(4, 0.9)
    assert float(timescales.raw_decay) == pytest.approx(theirs.decay.item(), abs=1e-6)
    for p, output, reward in stream(500, 4):
        mine(p, output)
        theirs(p, output)
        theirs.decay.grad = None
        expected_loss, expected = theirs.backward(reward)
        torch.testing.assert_close(mine.backward(reward), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(timescales.loss(), expected_loss.detach(), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(timescales.raw_decay.grad.squeeze(), theirs.decay.grad, rtol=1e-5, atol=1e-5)


def test_two_steps_by_hand() -> None:
    """With d = .5, two outputs and p = (.25, .75): output 0 has reward 1, then output 1 has reward 3."""
    lifetimes = Lifetimes(0, DOUBLE)
    timescales = timescales_of(0.5, lifetimes=lifetimes)
    reflect, p = Reflect(timescales, 2, lifetimes), torch.tensor([0.25, 0.75], dtype=DOUBLE)
    reflect(p, torch.tensor([1.0, 0.0], dtype=DOUBLE))
    # A = 1 - 0, signal = -1 * .5 * (1, 0)
    torch.testing.assert_close(reflect.backward(torch.tensor(1.0)), torch.tensor([-0.5, 0.0], dtype=DOUBLE))
    reflect(p, torch.tensor([0.0, 1.0], dtype=DOUBLE))
    # rho = 1, A = 3 - .5 = 2.5, y = (.5, 1), signal = -2.5 * .5 * y
    torch.testing.assert_close(reflect.backward(torch.tensor(3.0)), torch.tensor([-0.625, -1.25], dtype=DOUBLE))
    # l = 1.5 (log .25, log .75) = (-2.0794415, -.4315231), loss = -2.5 * .25 * (.5 l_0 + l_1) = .9195275
    assert float(timescales.loss()) == pytest.approx(0.9195275, rel=1e-6)
    # d loss / d raw = 2 * 2.5 * .5 * (.5 l_0 + l_1) * .25 = -.9195275
    assert float(timescales.raw_decay.grad) == pytest.approx(-0.9195275, rel=1e-6)
    assert float(timescales.reward_trace) == 3.5


def test_several_timescales_are_weighted_by_a_softmax() -> None:
    """The averages of ReflectMTF (traceTorch, commit ae73a81), its loss differentiated by autograd."""
    lifetimes = Lifetimes(0, DOUBLE)
    timescales = timescales_of(0.5, 0.9, 0.99, lifetimes=lifetimes)
    timescales.raw_mixture.copy_(torch.tensor([0.3, -1.0, 0.5]))
    reflect = Reflect(timescales, 4, lifetimes)
    raw, mixture = timescales.raw_decay.clone().requires_grad_(), timescales.raw_mixture.clone().requires_grad_()
    l_t, y_t, rho = torch.zeros(3, 4, dtype=DOUBLE), torch.zeros(3, 4, dtype=DOUBLE), torch.zeros(3, dtype=DOUBLE)
    for p, output, reward in stream(50, 4, DOUBLE):
        d, share = torch.sigmoid(raw), torch.softmax(mixture, -1) * (1 - torch.sigmoid(raw))
        l_t, y_t = ((d[:, None] * trace + new).detach() for trace, new in ((l_t, torch.log(p + 1e-12)), (y_t, output)))
        advantage = (reward - share @ rho).detach()
        rho = (d * rho + reward).detach()
        average_logprob = share @ l_t
        loss = -advantage * ((share @ y_t) * average_logprob).sum()
        expected, by_raw, by_mixture = torch.autograd.grad(loss, [average_logprob, raw, mixture])
        reflect(p, output)
        torch.testing.assert_close(reflect.backward(reward), expected)
        torch.testing.assert_close(timescales.loss(), loss.detach())
        torch.testing.assert_close(timescales.raw_decay.grad, by_raw)
        torch.testing.assert_close(timescales.raw_mixture.grad, by_mixture)


def test_frozen_timescales_give_the_same_signal() -> None:
    """TraceTorch's backward fails if its decay does not require a gradient."""
    lifetimes = Lifetimes(0)
    free, frozen = (
        Reflect(timescales_of(0.9, 0.5, lifetimes=lifetimes, learn=learn), 4, lifetimes) for learn in (True, False)
    )
    assert not list(frozen.parameters())
    for p, output, reward in stream(20, 4):
        for reflect in (free, frozen):
            reflect(p, output)
        torch.testing.assert_close(free.backward(reward), frozen.backward(reward))


def learner_of(rule: Any, lifetimes: Lifetimes, paired: bool = False, **changes: object) -> ClassicLearner:
    network = network_of(5, 8, 3, lifetimes=lifetimes, **changes).network
    timescales = Timescales([0.9], lifetimes, learn_decay=True, learn_mixture=False)
    return ClassicLearner(network, timescales, paired, rule, lifetimes)


def act(learner: ClassicLearner, x: Tensor, action: Tensor) -> None:
    logits = learner(x)
    log_probability = torch.log_softmax(logits, -1).gather(-1, action.unsqueeze(-1)).squeeze(-1)
    learner.accumulate(action, log_probability)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_learning_equals_tracetorch_with_the_same_optimiser(name: str) -> None:
    """Layers, REFLECT and a torch.optim optimiser together: the parameters after 200 rewards, in float32."""
    learner = learner_of(TorchOptim(name, {"lr": 0.01}), Lifetimes(0))
    theirs, their_reflect = copy_of(learner.network), their_loss.Reflect(3, 0.9)
    their_reflect.decay.data.copy_(learner.timescales.raw_decay.squeeze())
    optimizer = getattr(torch.optim, name)([*theirs.parameters(), *their_reflect.parameters()], lr=0.01)
    generator = torch.Generator().manual_seed(0)
    before = learner.flat.clone()
    for step in range(200):
        x = torch.randn(5, generator=generator)
        action = torch.tensor(step * 7 % 3)
        reward = torch.tensor(float((x[0] > 0) == (action == 0)))
        act(learner, x, action)
        their_reflect(theirs(x), torch.nn.functional.one_hot(action, 3))
        learner.learn(reward)
        optimizer.zero_grad()
        _, signal = their_reflect.backward(reward)
        theirs.backward(signal)
        optimizer.step()
    for mine, its in zip([*learner.network.layers, learner.network.readout], theirs.layers, strict=True):
        for key, parameter in parameters_by_their_name(mine).items():
            torch.testing.assert_close(parameter.detach(), getattr(its, key).detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(learner.timescales.raw_decay.squeeze().detach(), their_reflect.decay.detach())
    assert (learner.flat != before).float().mean() > 0.8


# The known defect: separate averages lose which action was taken in which state.


def cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.cosine_similarity(a.flatten(), b.flatten(), dim=0))


def gradients_of_20_steps(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return gradients of a stateless softmax: of the averaged log-probability, by separate and by paired traces."""
    generator = torch.Generator().manual_seed(seed)
    lifetimes = Lifetimes(seed, DOUBLE)
    held = dict.fromkeys(set(LEARNED) - {"learn_weight"}, False)
    exact = {"log_prob_signal": True, "exact_trace_decay": True, "membrane_decay": 0.0, **held}
    found = []
    for paired in (False, True):
        network = network_of(
            6, 3, lifetimes=Lifetimes(seed, DOUBLE), input_trace_decay=0.0 if paired else 0.9, **exact
        ).network
        timescales = Timescales([0.9], lifetimes, learn_decay=False, learn_mixture=False)
        found.append(ClassicLearner(network, timescales, paired, SGD(lr=1e-9), lifetimes))
    weight = found[0].network.readout.weight.detach().clone().requires_grad_()
    total = torch.zeros((), dtype=DOUBLE)
    for _ in range(20):
        x = torch.randn(6, generator=generator, dtype=DOUBLE)
        action = torch.randint(3, (), generator=generator)
        total = 0.9 * total + torch.log_softmax(weight @ x, -1)[action]
        for learner in found:
            act(learner, x, action)
    for learner in found:
        learner.learn(torch.tensor(1.0, dtype=DOUBLE))
    (expected,) = torch.autograd.grad(-0.1 * total, weight)
    return expected, *(learner.network.readout.weight.grad for learner in found)


def test_paired_traces_equal_the_gradient_of_log_prob_and_separate_averages_do_not() -> None:
    cosines = []
    for seed in range(10):
        expected, separate, paired = gradients_of_20_steps(seed)
        torch.testing.assert_close(paired, expected, rtol=1e-4, atol=1e-6)
        cosines.append(cosine(separate, expected))
    assert sum(cosines) / len(cosines) < 0.5


def test_paired_loss_equals_autograd() -> None:
    lifetimes = Lifetimes(0, DOUBLE)
    timescales = timescales_of(0.5, 0.9, lifetimes=lifetimes)
    timescales.raw_mixture.copy_(torch.tensor([0.3, -1.0]))
    paired = PairedReflect(timescales, 4, lifetimes)
    raw, mixture = timescales.raw_decay.clone().requires_grad_(), timescales.raw_mixture.clone().requires_grad_()
    rho, trace, zeta = torch.zeros(2, dtype=DOUBLE), torch.zeros(2, dtype=DOUBLE), torch.zeros(2, 4, dtype=DOUBLE)
    for score, _, reward in stream(20, 4, DOUBLE):
        d = torch.sigmoid(raw)
        trace, zeta = (d * trace + score[0]).detach(), (d.unsqueeze(-1) * zeta + score).detach()
        share = torch.softmax(mixture, -1) * (1 - d)
        advantage = (reward - share @ rho).detach()
        rho = (d * rho + reward).detach()
        loss = -advantage * (share @ trace)
        paired(score[0], score)
        torch.testing.assert_close(paired.backward(reward), (-advantage * share @ zeta).detach())
        torch.testing.assert_close(timescales.loss(), loss.detach())
        by_raw, by_mixture = torch.autograd.grad(loss, [raw, mixture])
        torch.testing.assert_close(timescales.raw_decay.grad, by_raw)
        torch.testing.assert_close(timescales.raw_mixture.grad, by_mixture)


@pytest.mark.parametrize("paired", [False, True])
def test_one_of_many_lifetimes_equals_the_single_lifetime(paired: bool) -> None:
    many = learner_of(SGD(lr=0.1), Lifetimes([3, 4, 5], DOUBLE), paired)
    alone = learner_of(SGD(lr=0.1), Lifetimes(4, DOUBLE), paired)
    generator = torch.Generator().manual_seed(0)
    before = alone.flat.clone()
    for step in range(60):
        x = torch.randn(3, 5, generator=generator, dtype=DOUBLE)
        action = torch.randint(3, (3,), generator=generator)
        reward = torch.randn(3, generator=generator, dtype=DOUBLE)
        act(many, x, action)
        act(alone, x[1], action[1])
        many.learn(reward)
        alone.learn(reward[1])
        torch.testing.assert_close(many.flat[1], alone.flat)
        if step == 20:
            many.reset_state(torch.tensor([False, True, False]))
            alone.reset_state()
    assert not torch.equal(alone.flat, before)
