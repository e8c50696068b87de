"""Returns of a run's agents without learning, sampled and greedy."""

import math
from pathlib import Path

import pytest

import tracerl
from tests.helpers import script

greedy_returns = script("greedy_returns")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    tracerl.launch({"network.hidden": [4], "steps": 60, "lifetimes": 2, "logger": "none"}, folder)
    return folder


def test_greedy_returns_are_repeatable_and_differ_from_sampled_ones(run: Path) -> None:
    saved = tracerl.load(run)
    greedy = greedy_returns.run_frozen(saved, 1, 5, greedy=True)
    assert greedy == greedy_returns.run_frozen(saved, 1, 5, greedy=True)
    sampled = greedy_returns.run_frozen(saved, 1, 5, greedy=False)
    assert len(sampled.returns) == len(greedy.returns) == 5 and sampled.returns != greedy.returns
    assert 0 < greedy.entropy <= math.log(2) + 1e-6 and greedy.means == greedy.deviations == []


def test_means_and_standard_deviations_of_a_continuous_action_are_reported(tmp_path: Path) -> None:
    changes = {"env": "Pendulum", "network.hidden": [4], "steps": 60, "logger": "none", "head.max_std": 2}
    tracerl.launch(changes, tmp_path / "run")
    frozen = greedy_returns.run_frozen(tracerl.load(tmp_path / "run"), 0, 1, greedy=False)
    (mean,), (deviation,) = frozen.means, frozen.deviations
    assert abs(mean) <= 1 + 3 * deviation and 0 < deviation <= 2 + 1e-3
