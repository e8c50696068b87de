"""The number of available threads."""

import os

import pytest

from tracerl.config.threads import available_cores


@pytest.mark.parametrize(("value", "threads"), [("1", 1), ("1,4", 1), ("9999", None), ("", None), ("many", None)])
def test_number_of_threads_is_read_from_the_launcher(
    monkeypatch: pytest.MonkeyPatch, value: str, threads: int | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert available_cores() == (threads or len(os.sched_getaffinity(0)))
