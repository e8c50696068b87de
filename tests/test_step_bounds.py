"""The bounds of each step-size rule (docs/step-size.md), over steps with heavy-tailed scores and signals."""

import numpy as np
import pytest
import torch

from tests.test_optim import tensor, two_parameters
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks import Sequential
from tracerl.optim import AdaptiveObGD, Intentional, ObGD, UpdateRMS
from tracerl.optim.rule import StepRuleSettings

LIFETIMES, DECAY, STEPS = Lifetimes(0, torch.float64), 0.9405, 2000


def steps_of(settings: StepRuleSettings) -> list[tuple[torch.Tensor, torch.Tensor, float]]:
    """Take many steps with a rule; return the score, the parameter change and the signal of each."""
    network: Sequential = two_parameters()
    rule = settings.build(network, DECAY, LIFETIMES)
    rng, trace, found = np.random.default_rng(0), tensor(0.0, 0.0), []
    for t in range(STEPS):
        fading = 0.998**t  # like the scores of a policy that converges
        network.score = torch.from_numpy(rng.standard_t(2, 2) * [1.0, 0.1] * fading)
        trace = DECAY * trace + network.score
        signal, before = torch.tensor(rng.standard_t(2), dtype=torch.float64), network.flat.clone()
        rule(network, trace, signal)
        found.append((network.score.clone(), network.flat - before, float(signal)))
    return found


def intentional(floor: float) -> Intentional:
    return Intentional(0.05, floor, 0.99, False, signal_floor=0.0, score_decay=0.999, slow_decay=0.9998, clip=1e9)


@pytest.mark.parametrize("floor", [0.0, 1.0])
def test_intentional_changes_the_output_by_at_most_its_target(floor: float) -> None:
    for score, change, signal in steps_of(intentional(floor)):
        assert abs(float(score @ change)) <= 0.05 * abs(signal) / (1 - DECAY) ** 0.5 * (1 + 1e-9)


def test_only_the_floor_bounds_steps_as_scores_vanish() -> None:
    free, floored = (
        torch.stack([change.abs().sum() / abs(signal) for _, change, signal in steps_of(intentional(floor))])
        for floor in (0.0, 1.0)
    )
    assert free[-200:].median() > 5 * free[:200].median()
    assert floored[-200:].median() < floored[:200].median()


@pytest.mark.parametrize("settings", [ObGD(1.0, 3.0), ObGD(50.0, 2.0), AdaptiveObGD(1.0, 3.0, 0.999)])
def test_obgd_changes_the_parameters_by_at_most_one_over_kappa(settings: ObGD | AdaptiveObGD) -> None:
    for _, change, signal in steps_of(settings):
        assert float(change.abs().sum()) <= min(abs(signal), 1.0) / settings.kappa * (1 + 1e-9)


def test_update_rms_bounds_the_step_of_each_parameter() -> None:
    for _, change, _ in steps_of(UpdateRMS(lr=0.01, update_decay=0.9, epsilon=1e-3)):
        assert float(change.abs().max()) <= 0.01 / 0.1**0.5 * (1 + 1e-9)
