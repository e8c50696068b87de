"""The lifetime loop: the calls of the agent, their order, and the ends of a lifetime."""

import re
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import tracerl.envs  # noqa: F401  registers the bandits
from tracerl.agents.random import RandomAgent

import tests.toy_envs  # noqa: F401  registers the envs
from tracerl.config.checks import ConfigError
from tracerl.lifetime.loop import Diverged, EnvFailed, run_lifetime
from tracerl.lifetime.protocol import Agent
from tracerl.lifetime.record import Milestone, Record
from tracerl.nn.lifetimes import Lifetimes
from tracerl.runs.execute import describe


class Script(gym.Env):
    """Three episodes of two steps: terminated, truncated, both."""

    observation_space = gym.spaces.Box(-1, 100, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self) -> None:
        self.seeds: list[int | None] = []
        self.count = -1

    def observe(self) -> np.ndarray:
        self.count += 1
        return np.array([self.count], np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        self.seeds.append(seed)
        self.left = 2
        return self.observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.left -= 1
        episode = len(self.seeds)
        ended = self.left == 0
        return self.observe(), float(action), ended and episode != 2, ended and episode != 1, {}


class RecordingAgent:
    """An agent that records every call."""

    def __init__(self) -> None:
        self.received: list[tuple] = []

    def start(self, observation: np.ndarray) -> int:
        self.received.append(("start", int(observation[0])))
        return 1

    def step(self, reward: float, observation: np.ndarray) -> int:
        self.received.append(("step", reward, int(observation[0])))
        return 0

    def end(self, reward: float, observation: np.ndarray, terminated: bool) -> None:
        self.received.append(("end", reward, int(observation[0]), terminated))

    def diagnostics(self) -> dict[str, float]:
        return {}


class CountingCallback:
    """A callback that records the steps of its calls."""

    def __init__(self, every: int) -> None:
        self.every, self.steps = every, []

    def call(self, records: list[Record], agent: Agent) -> None:
        self.steps.append(records[0].step)


def test_each_observation_is_passed_once_and_terminated_differs_from_truncated() -> None:
    env, agent, record = Script(), RecordingAgent(), Record()
    assert run_lifetime(agent, env, 6, 7, record) == "finished"
    assert agent.received == [
        ("start", 0),
        ("step", 1.0, 1),
        ("end", 0.0, 2, True),
        ("start", 3),
        ("step", 1.0, 4),
        ("end", 0.0, 5, False),
        ("start", 6),
        ("step", 1.0, 7),
        ("end", 0.0, 8, True),  # a terminal state is terminal, also at the time limit
    ]
    assert env.seeds == [7, None, None]  # the last episode ended the lifetime: no further reset
    assert isinstance(agent, Agent)


def test_record_counts_steps_episodes_and_returns() -> None:
    record = Record([Milestone.parse("w2>=1"), Milestone.parse("w3>=1.5")])
    run_lifetime(RecordingAgent(), Script(), 5, 0, record)
    assert (record.step, record.episodes, list(record.returns), list(record.lengths)) == (5, 2, [1.0, 1.0], [2, 2])
    assert (record.episode_return, record.episode_length) == (1.0, 1)
    assert [milestone.reached_at for milestone in record.milestones] == [4, None]


def test_callbacks_are_called_on_schedule_and_at_the_end() -> None:
    callback, often = CountingCallback(2), CountingCallback(100)
    run_lifetime(RecordingAgent(), Script(), 5, 0, Record(), [callback, often])
    assert callback.steps == [2, 4, 5]
    assert often.steps == [5]


def test_interrupt_ends_the_lifetime_after_the_current_step() -> None:
    record, callback = Record(), CountingCallback(100)
    ending = run_lifetime(RecordingAgent(), Script(), 1000, 0, record, [callback], interrupted=lambda: record.step == 3)
    assert ending == "interrupted"
    assert record.step == 3
    assert callback.steps == [3]


BROKEN = {
    "raise": (EnvFailed, 49, "the env failed in step 50"),
    "reset": (EnvFailed, 50, "the env failed in reset after 50 steps: RuntimeError: the simulator failed$"),
    "exit": (EnvFailed, 49, "the env failed in step 50"),
    "exit_in_reset": (EnvFailed, 50, "the env failed in reset after 50 steps"),
    "tuple": (EnvFailed, 49, "the env failed in step 50"),
    "flag": (EnvFailed, 49, "the env failed in step 50"),
    "observation": (Diverged, 49, r"nan in the observation at index \[0\] after 49 steps"),
    "first": (Diverged, 50, r"nan in the observation at index \[0\] after 50 steps"),
    "shape": (EnvFailed, 49, r"an observation of shape \(3,\) after 49 steps: its space says \(1,\)"),
    "list": (EnvFailed, 49, r"\[0.0\] after 49 steps: it must be an array of shape \(1,\), got a list"),
    "reward": (Diverged, 49, "the reward nan in step 50"),
    "infinity": (Diverged, 49, "the reward inf in step 50"),
    "none": (EnvFailed, 49, "the reward None in step 50"),
    "text": (EnvFailed, 49, r"must be an array of real numbers, got one of dtype <U3: array\(\['0.5'\]"),
    "objects": (EnvFailed, 49, r"must be an array of real numbers, got one of dtype object: array\(\[None\]"),
    "complex": (EnvFailed, 49, "must be an array of real numbers, got one of dtype complex64"),
    "reward_text": (EnvFailed, 49, "the reward '1.0' in step 50: TypeError: reward must be a real number"),
    "imaginary": (EnvFailed, 49, "reward must be a real number, got "),
    "flag_text": (EnvFailed, 49, "the env failed in step 50: TypeError: terminated must be true or false, got 'False'"),
    "undefined": (EnvFailed, 49, "the env failed in step 50: TypeError: terminated must be true or false, got nan"),
    "two": (EnvFailed, 49, r"step 50: TypeError: reward must be a real number, got array\(\[1., 1.\]\)$"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_invalid_env_raises_an_error_naming_it(how: str) -> None:
    error, steps, message = BROKEN[how]
    env = gym.make("Broken-v0", disable_env_checker=True, how=how)
    agent = RandomAgent(env.observation_space, env.action_space, Lifetimes(0))
    record = Record()
    with pytest.raises(error) as caught:
        run_lifetime(agent, env, 100, 0, record)
    assert re.search(message, describe(caught.value))
    assert str(caught.value) == describe(caught.value)
    assert (record.step, record.episodes) == (steps, steps // 10)


@pytest.mark.parametrize("how", ["well", "tensors"])
def test_numpy_and_torch_scalars_are_accepted_as_rewards_and_flags(how: str) -> None:
    env, record = gym.make("Broken-v0", disable_env_checker=True, how=how), Record()
    agent = RandomAgent(env.observation_space, env.action_space, Lifetimes(0))
    assert run_lifetime(agent, env, 100, 0, record) == "finished"
    assert list(record.returns) == [10.0] * 10 and type(record.returns[0]) is float


def test_large_finite_observations_are_accepted() -> None:
    env = Script()
    env.observe = lambda: np.array([3e38], np.float32)  # its square is not a float32
    assert run_lifetime(RecordingAgent(), env, 4, 0, Record()) == "finished"


def test_random_agent_samples_any_space_reproducibly() -> None:
    env = gym.make("Pendulum-v1", disable_env_checker=True)

    def actions(seed: int) -> list[float]:
        agent = RandomAgent(env.observation_space, env.action_space, Lifetimes(seed))
        return [float(agent.step(0.0, np.zeros(3))[0]) for _ in range(5)]

    assert actions(1) == actions(1) != actions(2)


def test_random_agent_and_env_of_one_seed_are_independent() -> None:
    """Both have one seed; the contexts of a bandit and random actions have the same distribution."""
    env = gym.make("tracerl/ContextualBandit-v0", disable_env_checker=True)
    record = Record()
    run_lifetime(RandomAgent(env.observation_space, env.action_space, Lifetimes(3)), env, 400, 3, record)
    assert 0.1 < record.mean_return() < 0.45  # .25 at random


@pytest.mark.parametrize("window", [0, -1, 101, 2.5, "a"])
def test_window_of_a_mean_return_is_checked(window: Any) -> None:
    with pytest.raises(ConfigError, match="^window must be a whole number from 1 to 100, got"):
        Record().mean_return(window, partial=True)
