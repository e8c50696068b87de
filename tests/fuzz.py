"""Sample command lines from the documented keys, most of them valid, run each and report wrong ends.

python -m tests.fuzz 5000          # command lines 0 to 4,999, on both cores
python -m tests.fuzz 100 300       # command lines 300 to 399

A command line ends correctly in one of three ways: exit code 0 and a finished summary without NaN; 1, a summary with
status ``diverged`` and one line that says so; 2, one message that names a key. A traceback, a hang or anything else is
reported.
"""

import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.helpers import script
from tests.kills import import_all, start, wait

SECONDS = 300  # limit of a run in seconds; the first on a machine compiles kernels
ENVS = [  # envs that are fast to make and step, with their frequencies
    *["CartPole"] * 4,
    *["Acrobot", "MountainCar", "Pendulum", "MountainCarContinuous", "MemoryChain", "PoissonClicks"],
    *["CartPolePositions", "CartPoleDrift", "CartPoleForever", "CartPolePermuted", "PendulumForever"],
    *["ContextualBandit", "DelayedBandit", "Digits", "MinAtarBreakout", "MinAtarFreeway", "Hopper", "LunarLander"],
    *["InvertedPendulum", "LunarLanderContinuous"],
]
RUN_KEYS = {
    "lifetimes": ["1", "2", "3"],
    "engine": ["auto", "auto", "torch", "fused"],
    "dtype": ["float32", "float64"],
    "threads": ["1", "2", "null"],
    "on_nonfinite": ["freeze", "stop", "reset_life"],
    "checkpoint.every": ["null", "30", "100"],
    "checkpoint.keep_best": ["0", "1"],
    "logger": ["none", "tensorboard"],
    "env.backend": ["gymnasium", "gymnasium", "compiled"],
    "env.time_aware": ["false", "true"],
}
OF_LOGGER = {
    "logger.every": ["1", "20", "70"],
    "logger.pictures_every": ["40", "null"],
    "logger.picture_steps": ["1", "10"],
}
WORDS = {  # settings whose values are names
    "signal": ["td", "advantage", "reward"],
    "credit": ["otpe", "presynaptic", "mixed", "exact", "auto"],
    "neuron": ["lif", "alif", "synaptic", "ternary", "graded"],
    "reset": ["soft", "hard"],
    "surrogate": ["arctan", "triangle"],
    "feedback": ["symmetric", "random", "adaptive"],
    "bounds": ["hard", "soft"],
    "trunk": ["separate", "separate", "shared"],
    "rate_target": ["null", "0.1"],
}
WRONG = ["-1", "0", "1", "2.5", "1e30", "1e-30", "nan", "inf", "abc", "true", "null", "[]", "[0.5,2]", "{a: 1}"]
SIZES = {"hidden": ["[8]", "[16]", "[8,8]", "[4,4,4]"], "ticks": ["1", "2", "3"]}


@cache
def documented() -> dict[str, dict[str, list[tuple[str, str]]]]:
    """Return key and default of every setting of docs/config.md, by group and choice."""
    reference: Any = script("config_reference")
    found: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for group in ("agent", "network", "encoder", "optimizer"):
        found[group] = {}
        for path in sorted((reference.CONFIGS / group).glob("*.yaml")):
            lines = [
                *reference.settings(path),
                *(s for part in reference.parts(path) for s in reference.settings(part)),
            ]
            keys = {line.key: line.default for line in reversed(lines) if "${" not in line.default}
            found[group][path.stem] = [(key.removeprefix(f"{group}."), default) for key, default in keys.items()]
    return found


def valid(key: str, default: str, rng: random.Random) -> str:
    """Sample a value of the type of a setting's default; most values are valid."""
    name = key.split(".")[-1]
    if name in WORDS:
        return rng.choice(WORDS[name])
    if name in SIZES:
        return rng.choice(SIZES[name])
    if default in ("true", "false"):
        return rng.choice(["true", "false"])
    if re.fullmatch(r"-?\d+", default):
        return str(rng.choice([1, 2, 3, int(default), int(default)]))
    if re.fullmatch(r"-?[\d.]+(e-?\d+)?", default):
        number = float(default)
        shares = [0.01, 0.1, 0.5, 0.9, 0.99, 0.9999]
        return str(rng.choice(shares if 0 < number < 1 else [number / 3, number, number * 3]))
    return default


def choose(group: str, names: list[str], rng: random.Random) -> tuple[list[str], list[tuple[str, str]]]:
    """Sample the choice of a group; return its override and its settings."""
    name = rng.choice(names)
    return [f"{group}={name}"], [(f"{group}.{key}", default) for key, default in documented()[group][name]]


def command_line(number: int) -> list[str]:
    """Return the command line of a number."""
    rng = random.Random(number)
    others = ["stream_ac", "q_lambda", "stream_q", "eprop", "rstdp", "reflect_classic", "random"]
    env, agent = rng.choice(ENVS), rng.choice(["reflect"] * 6 + others)
    drawn = [f"env={env}", f"agent={agent}"]
    keys = [(f"agent.{key}", default) for key, default in documented()["agent"][agent]]
    spiking = agent in ("reflect", "eprop", "q_lambda")
    if spiking and rng.random() < 0.5:
        images = env.startswith("MinAtar")
        names = [name for name in documented()["network"] if (name != "conv" or images) and name != "perceptron"]
        words, more = choose("network", names, rng)
        drawn, keys = drawn + words, keys + more
    if agent in ("reflect", "eprop", "stream_ac") and rng.random() < 0.5:
        names = [name for name in documented()["encoder"] if agent != "stream_ac" or name not in ("rate", "latency")]
        words, more = choose("encoder", names, rng)
        drawn += [*words, *(["network.ticks=2"] if words == ["encoder=latency"] else [])]
        keys += more
    if agent in ("reflect", "stream_ac", "q_lambda", "stream_q") and rng.random() < 0.4:
        words, more = choose("optimizer", list(documented()["optimizer"]), rng)
        drawn, keys = drawn + words, keys + more
    drawn += [f"{key}={rng.choice(values)}" for key, values in RUN_KEYS.items() if rng.random() < 0.25]
    if "logger=none" not in drawn:
        drawn += [f"{key}={rng.choice(values)}" for key, values in OF_LOGGER.items() if rng.random() < 0.4]
    for key, default in rng.sample(keys, min(len(keys), rng.randrange(5))):
        wrong = rng.random() < 0.1
        drawn.append(f"{key}={rng.choice(WRONG) if wrong else valid(key, default, rng)}")
    if spiking and not any(word.startswith("network.hidden=") for word in drawn):
        if not any(word in ("network=graph", "network=conv") for word in drawn):
            drawn.append("network.hidden=[16]")
    drawn += [f"steps={rng.choice([1, 2, 50, 150])}", f"seed={rng.randrange(2**32 - 3)}"]
    return [*drawn, *(["deploy=neuromorphic"] if rng.random() < 0.1 else [])]


def problem(folder: Path, code: int, log: str) -> str | None:
    """Return the problem with the end of a run, or None."""
    if "Traceback" in log:
        return "a traceback"
    if code == 2:
        found = re.search(r"^error: (?:there is no )?([\w.=]+)", log, re.MULTILINE)
        return None if found and len(log) < 4000 else "exit code 2 without an error that names a key"
    if code not in (0, 1):
        return f"exit code {code}"
    try:
        summary = json.loads((folder / "summary.json").read_text(), parse_constant=lambda word: word)
    except (OSError, ValueError) as error:
        return f"no summary: {error}"
    if summary["status"] != ("finished" if code == 0 else "diverged"):
        return f"exit code {code} with status {summary['status']}: {summary['error']}"
    if "NaN" in repr(summary) or "Infinity" in repr(summary):
        return "a number of the summary is not finite"
    return None


class Attempt:
    """One command line that runs in a new process."""

    def __init__(self, number: int, root: Path) -> None:
        """Start the process.

        Args:
            number: of the command line.
            root: parent folder of the run's folder.
        """
        self.number, self.words = number, command_line(number)
        self.folder = root / str(number) / "run"
        self.folder.parent.mkdir()
        self._process, self._end = start(self.folder, self.words), time.monotonic() + SECONDS

    def ended(self) -> bool:
        """Return whether the process has ended or its time limit has passed."""
        process, status = os.waitpid(self._process, os.WNOHANG)
        late = not process and time.monotonic() > self._end
        if late:
            os.kill(self._process, signal.SIGKILL)
            wait(self._process)
        elif not process:
            return False
        self.log = (self.folder.parent / "log.txt").read_text()
        self.code = -signal.SIGKILL if late else os.waitstatus_to_exitcode(status)
        self.problem = f"a run of over {SECONDS} s" if late else problem(self.folder, self.code, self.log)
        shutil.rmtree(self.folder.parent)
        return True


def attempts(first: int, count: int) -> Iterator[Attempt]:
    """Run command lines, one per core at a time, and yield each when it has ended."""
    waiting, running = list(range(first, first + count)), list[Attempt]()
    with tempfile.TemporaryDirectory() as root:
        while waiting or running:
            while waiting and len(running) < (os.cpu_count() or 1):
                running.append(Attempt(waiting.pop(0), Path(root)))
            time.sleep(0.005)
            for one in [one for one in running if one.ended()]:
                running.remove(one)
                yield one


def main() -> None:
    """Run the command lines given by number; exit with 1 if any ends wrongly."""
    import_all()
    count, first = (int(word) for word in [*sys.argv[1:], "0"][:2])
    codes: dict[Any, int] = {}
    bad = 0
    for one in attempts(first, count):
        codes[one.code] = codes.get(one.code, 0) + 1
        if one.problem:
            bad += 1
            print(f"{one.number}: {one.problem}\n  {' '.join(one.words)}\n  {one.log[-1500:]}", flush=True)
    print(f"{count} command lines, exit codes {codes}, {bad} ended badly")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
