"""Runs killed with SIGKILL at random times and resumed are bit-identical to runs without kills."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Engines, numbers of lifetimes, kinds of env: env, overrides and steps. The networks are small: only the state
# matters here. The quick test takes a third of the steps.
QUICK = [
    "CartPole:network.hidden=[16]@15000",
    "CartPole:engine=torch:network.hidden=[8]@1500",
    "CartPole:lifetimes=16:network.hidden=[8]@3000",
    "CartPole:lifetimes=16:env.backend=compiled:network.hidden=[16]@15000",
    "MinAtarBreakout:network.hidden=[16]@4000",
    "Hopper:network.hidden=[16]@4000",
]
SLOW = [
    "CartPole:engine=torch:lifetimes=16:network.hidden=[8]@800",
    "Acrobot:env.backend=compiled:network.hidden=[64]@15000",
    "MountainCar:network.hidden=[16]@15000",
    "Pendulum:network.hidden=[16]@8000",
    "MemoryChain:network.hidden=[64]@20000",
    "CartPoleDrift:env.wrappers.0.every=700:network.hidden=[16]@9000",
    "CartPole:agent=stream_ac@15000",
    "Pendulum:agent=eprop:network.hidden=[8]@1500",
]


def killed(kills: int, cases: list[str], seconds: int) -> None:
    command = [sys.executable, "-m", "tests.kills", str(kills), *cases]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("same: ") == len(cases)
    landed = sum(int(line.split(", ")[-1].split()[0]) for line in result.stdout.splitlines())
    assert landed >= kills * len(cases) / 2, result.stdout  # the others came after the end


def test_runs_killed_once_are_bit_identical() -> None:
    parts = [case.split("@") for case in QUICK]
    killed(1, [f"{case}@{int(steps) // 3}" for case, steps in parts], 400)


@pytest.mark.slow
def test_runs_killed_two_hundred_times_are_bit_identical() -> None:
    killed(15, [*QUICK, *SLOW], 3600)
