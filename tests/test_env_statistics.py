"""What Gymnasium's normalising wrappers have learned: in evaluations, saved runs and resumed runs."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import NormalizeObservation, NormalizeReward

import tracerl
from tests.helpers import command
from tracerl.config.checks import ConfigError
from tracerl.lifetime import env_state
from tracerl.runs import evaluations
from tracerl.runs.saved_run import load

WRAPPERS = (
    "env.wrappers=[{_target_: gymnasium.wrappers.NormalizeReward, _partial_: true},"
    "{_target_: gymnasium.wrappers.NormalizeObservation, _partial_: true}]"
)
SETTINGS = [WRAPPERS, "encoder.normalize=false", "engine=torch", "network.hidden=[8]", "logger=none"]


def used(seed: int = 0, env: str = "CartPole-v1") -> Any:
    made: Any = NormalizeObservation(NormalizeReward(gym.make(env)))
    made.reset(seed=seed)
    for _ in range(5):
        made.step(made.action_space.sample())
    return made


def means_of(env: Any) -> tuple[Any, Any, Any]:
    """Mean, variance and count of observations."""
    layer = next(each for each in env_state.stack.layers(env) if isinstance(each, NormalizeObservation))
    return layer.obs_rms.mean, layer.obs_rms.var, layer.obs_rms.count


def test_statistics_are_copied_and_held() -> None:
    source, target = used(0), used(1)
    (found,) = env_state.statistics_of(source)
    env_state.restore_statistics(target, found, hold=True)
    before = means_of(source)
    target.reset(seed=3)
    source.step(source.action_space.sample())
    for ours, theirs in zip(before, means_of(target), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert means_of(source)[2] == before[2] + 1 and source.env.return_rms.mean != 0


def test_statistics_of_many_envs_are_those_of_each() -> None:
    many = SyncVectorEnv([lambda: used(0), lambda: used(1)])
    assert [[each["class"] for each in env] for env in env_state.statistics_of(many)] == [
        ["NormalizeObservation", "NormalizeReward"]
    ] * 2
    assert env_state.statistics_of(gym.make("CartPole-v1")) == []
    env = used()
    (ours,), (theirs,) = env_state.statistics_in({"env": env_state.capture(env)}), env_state.statistics_of(env)
    other = used(7)
    for found in (ours, theirs):
        env_state.restore_statistics(other, found)
        np.testing.assert_array_equal(means_of(other)[0], means_of(env)[0])


def test_statistics_of_other_wrappers_are_left_out() -> None:
    env = used()
    before = means_of(env)
    env_state.restore_statistics(env, [{"class": "NormalizeReward", "state": {}}])
    env_state.restore_statistics(gym.make("CartPole-v1"), env_state.statistics_of(env)[0])
    assert means_of(env)[2] == before[2]


@pytest.mark.parametrize("lifetimes", [1, 2])
def test_an_evaluation_has_the_statistics_of_the_lifetime(
    lifetimes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, evaluate = list[Any](), evaluations.evaluate

    def watching(agent: Any, env: Any, *arguments: Any, **options: Any) -> Any:
        before = means_of(env)
        found = evaluate(agent, env, *arguments, **options)
        np.testing.assert_array_equal(before[0], means_of(env)[0])
        seen.append(before)
        return found

    monkeypatch.setattr(evaluations, "evaluate", watching)
    settings = [*SETTINGS, "steps=60", "eval.every=60", "eval.episodes=2", f"lifetimes={lifetimes}"]
    assert command([*settings, "hydra.run.dir=run"], monkeypatch, tmp_path) == 0
    saved = load(tmp_path / "run")
    assert len(seen) == lifetimes and all(count > 60 for *_, count in seen)
    for lifetime, (mean, variance, count) in enumerate(seen):
        ours = means_of(saved.env_of(lifetime))
        np.testing.assert_array_equal(ours[0], mean)
        np.testing.assert_array_equal(ours[1], variance)
        assert ours[2] == count
    assert lifetimes == 1 or not np.array_equal(seen[0][0], seen[1][0])


def test_an_evaluation_does_not_depend_on_how_many_episodes_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command([*SETTINGS, "engine=fused", "steps=60", "hydra.run.dir=run"], monkeypatch, tmp_path) == 0
    saved = load(tmp_path / "run")
    agent = saved.agent(engine="fused")
    one, many = (tracerl.evaluate(agent, saved.env, 6, seed=0, at_once=n).returns for n in (1, 6))
    assert one == many


def test_resumed_run_keeps_the_statistics_of_an_env_without_a_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("Box2D")
    settings = [*SETTINGS, "env=BipedalWalker", "hydra.run.dir=run"]
    assert command([*settings, "steps=30"], monkeypatch, tmp_path) == 0
    assert means_of(load(tmp_path / "run").env())[2] > 30
    assert command([f"resume={tmp_path / 'run'}", "steps=50"], monkeypatch, tmp_path) == 0
    assert means_of(load(tmp_path / "run").env())[2] > 50


@pytest.mark.parametrize("damage", ["envs", "layers", "numbers"])
def test_damaged_state_of_the_env_is_named(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command([*SETTINGS, "steps=20", "hydra.run.dir=run"], monkeypatch, tmp_path) == 0
    saved = load(tmp_path / "run")
    env = saved.checkpoint.info["world"]["env"]
    if damage == "numbers":
        layer = next(each for each in env["layers"] if each["class"] == "NormalizeReward")
        layer["state"]["return_rms.count"] = "many"
    else:
        env[damage] = [3]
    with pytest.raises(ConfigError, match="^checkpoint of .* has no state of its env"):
        saved.env()
