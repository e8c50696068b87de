"""Run agents in tasks whose rewards, observations or actions are changed, and print their last returns as a table.

    python scripts/transformed_tasks.py
    python scripts/transformed_tasks.py --tasks CartPole --agents reflect --only "rewards x 1000" --seeds 0

A return is that of the task itself, without the change: the mean of the last 100 episodes, one number per seed.
"""

import argparse
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

import tracerl

Env = gym.Env[Any, Any]
Array = np.ndarray[Any, Any]
TASKS = {  # id and env steps
    "CartPole": ("CartPole-v1", 60_000),
    "Pendulum": ("Pendulum-v1", 100_000),
    "Acrobot": ("Acrobot-v1", 60_000),
    "MountainCarContinuous": ("MountainCarContinuous-v0", 60_000),
    "LunarLander": ("LunarLander-v3", 150_000),
}


class PaidLater(gym.Wrapper[Any, Any, Any, Any]):
    """The sum of the rewards of ``steps`` env steps is paid at the last of them, or at the end of the episode."""

    def __init__(self, env: Env, steps: int) -> None:
        super().__init__(env)
        self.steps = steps

    def reset(self, **arguments: Any) -> Any:
        """Begin an episode."""
        self.taken, self.owed = 0, 0.0
        return self.env.reset(**arguments)

    def step(self, action: Any) -> Any:
        """Take one env step."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.taken, self.owed, paid = self.taken + 1, self.owed + float(reward), 0.0
        if terminated or truncated or self.taken % self.steps == 0:
            paid, self.owed = self.owed, 0.0
        return observation, paid, terminated, truncated, info


class Delayed(gym.Wrapper[Any, Any, Any, Any]):
    """Observations, or actions, arrive some steps later; before that the first observation, or action zero."""

    def __init__(self, env: Env, observations: int = 0, actions: int = 0) -> None:
        super().__init__(env)
        self.delays = observations, actions

    def reset(self, **arguments: Any) -> Any:
        """Begin an episode."""
        observation, info = self.env.reset(**arguments)
        zero = self.action_space.sample() * 0
        self.seen, self.chosen = [observation] * self.delays[0], [zero] * self.delays[1]
        return observation, info

    def step(self, action: Any) -> Any:
        """Take one env step."""
        self.chosen.append(action)
        observation, *rest = self.env.step(self.chosen.pop(0))
        self.seen.append(observation)
        return self.seen.pop(0), *rest


class Repeated(gym.Wrapper[Any, Any, Any, Any]):
    """Each action is taken several times."""

    def __init__(self, env: Env, times: int) -> None:
        super().__init__(env)
        self.times = times

    def step(self, action: Any) -> Any:
        """Take one env step, or several."""
        total = 0.0
        for _ in range(self.times):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info


class Outlier(gym.Wrapper[Any, Any, Any, Any]):
    """One wrong reading: at env step ``AT`` the first number of the observation, or the reward, is another."""

    AT = 30_000

    def __init__(self, env: Env, observation: float | None = None, reward: float | None = None) -> None:
        super().__init__(env)
        self.outliers, self.taken = (observation, reward), 0

    def step(self, action: Any) -> Any:
        """Take one env step."""
        observation, reward, *ended = self.env.step(action)
        self.taken += 1
        if self.taken == self.AT:
            first, paid = self.outliers
            observation = observation if first is None else np.append(np.float32(first), observation[1:])
            reward = reward if paid is None else paid
        return observation, reward, *ended


class WithoutEnds(gym.Wrapper[Any, Any, Any, Any]):
    """One endless episode: where the task ends, it is reset within the step, and nothing says so."""

    def step(self, action: Any) -> Any:
        """Take one env step."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            observation, _ = self.env.reset()
        return observation, reward, False, False, info


def rewards(change: Callable[[float], float]) -> Callable[[Env], Env]:
    """Return the wrapper that changes each reward."""
    return lambda env: gym.wrappers.TransformReward(env, lambda reward: change(float(reward)))


def observations(change: Callable[[Array], Array]) -> Callable[[Env], Env]:
    """Return the wrapper that changes each observation."""

    def wrap(env: Env) -> Env:
        size = len(change(np.zeros(env.observation_space.shape or (), np.float32)))
        space = spaces.Box(-np.inf, np.inf, (size,), np.float32)
        return gym.wrappers.TransformObservation(env, lambda seen: change(seen).astype(np.float32), space)

    return wrap


def with_noise(numbers: int) -> Callable[[Env], Env]:
    """Return the wrapper that appends independent numbers from N(0, 1) to each observation."""

    def wrap(env: Env) -> Env:
        generator = np.random.default_rng(0)
        return observations(lambda seen: np.append(seen, generator.normal(size=numbers)))(env)

    return wrap


def noisy(env: Env) -> Env:
    """Add N(0, .1^2) to each number of an observation."""
    generator = np.random.default_rng(0)
    return observations(lambda seen: seen + 0.1 * generator.normal(size=len(seen)))(env)


def paid_with_noise(env: Env) -> Env:
    """Add N(0, 1) to each reward."""
    generator = np.random.default_rng(0)
    return rewards(lambda reward: reward + generator.normal())(env)


def rotated(env: Env) -> Env:
    """Multiply each observation by an orthogonal matrix."""
    n = (env.observation_space.shape or ())[0]
    matrix = np.linalg.qr(np.random.default_rng(1).normal(size=(n, n)))[0].astype(np.float32)
    return observations(lambda seen: matrix @ seen)(env)


def actions(space: Callable[[Any], spaces.Space[Any]], change: Callable[[Any, Any], Any]) -> Callable[[Env], Env]:
    """Return the wrapper of another action space, whose actions are changed to those of the task's space."""

    def wrap(env: Env) -> Env:
        own = env.action_space
        return gym.wrappers.TransformAction(env, lambda action: change(own, action), space(own))

    return wrap


def longer(box: Any, numbers: int) -> spaces.Box:
    """Return a Box with more numbers, between -1 and 1."""
    ones = np.ones(numbers, np.float32)
    return spaces.Box(np.append(box.low, -ones), np.append(box.high, ones), dtype=np.float32)


def rescaled(low: Callable[[Any], Any], high: Callable[[Any], Any]) -> Callable[[Env], Env]:
    """Return the wrapper of a Box with other bounds, functions of the task's own, to which actions are rescaled."""
    return lambda env: gym.wrappers.RescaleAction(env, low(env.action_space), high(env.action_space))


ANY: dict[str, Callable[[Env], Env]] = {
    "as it is": lambda env: env,
    "rewards x 1000": rewards(lambda reward: reward * 1000),
    "rewards x 1e-3": rewards(lambda reward: reward * 1e-3),
    "rewards x 1e-6": rewards(lambda reward: reward * 1e-6),
    "rewards + N(0, 1)": paid_with_noise,
    "rewards of 10 steps at once": lambda env: PaidLater(env, 10),
    "observations x 1000": observations(lambda seen: seen * np.float32(1000)),
    "observations x 1e-4": observations(lambda seen: seen * np.float32(1e-4)),
    "observations + 1000": observations(lambda seen: seen + np.float32(1000)),
    "observations + N(0, .01)": noisy,
    "10 numbers of noise more": with_noise(10),
    "50 numbers of noise more": with_noise(50),
    "20 constant numbers more": observations(lambda seen: np.append(seen, np.full(20, 3.0))),
    "observations rotated": rotated,
    "observations 8 times": observations(lambda seen: np.tile(seen, 8)),
    "observations cubed": observations(lambda seen: seen**3),
    "observations 2 steps late": lambda env: Delayed(env, observations=2),
    "actions 2 steps late": lambda env: Delayed(env, actions=2),
    "sticky actions, .25": lambda env: gym.wrappers.StickyAction(env, 0.25),
    "actions of 4 steps": lambda env: Repeated(env, 4),
    "no ends of episodes": WithoutEnds,
    "one observation of 1e6": lambda env: Outlier(env, observation=1e6),
    "one reward of 1e6": lambda env: Outlier(env, reward=1e6),
}
DISCRETE: dict[str, Callable[[Env], Env]] = {
    "each action 5 times": actions(lambda own: spaces.Discrete(5 * int(own.n)), lambda own, each: int(each % own.n)),
}
CONTINUOUS: dict[str, Callable[[Env], Env]] = {
    "range of actions x 100": rescaled(lambda own: own.low * 100, lambda own: own.high * 100),
    "5 actions without effect more": actions(lambda own: longer(own, 5), lambda own, each: each[: len(own.low)]),
    "actions from 0 to 1": rescaled(lambda own: np.zeros_like(own.low), lambda own: np.ones_like(own.high)),
    "range x 10, clipped to its tenth": actions(
        lambda own: spaces.Box(own.low * 10, own.high * 10, own.shape, np.float32),
        lambda own, each: np.clip(each, own.low, own.high),
    ),
}
CHANGES = {**ANY, **DISCRETE, **CONTINUOUS}


def last_return(task: str, change: str, agent: str, seed: int, steps: int | None) -> float:
    """Return the mean return of the last 100 episodes of a lifetime; NaN if no episode ended."""
    name, usual = TASKS[task]
    task_env = gym.wrappers.RecordEpisodeStatistics(gym.make(name, disable_env_checker=True), buffer_length=100)
    env = tracerl.make_env(CHANGES[change](task_env))
    tracerl.live(tracerl.make_agent(env, agent, seed=seed), env, steps or usual, seed=seed).finish()
    env.close()
    return float(np.mean(task_env.return_queue)) if task_env.return_queue else float("nan")


def changes_of(task: str) -> set[str]:
    """Return the names of the changes that suit a task; without ends the rewards of CartPole say nothing."""
    discrete = isinstance(gym.spec(TASKS[task][0]).make().action_space, spaces.Discrete)
    found = {*ANY, *(DISCRETE if discrete else CONTINUOUS)}
    return found - {"no ends of episodes"} if task == "CartPole" else found


def main() -> None:
    """Print a table per task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK")
    parser.add_argument("--agents", nargs="+", default=["stream_ac", "reflect"], metavar="AGENT")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED")
    parser.add_argument("--only", nargs="+", choices=CHANGES, default=list(CHANGES), metavar="CHANGE")
    parser.add_argument("--steps", type=int, help="env steps; by default those of the task")
    given = parser.parse_args()
    for task in given.tasks:
        print(f"\n| {task} | " + " | ".join(given.agents) + " |\n|---|" + "---|" * len(given.agents))
        suited = changes_of(task)
        for change in (each for each in given.only if each in suited):
            row = [change]
            for agent in given.agents:
                found = (last_return(task, change, agent, seed, given.steps) for seed in given.seeds)
                row.append(", ".join(f"{each:,.1f}" for each in found))
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
