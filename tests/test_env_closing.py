"""An env that fails to close costs a warning, and nothing of what was asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

from tests import watching
from tests.helpers import exit_code
from tracerl.eval import main as evaluate_runs
from tracerl.lifetime.env_closing import closing_env
from tracerl.plot.living import live_on
from tracerl.runs.saved_run import load


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return watching.made_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(autouse=True)
def _cartpole_fails_to_close(monkeypatch: pytest.MonkeyPatch, run: Path) -> None:
    def close(_: CartPoleEnv) -> None:
        raise RuntimeError("the simulator\ncannot be closed")

    monkeypatch.setattr(CartPoleEnv, "close", close)


def warnings_in(captured: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in captured.readouterr().err.splitlines() if line.startswith("warning: the env failed")]


WARNING = "warning: the env failed to close: RuntimeError: the simulator cannot be closed"


@pytest.mark.parametrize("other", [(), ("--env", "CartPole")])
def test_evaluation_ends_with_its_result(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], other: tuple[str, ...]
) -> None:
    options = ["--episodes", 2, "--engine", "torch", *other]
    assert exit_code(evaluate_runs, monkeypatch, run, *options) == 0
    captured = capsys.readouterr()
    assert "2 episodes" in captured.out and set(captured.err.splitlines()) == {WARNING}


def test_watching_writes_its_files(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--video", tmp_path / "out.gif", "--raster", tmp_path / "out.png", *watching.FLAGS]
    assert watching.cli(monkeypatch, run, "--steps", 20, *files) == 0
    assert (tmp_path / "out.gif").stat().st_size and (tmp_path / "out.png").stat().st_size
    assert set(warnings_in(capsys)) == {WARNING}


@pytest.mark.parametrize("use", [lambda saved: live_on(saved, 20).traces, lambda saved: saved.new_agent()])
def test_saved_run_is_read(run: Path, capsys: pytest.CaptureFixture[str], use: Callable[[Any], object]) -> None:
    assert use(load(run))
    assert set(warnings_in(capsys)) == {WARNING}


def test_what_the_context_raises_is_raised(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="by the user"), closing_env(CartPoleEnv()):
        raise ValueError("by the user")
    assert warnings_in(capsys) == [WARNING]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit])
def test_interrupt_is_no_failure_to_close(monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]) -> None:
    def close(_: CartPoleEnv) -> None:
        raise kind

    monkeypatch.setattr(CartPoleEnv, "close", close)
    with pytest.raises(kind), closing_env(CartPoleEnv()):
        pass
