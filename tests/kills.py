"""Kill a run with SIGKILL at random times, resume it, and compare the results with those of a run without kills.

python -m tests.kills 3 CartPole:engine=fused     # three kills of one case; prints "same" or what differs

Runs are forked from this process, which has imported everything and computed nothing: a start takes 1 s, not 4 s.
``import_all`` imports what a run imports lazily.
"""

import importlib
import json
import os
import pkgutil
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numba.core.registry import cpu_target
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import tracerl.run
from tests.helpers import compose, compose_choices_once
from tracerl.runs.checkpoint import newest_good

CLOCKED = "time/fps"  # the only tag that depends on the machine
IMPORTED_BY_A_RUN = ("agents", "envs", "kernels", "lifetime", "recording", "runs")


def modules_of_a_run() -> list[str]:
    """Return the names of the modules that a run can import."""
    packages = [importlib.import_module(f"tracerl.{name}") for name in IMPORTED_BY_A_RUN]
    found = (pkgutil.walk_packages(package.__path__, f"{package.__name__}.") for package in packages)
    return [module.name for modules in found for module in modules]


def import_all() -> None:
    """Import what a run imports lazily, so that a forked run need not, and let runs compose their config once."""
    compose_choices_once()
    compose("env=CartPole")  # most runs have these choices, and the caches of the parsers are then full
    for name in modules_of_a_run():
        importlib.import_module(name)
    cpu_target.target_context.refresh()  # numba's list of functions that it can compile


def start(folder: Path, arguments: list[str], prepare: Callable[[], None] | None = None) -> int:
    """Fork a run and return its process.

    Args:
        folder: of the run.
        arguments: of the command line, without the folder.
        prepare: is called in the new process before the run.
    """
    process = os.fork()
    if process:
        return process
    log = os.open(folder.parent / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["tracerl.run", *arguments, f"hydra.run.dir={folder}"]
    code = 1
    try:
        if prepare is not None:
            prepare()
        tracerl.run.main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os._exit(code)


def wait(process: int) -> int:
    """Return the exit code, or minus the signal that ended the process."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def kill_somewhere(process: int, seconds: float) -> bool:
    """Kill a run after some seconds; return False if it had ended before.

    Raises:
        SystemExit: the run failed.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            if code:
                raise SystemExit(f"the run failed with {code}")
            return False
        time.sleep(0.001)
    os.kill(process, signal.SIGKILL)
    return wait(process) == -signal.SIGKILL


def curves(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    """Return every scalar, histogram and image of a run's only event file."""
    assert len(list(folder.glob("events*"))) == 1, folder
    found = EventAccumulator(str(folder), {"scalars": 0, "tensors": 0}).Reload()
    tags = found.Tags()
    points: dict[str, list[tuple[int, Any]]] = {
        tag: [(p.step, p.value) for p in found.Scalars(tag)] for tag in tags["scalars"] if tag != CLOCKED
    }
    drawn = [tag for tag in tags["tensors"] if not tag.startswith("_hparams_/") and tag != "config"]
    return points | {tag: [(p.step, p.tensor_proto.SerializeToString()) for p in found.Tensors(tag)] for tag in drawn}


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether tensors are bit-identical, NaN and the sign of zero included."""
    kinds = one.dtype == other.dtype and one.shape == other.shape
    return kinds and one.contiguous().numpy().tobytes() == other.contiguous().numpy().tobytes()


def close(one: torch.Tensor, other: torch.Tensor, rounding: float) -> bool:
    """Return whether tensors of one kind differ by no more than a share of their numbers or of 1."""
    return one.dtype == other.dtype and one.shape == other.shape and torch.allclose(one, other, rounding, rounding)


def differences(whole: Path, parts: Path, logs: bool = True, rounding: float = 0.0) -> list[str]:
    """Return what differs between the last checkpoints of two runs and, with ``logs``, their episodes and curves.

    Tensors differ if a bit does, or, with ``rounding``, if a number differs by more than that share of it or of 1.
    """
    found = []
    (ours, _), (theirs, _) = newest_good(whole / "checkpoints"), newest_good(parts / "checkpoints")
    assert ours is not None and theirs is not None
    if ours.step != theirs.step:
        found.append(f"step {ours.step}, {theirs.step}")
    for part, tensors in ours.parts.items():
        for name, tensor in tensors.items():
            other = theirs.parts[part].get(name)
            if other is None or not (close(tensor, other, rounding) if rounding else same_bits(tensor, other)):
                found.append(f"{part} {name}")
    if ours.info["world"] != theirs.info["world"]:
        found.append("world")
    if not logs:
        return found
    with np.load(whole / "returns.npz") as a, np.load(parts / "returns.npz") as b:
        found += [f"returns.npz {name}" for name in a.files if not np.array_equal(a[name], b[name])]
    ours_by_tag, theirs_by_tag = curves(whole), curves(parts)
    for tag in sorted(ours_by_tag.keys() | theirs_by_tag.keys()):
        if ours_by_tag.get(tag) != theirs_by_tag.get(tag):
            found.append(f"{tag}: {ours_by_tag.get(tag)}, {theirs_by_tag.get(tag)}"[:1000])
    return found


def check(case: str, kills: int, seed: int, steps: int) -> None:
    """Run one case without kills and with kills.

    Raises:
        SystemExit: the results differ.
    """
    rng = random.Random(f"{case} {seed}")
    arguments = [f"env={case.split(':')[0]}", *case.split(":")[1:]]
    every = rng.randrange(steps // 12, steps // 4)
    arguments += [f"steps={steps}", f"checkpoint.every={every}", f"logger.every={steps // 9}", f"seed={seed}"]
    arguments += [f"logger.pictures_every={steps // 5}", f"logger.picture_steps={steps // 10}"]  # half of all steps
    with tempfile.TemporaryDirectory() as work:
        whole, parts = Path(work) / "a" / "whole", Path(work) / "b" / "parts"
        for folder in (whole, parts):
            folder.parent.mkdir()
        started = time.monotonic()
        if wait(start(whole, arguments)):
            raise SystemExit(f"{case}: {(whole.parent / 'log.txt').read_text()[-2000:]}")
        lasted, landed = time.monotonic() - started, 0
        expected = json.loads((whole / "summary.json").read_text())["wall_seconds"]
        for _ in range(kills):  # most of them during the run, some before its first step
            after = lasted - expected * rng.uniform(0.1, 1.2)
            landed += kill_somewhere(start(parts, [*arguments, "resume=auto"]), after)
        code = wait(start(parts, [*arguments, "resume=auto"]))
        if code:
            raise SystemExit(f"{case}: {(parts.parent / 'log.txt').read_text()[-2000:]}")
        found = differences(whole, parts)
        if found:
            raise SystemExit(f"{case}, seed {seed}: differ in {', '.join(found[:9])}")
    print(f"same: {case}, seed {seed}, every {every}, {landed} kills", flush=True)


def main() -> None:
    """Check every case of the command line: kills, then ENV:override:override@steps."""
    import_all()
    kills: Any = int(sys.argv[1])
    for seed, argument in enumerate(sys.argv[2:]):
        case, _, steps = argument.partition("@")
        check(case, kills, seed, int(steps or 20_000))


if __name__ == "__main__":
    main()
