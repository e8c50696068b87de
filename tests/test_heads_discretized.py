"""The discretised head of a Box: its values and its settings."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from tests.helpers import make_agent
from tests.toy_envs import Space
from tracerl.config.checks import ConfigError
from tracerl.nn.heads import Discretized, HeadSettings, head_for
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.random import UniformStream


def test_values_are_evenly_spaced_from_bound_to_bound_in_the_shape_of_the_space() -> None:
    space = spaces.Box(np.float32([[-2], [0]]), np.float32([[2], [10]]))
    head, stream = head_for(space, Lifetimes(0), HeadSettings(bins=5)), UniformStream(Lifetimes(0))
    assert isinstance(head, Discretized)
    drawn = []
    for _ in range(200):
        head.sample(torch.zeros(10), stream)
        drawn.append(head.chosen())
    assert drawn[0].shape == (2, 1) and drawn[0].dtype == np.float32
    assert set(np.ravel([a[0] for a in drawn])) == {-2, -1, 0, 1, 2}
    assert set(np.ravel([a[1] for a in drawn])) == {0, 2.5, 5, 7.5, 10}


@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_values_are_closer_near_the_centre_and_their_mean_and_deviation_are_shown(engine: str) -> None:
    space = spaces.Box(np.float32([-1, 2]), np.float32([1, 10]))
    settings = "head=discretized", "head.bins=5", "head.spacing=2", f"engine={engine}"
    agent = make_agent(Space(4, space), *settings, "network.output_scale=1")
    np.testing.assert_array_equal(agent.head.grid, [[-1, -0.25, 0, 0.25, 1], [2, 5, 6, 7, 10]])
    agent.start(np.ones(4, np.float32))
    p = agent.head.probabilities.double().numpy().reshape(2, 5)
    mean = p @ agent.head.grid[0].numpy()
    shown = agent.policy_outputs()
    assert shown.probabilities is None
    np.testing.assert_allclose(shown.mean, mean, atol=1e-6)
    deviations = np.sqrt((p * (agent.head.grid[0].numpy() - mean[:, None]) ** 2).sum(1))
    np.testing.assert_allclose(shown.std, deviations, atol=1e-6)


@pytest.mark.parametrize("spacing", [0, -1.0, "even"])
def test_spacing_must_be_a_number_above_zero(spacing: object) -> None:
    with pytest.raises(ConfigError, match=r"^spacing must be .*above 0, got "):
        HeadSettings(spacing=spacing)  # type: ignore[arg-type]


@pytest.mark.parametrize("bins", [1, 2.0, True, "three"])
def test_bins_must_be_a_whole_number_of_two_or_more(bins: object) -> None:
    with pytest.raises(ConfigError, match=r"^bins must be a whole number of 2 or above, got "):
        HeadSettings(bins=bins)  # type: ignore[arg-type]


@pytest.mark.parametrize("bonus", [0, -1.0, "three"])
def test_bonus_components_must_be_a_number_above_zero(bonus: object) -> None:
    with pytest.raises(ConfigError, match=r"^bonus_components must be .*above 0, got "):
        HeadSettings(bonus_components=bonus)  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ["torch", "fused"])
@pytest.mark.parametrize("agent", ["agent=reflect", "agent=stream_ac"])
def test_bonus_of_an_action_is_that_of_so_many_components(agent: str, engine: str) -> None:
    """Three components in place of two: one and a half times the weight."""
    settings = (agent, "head=discretized", f"engine={engine}")
    env, seen = Space(4, spaces.Box(-1, 1, (2,))), np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    weights = []
    for more in (
        ("agent.entropy=0.125",),
        ("agent.entropy=0.1875", "head.bonus_components=null"),
        ("agent.entropy=0.125", "head.bonus_components=null"),
    ):
        learner = make_agent(env, *settings, *more)
        learner.start(seen[0])
        for i, observation in enumerate(seen[1:]):
            learner.step(float(i % 3), observation)
        weights.append(learner.policy.network.flat.clone())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("high", [np.inf, np.finfo(np.float32).max])
def test_action_without_bounds_cannot_be_discretized(high: float) -> None:
    space = spaces.Box(np.float32([-1] * 60), np.float32([*range(59), high]))
    with pytest.raises(
        ConfigError, match=r"^head\.bins must be null where an action has no finite bounds, got 3 for .*\)$"
    ):
        head_for(space, Lifetimes(0), HeadSettings(bins=3))


def test_other_spaces_keep_their_heads() -> None:
    for space in (spaces.Discrete(3), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(2)):
        assert type(head_for(space, Lifetimes(0), HeadSettings(bins=3))) is type(head_for(space, Lifetimes(0)))
