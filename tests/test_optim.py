"""Step-size rules against values computed by hand, and the effect of the floor."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.helpers import bare, make_agent
from tests.test_networks import network_of
from tests.toy_envs import Space
from tracerl.config.checks import ConfigError
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks import Network
from tracerl.optim import SGD, AdaptiveObGD, Intentional, ObGD, TorchOptim, UpdateRMS, rule_of_policy

LIFETIMES = Lifetimes(0, torch.float64)


def parameters(n: int) -> Network:
    """Return a stub network of n parameters, at zero."""
    network = network_of(1, [1], 1)
    network.flat = torch.zeros(n, dtype=torch.float64)
    network.score = torch.zeros(n, dtype=torch.float64)
    return network


def two_parameters() -> Network:
    """Return a stub network of two parameters."""
    return parameters(2)


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_obgd_by_hand() -> None:
    network = two_parameters()
    rule = ObGD(lr=1.0, kappa=3.0).build(network, 0.9, LIFETIMES)
    rule(network, tensor(0.5, -1.5), torch.tensor(4.0, dtype=torch.float64))
    alpha = 1 / (3 * 4 * 2.0)  # the norm of the trace is 2, |signal| is above 1
    assert network.flat.tolist() == pytest.approx([alpha * 4 * 0.5, alpha * 4 * -1.5])
    assert rule.step_size.item() == pytest.approx(alpha)


def test_obgd_does_not_scale_small_steps() -> None:
    network = two_parameters()
    rule = ObGD(lr=0.5, kappa=2.0).build(network, 0.9, LIFETIMES)
    rule(network, tensor(0.1, 0.2), torch.tensor(-0.3, dtype=torch.float64))
    assert network.flat.tolist() == pytest.approx([0.5 * -0.3 * 0.1, 0.5 * -0.3 * 0.2])


def test_adaptive_obgd_by_hand() -> None:
    network = two_parameters()
    rule = AdaptiveObGD(lr=1.0, kappa=3.0, update_decay=0.999).build(network, 0.9, LIFETIMES)
    rule(network, tensor(0.5, -2.0), torch.tensor(2.0, dtype=torch.float64))
    # first step: v_hat = |signal zeta| = (1, 4), so zeta/v_hat = (.5, -.5), norm 1, alpha = 1/(3*2*1)
    assert network.flat.tolist() == pytest.approx([1 / 6 * 2 * 0.5, 1 / 6 * 2 * -0.5], rel=1e-6)


def test_update_rms_by_hand() -> None:
    network = two_parameters()
    rule = UpdateRMS(lr=0.1, update_decay=0.75, epsilon=3.0).build(network, 0.9, LIFETIMES)
    rule(network, tensor(4.0, -1.0), torch.tensor(2.0, dtype=torch.float64))
    # u = (8, -2), v = u^2/4 = (16, 1), v + epsilon^2 = (25, 10)
    assert network.flat.tolist() == pytest.approx([0.1 * 8 / 5, -0.1 * 2 / 10**0.5])
    rule(network, tensor(0.0, 2.0), torch.tensor(-1.0, dtype=torch.float64))
    # u = (0, -2), v = (12, .75 + 1)
    assert rule.second_moment.tolist() == [12.0, 1.75]
    assert network.flat.tolist() == pytest.approx([0.16, -0.2 / 10**0.5 - 0.2 / 10.75**0.5])
    assert rule.step_size.item() == 0.1


def test_update_rms_takes_smaller_steps_in_layers_with_more_inputs() -> None:
    network = network_of(8, [4, 2], 3)
    before = network.flat.clone()
    rule = UpdateRMS(lr=0.1, update_decay=0.75, epsilon=1e-9, fan_in=4).build(network, 0.9, LIFETIMES)
    rule(network, torch.ones_like(network.flat), torch.tensor(1.0, dtype=torch.float64))
    change = network.flat - before  # u = 1, v = 1/4: twice the step
    first, second = (layer.synapses for layer in network.layers)
    for layer, expected in ((first, 0.1), (second, 0.2), (network.readout, 0.2)):
        part = network.share(layer, change)
        assert part.tolist() == pytest.approx([expected] * part.numel())
    assert rule.step_size.item() == 0.1


def test_feedback_weights_have_the_inputs_of_the_readout() -> None:
    agent = make_agent(bare(), "agent=eprop", "network.hidden=[32]", "network.feedback=adaptive")
    network = agent.learner.network
    assert [n for size, n in network.fan_in() if size in (network.readout.feedback.numel(), 3 * 33)] == [32, 32]


@pytest.mark.parametrize("spoiled", [math.nan, math.inf])
def test_update_rms_keeps_parameters_whose_update_is_not_finite(spoiled: float) -> None:
    network = two_parameters()
    rule = UpdateRMS(lr=0.1, update_decay=0.75, epsilon=1.0).build(network, 0.9, LIFETIMES)
    rule(network, tensor(spoiled, 2.0), torch.tensor(1.0, dtype=torch.float64))
    assert network.flat.tolist() == pytest.approx([0.0, 0.1 * 2 / 2**0.5])
    assert math.isnan(rule.step_size.item())


def test_sgd_by_hand() -> None:
    network = two_parameters()
    SGD(lr=0.1).build(network, 0.9, LIFETIMES)(network, tensor(1.0, -2.0), torch.tensor(3.0, dtype=torch.float64))
    assert network.flat.tolist() == pytest.approx([0.3, -0.6])


def intentional(eta: float = 0.1, floor: float = 1.0, **changes: Any) -> Intentional:
    decays = dict(score_decay=0.999, slow_decay=0.9998, peak_decay=0.0)
    return Intentional(eta, floor, **decays | dict(normalize_signal=False, signal_floor=0.0, clip=20.0) | changes)


def test_intentional_first_step_by_hand() -> None:
    network = two_parameters()
    rule = intentional().build(network, 0.9, LIFETIMES)
    network.score = tensor(0.5, -2.0)
    rule(network, tensor(0.5, -2.0), torch.tensor(3.0, dtype=torch.float64))
    # nu_hat = |g| = (.5, 2), sum g^2/nu_hat = 2.5 = sum zeta^2/nu_hat, so u = 2.5, zeta/nu_hat = (1, -1)
    assert network.flat.tolist() == pytest.approx([0.1 / 2.5 * 3, -0.1 / 2.5 * 3], rel=1e-6)


@pytest.mark.parametrize(
    ("least", "share", "peak_decay"), [(0.0, 0.0, 0.0), (1.5, 0.0, 0.0), (0.3, 0.0, 0.999), (0.1, 0.7, 0.0)]
)
def test_intentional_against_its_equations_over_many_steps(least: float, share: float, peak_decay: float) -> None:
    rng, d, eta, floor, clip = np.random.default_rng(0), 0.94, 0.05, 0.8, 2.0
    network = two_parameters()
    changes = dict(normalize_signal=True, clip=clip, signal_floor=least, rms_floor=share, peak_decay=peak_decay)
    rule = intentional(eta, floor, **changes).build(network, d, LIFETIMES)
    theta, zeta, nu = np.zeros(2), np.zeros(2), np.zeros(2)
    sigma = mean_u = peak = magnitude = mean_square = 0.0
    square = 1.0
    for t in range(1, 300):
        g, signal = rng.normal(size=2) * [1.0, 0.1], rng.standard_t(2)
        zeta = d * zeta + g
        nu = 0.999 * nu + 0.001 * g**2
        scale = np.sqrt(nu / (1 - 0.999**t)) + 1e-8
        sigma += (1 - d) * ((g**2 / scale).sum() - sigma)
        u = math.sqrt(sigma / (1 - d**t) * (zeta**2 / scale).sum())
        mean_u = 0.9998 * mean_u + 0.0002 * u
        square = 0.9998 * square + 0.0002 * signal**2
        cap = clip * math.sqrt(square / (1 - 0.9998**t))
        bounded = min(max(signal, -cap), cap)
        magnitude = 0.9998 * magnitude + 0.0002 * abs(bounded)
        mean_square = 0.9998 * mean_square + 0.0002 * signal**2
        bounded /= max(magnitude / (1 - 0.9998**t), share * math.sqrt(mean_square / (1 - 0.9998**t)), least)
        peak = max(peak_decay * peak, mean_u / (1 - 0.9998**t))
        theta += eta / max(u, floor * peak) * bounded * zeta / scale
        network.score = torch.from_numpy(g)
        rule(network, torch.from_numpy(zeta), torch.tensor(signal, dtype=torch.float64))
        np.testing.assert_allclose(network.flat.numpy(), theta, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("per_component", "share"), [(True, 1.0), (False, 1 / 4)])
def test_policies_of_one_and_many_components_have_equal_kl_per_step(per_component: bool, share: float) -> None:
    """Each component is a Gaussian with one parameter, its mean: KL is half the squared length of the step."""

    def divergence(n: int) -> float:
        network = parameters(n)
        rule = rule_of_policy(intentional(per_component=per_component), n).build(network, 0.9, LIFETIMES)
        network.score = torch.from_numpy(np.random.default_rng(n).choice([-1.0, 1.0], n))
        rule(network, network.score.clone(), torch.tensor(1.0, dtype=torch.float64))
        return float(network.flat.square().sum()) / 2

    assert divergence(4) == pytest.approx(share * divergence(1), rel=1e-6)


def test_only_rules_that_declare_it_receive_the_number_of_components() -> None:
    for rule in (ObGD(1.0, 3.0), intentional(per_component=False), SGD(0.1)):
        assert rule_of_policy(rule, 9) is rule


def rare_step(share: float) -> float:
    """Return the change of a parameter by the last of a hundred steps, the only one with a gradient."""
    network = two_parameters()
    rule = intentional(0.05, 0.7, normalize_signal=True, signal_floor=0.01, rms_floor=share).build(
        network, 0.9, LIFETIMES
    )
    for t in range(1, 101):
        before = network.flat.clone()
        network.score = tensor(1.0, -1.0)
        rule(network, tensor(1.0, -1.0), torch.tensor(10.0 if t == 100 else 0.0, dtype=torch.float64))
    return float((network.flat - before).abs().max())


def test_sparse_scores_are_magnified_by_mean_but_not_by_rms_normalisation() -> None:
    # mean magnitude 10/100, root-mean-square 10/sqrt(100): divided by .1, or by .3 of 1
    assert rare_step(0.3) == pytest.approx(rare_step(0.0) * 0.1 / 0.3, rel=0.02)


def saturated_arm_steps(floor: float) -> Tensor:
    """Return logit changes of a two-armed policy that nearly always takes arm 1, with a positive signal.

    The policy's logit rises from 0 to 8 over the first thousand steps, as in learning; then
    the other action is sampled.
    """
    network = two_parameters()
    rule = intentional(0.05, floor, normalize_signal=True).build(network, 0.9405, LIFETIMES)
    trace, changes = torch.zeros(2, dtype=torch.float64), []
    noise = torch.Generator().manual_seed(0)
    for t in range(4000):
        p = 1 / (1 + math.exp(-min(8.0, t / 125)))
        action_1 = torch.rand((), generator=noise).item() < p
        gradient = (1 - p) if action_1 else -p
        network.score = tensor(-gradient, gradient)
        trace = 0.9405 * trace + network.score
        before = network.flat.clone()
        rule(network, trace, torch.randn((), generator=noise, dtype=torch.float64))
        changes.append((network.flat - before).abs().max())
    return torch.stack(changes)


def test_floor_prevents_the_collapse_of_a_saturated_policy() -> None:
    bounded, unbounded = saturated_arm_steps(1.0), saturated_arm_steps(0.0)
    saturated = slice(2000, 4000)
    assert unbounded[saturated].median() > 10  # logits a step: the policy changes abruptly
    assert bounded[saturated].max() < 1
    assert bounded[saturated].median() < bounded[:500].median()


def test_floor_with_a_running_peak_does_not_decrease_with_the_scores() -> None:
    """Scores shrink a thousandfold: steps keep their size without the running peak, and shrink with it."""

    def last_step(peak_decay: float) -> float:
        network = two_parameters()
        decays = dict(score_decay=0.99, slow_decay=0.998, peak_decay=peak_decay)
        rule = intentional(0.05, 0.7, **decays).build(network, 0.9, LIFETIMES)
        noise = torch.Generator().manual_seed(0)
        for t in range(3000):
            network.score = torch.randn(2, generator=noise, dtype=torch.float64) * (1.0 if t < 300 else 1e-3)
            before = network.flat.clone()
            rule(network, network.score, torch.tensor(1.0, dtype=torch.float64))
        return float((network.flat - before).norm())

    assert last_step(0.99999) < 0.2 * last_step(0.0)


def test_torch_optimisers_ascend_signal_times_trace() -> None:
    network = network_of(3, [4], 2)
    start, score = network.flat.clone(), network.score.normal_().clone()
    rule = TorchOptim("SGD", {"lr": 0.1}).build(network, 0.9, LIFETIMES)
    trace = torch.randn_like(network.flat)
    rule(network, trace, torch.tensor(-2.0, dtype=torch.float64))
    torch.testing.assert_close(network.flat, start + 0.1 * -2.0 * trace)
    assert torch.equal(network.score, score)
    network.backward(torch.ones(2, dtype=torch.float64))
    assert not torch.equal(network.score, score)  # the views of the score are restored


@pytest.mark.parametrize("name", ["Adam", "NAdam", "ASGD", "RAdam"])
def test_torch_optimiser_restored_early_continues_bit_identically(name: str) -> None:
    found = []
    for restored in (False, True):
        network = network_of(3, [4], 2)
        rule = TorchOptim(name, {"lr": 0.01}).build(network, 0.9, LIFETIMES)
        for i in range(8):
            if restored and i == 3:
                state = {key: tensor.clone() for key, tensor in rule.external_state().items()}
                rule = TorchOptim(name, {"lr": 0.01}).build(network, 0.9, LIFETIMES)
                rule.load_external_state(state)
            rule(network, torch.cos(i + torch.arange(network.flat.numel()).double()), tensor(0.7)[0])
        found.append((network.flat.clone(), rule.external_state()))
    assert torch.equal(found[0][0], found[1][0])
    assert all(torch.equal(found[0][1][key], found[1][1][key]) for key in found[0][1])


def test_every_torch_optimiser_without_a_closure_runs() -> None:
    for name in ("Adam", "AdamW", "RMSprop", "Adagrad", "NAdam"):
        network = network_of(3, [4], 2)
        start = network.flat.clone()
        rule = TorchOptim(name, {"lr": 0.01}).build(network, 0.9, LIFETIMES)
        rule(network, torch.ones_like(network.flat), torch.tensor(1.0, dtype=torch.float64))
        assert (network.flat > start).all(), name


@pytest.mark.parametrize("name", [name for name in ("Adafactor", "Muon") if hasattr(torch.optim, name)])
def test_torch_optimiser_over_whole_tensors_is_for_one_lifetime(name: str) -> None:
    make_agent(Space(4, 2), "optimizer=torch", f"optimizer.policy.name={name}")
    with pytest.raises(ConfigError, match=f"^optimizer must be of an elementwise class .*, got {name}"):
        make_agent(Space(4, 2), "optimizer=torch", f"optimizer.policy.name={name}", seed=[0, 1])


@pytest.mark.parametrize("name", ["adam", "LBFGS", "SparseAdam", "Optimizer", "lr_scheduler", "__doc__", 3, None])
def test_a_name_that_is_no_torch_optimiser_is_named(name: Any) -> None:
    with pytest.raises(ConfigError, match=rf"name must be one of ASGD, .*Adam, .*; got {name!r}"):
        TorchOptim(name, {"lr": 0.01})
