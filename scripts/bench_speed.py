"""Time env, agent and whole lifetime loop over engines, sizes, lifetimes and envs; print markdown tables.

python scripts/bench_speed.py                                   # every table
python scripts/bench_speed.py --only engines --write docs/benchmarks.md
python scripts/bench_speed.py network.hidden=[64] lifetimes=8   # one row of any settings of tracerl.run

Each row has a process of its own, whose peak memory is the row's. In it, everything is timed in several rounds, in
turn, after a warm-up; medians are printed. ``ideal`` is 1/(1/env + 1/agent), what a loop that costs nothing would
reach; ``log`` the share of a logged lifetime that its TensorBoard log takes; ``call`` what one call of the fused engine
costs that does nothing. Rows of PPO and A2C are Stable-Baselines3 with its defaults on the same env and core, from the
extra ``bench``. Speeds are agent-steps per second, all lifetimes together. Ratios hold within one run; absolute
numbers belong to the machine. ``--write`` replaces what stands between the table's markers in a file.
"""

import argparse
import datetime
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from bench_baselines import check_installed
from doc_tables import made_on, write_table
from env_speed import Null, many_envs, observations, one_env, per_second
from omegaconf import DictConfig

from tracerl.config.hydra_compat import compose
from tracerl.config.instantiate import build, open_keys
from tracerl.lifetime.loop import ScheduledCallback
from tracerl.lifetime.protocol import StepType
from tracerl.lifetime.record import Record
from tracerl.runs.build import build_agent, use_threads
from tracerl.runs.logging.tensorboard import LoggedRun

INTENTIONAL, OBGD = "bounded Intentional", "ObGD"
NULL = "env=gymnasium env.id=Null-v0"
FLAT = "network=normalized encoder=contrast optimizer=intentional agent.trunk=separate"  # an image as a flat vector
GAMES = ("Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders")


@dataclass(frozen=True)
class Row:
    """One line of a table: settings of ``tracerl.run``, and agent-steps per timing."""

    label: str
    overrides: str
    steps: int = 60_000
    baseline: str = ""  # PPO or A2C of Stable-Baselines3, in place of the agent of the settings


def baselines(env: str, overrides: str, steps: int) -> list[Row]:
    """Return the rows of Stable-Baselines3 on the env of some settings."""
    return [Row(f"{env}, {name} of Stable-Baselines3", overrides, steps, name) for name in ("PPO", "A2C")]


def obgd(hidden: str) -> str:
    """Settings of ObGD at a width."""
    return f"optimizer=obgd network.hidden=[{hidden}]"


TABLES: dict[str, list[Row]] = {
    "engines": [
        Row(f"fused, {INTENTIONAL}, H=128 (the default)", ""),
        Row(f"fused, {INTENTIONAL}, H=64", "network.hidden=[64]"),
        Row(f"fused, {OBGD}, H=64", obgd("64")),
        Row(f"torch, {INTENTIONAL}, H=128", "engine=torch", 3000),
        Row(f"torch, {OBGD}, H=64", f"engine=torch {obgd('64')}", 3000),
        Row("Stream AC(lambda), fused, 2 x 128", "agent=stream_ac", 30_000),
        Row("Stream AC(lambda), torch, 2 x 128", "agent=stream_ac engine=torch", 3000),
        *baselines("CartPole", "", 6144),
    ],
    "sizes": [
        Row(f"{rule}, {hidden}", f"network.hidden=[{hidden}] {'optimizer=obgd' if rule == OBGD else ''}")
        for rule in (INTENTIONAL, OBGD)
        for hidden in ("32", "64", "128", "256", "64,64", "128,128")
    ],
    "envs": [
        Row("CartPole-v1", ""),
        Row("Acrobot-v1", "env=Acrobot", 30_000),
        Row("null env", NULL),
        Row(f"null env, {OBGD}, H=64", f"{NULL} {obgd('64')}"),
    ],
    "images": [
        *[
            Row(f"MinAtar {game}, {name}", f"env=MinAtar{game} {settings}", 4000)
            for game in GAMES
            for name, settings in (("convolutions (the default)", ""), ("flat", FLAT))
        ],
        Row("MinAtar Breakout, convolutions, 8 lifetimes", "env=MinAtarBreakout lifetimes=8", 8000),
        Row("MinAtar Breakout, convolutions, torch", "env=MinAtarBreakout engine=torch", 400),
        Row("MinAtar Breakout, Stream AC(lambda), torch", "env=MinAtarBreakout agent=stream_ac engine=torch", 400),
        *baselines("MinAtar Breakout", "env=MinAtarBreakout", 4096),
        Row("Atari Breakout, 84 x 84 x 4, convolutions (the default)", "env=Atari", 400),
    ],
    "lives": [
        Row(f"{n} lifetime{'s' * (n > 1)}, {name}", f"lifetimes={n} {settings}", 60_000 if n == 1 else 200_000)
        for name, settings in (
            ("sync Gymnasium", ""),
            ("native vector env", "env.vectorization=native"),
            ("compiled", "env.backend=compiled"),
            (f"compiled, {OBGD}, H=64", f"env.backend=compiled {obgd('64')}"),
        )
        for n in (1, 8, 64, 512)
        if not (n == 1 and "native" in name)
    ]
    + [Row("64 lifetimes, torch, sync Gymnasium", "lifetimes=64 engine=torch", 20_000)],
}


class Bench:
    """The timings of one row."""

    def __init__(self, config: DictConfig, agent_steps: int) -> None:
        self.config, self.spec, self.log_share = config, build(config, "env"), 0.0
        self.n: int = config.lifetimes
        self.seeds, self.steps = list(range(self.n)), max(20, agent_steps // self.n)

    def new(self) -> tuple[Any, Any]:
        """Make a new env and agent."""
        runner = self.spec.open(self.seeds)
        names = f"env={self.spec.name}, {self.config.agent['_target_']}"
        return runner, build_agent(self.config, runner.observation_space, runner.action_space, self.seeds, names)

    def env_alone(self) -> float:
        """Step the env, or all envs, under random actions."""
        if self.n == 1:
            return one_env(self.spec.make(), self.steps)
        return many_envs(self.spec.make_many(self.n), self.steps)

    def agent_alone(self) -> float:
        """Let the agent, or all agents, learn from observations that were recorded under random actions."""
        runner, agent = self.new()
        recorded = observations(self.spec.make(), 100)
        seen = recorded[np.random.default_rng(0).integers(100, size=(100, self.n))]
        if self.n == 1:
            agent.start(seen[0, 0])
            started = time.perf_counter()
            for i in range(self.steps):
                agent.step(1.0, seen[i % 100, 0])
        else:
            rewards, stepping = np.ones(self.n), np.full(self.n, StepType.MID, np.int8)
            agent.advance(np.full(self.n, StepType.FIRST, np.int8), rewards, seen[0])
            started = time.perf_counter()
            for i in range(self.steps):
                agent.advance(stepping, rewards, seen[i % 100])
        return per_second(self.n * self.steps, started)

    def whole_loop(self) -> float:
        """Time the loop without logs."""
        return self._live(None)

    def logged_loop(self) -> float:
        """Time the loop with TensorBoard, and the share of the log."""
        with tempfile.TemporaryDirectory() as folder:
            log = build(self.config, "logger").open(LoggedRun(Path(folder), steps=self.steps, lifetimes=self.n))
            watch = Watch(log, "call", "call_at_end")
            speed = self._live(log)
            self.log_share = watch.seconds * speed / (self.n * self.steps)
            log.close(success=True)
        return speed

    def _live(self, callback: ScheduledCallback | None) -> float:
        runner, agent = self.new()
        runner.prepare(agent)
        records = [Record(lifetime=lifetime) for lifetime in range(self.n)]
        started = time.perf_counter()
        runner.run(agent, self.steps, records, [callback] if callback else [], lambda: False)
        return per_second(self.n * self.steps, started)

    def call(self) -> float:
        """Return microseconds of an idle call of the fused engine; 0 without one or with many lifetimes."""
        runner, agent = self.new()
        if self.n > 1 or getattr(agent, "fused", None) is None:
            return 0.0
        seen = np.zeros(runner.observation_space.shape, np.float32)
        started = time.perf_counter()
        for _ in range(50_000):
            agent.fused.advance_one(int(StepType.SKIP), 1.0, seen)  # an enum costs ten times the call
        return (time.perf_counter() - started) / 0.05

    def timings(self) -> dict[str, Callable[[], float]]:
        """Return the timings of the row by name."""
        compiled = self.spec.backend == "compiled"
        parts = {} if compiled else {"env": self.env_alone, "agent": self.agent_alone, "call": self.call}
        return {**parts, "loop": self.whole_loop, "logged": self.logged_loop}


class Baseline(Bench):
    """The timings of a row of Stable-Baselines3: the env alone, and the training from its first step on."""

    def __init__(self, config: DictConfig, agent_steps: int, name: str) -> None:
        super().__init__(config, agent_steps)
        self.name = name
        check_installed()

    def whole_loop(self) -> float:
        """Time the training."""
        import stable_baselines3

        agent = getattr(stable_baselines3, self.name)("MlpPolicy", self.spec.make(), device="cpu")
        started = time.perf_counter()
        agent.learn(self.steps)
        return per_second(agent.num_timesteps, started)

    def timings(self) -> dict[str, Callable[[], float]]:
        """Return the timings of the row by name."""
        return {"env": self.env_alone, "loop": self.whole_loop}


class Watch:
    """A stopwatch that adds up the time of some methods."""

    def __init__(self, owner: Any, *names: str) -> None:
        self.seconds = 0.0
        for name in names:
            setattr(owner, name, partial(self._timed, getattr(owner, name)))

    def _timed(self, method: Callable[..., None], *arguments: Any) -> None:
        started = time.perf_counter()
        method(*arguments)
        self.seconds += time.perf_counter() - started


def config_of(row: Row, *more: str) -> DictConfig:
    """Return the config of the settings of a row and some more."""
    if "Null-v0" not in gym.registry:
        gym.register("Null-v0", lambda **_: Null())
    return compose(open_keys([*row.overrides.split(), *more]))


def measure(row: Row, rounds: int) -> dict[str, float]:
    """Time a row in this process: medians by name, and the peak memory in MiB."""
    config = config_of(row)
    use_threads(config)
    bench = Baseline(config, row.steps, row.baseline) if row.baseline else Bench(config, row.steps)
    timings = bench.timings()
    steps, bench.steps = bench.steps, max(20, bench.steps // 20)
    for timing in timings.values():  # warm-up
        timing()
    bench.steps = steps
    found = [{name: timing() for name, timing in timings.items()} | {"log": bench.log_share} for _ in range(rounds)]
    medians = {name: statistics.median(one[name] for one in found) for name in found[0]}
    return medians | {"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def in_process(row: Row, rounds: int) -> dict[str, float]:
    """Time a row in a separate process."""
    command = [sys.executable, __file__, "--row", json.dumps(asdict(row)), "--rounds", str(rounds)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"{row.label} failed:\n{result.stderr}")
    found: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return found


HEAD = "| steps/s | env alone | agent alone | loop | loop, logged | of ideal | log | call, us | peak MiB |"


def line(row: Row, found: dict[str, float]) -> str:
    """Format a row."""
    env, agent, call = found.get("env"), found.get("agent"), found.get("call")
    share = f"{found['logged'] * (1 / env + 1 / agent):.0%}" if env and agent else "-"
    cells = [
        *(f"{value:,.0f}" if value else "-" for value in (env, agent)),
        *(f"{found[name]:,.0f}" if name in found else "-" for name in ("loop", "logged")),
        share,
        f"{found['log']:.1%}" if "logged" in found else "-",
        f"{call:.2f}" if call else "-",
        f"{found['memory']:,.0f}",
    ]
    return f"| {row.label} | {' | '.join(cells)} |"


def table(rows: list[Row], rounds: int) -> str:
    """Time rows and return their markdown table with machine and date."""
    lines = [HEAD, "|---" * 9 + "|"]
    for row in rows:
        lines.append(line(row, in_process(row, rounds)))
        print(lines[-1], file=sys.stderr, flush=True)
    about = f"{datetime.date.today()}, {made_on()}; median of {rounds} rounds."
    return "\n".join([*lines, "", textwrap.fill(about, 100)])


def main() -> None:
    """Read the arguments, time, print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=TABLES, action="append", help="one table (may be given again)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60_000, help="agent-steps per timing of a row of your own")
    parser.add_argument("--write", type=Path, help="file to put the tables into")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*", help="time this row instead of the tables")
    arguments = parser.parse_args()
    if arguments.row:
        print(json.dumps(measure(Row(**json.loads(arguments.row)), arguments.rounds)))
        return
    if arguments.overrides:
        settings = " ".join(arguments.overrides)
        print(table([Row(settings, settings, arguments.steps)], arguments.rounds))
        return
    for name in arguments.only or TABLES:
        content = table(TABLES[name], arguments.rounds)
        if arguments.write:
            write_table("bench_speed", arguments.write, name, content)
        else:
            print(f"\n{name}\n\n{content}")


if __name__ == "__main__":
    main()
