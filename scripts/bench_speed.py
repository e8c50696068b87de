"""Time the env alone, the agent alone and the whole lifetime loop, in one process on one core.

python scripts/bench_speed.py                                        # the default agent on CartPole
python scripts/bench_speed.py network.hidden=[64] optimizer=obgd     # any override of tracerl.run

Each is timed in several rounds, in turn, after a warm-up; the median is printed. ``ideal`` is 1/(1/env + 1/agent), what
a loop that costs nothing would reach. Ratios hold between the rows of one run; absolute numbers belong to the machine.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import hydra
import torch
from omegaconf import DictConfig

import tracerl
from tracerl.agent import Agent
from tracerl.lifetime import Monitor, live
from tracerl.lives import Lives
from tracerl.stats import Record


class Bench:
    """The three timings of one config."""

    def __init__(self, config: DictConfig, steps: int) -> None:
        """Prepare to time ``steps`` env steps a round."""
        self.config, self.steps = config, steps
        self.spec = hydra.utils.instantiate(config.env, _convert_="all")

    def make_agent(self, env: gym.Env[Any, Any]) -> Agent:
        """Build a new agent."""
        make = hydra.utils.instantiate(self.config.agent, _convert_="all", _partial_=True)
        agent: Agent = make(env.observation_space, env.action_space, Lives(0))
        return agent

    def env_alone(self) -> float:
        """Steps per second of the env under random actions."""
        env = self.spec.make()
        env.action_space.seed(0)
        actions = [env.action_space.sample() for _ in range(self.steps)]
        env.reset(seed=0)
        started = time.perf_counter()
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return self.steps / (time.perf_counter() - started)

    def agent_alone(self) -> float:
        """Steps per second of the agent on a recorded episode of observations."""
        env = self.spec.make()
        agent = self.make_agent(env)
        env.observation_space.seed(0)
        seen, _ = env.reset(seed=0)
        observations = [seen + 0.01 * i for i in range(100)]
        agent.start(seen)
        started = time.perf_counter()
        for i in range(self.steps):
            agent.step(1.0, observations[i % 100])
        return self.steps / (time.perf_counter() - started)

    def whole_loop(self, logged: bool) -> float:
        """Steps per second of a life, with or without TensorBoard."""
        env = self.spec.make()
        agent = self.make_agent(env)
        with tempfile.TemporaryDirectory() as folder:
            monitors: list[Monitor] = []
            if logged:
                monitors = [hydra.utils.instantiate(self.config.logger).open(Path(folder), {}, "")]
            started = time.perf_counter()
            live(agent, env, self.steps, 0, Record(), monitors)
            return self.steps / (time.perf_counter() - started)


def main() -> None:
    """Read the arguments, time in rounds, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5000, help="env steps per timing")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("overrides", nargs="*", help="settings for tracerl.run")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with hydra.initialize_config_module("tracerl.configs", version_base="1.3"):
        bench = Bench(hydra.compose("run", arguments.overrides), arguments.steps)
    rows: dict[str, Callable[[], float]] = {
        "env alone": bench.env_alone,
        "agent alone": bench.agent_alone,
        "whole loop, no log": lambda: bench.whole_loop(logged=False),
        "whole loop, TensorBoard": lambda: bench.whole_loop(logged=True),
    }
    for timing in rows.values():  # warm-up
        timing()
    rounds = [{name: timing() for name, timing in rows.items()} for _ in range(arguments.rounds)]
    found = {name: statistics.median(one[name] for one in rounds) for name in rows}
    ideal = 1 / (1 / found["env alone"] + 1 / found["agent alone"])
    silent, logged = found["whole loop, no log"], found["whole loop, TensorBoard"]
    share = 1 - statistics.median(one["whole loop, TensorBoard"] / one["whole loop, no log"] for one in rounds)
    print(f"tracerl {tracerl.__version__}, torch {torch.__version__}, {platform.processor() or platform.machine()}")
    print(f"{bench.spec.id} {' '.join(arguments.overrides)}: median of {arguments.rounds} x {arguments.steps:,} steps")
    for name, speed in found.items():
        print(f"{name:26}{speed:12,.0f} steps/s")
    print(
        f"{'ideal':26}{ideal:12,.0f} steps/s; the loop reaches {silent / ideal:.0%} of it, {logged / ideal:.0%} logged"
    )
    print(f"logging share {share:.1%}")


if __name__ == "__main__":
    main()
