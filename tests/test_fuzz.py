"""Command lines sampled from the documented keys finish or raise one error that names a key."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import command_line, problem

ROOT = Path(__file__).parents[1]


def fuzz(count: int, first: int, seconds: int) -> str:
    command = [sys.executable, "-m", "tests.fuzz", str(count), str(first)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_some_random_command_lines_end_as_documented() -> None:
    # lines with several agents, all in float32: kernels in float64 take long to compile
    assert fuzz(8, 43, 600).endswith("0 ended badly\n")


@pytest.mark.slow
def test_five_thousand_random_command_lines_end_as_documented() -> None:
    assert fuzz(5000, 1000, 6 * 3600).endswith("0 ended badly\n")


def test_most_random_command_lines_are_valid_and_each_seed_gives_its_own() -> None:
    drawn = [command_line(number) for number in range(600)]
    assert drawn == [command_line(number) for number in range(600)]
    assert len({tuple(words) for words in drawn}) == 600
    keys = {word.split("=")[0] for words in drawn for word in words}
    assert {"network.threshold", "optimizer.value.eta", "encoder", "lifetimes", "dtype", "agent.discount"} <= keys


@pytest.mark.parametrize(
    ("code", "log", "expected"),
    [
        (2, "error: agent.discount must be a number in [0, 1], got 2\n", None),
        (2, "error: something went wrong badly\n" + "x" * 4000, "exit code 2 without"),
        (1, "Traceback (most recent call last):\n", "a traceback"),
        (0, "finished", "no summary"),
        (-11, "", "exit code -11"),
    ],
)
def test_every_problem_of_an_end_is_named(tmp_path: Path, code: int, log: str, expected: str | None) -> None:
    found = problem(tmp_path, code, log)
    assert found is None if expected is None else found is not None and found.startswith(expected)


def test_non_finite_numbers_are_a_problem(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"status": "finished", "error": null, "steps": 3, "mean": NaN}')
    assert problem(tmp_path, 0, "") == "a number of the summary is not finite"
