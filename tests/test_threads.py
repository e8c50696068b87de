"""How many threads there are to share."""

import os

import pytest

from tracerl.config.threads import available_cores


@pytest.mark.parametrize(("said", "threads"), [("1", 1), ("1,4", 1), ("9999", None), ("", None), ("many", None)])
def test_launchers_say_how_many_cores_are_a_workers_own(
    monkeypatch: pytest.MonkeyPatch, said: str, threads: int | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert available_cores() == (threads or len(os.sched_getaffinity(0)))
