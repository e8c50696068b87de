"""The lines of a run's progress, and the warning of a run that takes over a day."""

import io

import pytest
from rich.console import Console

from tracerl.lifetime.loop import Schedule
from tracerl.lifetime.record import Record
from tracerl.runs.logging.progress import LongRunWarning, ProgressBar


def printed(
    steps: int, seconds_per_step: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], n: int = 2
) -> str:
    """Return what is printed over 10,000 steps of n lifetimes, of which 500 steps were made before."""
    records = [Record() for _ in range(n)]
    monkeypatch.setattr("time.perf_counter", lambda: 7.0 + records[0].step * seconds_per_step)
    schedule, agent = Schedule([LongRunWarning(steps)], 500), None
    for step in range(500, min(steps, 10_000) + 1):
        for record in records:
            record.step = step
        if step >= schedule.next:
            schedule.call(step, records, agent)
    return capsys.readouterr().err


def test_run_of_over_a_day_is_announced_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From step 1,000 to 2,000: 200 steps/s of two lifetimes."""
    line = printed(2_000 + 30 * 8_640_000, 0.01, monkeypatch, capsys)
    expected = "this run is expected to take 30.0 days (200 steps/s); steps=... or network=... reduces it"
    assert line == f"warning: {expected}\n"


@pytest.mark.parametrize("steps", [1, 600, 8_640_000])
def test_shorter_run_is_not_announced(
    steps: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed(steps, 0.01, monkeypatch, capsys) == ""


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 160])
def test_progress_on_a_terminal_shortens_the_title_and_bar_before_the_numbers(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", str(width)), ("LINES", "9")):
        monkeypatch.setenv(name, value)
    records = [Record()]
    monkeypatch.setattr("time.perf_counter", lambda: 7.0 + records[0].step / 10)
    with ProgressBar("HalfCheetahWeakened stream_ac seeds 0-39", 120_000, records) as progress:
        records[0].step = 60_000
        progress.call(records, None)
        assert progress._bar is not None
        shown = io.StringIO()
        Console(file=shown, width=width, no_color=True, force_terminal=False).print(progress._bar.get_renderable())
    (line,) = shown.getvalue().splitlines()
    assert len(line) <= width and line.strip().startswith(("Half", "60,000")) and "60,000/120,000 steps" in line
    numbers = [" 10 steps/s", "Half"]
    parts = {20: [], 40: [], 60: ["reward", "-:--:--"], 80: numbers, 100: numbers, 160: ["━", "0-39"]}
    assert all(part in line for part in parts[width]) and ("…" not in line or line.startswith("Half"))


def test_terminal_that_cannot_redraw_gets_plain_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
    records = [Record()]
    with ProgressBar("a run", 1000, records) as progress:
        records[0].step = 500
        progress.call(records, None)
    assert capsys.readouterr().err.startswith("a run: 500/1,000 steps, ")


@pytest.mark.parametrize("first", [0, 500])
def test_speed_and_time_left_are_those_of_the_steps_since_a_resume(
    first: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two lifetimes at 10 steps/s each: 20 of both."""
    records = [Record() for _ in range(2)]
    for record in records:
        record.step = first
    monkeypatch.setattr("time.perf_counter", lambda: 7.0 + (records[0].step - first) / 10)
    with ProgressBar("a run", 1000, records) as progress:
        for step in (600, 700):
            for record in records:
                record.step = step
            progress.call(records, None)
    done = [text.split(", ") for text in capsys.readouterr().err.splitlines()]
    assert [(fields[0], *fields[2:]) for fields in done] == [
        ("a run: 600/1,000 steps", "20 steps/s", "40 s left"),
        ("a run: 700/1,000 steps", "20 steps/s", "30 s left"),
    ]
