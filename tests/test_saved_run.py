"""A run's folder restores its agent, its env and its settings."""

import errno
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers import command
from tracerl.config.checks import ConfigError
from tracerl.lifetime.loop import stream
from tracerl.lifetime.record import Record
from tracerl.nn.views import view
from tracerl.runs.saved_run import load

SPIKING = ["network.hidden=[8]", "agent.critic=null"]  # also the critic
RUN = ["lifetimes=3", "steps=600", *SPIKING, "env.backend=compiled", "logger=none", "hydra.run.dir=run"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        assert command(RUN, patch, folder) == 0
    return folder / "run"


def test_loaded_agent_has_the_weights_of_its_lifetime(run: Path) -> None:
    saved = load(run)
    assert (saved.step, saved.lifetimes, saved.config.network.hidden) == (600, 3, [8])
    kept = saved.checkpoint.parts["agent"]["policy.network.readout.affine"]
    for lifetime in range(3):
        for engine in ("torch", "fused"):
            assert torch.equal(saved.agent(lifetime, engine).policy.network.readout.affine, kept[lifetime])


def test_agent_without_a_state_before_its_first_step_has_the_one_of_its_lifetime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ["agent=random", "agent._target_=tests.toy_envs.Remembering", "lifetimes=2", "seed=5"]
    best = ["checkpoint.every=25", "checkpoint.keep_best=1"]
    assert command([*own, *best, "steps=50", "logger=none", "hydra.run.dir=run"], monkeypatch, tmp_path) == 0
    saved = load(tmp_path / "run", trust=True)
    assert [saved.agent(life).state.tolist() for life in range(2)] == [[5, 1], [6, 1]]
    assert [saved.memory(life)["state"].tolist() for life in range(2)] == [[5, 1], [6, 1]]
    assert type(saved.agent("best")) is type(saved.agent())  # it is trusted too


def test_path_of_a_checkpoint_loads_its_run(run: Path) -> None:
    checkpoint = next((run / "checkpoints").glob("step-*"))
    assert load(checkpoint).step == load(run, checkpoint.name).step == load(run).step


def test_best_checkpoint_has_the_highest_mean_return(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = [*RUN, "lifetimes=1", "checkpoint.every=100", "checkpoint.keep_best=1"]
    assert command(settings, monkeypatch, tmp_path) == 0
    scores = {load(path).step: load(path).checkpoint.info["score"] for path in tmp_path.glob("run/checkpoints/step-*")}
    assert len(scores) == 3 or max(scores, key=lambda step: scores[step]) >= 500
    best = load(tmp_path / "run", "best")
    assert scores[best.step] == max(scores.values())
    for saved in (load(tmp_path / "run"), best):
        affine = saved.agent("best", lifetime=0).policy.network.readout.affine
        assert torch.equal(affine, best.checkpoint.parts["agent"]["policy.network.readout.affine"])
    assert load(tmp_path / "run").step == 600


def test_ambiguous_choice_of_an_agent_raises_an_error(run: Path) -> None:
    saved = load(run)
    assert torch.equal(saved.agent(2).policy.network.flat, saved.agent(lifetime=2).policy.network.flat)
    with pytest.raises(ConfigError, match="which must be one of best; got 'worst'"):
        saved.agent("worst")
    with pytest.raises(ConfigError, match="lifetime must be given once"):
        saved.agent(1, lifetime=2)


def test_run_without_a_mean_return_has_no_best_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command([*RUN, "steps=3"], monkeypatch, tmp_path) == 0
    with pytest.raises(ConfigError, match="checkpoint must have a mean return to be the best"):
        load(tmp_path / "run").agent("best")


def test_env_accepts_a_render_mode(run: Path) -> None:
    env = load(run).env(render_mode="rgb_array")
    assert env.render_mode == "rgb_array"
    env.close()
    with pytest.raises(ConfigError, match=r"env\.kwargs must suit CartPole-v1.*made_up"):
        load(run).env(made_up=1)


@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_frozen_agent_does_not_learn_and_greedy_is_an_option(run: Path, engine: str) -> None:
    saved = load(run)
    frozen, learning = saved.agent(1, engine), saved.agent(1, engine)
    before = frozen.policy.network.flat.clone()
    frozen.freeze()
    frozen.act_greedily()
    for agent, learns in ((frozen, False), (learning, True)):
        env = saved.env()
        for _ in stream(agent, env, 60, 0, Record()):
            if not learns:
                assert frozen.head.action.item() == frozen.head.probabilities.argmax().item()
        env.close()
        assert torch.equal(agent.policy.network.flat, before) is not learns
        assert not torch.equal(agent.encoder.normalizer.moments.mean, saved.agent(1).encoder.normalizer.moments.mean)


def test_both_engines_have_equal_views(run: Path) -> None:
    saved = load(run)
    torch_agent, fused = saved.agent(2), saved.agent(2, "fused")
    envs = saved.env(), saved.env()
    steps = zip(stream(torch_agent, envs[0], 40, 3, Record()), stream(fused, envs[1], 40, 3, Record()), strict=True)
    for _ in steps:
        one, other = view(torch_agent), view(fused)
        assert [layer.name for layer in one.layers] == ["policy_0", "value_0"]
        for name in ("probabilities", "value", "td_error"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-3, atol=1e-4)
        for a, b in zip(one.layers, other.layers, strict=True):
            for name in ("spikes", "membrane", "threshold", "rate"):
                np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-3, atol=1e-4)
            assert set(a.spikes) <= {0.0, 1.0} and a.threshold.shape == (8,)
    for env in envs:
        env.close()


@pytest.mark.parametrize(
    ("path", "checkpoint", "problem"),
    [
        ("nowhere", None, "run must be the folder of a run"),
        ("run", "step-1", "checkpoint must be newest, best or the name of"),
    ],
)
def test_missing_run_raises_an_error_naming_it(run: Path, path: str, checkpoint: str | None, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        load(run.parent / path, checkpoint)


def test_folder_that_cannot_be_read_raises_an_error_naming_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="^run must be a folder that can be read: .* File name too long: 'aaa"):
        load("a" * 300)

    def listed(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("os.listdir", listed)
    monkeypatch.setattr("os.scandir", listed)
    for checkpoint in (None, "best"):
        with pytest.raises(ConfigError, match=f"^run must be a folder .* denied: '{run}/checkpoints'$"):
            load(run, checkpoint)


def test_unknown_lifetime_raises_an_error_naming_it(run: Path) -> None:
    with pytest.raises(ConfigError, match="lifetime must be .* 2, got 3"):
        load(run).agent(3)


def test_run_without_checkpoints_raises_an_error_naming_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = [*RUN, "checkpoint.minutes=null"]
    assert command(without, monkeypatch, tmp_path) == 0
    with pytest.raises(ConfigError, match=r"run must have a checkpoint .*checkpoint\.every"):
        load(tmp_path / "run")


@pytest.mark.parametrize(
    ("agent", "layers", "shown"),
    [
        ("eprop", ["policy_0"], {"probabilities", "value", "td_error"}),
        ("reflect_classic", ["policy_0"], {"probabilities", "td_error"}),
        ("rstdp", ["action"], {"probabilities"}),
        ("stream_ac", [], {"probabilities", "value", "td_error"}),
        ("random", [], set()),
    ],
)
def test_every_agent_has_its_views(
    agent: str, layers: list[str], shown: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [f"agent={agent}", "env=DelayedBandit", "steps=50", "lifetimes=2", "logger=none", "hydra.run.dir=run"]
    assert command(settings, monkeypatch, tmp_path) == 0
    saved = load(tmp_path / "run")
    one = saved.agent(1)
    learns = agent != "random"
    if learns:
        one.freeze()
    learned = [tensor.clone() for tensor in one._learned()] if learns else []
    env = saved.env()
    for _ in stream(one, env, 20, 0, Record()):
        seen = view(one)
        assert [layer.name for layer in seen.layers] == layers
        there = {name for name in ("probabilities", "value", "td_error") if getattr(seen, name) is not None}
        assert shown <= there
    env.close()
    if learns:
        assert all(torch.equal(a, b) for a, b in zip(learned, one._learned(), strict=True))
