"""Whole lives, minutes each: ``python -m pytest -m slow``."""

import pytest

from tests.helpers import lived

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cartpole_is_learned_and_kept(seed: int) -> None:
    _, record = lived("CartPole-v1", 120_000, seed=seed)
    assert record.mean_return() >= 450


@pytest.mark.parametrize("seed", [0, 1])
def test_acrobot_is_learned_with_the_same_settings(seed: int) -> None:
    _, record = lived("Acrobot-v1", 60_000, seed=seed)
    assert record.mean_return() >= -130


def test_two_hidden_layers_learn_cartpole() -> None:
    _, record = lived("CartPole-v1", 60_000, "network.hidden=[64,64]", seed=0)
    assert record.mean_return(20) >= 195
