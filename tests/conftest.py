"""Fixtures of several test files."""

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numba
import pytest
import torch

from tests.helpers import command, compose_choices_once
from tracerl.kernels import jit

_PLANTED = """
import os
from pathlib import Path

import gymnasium as gym

Path(os.environ["PLANTED"]).write_text("imported")


def run(*arguments, **settings):
    Path(os.environ["PLANTED"]).write_text("called")


class Wrap(gym.Wrapper):
    pass
"""


def pytest_configure() -> None:
    """Let processes that tests start find compiled modules: compiling torch, numba and Hydra takes each five seconds.

    Where Python is told to write no bytecode, it goes into the user's cache, beside the kernels.
    """
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(Path(cache) / "tracerl" / "bytecode-of-tests")
        sys.dont_write_bytecode = False
    compose_choices_once()
    gc.set_threshold(10_000, 20, 20)  # the tests and modules that each full collection scans stay to the end


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Let torch compute in one thread: networks this small are slower on more, and workers share the cores."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let loggers write to the disk of the test."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def kernel_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cache the kernels that a test makes in ``tmp_path / "cache"``, whatever NUMBA_CACHE_DIR is.

    numba reads that variable when it is imported and again when it compiles.
    """
    monkeypatch.setattr(jit, "_cache_folder", lambda: str(tmp_path / "cache"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a file that a module named ``planted`` writes when it is imported or its ``run`` is called."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "planted.py").write_text(_PLANTED)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PLANTED", str(folder / "ran"))
    yield folder / "ran"
    sys.modules.pop("planted", None)


@pytest.fixture
def runs_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Run the jobs that a script starts in this process, in ``tmp_path``, and return their command lines.

    Other commands, such as compiling or printing the config of a run, are unchanged.
    """
    made: list[list[str]] = []
    really_run = subprocess.run

    def run(line: list[str], **options: Any) -> Any:
        if line[1:3] != ["-m", "tracerl.run"] or "--cfg" in line:
            return really_run(line, **options)
        made.append(line[3:])
        with monkeypatch.context() as inside:
            return SimpleNamespace(returncode=command(line[3:], inside, tmp_path), stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.chdir(tmp_path)
    return made
