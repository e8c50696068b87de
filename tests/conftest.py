"""What tests of several files begin with."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

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


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread: networks this small are slower on more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that a module named ``planted`` writes when it is imported or its ``run`` is called: code of others."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "planted.py").write_text(_PLANTED)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PLANTED", str(folder / "ran"))
    yield folder / "ran"
    sys.modules.pop("planted", None)
