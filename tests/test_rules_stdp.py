"""Reward-modulated STDP against pairs computed by hand and the sum over all pairs of spikes."""

import math

import numpy as np
import pytest
import torch

from tracerl.config.checks import ConfigError
from tracerl.nn.lifetimes import Lifetimes
from tracerl.rules.linear_value import LinearValue
from tracerl.rules.stdp import STDP, STDPSynapses, bounded_step_

SETTINGS = {
    "a_plus": 1.0, "a_minus": 0.5, "pre_decay": 0.8, "post_decay": 0.6, "eligibility_decay": 0.9, "lr": 0.1,
    "bounds": "hard", "low": 0.0, "high": 1.0, "initial": 0.5,
}  # fmt: skip


def synapses(n_pre: int = 1, n_post: int = 1, seed: int | list[int] = 0, **settings: object) -> STDPSynapses:
    return STDP(**{**SETTINGS, **settings}).build(n_pre, n_post, Lifetimes(seed, torch.float64))


def play(made: STDPSynapses, pre: np.ndarray, post: np.ndarray) -> None:
    """Pass spike trains of [ticks, n] to the synapses."""
    for a, b in zip(torch.from_numpy(pre).double(), torch.from_numpy(post).double(), strict=True):
        made.tick(a, b)


def one(*ticks: int) -> np.ndarray:
    """Return a spike train of one neuron."""
    return np.array(ticks)[:, None]


def test_a_presynaptic_spike_two_ticks_before_a_postsynaptic_one() -> None:
    made = synapses()
    play(made, one(1, 0, 0), one(0, 0, 1))
    assert made.eligibility.item() == pytest.approx(0.8**2)  # A+ p^2


def test_a_presynaptic_spike_two_ticks_after_a_postsynaptic_one() -> None:
    made = synapses()
    play(made, one(0, 0, 1), one(1, 0, 0))
    assert made.eligibility.item() == pytest.approx(-0.5 * 0.6**2)  # -A- q^2


def test_coincident_spikes_count_once_as_presynaptic_and_postsynaptic() -> None:
    made = synapses()
    play(made, one(1), one(1))
    assert made.eligibility.item() == pytest.approx(1.0)  # A+ p^0


def test_weight_update_from_spikes_by_hand() -> None:
    """Pre, nothing, post: c = .64; two env steps later .9^2 of it; reward .7 at rate .1 moves .5 by .036288."""
    made = synapses()
    play(made, one(1, 0, 0), one(0, 0, 1))
    made.fade()
    made.fade()
    made.update(torch.tensor(0.7, dtype=torch.float64))
    assert made.weight.item() == pytest.approx(0.5 + 0.1 * 0.7 * 0.64 * 0.81)
    made.update(torch.tensor(-1.4, dtype=torch.float64))
    assert made.weight.item() == pytest.approx(0.5 - 0.1 * 0.7 * 0.64 * 0.81)


def all_pairs(pre: np.ndarray, post: np.ndarray, a_plus: float, a_minus: float, p: float, q: float) -> np.ndarray:
    """Return the sum over every pair of spikes, with explicit exponentials of their distance: [n_pre, n_post]."""
    tau_plus, tau_minus = -1 / math.log(p), -1 / math.log(q)
    found = np.zeros((pre.shape[1], post.shape[1]))
    for i in range(pre.shape[1]):
        for j in range(post.shape[1]):
            for t_pre in np.flatnonzero(pre[:, i]):
                for t_post in np.flatnonzero(post[:, j]):
                    distance = t_post - t_pre
                    if distance >= 0:
                        found[i, j] += a_plus * math.exp(-distance / tau_plus)
                    else:
                        found[i, j] -= a_minus * math.exp(distance / tau_minus)
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_traces_equal_the_sum_over_all_pairs_of_spikes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pre, post = rng.random((120, 5)) < 0.2, rng.random((120, 3)) < 0.3
    made = synapses(5, 3, a_plus=0.7, a_minus=0.9)
    play(made, pre, post)
    np.testing.assert_allclose(made.eligibility.numpy(), all_pairs(pre, post, 0.7, 0.9, 0.8, 0.6), rtol=1e-12)


def test_eligibility_is_the_discounted_sum_of_the_pairs_of_each_step() -> None:
    """Pairs may span env steps: each pair belongs to the step of its second spike."""
    rng = np.random.default_rng(2)
    pre, post = rng.random((40, 4)) < 0.3, rng.random((40, 2)) < 0.3
    made = synapses(4, 2)
    expected, before = np.zeros((4, 2)), np.zeros((4, 2))
    for stop in range(8, 41, 8):
        made.fade()
        play(made, pre[stop - 8 : stop], post[stop - 8 : stop])
        so_far = all_pairs(pre[:stop], post[:stop], 1.0, 0.5, 0.8, 0.6)
        expected = 0.9 * expected + (so_far - before)
        before = so_far
    np.testing.assert_allclose(made.eligibility.numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("bounds", ["hard", "soft"])
@pytest.mark.parametrize("scale", [0.1, 100.0])
def test_weights_are_within_their_bounds(bounds: str, scale: float) -> None:
    made = synapses(6, 4, bounds=bounds, low=-0.5, high=2.0, initial=[-0.5, 2.0])
    rng, before = np.random.default_rng(3), made.weight.clone()
    for _ in range(200):
        made.fade()
        play(made, rng.random((4, 6)) < 0.5, rng.random((4, 4)) < 0.5)
        made.update(torch.tensor(scale * rng.normal()))
        assert made.weight.min() >= -0.5 and made.weight.max() <= 2.0
    assert (made.weight != before).all()


def test_soft_bounds_scale_a_change_by_the_distance_to_the_bound() -> None:
    weight = torch.tensor([0.0, 1.0, 3.0, 4.0])
    found = bounded_step_(weight.clone(), torch.full((4,), 0.4), 0.0, 4.0, "soft") - weight
    torch.testing.assert_close(found, torch.tensor([0.4, 0.3, 0.1, 0.0]))
    found = bounded_step_(weight.clone(), torch.full((4,), -0.4), 0.0, 4.0, "soft") - weight
    torch.testing.assert_close(found, torch.tensor([0.0, -0.1, -0.3, -0.4]))


def test_hard_bounds_only_clip() -> None:
    weight = torch.tensor([0.1, 0.5, 0.9])
    found = bounded_step_(weight.clone(), torch.tensor([-0.2, 0.2, 0.2]), 0.0, 1.0, "hard")
    torch.testing.assert_close(found, torch.tensor([0.0, 0.7, 1.0]))


def test_zero_signal_changes_no_weight() -> None:
    made = synapses(4, 2, initial=[0.2, 0.8])
    before = made.weight.clone()
    play(made, np.ones((50, 4)), np.ones((50, 2)))
    made.update(torch.zeros((), dtype=torch.float64))
    assert made.eligibility.abs().min() > 0 and torch.equal(made.weight, before)


def test_reset_does_not_change_weights_or_other_lifetimes() -> None:
    made = synapses(3, 2, seed=[0, 1])
    for _ in range(5):
        made.tick(torch.ones(2, 3, dtype=torch.float64), torch.ones(2, 2, dtype=torch.float64))
    kept, weight = made.eligibility[1].clone(), made.weight.clone()
    made.reset_state(torch.tensor([True, False]))
    for state in (made.eligibility, made.pre_trace, made.post_trace):
        assert state[0].abs().max() == 0 and state[1].abs().min() > 0
    assert torch.equal(made.eligibility[1], kept) and torch.equal(made.weight, weight)


def test_state_is_two_numbers_per_synapse_and_one_per_neuron() -> None:
    made = synapses(5, 3)
    assert sum(buffer.numel() for buffer in made.buffers()) == 2 * 5 * 3 + 5 + 3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("a_plus", -1.0),
        ("a_minus", "much"),
        ("pre_decay", 1.0),
        ("post_decay", -0.1),
        ("eligibility_decay", 1.1),
        ("lr", 0.0),
        ("bounds", "firm"),
        ("low", float("nan")),
        ("high", 0.0),
        ("initial", [0.5, 1.5]),
    ],
)
def test_invalid_settings_raise_an_error_naming_the_key(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^{key} must be"):
        STDP(**{**SETTINGS, key: value})


def test_two_transitions_of_the_critic_by_hand() -> None:
    """First z = phi = (2, 1), z . phi = 5, delta = 3: w = .1/5 * 3 * (2, 1). Then z = (4, 1.5), z . phi = 13.5."""
    critic = LinearValue(1, 0.1, 1.0, 0.5, Lifetimes(0, torch.float64))
    one, zero = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    first, second = torch.tensor([[2.0], [3.0]], dtype=torch.float64)
    critic.see(first)
    assert critic.learn(3 * one, second, one).item() == 3.0
    torch.testing.assert_close(critic.weight, torch.tensor([0.12, 0.06], dtype=torch.float64))
    assert critic.see(second).item() == pytest.approx(0.42)
    assert critic.learn(one, first, zero).item() == pytest.approx(0.58)
    step = 0.1 / 13.5 * 0.58
    torch.testing.assert_close(critic.weight, torch.tensor([0.12 + 4 * step, 0.06 + 1.5 * step], dtype=torch.float64))


def test_critic_with_a_long_trace_does_not_diverge() -> None:
    """One state without end, reward 1: V = 100; features of size 3 and a trace 17 times as large, at half a step."""
    critic = LinearValue(1, 0.5, 0.99, 0.95, Lifetimes(0, torch.float64))
    one = torch.ones((), dtype=torch.float64)
    critic.see(3 * one.reshape(1))
    for _ in range(3000):
        critic.learn(one, 3 * one.reshape(1), one)
    assert critic.value.item() == pytest.approx(100.0, rel=1e-3)


def test_critic_learns_the_values_of_a_chain() -> None:
    """Two states, then the end, with rewards 0 and 1: V = .5 and 1 at a discount of .5."""
    critic = LinearValue(1, 0.1, 0.5, 0.9, Lifetimes(0, torch.float64))
    first, second = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    for _ in range(2000):
        critic.see(first)
        critic.learn(zero, second, one)
        critic.learn(one, first, zero)
        critic.reset_state()
    assert critic.see(first).item() == pytest.approx(0.5, abs=1e-3)
    assert critic.see(second).item() == pytest.approx(1.0, abs=1e-3)
