"""The env of handwritten digits."""

import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import tracerl.envs  # noqa: F401  registers it
from gymnasium.utils.env_checker import check_env

from tests.helpers import compose
from tracerl.config import hydra_compat
from tracerl.config.checks import ConfigError

NAME = "tracerl/Digits-v0"


def make(**kwargs: Any) -> gym.Env:
    return gym.make(NAME, disable_env_checker=True, **kwargs)


@pytest.mark.parametrize("kwargs", [{}, {"split": "held_out", "bernoulli": True, "showings": 3}])
def test_gymnasium_checker_passes(kwargs: Any) -> None:
    check_env(gym.make(NAME, **kwargs).unwrapped)


@pytest.mark.parametrize("showings", [1, 3])
def test_only_the_last_action_counts_and_the_right_digit_is_rewarded(showings: int) -> None:
    env = make(showings=showings)
    env.reset(seed=0)
    for _ in range(10):
        for right in (True, False):
            observation, info = env.reset()
            rewards = []
            for i in range(showings):
                shown, reward, over, truncated, after = env.step((info["label"] + (right != (i == showings - 1))) % 10)
                assert (shown == observation).all() and after == info == {"label": info["label"], "held_out": False}
                assert (over, truncated) == (i == showings - 1, False)
                rewards.append(reward)
            assert rewards == [0.0] * (showings - 1) + [float(right)]


def test_splits_are_fixed_disjoint_and_cover_all_images() -> None:
    from sklearn.datasets import load_digits

    train, held_out = (make(split=split).unwrapped for split in ("train", "held_out"))
    assert (len(train.labels), len(held_out.labels)) == (1437, 360)
    everything = np.concatenate([train.images, held_out.images]).reshape(1797, 64)
    ours = sorted(map(tuple, (everything * 16).astype(int)))
    assert ours == sorted(map(tuple, load_digits().data.astype(int)))
    assert held_out.labels[:12].tolist() == make(split="held_out").unwrapped.labels[:12].tolist()
    assert min(np.bincount(held_out.labels)) > 20
    assert len(make(split="held_out", held_out=0.5).unwrapped.labels) == 899


def test_reset_option_selects_an_image() -> None:
    env = make(split="held_out")
    observation, info = env.reset(options={"image": 359})
    assert (observation == env.unwrapped.images[359]).all()
    assert info == {"label": int(env.unwrapped.labels[359]), "held_out": True}
    with pytest.raises(ConfigError, match="^options.image must be a whole number from 0 to 359, got 360"):
        env.reset(options={"image": 360})


def test_bernoulli_pixels_are_resampled_with_the_intensities_of_the_image() -> None:
    env = make(bernoulli=True, showings=600)
    observation, _ = env.reset(seed=0, options={"image": 0})
    shown = [observation] + [env.step(0)[0] for _ in range(599)]
    assert set(np.unique(shown)) == {0.0, 1.0} and observation.dtype == np.float32
    assert np.abs(np.mean(shown, 0) - env.unwrapped.images[0]).max() < 0.08


def test_seed_determines_images_and_pixels() -> None:
    def drawn(seed: int) -> list[np.ndarray]:
        env = make(bernoulli=True)
        return [env.reset(seed=seed if i == 0 else None)[0] for i in range(10)]

    assert (np.array(drawn(3)) == drawn(3)).all()
    assert (np.array(drawn(3)) != drawn(4)).any()


@pytest.mark.parametrize(
    "kwargs", [{"split": "test"}, {"held_out": 0.0}, {"bernoulli": 1}, {"showings": 0}], ids=lambda kwargs: str(kwargs)
)
def test_invalid_arguments_raise_an_error_naming_them(kwargs: Any) -> None:
    (name,) = kwargs
    with pytest.raises(ConfigError, match=f"^{name} must be"):
        make(**kwargs)


def test_missing_scikit_learn_raises_an_error_naming_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(gym.error.DependencyNotInstalled, match=r'pip install "tracerl\[digits\]"'):
        make()
    spec = hydra_compat.instantiate(compose("env=Digits").env, _convert_="all")
    with pytest.raises(ConfigError, match=r'pip install "tracerl\[digits\]"'):
        spec.make()
