"""The trial rules of ``scripts/step_size_trials.py`` against autograd, and how the tables are put together."""

import math

import pytest
import torch

from tests.helpers import script
from tests.oracles import SETTINGS, bptt
from tracerl.nn.lifetimes import Lives
from tracerl.nn.networks import Dense, Network
from tracerl.optim import Intentional

LIVES = Lives(0, torch.float64)
RULE = Intentional(0.05, 0.0, 0.0, True, signal_floor=0.0, score_decay=0.999, slow_decay=0.9998, clip=20.0)


script("doc_tables")  # which the scripts import as their neighbour
trials = script("step_size_trials")
lives = script("step_size_lives")


def seen_network(n_out: int = 3) -> tuple[Network, torch.Tensor]:
    """A network of one hidden layer after twenty inputs, and the inputs."""
    network = Dense(**{**SETTINGS, "hidden": [6]}).build((4,), n_out, Lives(0, torch.float64))
    noise = torch.Generator().manual_seed(1)
    inputs = torch.randn(20, 4, generator=noise, dtype=torch.float64)
    for x in inputs:
        network(x)
    return network, inputs


def flattened(truth: dict[str, torch.Tensor]) -> torch.Tensor:
    """Autograd's gradients in the order of ``Network.flat``."""
    hidden = torch.cat([truth["W0"].T, truth["b0"].unsqueeze(0)])
    return torch.cat([hidden.flatten(), torch.cat([truth["V"], truth["c"].unsqueeze(1)], 1).flatten()])


def test_the_expected_square_is_that_of_autograds_scores_of_all_actions() -> None:
    network, inputs = seen_network()
    pi = trials.probabilities(network)
    truth = torch.zeros_like(network.flat)
    for a in range(3):
        score = torch.nn.functional.one_hot(torch.tensor(a), 3) - pi[:, 0]
        truth += pi[a] * flattened(bptt(network, inputs, score)) ** 2
    kept = network.score.normal_().clone()
    torch.testing.assert_close(trials.variance(trials.output_gradients(network), pi), truth, rtol=1e-9, atol=1e-12)
    assert torch.equal(network.score, kept)


def test_a_trial_that_changes_nothing_is_bounded_intentional() -> None:
    (ours, _), (theirs, _) = seen_network(), seen_network()
    rules = trials.Trial(RULE).build(ours, 0.9, LIVES), RULE.build(theirs, 0.9, LIVES)
    for signal in (0.5, -1.0, 2.0):
        for network, rule in zip((ours, theirs), rules, strict=True):
            network.backward(torch.tensor([0.5, -0.3, -0.2], dtype=torch.float64))
            rule(network, network.score.clone(), torch.tensor(signal, dtype=torch.float64))
    torch.testing.assert_close(ours.flat, theirs.flat, rtol=1e-12, atol=1e-12)


def kl_of_a_step(exact: bool, kl: float) -> float:
    """KL of a trial's first step, computed from the change of the outputs to first order in the parameters."""
    network, inputs = seen_network()
    before = network.flat.clone()
    gradients, pi = trials.output_gradients(network), trials.probabilities(network).flatten()
    network.backward(torch.tensor([0.7, -0.3, -0.4], dtype=torch.float64))
    rule = trials.Trial(RULE, kl=kl, exact=exact).build(network, 0.9, LIVES)
    rule(network, network.score.clone(), torch.tensor(1.0, dtype=torch.float64))
    change = gradients @ (network.flat - before)
    return float((pi * change.exp()).sum().log() - pi @ change)


@pytest.mark.parametrize("kl", [1e-6, 1e-5])
def test_a_step_keeps_to_its_kl(kl: float) -> None:
    assert kl_of_a_step(exact=False, kl=kl) == pytest.approx(kl, rel=0.02)  # to second order, and it binds
    assert kl / 10 < kl_of_a_step(exact=True, kl=kl) <= kl
    assert kl_of_a_step(exact=False, kl=math.inf) > 10 * kl


def test_tables_are_put_between_their_markers_alone() -> None:
    pytest.importorskip("matplotlib")
    compare = script("compare_step_sizes")
    text = "a\n<!-- compare_step_sizes x -->\nold\n<!-- end x -->\nb"
    assert compare.replace_between(text, "x", "new") == text.replace("old", "new")
    with pytest.raises(ValueError, match="markers of the table y"):
        compare.replace_between(text, "y", "new")


def test_episodes_are_counted_in_the_part_in_which_they_end() -> None:
    parts = lives.Parts(steps=1200, lives=1)
    for step, value in ((99, 1.0), (100, 3.0), (101, 7.0), (1200, 9.0)):
        parts.keep(0, step, value, 1)
    assert parts.returns() == [[2.0] + [7.0] * 10 + [9.0]]


def test_a_milestone_has_a_median_step_where_half_of_the_lives_reach_it() -> None:
    pytest.importorskip("matplotlib")
    compare = script("compare_step_sizes")
    assert compare.reached([5, None, 3]) == "2/3, 5"
    assert compare.reached([None, None, 3]) == "1/3"
