"""Choices of the group ``env`` without a yaml."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers import command, compose


@pytest.mark.parametrize(
    "env_id", ["CartPole-v1", "ALE/Pong-v5", "ale_py:ALE/Pong-v5", "phys2d/CartPole-v1", "own:Env"]
)
def test_env_id_as_a_choice_gives_the_config_of_env_gymnasium(env_id: str) -> None:
    assert compose(f"env={env_id}", "env.steps=7") == compose("env=gymnasium", f"env.id={env_id}", "env.steps=7")


def test_sweep_accepts_ids_and_yamls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    sweep = ["-m", "env=CartPole-v1,Acrobot", "agent=random", "steps=20", "logger=none"]
    assert command([*sweep, f"hydra.sweep.dir={tmp_path}"], monkeypatch, tmp_path) == 0
    assert "2 of 2 jobs begun: 2 finished" in capfd.readouterr().out
