"""The figure at the top of the README: how baselines are counted, and drawing it from stored numbers."""

import sys
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import pytest

from tests.helpers import script
from tracerl.lifetime.record import Record


def test_baselines_count_every_step_like_lifetimes() -> None:
    record, kept = Record(), []
    record.keep = lambda lifetime, step, earned, length: kept.append((step, earned, length))
    env = script("bench_baselines").Counted(gym.make("CartPole-v1", disable_env_checker=True), record, 60)
    env.reset(seed=0)
    for _ in range(90):
        *_, terminated, truncated, _ = env.step(0)
        if terminated or truncated:
            env.reset()
    env.close()
    assert record.step == 60 and sum(length for _, _, length in kept) == kept[-1][0] <= 60
    assert all(earned == length for _, earned, length in kept) and len(kept) >= 4


def test_figure_is_drawn_from_the_stored_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "learning.png"
    monkeypatch.setattr(sys, "argv", ["readme_pictures", "-o", str(path)])
    script("readme_pictures").main()
    assert path.read_bytes().startswith(b"\x89PNG")


def test_agents_that_are_not_rerun_keep_their_numbers() -> None:
    readme_pictures = script("readme_pictures")
    kept = readme_pictures.read_bands(readme_pictures.DOCS / "data" / "learning.csv")
    new = [replace(found, lifetimes=found.lifetimes + 1) for found in kept if found.label == "stream_ac"]
    merged = readme_pictures.merged(kept, new)
    assert [found.label for found in merged] == [found.label for found in kept]
    assert [found is new[0] for found in merged] == [found.label == "stream_ac" for found in kept]
