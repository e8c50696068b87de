"""A run whose writes fail or that is killed, and is resumed with `resume=auto`, equals a run without faults."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def faults(*arguments: str, seconds: int) -> list[str]:
    command = [sys.executable, "-m", "tests.faults", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.splitlines()


def test_run_resumes_after_a_sample_of_faults() -> None:
    lines = faults("kill", "once", "full", "61", seconds=300)
    assert len(lines) >= 9 and all(line.startswith("same: ") for line in lines)


@pytest.mark.slow
def test_run_resumes_after_every_fault() -> None:
    lines = faults(seconds=3600)
    assert len(lines) > 500 and all(line.startswith("same: ") for line in lines)
