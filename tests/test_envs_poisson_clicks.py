"""The env of two streams of clicks."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import tracerl.envs  # noqa: F401  registers it
from gymnasium.utils.env_checker import check_env

NAME = "tracerl/PoissonClicks-v0"


def make(**kwargs: Any) -> gym.Env:
    return gym.make(NAME, disable_env_checker=True, **kwargs)


def trial(env: gym.Env, offset: int = 0) -> tuple[np.ndarray, list[float], dict[str, Any]]:
    """Run one episode that names the side with more clicks, or the other: observations, rewards, info."""
    seen, rewards, over, info = [env.reset()[0]], [], False, {}
    while not over:
        clicks = np.sum(seen, 0)
        action = (int(clicks[:2].argmax()) + offset) % 2 if seen[-1][2] else 0
        observation, reward, over, truncated, info = env.step(action)
        assert not truncated
        seen.append(observation)
        rewards.append(float(reward))
    return np.array(seen), rewards, info


@pytest.mark.parametrize("kwargs", [{}, {"noise": 0.1, "contrast": 0.5, "evidence": 3, "gap": 0}])
def test_gymnasium_checker_passes(kwargs: Any) -> None:
    check_env(gym.make(NAME, **kwargs).unwrapped)


@pytest.mark.parametrize(("evidence", "gap"), [(20, 5), (1, 0), (7, 3)])
def test_episode_is_clicks_then_silence_then_a_cue_whose_answer_is_rewarded(evidence: int, gap: int) -> None:
    env = make(evidence=evidence, gap=gap)
    env.reset(seed=0)
    for _ in range(20):
        for offset in (0, 1):
            seen, rewards, info = trial(env, offset)
            assert rewards == [0.0] * (evidence + gap) + [1.0 - offset]  # counting is always correct
            assert len(seen) == evidence + gap + 2 and not seen[evidence:, :2].any()
            assert np.flatnonzero(seen[:, 2]).tolist() == [evidence + gap]
            assert info["clicks"] == tuple(seen.sum(0)[:2]) and info["clicks"][0] != info["clicks"][1]


def test_rates_and_contrast_are_as_given_and_sides_are_sampled_uniformly() -> None:
    env = make(evidence=100, gap=0, rate=0.5, contrast=0.6).unwrapped
    env.reset(seed=1)
    counts = []
    for _ in range(400):
        env.reset()
        counts.append(env.counts)
    richer, poorer = np.max(counts, 1).mean(), np.min(counts, 1).mean()
    assert richer == pytest.approx(40, abs=1) and poorer == pytest.approx(10, abs=1)
    assert 170 < np.argmax(counts, 1).sum() < 230


def test_noise_leaves_the_gap_silent_and_makes_counting_fail() -> None:
    env = make(noise=0.2)
    env.reset(seed=0)
    trials = [trial(env) for _ in range(400)]
    assert not any(seen[20:, :2].any() for seen, _, _ in trials)
    assert 0.7 < np.mean([rewards[-1] for _, rewards, _ in trials]) < 0.9


def test_seed_determines_the_clicks() -> None:
    envs = [make(noise=0.1) for _ in range(3)]
    for env, seed in zip(envs, (5, 5, 6), strict=True):
        env.reset(seed=seed)
    first, second, other = (trial(env)[0] for env in envs)
    assert (first == second).all() and (first != other).any()


@pytest.mark.parametrize(
    "kwargs", [{"evidence": 0}, {"gap": -1}, {"rate": 1.5}, {"contrast": [0.5, 0.2]}, {"contrast": 2}, {"noise": 0.6}]
)
def test_invalid_arguments_raise_an_error_naming_them(kwargs: Any) -> None:
    (name,) = kwargs
    with pytest.raises(ValueError, match=f"^{name} must be"):
        make(**kwargs)
