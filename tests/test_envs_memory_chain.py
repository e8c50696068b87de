"""The env that needs memory of an early cue."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import tracerl.envs  # noqa: F401  registers it
from gymnasium.utils.env_checker import check_env

from tests.helpers import compose
from tracerl.config import hydra_compat

NAME = "tracerl/MemoryChain-v0"


@pytest.mark.parametrize("kwargs", [{}, {"length": 0, "cues": 3}])
def test_gymnasium_checker_passes(kwargs: Any) -> None:
    check_env(gym.make(NAME, **kwargs).unwrapped)


@pytest.mark.parametrize(("length", "cues"), [(8, 2), (0, 5), (128, 2)])
@pytest.mark.parametrize("right", [True, False])
def test_episode_is_a_cue_then_blanks_then_a_query_whose_answer_is_rewarded(
    length: int, cues: int, right: bool
) -> None:
    env = gym.make(NAME, length=length, cues=cues)
    env.reset(seed=0)
    for _ in range(5):
        seen, rewards, over = [env.reset()[0]], [], False
        cue = int(seen[0][:cues].argmax())
        while not over:
            query = seen[-1][cues] == 1
            action = cue if query == right else (cue + 1) % cues  # actions before the query are ignored
            observation, reward, over, truncated, _ = env.step(action)
            assert not truncated
            seen.append(observation)
            rewards.append(float(reward))
        assert rewards == [0.0] * (length + 1) + [float(right)]
        assert seen[0].sum() == 1 and seen[0][cues] == 0
        blanks_and_query = np.zeros((length + 2, cues + 1))
        blanks_and_query[length, cues] = 1
        assert (np.array(seen[1:]) == blanks_and_query).all()


def test_cues_are_sampled_uniformly_from_the_seed() -> None:
    def drawn() -> list[int]:
        env = gym.make(NAME, cues=4)
        return [int(env.reset(seed=3 if i == 0 else None)[0].argmax()) for i in range(400)]

    assert drawn() == drawn()
    assert min(drawn().count(cue) for cue in range(4)) > 60


@pytest.mark.parametrize("kwargs", [{"length": -1}, {"length": 2.5}, {"cues": 1}])
def test_invalid_arguments_raise_an_error_naming_them(kwargs: Any) -> None:
    (name,) = kwargs
    with pytest.raises(ValueError, match=f"^{name} must be a whole number"):
        gym.make(NAME, **kwargs)


@pytest.mark.parametrize("length", [8, 32])
def test_length_is_part_of_the_env_name_of_a_run(length: int) -> None:
    spec = hydra_compat.instantiate(compose("env=MemoryChain", f"env.kwargs.length={length}").env, _convert_="all")
    assert spec.name == f"MemoryChain{length}"
    assert spec.make().unwrapped.length == length
