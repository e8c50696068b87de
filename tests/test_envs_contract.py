"""The contract of every env of configs/env; a new yaml is tested here automatically."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import tracerl.configs
from gymnasium.utils import env_checker
from tracerl.envs.spec import EnvSpec

from tests.helpers import compose
from tracerl import testing
from tracerl.config import hydra_compat
from tracerl.config.checks import ConfigError

NAMES = sorted(path.stem for path in (Path(tracerl.configs.__file__).parent / "env").glob("*.yaml"))
NEEDS = {"gymnasium": ["env.id=CartPole-v1"]}
DETERMINISTIC = ("CliffWalking",)  # one start and no chance: every seed is the same
KEEPS_STATE = ("BipedalWalker",)  # a used one differs from a new one from the first step after a reset on
SHARES = ("CountRecall",)  # its info has its own array of counts, which no agent is given
HEAVY = ("mujoco", "atari")  # extras whose envs make 100 to 10,000 steps per second

Make = Callable[[], gym.Env]


@cache
def spec_of(name: str) -> EnvSpec:
    return hydra_compat.instantiate(compose(f"env={name}", *NEEDS.get(name, [])).env, _convert_="all")


@pytest.fixture
def make(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make the env of a yaml; skip the test without the env's packages."""
    monkeypatch.chdir(tmp_path)  # MuJoCo writes a log to the working folder
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
def test_gymnasium_checker_passes(name: str, make: Make) -> None:
    """The env has the wrappers of its yaml."""
    if name in SHARES and hasattr(env_checker, "data_shares_objects"):
        with pytest.raises(AssertionError, match="^The infos returned by .* share an object"):
            testing.check_gymnasium(make)
        return
    testing.check_gymnasium(make)


@pytest.mark.parametrize("name", NAMES)
def test_seed_determines_everything_in_a_new_env_and_in_a_used_one(name: str, make: Make) -> None:
    testing.check_seeds(make, stochastic=name not in DETERMINISTIC, again=name not in KEEPS_STATE)


@pytest.mark.parametrize("steps", [1100, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NAMES)
def test_random_steps_stay_within_the_spaces_and_episodes_end_at_the_limit(make: Make, name: str, steps: int) -> None:
    """An episode is truncated exactly at its time limit, which is 1,000 steps or fewer in most envs."""
    testing.check_steps(make, 1000 if steps == 1100 and spec_of(name).extra in HEAVY else steps)


@pytest.mark.parametrize("name", NAMES)
def test_resetting_one_of_many_envs_does_not_change_the_others(make: Make, name: str) -> None:
    """Env 1 of two gets the same steps as a single env, with the other one reset every few steps."""
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
