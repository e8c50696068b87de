"""What the command lines about saved runs share: errors in one line, and none for a stdout that is closed."""

import errno
import os
import subprocess
import sys

import pytest

from tracerl.runs.command_line import errors_in_one_line, failures_in_one_line

COMMAND = "from tracerl.runs.command_line import errors_in_one_line\nwith errors_in_one_line(OSError): "


@pytest.mark.parametrize("body", ["print('a' * 10**6)", "print('a')", "raise SystemExit(print('a'))"])
def test_closed_stdout_ends_a_command_without_a_message(body: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", COMMAND + body], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_command_works_without_stdout() -> None:
    done = subprocess.run(f'"{sys.executable}" -c "{COMMAND}pass" >&-', shell=True, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_closed_pipe_that_a_user_has_named_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"), errors_in_one_line(), failures_in_one_line():
        raise BrokenPipeError(errno.EPIPE, "Broken pipe", "results.json")
    assert capsys.readouterr().err == "error: [Errno 32] Broken pipe: 'results.json'\n"
