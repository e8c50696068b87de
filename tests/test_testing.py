"""The published checks: valid parts pass, and each flaw raises an AssertionError naming it."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from tracerl.agents.random import RandomAgent

import tests.toy_envs
from tests.helpers import compose
from tracerl.config import hydra_compat
from tracerl.config.checks import ConfigError
from tracerl.runs.build import with_input
from tracerl.testing import check_agent, check_env, check_seeds


class ValidEnv(tests.toy_envs.ToyEnv):
    """A random walk with random ends."""

    def begin(self) -> np.ndarray:
        self.elapsed = 0
        return self.np_random.normal(size=1).astype(np.float32).clip(-9, 9)

    def step(self, action: int) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        self.elapsed += 1
        return self.np_random.normal(size=1).astype(np.float32).clip(-9, 9), 1.0, self.elapsed == 7, False, {}


class OfOldGym(ValidEnv):
    """Its step returns four values."""

    def step(self, action: int) -> Any:
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, terminated, info


class WithoutSpaces(ValidEnv):
    """Has no spaces."""

    def __init__(self) -> None: ...


class Unseeded(ValidEnv):
    def begin(self) -> np.ndarray:
        super().begin()
        return np.random.default_rng().normal(size=1).astype(np.float32).clip(-9, 9)


class Late(ValidEnv):
    """Returns an invalid value after a hundred steps, which Gymnasium's checker does not find."""

    def __init__(self, **wrong: Any) -> None:
        super().__init__()
        self.wrong, self.taken = wrong, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        self.taken = self.taken if seed is None else 0
        return super().reset(seed=seed)

    def step(self, action: int) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        self.taken += 1
        observation, reward, terminated, truncated, info = super().step(action)
        wrong = self.wrong if self.taken > 100 else {}
        terminated = wrong.get("terminated", terminated)
        return wrong.get("observation", observation), wrong.get("reward", reward), terminated, truncated, info


class Nested(ValidEnv):
    """Observations in a dict, with a tuple in it."""

    def __init__(self) -> None:
        super().__init__()
        box = self.observation_space
        self.observation_space = gym.spaces.Dict({"a": box, "b": gym.spaces.Tuple([box, gym.spaces.Discrete(2)])})

    def begin(self) -> Any:
        observation = super().begin()
        return {"a": observation, "b": (observation, 1)}

    def step(self, action: int) -> Any:
        observation, *others = super().step(action)
        return {"a": observation, "b": (observation, 1)}, *others


class Unbounded(Late):
    """Has observations without bounds, so that NaN is in their space."""

    def __init__(self, **wrong: Any) -> None:
        super().__init__(**wrong)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)


class Raising(ValidEnv):
    """Raises an error in the n-th step of an episode."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def step(self, action: int) -> Any:
        if self.elapsed == self.n:
            raise KeyError("the simulator")
        return super().step(action)


class Rewarding(ValidEnv):
    """Returns one reward at every step."""

    def __init__(self, reward: Any) -> None:
        super().__init__()
        self.reward = reward

    def step(self, action: int) -> Any:
        observation, _, *others = super().step(action)
        return observation, self.reward, *others


def test_valid_envs_pass_as_a_class_an_id_and_settings() -> None:
    check_env(Nested)
    check_env(ValidEnv)
    check_env("CartPole-v1")
    check_env(gym.spec("Acrobot-v1"))
    check_env(lambda: gym.wrappers.TimeLimit(ValidEnv(), 5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Unseeded, "two envs reset with one seed must do the same"),
        (OfOldGym, "Gymnasium.s checker raises|must"),
        (WithoutSpaces, "must specify an action space"),
        ("nosuchmodule:Env-v0", "the env cannot be made: ModuleNotFoundError: No module named 'nosuchmodule'"),
        (tests.toy_envs.Null, "np_random|random number"),
        (partial(Late, reward=np.inf), "rewards must be finite, got inf"),
        (partial(Late, reward=None), "rewards must be numbers, got None"),
        (partial(Late, reward=np.ones(2)), r"rewards must be numbers, got array\(\[1., 1.\]\)"),
        (partial(Rewarding, float("nan")), "rewards must be finite, got nan"),
        (partial(Unbounded, observation=np.full(1, np.nan, np.float32)), "observations must be finite, got array"),
        (partial(Rewarding, "1.0"), "rewards must be numbers, got '1.0'"),
        (partial(Raising, 0), "KeyError: 'the simulator'"),
        (partial(Raising, 5), "^the env raises KeyError: 'the simulator'"),
        (partial(Late, terminated=1), "terminated must be a bool, got 1"),
        (partial(Late, observation=np.full(1, 99, np.float32)), "observations must be of Box"),
        (partial(Late, observation=np.zeros(1)), "observations must be of dtype float32, got float64"),
    ],
)
def test_each_flaw_of_an_env_raises_an_assertion_error_naming_it(make: Callable[[], gym.Env], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_env(make)


def test_stochastic_env_differs_after_another_seed() -> None:
    check_seeds(ValidEnv, stochastic=True)
    check_seeds(tests.toy_envs.ConstantReward)
    with pytest.raises(AssertionError, match="another seed must make a difference"):
        check_seeds(tests.toy_envs.ConstantReward, stochastic=True)


class Counting:
    """A valid agent with a state: its action depends on the number of its steps."""

    def __init__(self, observation_space: Any, action_space: Any, lifetimes: Any) -> None:
        self.n, self.shape = int(action_space.n), lifetimes.shape
        self.count = torch.zeros(lifetimes.shape, dtype=torch.int64)

    def start(self, observation: Any) -> int:
        self.count += 1
        return int(self.count) % self.n

    def step(self, reward: float, observation: Any) -> int:
        return self.start(observation)

    def end(self, reward: float, observation: Any, terminated: bool) -> None: ...

    def diagnostics(self) -> dict[str, float]:
        return {"count": 1.0}

    def capture(self) -> dict[str, torch.Tensor]:
        return {"count": self.count}

    def restore(self, state: Any) -> None:
        if state.keys() != {"count"}:
            raise ValueError("the state must have the one name count")
        self.count.copy_(state["count"])

    def reset_episode(self) -> None: ...

    def advance(self, step_types: Any, rewards: Any, observations: Any) -> np.ndarray:
        acts = (step_types == 1) | (step_types == 2)
        self.count += torch.as_tensor(acts)
        return (self.count % self.n).numpy()


class Stateless(tests.toy_envs.StatelessAgent):
    """An agent of three methods without state."""


class Outside(Counting):
    def start(self, observation: Any) -> int:
        return 3


class Drawing(Counting):
    def start(self, observation: Any) -> int:
        return int(np.random.default_rng().integers(3))


class Infinite(Counting):
    def diagnostics(self) -> dict[str, float]:
        return {"count": float("inf")}


class Speechless(Counting):
    def diagnostics(self) -> Any:
        return None


class Wordy(Counting):
    def diagnostics(self) -> Any:
        return {"count": "many"}


class Forgetful(Counting):
    reset_episode = None  # type: ignore[assignment]
    abandon = None  # type: ignore[assignment]


class InArrays(Counting):
    def capture(self) -> Any:
        return {"count": self.count.numpy()}


class ThreeMethods:
    """A valid agent without diagnostics."""

    def __init__(self, observation_space: Any, action_space: Any, lifetimes: Any) -> None: ...

    def start(self, observation: Any) -> int:
        return 1

    def step(self, reward: float, observation: Any) -> int:
        return 1

    def end(self, reward: float, observation: Any, terminated: bool) -> None: ...


class Lossy(Counting):
    def restore(self, state: Any) -> None:
        super().restore(state)
        self.count += 1


class Careless(Counting):
    def restore(self, state: Any) -> None:
        self.count.copy_(state.get("count", self.count))


class Awake(Counting):
    """Also counts the steps of skipped lifetimes."""

    def advance(self, step_types: Any, rewards: Any, observations: Any) -> np.ndarray:
        self.count += torch.as_tensor(step_types < 3)
        return (self.count % self.n).numpy()


class Unwell(Counting):
    def step(self, reward: float, observation: Any) -> int:
        raise KeyError("the weights")


class Asserting(Counting):
    def step(self, reward: float, observation: Any) -> int:
        raise AssertionError


class Wide(Counting):
    """Returns two numbers per lifetime."""

    def advance(self, step_types: Any, rewards: Any, observations: Any) -> np.ndarray:
        return np.stack([super().advance(step_types, rewards, observations)] * 2, -1)


class Wrong(Counting):
    def restore(self, state: Any) -> None:
        if state.keys() != {"count"}:
            raise KeyError("count")
        super().restore(state)


class Empty(Counting):
    def capture(self) -> Any:
        return {}


class Silent(Counting):
    def advance(self, step_types: Any, rewards: Any, observations: Any) -> Any:
        return None


class ManyStateless:
    """Many lifetimes of an agent without checkpoints, whose action is constant."""

    def __init__(self, observation_space: Any, action_space: Any, lifetimes: Any) -> None:
        self.n = len(lifetimes.seeds)

    def start(self, observation: Any) -> int:
        return 1

    def step(self, reward: float, observation: Any) -> int:
        return 1

    def end(self, reward: float, observation: Any, terminated: bool) -> None:
        """Do nothing."""

    def diagnostics(self) -> dict[str, float]:
        return {}

    def advance(self, step_types: Any, rewards: Any, observations: Any) -> np.ndarray:
        return np.ones(self.n, np.int64)


@pytest.mark.parametrize("make", [Counting, Stateless, ManyStateless, ThreeMethods, RandomAgent])
def test_valid_agents_pass(make: Any) -> None:
    check_agent(make)


@pytest.mark.parametrize("steps", range(1, 13))
def test_valid_agent_passes_with_few_steps(steps: int) -> None:
    check_agent(Counting, steps=steps)


@pytest.mark.parametrize("check", [partial(check_agent, Counting), partial(check_env, ValidEnv)])
def test_checks_need_a_step(check: Callable[..., None]) -> None:
    with pytest.raises(ConfigError, match="^steps must be a whole number of 1 or above, got 0"):
        check(steps=0)


def test_default_agent_passes_in_both_engines() -> None:
    for engine in ("torch", "fused"):
        config = with_input(compose(f"engine={engine}", "network.hidden=[9]"), "vectors").agent
        check_agent(hydra_compat.instantiate(config, _convert_="all", _partial_=True))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Outside, r"actions must be of Discrete\(3\), got 3"),
        (Drawing, "two agents built with one seed must act alike"),
        (Infinite, "diagnostics must be finite, got inf for count"),
        (Lossy, "an agent must capture what it was restored from: count differs"),
        (Careless, "restore must raise a ValueError for a state with an unknown name"),
        (Awake, "lifetime 0 of three must act as the agent of its seed does alone"),
        (lambda *spaces: object(), "must have the methods start, step and end, object has no start"),
        (Speechless, "diagnostics must return numbers by tag, got None"),
        (Wordy, "diagnostics must return numbers by tag, got 'many' for count"),
        (Forgetful, "an agent with checkpoints must have .*, Forgetful has no reset_episode"),
        (Unwell, "^the agent raises KeyError: 'the weights'"),
        (Asserting, "^the agent raises AssertionError$"),
        (Wide, "lifetime 0 of three must act as the agent of its seed does alone"),
        (Wrong, "restore must raise a ValueError for a state with an unknown name, raised KeyError: 'count'"),
        (Empty, "capture must return tensors by name, got none"),
        (Silent, "advance must return an action for each of 3 lifetimes, got array"),
        (None, "^the agent's maker raises TypeError: 'NoneType' object is not callable"),
        (InArrays, "capture must return tensors by name, got array.*for count"),
    ],
)
def test_each_flaw_of_an_agent_raises_an_assertion_error_naming_it(make: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_agent(make)


def test_no_test_framework_is_imported() -> None:
    code = "import sys, tracerl.testing; print([name for name in ('pytest', 'hypothesis') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
