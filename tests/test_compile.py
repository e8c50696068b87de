"""Kernels are compiled once, in another process, so that every run is bit-identical."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tracerl.kernels.jit import entry, prepare

KERNELS = """
from tracerl.kernels.jit import entry

@entry
def doubled(x):
    return 2 * x
"""
RUN = """
import hashlib, tracerl
env = tracerl.make_env("CartPole")
agent = tracerl.make_agent(env, seed=0)
tracerl.live(agent, env, steps=3000)
state = {name: value.numpy().tobytes() for name, value in agent.state_dict().items() if hasattr(value, "numpy")}
print(hashlib.sha256(b"".join(state[name] for name in sorted(state))).hexdigest())
"""


@pytest.mark.usefixtures("kernel_cache")
def test_kernel_is_compiled_in_another_process_and_loaded_in_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_kernels.py").write_text(KERNELS)
    monkeypatch.syspath_prepend(tmp_path)
    import own_kernels  # type: ignore[import-not-found]

    prepare(own_kernels.doubled, np.float64(1))
    assert "compiling" in capfd.readouterr().err
    assert own_kernels.doubled(np.float64(3)) == 6
    assert sum(own_kernels.doubled.stats.cache_hits.values()) == 1
    assert not own_kernels.doubled.stats.cache_misses

    prepare(own_kernels.doubled, np.float64(1))
    assert capfd.readouterr().err == ""
    prepare(own_kernels.doubled, np.float32(1))  # different machine code
    assert "compiling" in capfd.readouterr().err


@pytest.mark.usefixtures("kernel_cache")
def test_kernel_that_cannot_be_imported_is_compiled_in_this_process() -> None:
    @entry
    def tripled(x: float) -> float:
        return 3 * x

    prepare(tripled, 1.0)
    assert tripled(2.0) == 6


@pytest.mark.usefixtures("kernel_cache")
def test_kernel_that_two_processes_need_at_once_is_compiled_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared_kernels.py").write_text(KERNELS)
    monkeypatch.syspath_prepend(tmp_path)
    import shared_kernels  # type: ignore[import-not-found]

    compilations, really_run = [], subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *line, **how: compilations.append(line) or really_run(*line, **how))
    with ThreadPoolExecutor() as threads:  # a lock on a file excludes threads that each open it, like processes
        list(threads.map(lambda _: prepare(shared_kernels.doubled, np.float64(1)), range(2)))
    assert len(compilations) == 1


@pytest.mark.slow
def test_first_run_on_a_machine_is_bit_identical_to_the_next(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    first, second = (
        subprocess.run([sys.executable, "-c", RUN], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert first == second
