"""What every env of configs/env keeps to, whoever wrote it; a new yaml is tested here unasked."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import tracerl.configs
from tracerl.envs.spec import EnvSpec

from tests.helpers import compose
from tracerl import testing
from tracerl.config import hydra_compat
from tracerl.config.checks import ConfigError

NAMES = sorted(path.stem for path in (Path(tracerl.configs.__file__).parent / "env").glob("*.yaml"))
NEEDS = {"gymnasium": ["env.id=CartPole-v1"]}
HEAVY = ("mujoco", "atari")  # extras whose envs make a few hundred or thousand steps per second

Make = Callable[[], gym.Env]


@cache
def spec_of(name: str) -> EnvSpec:
    return hydra_compat.instantiate(compose(f"env={name}", *NEEDS.get(name, [])).env, _convert_="all")


@pytest.fixture
def make(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make the env of a yaml; skip the test where the env's packages are not installed."""
    monkeypatch.chdir(tmp_path)  # MuJoCo writes a log to where it is run
    made: list[gym.Env] = []

    def one() -> gym.Env:
        try:
            made.append(spec_of(name).make())
        except ConfigError as error:
            if "pip install" not in str(error):
                raise
            pytest.skip(str(error))
        return made[-1]

    yield one
    for env in made:
        env.close()


@pytest.mark.parametrize("name", NAMES)
def test_gymnasiums_own_checker_passes(make: Make) -> None:
    """On the env as agents see it, in its wrappers."""
    testing.check_gymnasium(make)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_decides_everything_for_a_new_env_and_for_a_used_one(make: Make) -> None:
    testing.check_seeds(make, stochastic=True)


@pytest.mark.parametrize(
    ("name", "steps"),
    [(name, 1000 if spec_of(name).extra in HEAVY else 3000) for name in NAMES]
    + [pytest.param(name, 10_000, marks=pytest.mark.slow) for name in NAMES],
)
def test_random_steps_stay_within_the_spaces_and_episodes_end_as_they_should(make: Make, steps: int) -> None:
    """Where there is a time limit, an episode is cut off at it, neither before nor after."""
    testing.check_steps(make, steps)


@pytest.mark.parametrize("name", NAMES)
def test_resetting_one_of_many_leaves_the_others_as_they_are(make: Make, name: str) -> None:
    """Lifetime 1 of two, the other one reset every few steps, sees what it would see alone."""
    alone, envs = make(), spec_of(name).make_many(2)
    alone.action_space.seed(0)
    observations, _ = envs.reset(seed=[0, 1])
    expected, _ = alone.reset(seed=1)
    for step in range(60):
        np.testing.assert_array_equal(observations[1], expected)
        actions = np.stack([alone.action_space.sample(), alone.action_space.sample()])
        observations, rewards, terminated, truncated, _ = envs.step(actions)
        expected, reward, *ends, _ = alone.step(actions[1])
        assert rewards[1] == reward and [terminated[1], truncated[1]] == ends
        which = terminated | truncated | [step % 5 == 0, False]
        if which.any():
            before = observations.copy()
            observations, _ = envs.reset(options={"reset_mask": which})
            np.testing.assert_array_equal(observations[~which], before[~which])
        if which[1]:
            expected, _ = alone.reset()
    envs.close()
