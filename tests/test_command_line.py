"""What the command lines about saved runs share: errors in one line, and none for a stdout that is closed."""

import argparse
import errno
import os
import subprocess
import sys

import pytest

import tracerl.eval
import tracerl.export.__main__
import tracerl.plot.__main__
import tracerl.report.__main__
import tracerl.watch.__main__
from tracerl.runs.command_line import errors_in_one_line, failures_in_one_line

COMMAND = "from tracerl.runs.command_line import errors_in_one_line\nwith errors_in_one_line(OSError): "


@pytest.mark.parametrize("body", ["print('a' * 10**6)", "print('a')", "raise SystemExit(print('a'))"])
def test_closed_stdout_ends_a_command_without_a_message(body: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", COMMAND + body], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("body", ["print('a' * 10**6)", "print('a')", "raise SystemExit(print('a'))"])
def test_stdout_on_a_full_disk_is_named_in_one_line(body: str, unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-c", COMMAND.replace("(OSError)", "()") + body]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment)
    assert (done.returncode, done.stderr) == (1, "error: stdout cannot be written: No space left on device\n")


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", r"\xe9 \udcff"), ("utf-8", r"\xe9 \udcff")])
def test_character_that_stdout_cannot_encode_is_escaped(encoding: str, shown: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-c", COMMAND + r"print('\xe9 \udcff')"]  # the second is of a name that is not UTF-8
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{shown}\n", "")


def test_command_works_without_stdout() -> None:
    done = subprocess.run(f'"{sys.executable}" -c "{COMMAND}pass" >&-', shell=True, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_closed_pipe_that_a_user_has_named_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"), errors_in_one_line(), failures_in_one_line():
        raise BrokenPipeError(errno.EPIPE, "Broken pipe", "results.json")
    assert capsys.readouterr().err == "error: [Errno 32] Broken pipe: 'results.json'\n"


@pytest.mark.parametrize(
    ("parser", "old", "new"),
    [
        (tracerl.eval.parser(), ["--life", "2"], ["--lifetime", "2"]),
        (tracerl.export.__main__._parser(), ["--life", "2"], ["--lifetime", "2"]),
        (tracerl.plot.__main__.parser(), ["--life", "2", "--lives"], ["--lifetime", "2", "--lifetimes"]),
        (tracerl.report.__main__.parser(), ["--life", "2"], ["--lifetime", "2"]),
        (tracerl.watch.__main__._parser(), ["--life", "2"], ["--lifetime", "2"]),
    ],
)
def test_lifetime_has_its_previous_option_which_is_hidden(
    parser: argparse.ArgumentParser, old: list[str], new: list[str]
) -> None:
    assert parser.parse_args(["run", *old]) == parser.parse_args(["run", *new]) != parser.parse_args(["run"])
    assert int(parser.parse_args(["run"]).lifetime) == 0
    assert "--lifetime" in parser.format_help() and "--life " not in parser.format_help()
    assert "--lives" not in parser.format_help()
