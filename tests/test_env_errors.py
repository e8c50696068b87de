"""What an exception of an env is blamed on: the API of old Gym behind a wrapper, or an action outside the space."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

import tracerl
from tests.test_loop import RecordingAgent
from tracerl.lifetime.divergence import Diverged
from tracerl.lifetime.env_errors import about_action
from tracerl.lifetime.independent_agents import IndependentAgents
from tracerl.lifetime.loop import EnvFailed, WrongEnvApi, run_lifetime
from tracerl.lifetime.record import Record, VectorStatistics
from tracerl.lifetime.vector_loop import run_lifetimes
from tracerl.runs.execute import describe


class OldStep(gym.Env):
    """Its step returns four values."""

    observation_space, action_space = gym.spaces.Discrete(3), gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return 1, {}

    def step(self, action: int) -> Any:
        return 1, 1.0, False, {}


class OldReset(OldStep):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return 1


class Unpacking(OldStep):
    """Unpacks four values into five itself, which says nothing about its API."""

    def step(self, action: int) -> Any:
        _, _, _, _, _ = (0, 0, 0, 0)


class Careful(gym.Env):
    """Checks its actions."""

    observation_space, action_space = gym.spaces.Box(-1, 100, (1,), np.float32), gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> Any:
        if not self.action_space.contains(action):
            raise KeyError(action)
        return np.zeros(1, np.float32), 1.0, False, False, {}


class RecordingAny(RecordingAgent):
    """An agent for observations of any kind."""

    def start(self, observation: Any) -> int:
        return 1

    def step(self, reward: float, observation: Any) -> int:
        return 1


class Outside(RecordingAgent):
    def start(self, observation: Any) -> int:
        return 7


@pytest.mark.parametrize("wrap", [tracerl.make_env, lambda env: TimeLimit(env, 9), lambda env: env])
def test_step_of_old_gym_is_named_behind_any_wrapper(wrap: Any) -> None:
    with pytest.raises(WrongEnvApi, match=r"^the env failed in step 1: step must return \(observation, reward, term"):
        run_lifetime(RecordingAny(), wrap(OldStep()), 5, 0, Record())


def test_step_of_old_gym_is_named_among_many_lifetimes() -> None:
    envs = SyncVectorEnv([OldStep, OldStep], autoreset_mode=AutoresetMode.DISABLED)
    agents, statistics = IndependentAgents([RecordingAny(), RecordingAny()]), VectorStatistics([Record(), Record()])
    problem = r"^the env of lifetime 0 failed in step 1: step must return \(observation, reward, term"
    with pytest.raises(WrongEnvApi, match=problem):
        run_lifetimes(agents, envs, 5, [0, 1], statistics)


def test_reset_of_old_gym_is_named_behind_a_wrapper() -> None:
    with pytest.raises(WrongEnvApi, match=r"^the env failed in reset after 0 steps: reset must return \(observation, "):
        run_lifetime(RecordingAny(), tracerl.make_env(OldReset()), 5, 0, Record())


def test_error_of_the_same_text_in_the_env_is_its_own() -> None:
    with pytest.raises(EnvFailed, match="^the env failed in step 1: ValueError: not enough values") as caught:
        run_lifetime(RecordingAny(), tracerl.make_env(Unpacking()), 5, 0, Record())
    assert not isinstance(caught.value, WrongEnvApi)


def test_action_outside_the_space_is_named() -> None:
    said = r"failed in step 1 with the agent's action 7, which is not in Discrete\(2\): KeyError: 7$"
    with pytest.raises(EnvFailed, match=said):
        run_lifetime(Outside(), Careful(), 5, 0, Record())
    envs = SyncVectorEnv([Careful, Careful], autoreset_mode=AutoresetMode.DISABLED)
    agents, statistics = IndependentAgents([RecordingAgent(), Outside()]), VectorStatistics([Record(), Record()])
    with pytest.raises(EnvFailed, match=said):
        run_lifetimes(agents, envs, 5, [0, 1], statistics)


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (
            np.zeros((1, 1)),
            r"shape \(3, 1\) after 0 steps: its space says \(3,\); it was stepped with the agent's action",
        ),
        (np.full(1, np.nan), "observations must be finite; it was stepped with the agent's action array.*not in Box"),
    ],
    ids=["shape", "nan"],
)
def test_action_that_gives_an_observation_of_no_use_is_named(action: Any, said: str) -> None:
    class Fixed(RecordingAgent):
        def start(self, observation: Any) -> Any:
            return action

    with pytest.raises((EnvFailed, Diverged), match=said):
        run_lifetime(Fixed(), gym.make("Pendulum-v1").unwrapped, 5, 0, Record())


def test_action_inside_the_space_is_not_named() -> None:
    box = gym.spaces.Box(-1, 1, (2,), np.float32)
    assert about_action(box, np.zeros(2)) == ""  # a float64 array, which Gymnasium does not take for one of the space
    assert about_action(box, np.full(2, 3.0)) != ""
    assert about_action(gym.spaces.Discrete(3), np.int64(2)) == ""
    assert about_action(None, 3) == ""


class ManyLines(OldStep):
    def step(self, action: Any) -> Any:
        raise RuntimeError("XML Error: no such body\n  Element 'geom', line 3\n")


def test_error_of_many_lines_is_told_in_one() -> None:
    said = "RuntimeError: XML Error: no such body Element 'geom', line 3$"
    with pytest.raises(EnvFailed, match=f"^the env failed in step 1: {said}") as caught:
        run_lifetime(RecordingAny(), tracerl.make_env(ManyLines()), 5, 0, Record())
    assert len(describe(caught.value).splitlines()) == len(describe(RuntimeError("a\nb")).splitlines()) == 1
