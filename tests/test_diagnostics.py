"""Agents of a run with the three methods alone, without one of them, and with diagnostics that are no numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tracerl
from tracerl.config.checks import ConfigError
from tracerl.lifetime.diagnostics import numbers_of, problem_of


class Bare:
    """An agent with the three methods alone, whose last argument has another name than the loop's."""

    def __init__(self, observation_space: Any, action_space: Any, lifetimes: Any) -> None:
        self.ended: list[bool] = []

    def start(self, observation: Any) -> int:
        return 1

    def step(self, reward: float, observation: Any) -> int:
        return 1

    def end(self, reward: float, observation: Any, done: bool) -> None:
        self.ended.append(done)


class Endless(Bare):
    end = None  # type: ignore[assignment]


class Silent(Bare):
    def diagnostics(self) -> None: ...


class Wordy(Bare):
    def diagnostics(self) -> dict[str, Any]:
        return {"mine/mood": "good", "mine/number": np.float32(0.5)}


def _run(agent: type, folder: Path, lifetimes: int = 1) -> str:
    target = f"tests.test_diagnostics.{agent.__name__}"
    settings = {"agent": "random", "agent._target_": target, "logger": "csv", "logger.every": 10, "steps": 40}
    tracerl.launch({**settings, "lifetimes": lifetimes, "env.kwargs": {}}, folder)
    return (folder / "metrics.csv").read_text()


@pytest.mark.parametrize("lifetimes", [1, 2])
def test_agent_of_three_methods_runs_and_is_logged(lifetimes: int, tmp_path: Path) -> None:
    assert "rollout/ep_rew_mean" in _run(Bare, tmp_path, lifetimes)


def test_last_argument_of_end_is_passed_by_position() -> None:
    env, agent = tracerl.make_env("CartPole"), Bare(None, None, None)
    tracerl.live(agent, env, 40).finish()
    assert agent.ended and all(agent.ended)


@pytest.mark.parametrize("lifetimes", [1, 2])
def test_missing_method_is_named_before_the_first_step(lifetimes: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^agent must have the methods start, step and end, got <tests\..*Endless"):
        _run(Endless, tmp_path, lifetimes)
    assert not (tmp_path / "config.yaml").exists()


@pytest.mark.parametrize("lifetimes", [1, 2])
def test_diagnostics_that_are_no_numbers_are_one_warning(
    lifetimes: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(Silent, tmp_path / "none", lifetimes)
    written = [line for line in capsys.readouterr().err.splitlines() if "diagnostics" in line]
    said = "warning: the agent's diagnostics must return numbers by tag, got"
    assert written == [f"{said} None after 10 steps; the run continues"]
    assert "mine/number,0.5" in _run(Wordy, tmp_path / "text", lifetimes)
    assert f"{said} 'good' for mine/mood after" in capsys.readouterr().err


def test_numbers_are_kept_as_they_are() -> None:
    found = {"a": 1, "b": 0.5, "c": np.float32(0.25), "d": torch.tensor(2.0), "e": np.ones(1)}
    assert problem_of(found) is None
    assert numbers_of(found) == {"a": 1, "b": 0.5, "c": 0.25, "d": 2.0, "e": 1.0}
    assert numbers_of({"f": np.ones(2), 3: 1.0, "g": 1j, "h": 2}) == {"h": 2}
    assert problem_of({3: 1.0}) == "diagnostics must return numbers by tag, got the tag 3"
