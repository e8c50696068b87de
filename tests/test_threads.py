"""The number of available threads."""

import os
import subprocess
import sys

import pytest

from tracerl.config.threads import available_cores


@pytest.mark.parametrize(("value", "threads"), [("1", 1), ("1,4", 1), ("9999", None), ("", None), ("many", None)])
def test_number_of_threads_is_read_from_the_launcher(
    monkeypatch: pytest.MonkeyPatch, value: str, threads: int | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert available_cores() == (threads or len(os.sched_getaffinity(0)))


FUSED = """
import torch
from tests.helpers import make_agent
from tests.toy_envs import Space

torch.set_num_threads(1)
make_agent(Space(4, 2), "engine=fused")
print(torch.get_num_threads())
"""


def test_fused_engine_leaves_the_number_of_threads_of_torch() -> None:
    """They share OpenMP, whose number numba sets to that of the cores when it starts; with one core nothing differs."""
    found = subprocess.run([sys.executable, "-c", FUSED], capture_output=True, text=True)
    assert found.stdout == "1\n", found.stderr
