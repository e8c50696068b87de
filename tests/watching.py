"""Helpers that make runs to watch and call the command line that watches them."""

import sys
from pathlib import Path

import pytest

from tests.helpers import command
from tracerl.watch.__main__ import main

SMALL = {"size": (640, 400), "fps": 50.0}  # CartPole's frame rate: every step is a frame
FLAGS = ["--size", "640x400", "--fps", "50"]


def made_runs(folder: Path) -> Path:
    """Make a run of two lifetimes and a run ``random`` of an agent without a distribution; return the first."""
    settings = ["steps=100", "env.kwargs.max_episode_steps=8", "engine=torch", "logger=none"]
    with pytest.MonkeyPatch.context() as patch:
        assert command([*settings, "lifetimes=2", "network.hidden=[8]", "hydra.run.dir=run"], patch, folder) == 0
        assert command([*settings, "agent=random", "hydra.run.dir=random"], patch, folder) == 0
    return folder / "run"


def cli(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command line in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["tracerl.watch", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)
