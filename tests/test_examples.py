"""The scripts of examples/: each runs, says what it shows, and shows what it says."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

EXAMPLES = Path(__file__).parents[1] / "examples"
FEW = {
    "cartpole": 300,
    "digits_by_reward": 60,
    "memorise_a_pattern": 150,
    "own_agent": 300,
    "own_env": 300,
    "own_loop": 200,
    "poisson_clicks": 300,
}
LEARNED = {  # what is printed last comes to this; chance is 20 or less, .1, 0, 0, -.5, -.27 and .5
    "cartpole": 400,
    "digits_by_reward": 0.85,
    "memorise_a_pattern": 0.9,
    "own_agent": 0.8,
    "own_env": 0.9,
    "own_loop": -0.15,
    "poisson_clicks": 0.95,
}


def main_of(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.set_num_threads(1)
    return module.main


def test_all_are_here_and_in_their_list() -> None:
    there = {path.stem for path in EXAMPLES.glob("*.py")}
    assert there == set(FEW) == set(LEARNED)
    listed, shown = (EXAMPLES / "README.md").read_text(), (EXAMPLES.parent / "docs" / "examples.md").read_text()
    assert all(f"`{name}.py`" in listed and f'--8<-- "examples/{name}.py"' in shown for name in there)


@pytest.mark.parametrize("name", sorted(FEW))
def test_each_runs_as_short_as_it_is_asked_to(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "digits_by_reward":
        pytest.importorskip("sklearn")
    score = main_of(name)(FEW[name])
    assert isinstance(score, float) and -1 <= score <= 500
    assert len(capsys.readouterr().out.splitlines()) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(LEARNED))
def test_each_learns(name: str) -> None:
    if name == "digits_by_reward":
        pytest.importorskip("sklearn")
    assert main_of(name)() > LEARNED[name]
