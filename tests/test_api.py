"""tracerl from Python: the names of ``import tracerl``, and their agreement with the command line."""

import doctest
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import hydra
import numpy as np
import pytest
import torch

import tracerl
import tracerl.lifetime.api
import tracerl.runs.api
from tests.helpers import command
from tests.toy_envs import ToyEnv
from tracerl.config import hydra_compat

SMALL = {"network.hidden": [8]}
ODD = ("", "@x", 3, "a b", ".x", "=", "~")


class Lazy:
    """A custom agent whose action is constant."""

    def start(self, observation: Any) -> int:
        return 0

    def step(self, reward: float, observation: Any) -> int:
        return 0

    def end(self, reward: float, observation: Any, terminated: bool) -> None:
        pass


@pytest.mark.parametrize("module", [tracerl.runs.api, tracerl.lifetime.api])
def test_docstring_examples_pass(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 3 and result.failed == 0


def test_every_public_name_is_imported_lazily() -> None:
    assert all(getattr(tracerl, name) is not None for name in tracerl.__all__)
    assert set(tracerl.__all__) <= set(dir(tracerl))
    with pytest.raises(AttributeError, match="no attribute 'made_up'"):
        _ = tracerl.made_up
    program = "import tracerl, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_lifetime_from_python_equals_that_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = ["steps=700", "seed=4", "network.hidden=[8]", "logger=none", "hydra.run.dir=r"]
    assert command(line, monkeypatch, tmp_path) == 0
    there = json.loads((tmp_path / "r" / "summary.json").read_text())
    env = tracerl.make_env("CartPole")
    record = tracerl.live(tracerl.make_agent(env, settings=SMALL, seed=4), env, 700, seed=4).finish()
    assert record.episodes == there["episodes"]
    assert record.mean_return(partial=True) == pytest.approx(there["return_last100"]["mean"])
    initial = tracerl.make_agent(env, settings=SMALL, seed=4).policy.network.flat
    assert not torch.equal(tracerl.load(tmp_path / "r").agent().policy.network.flat, initial)


def test_launch_equals_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"lifetimes": 2, "steps": 300, "env.backend": "compiled", **SMALL}
    summary = tracerl.launch(settings, "mine")
    line = ["lifetimes=2", "steps=300", "env.backend=compiled", "network.hidden=[8]", "hydra.run.dir=other"]
    assert command(line, monkeypatch, tmp_path) == 0
    other = json.loads((tmp_path / "other" / "summary.json").read_text())
    assert summary["return_last100"] == other["return_last100"]
    assert summary == json.loads((tmp_path / "mine" / "summary.json").read_text())
    assert command([f"resume={tmp_path / 'mine'}", "steps=400"], monkeypatch, tmp_path) == 0  # resumes from the folder
    assert json.loads((tmp_path / "mine" / "summary.json").read_text())["steps"] == 400


def test_run_without_a_folder_gets_a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tracerl.launch({"steps": 20, "logger": "none", "agent": "random"})
    assert len(list(tmp_path.glob("runs/CartPole/random/*/summary.json"))) == 1


def test_stream_yields_the_steps_in_order() -> None:
    env = tracerl.make_env("CartPole")
    steps = list(tracerl.live(Lazy(), env, 25))
    assert len(steps) == 25 and {step.action for step in steps} == {0}
    for before, after in zip(steps, steps[1:], strict=False):
        assert np.array_equal(before.next_observation, after.observation) != before.last
    assert any(step.terminated for step in steps) and not any(step.truncated for step in steps)


def test_second_call_continues_the_same_episode() -> None:
    env = tracerl.make_env("CartPole")
    whole = tracerl.live(Lazy(), env, 40).finish()
    lifetime = tracerl.live(Lazy(), env, 15)
    next(lifetime)
    lifetime.finish()
    assert lifetime.go_on(25).finish().returns == whole.returns
    assert (
        repr(lifetime)
        == f"Lifetime(40 of 40 steps, {whole.episodes} episodes, mean return {np.mean(whole.returns):.1f})"
    )


def test_callbacks_are_called_on_their_schedules_and_at_the_end() -> None:
    seen: list[int] = []
    env = tracerl.make_env("CartPole")
    callback = tracerl.Every(10, lambda record, agent: seen.append(record.step))
    tracerl.live(Lazy(), env, 25, callbacks=[callback]).finish()
    assert seen == [10, 20, 25]
    for _ in range(2):  # a scheduled end is one call; the next lifetime has its own calls
        tracerl.live(Lazy(), env, 20, callbacks=[callback]).finish()
    assert seen == [10, 20, 25, 10, 20, 10, 20]


def test_milestones_are_recorded() -> None:
    env = tracerl.make_env("CartPole")
    record = tracerl.live(Lazy(), env, 60, milestones=["w2>=9"]).finish()
    lengths = list(record.lengths)  # also the returns
    second = next(i for i in range(1, len(lengths)) if lengths[i - 1] + lengths[i] >= 18)
    assert record.milestones[0].reached_at == sum(lengths[: second + 1])


def test_second_lifetime_of_an_agent_begins_a_new_episode() -> None:
    env = tracerl.make_env("CartPole")
    agent = tracerl.make_agent(env, settings={**SMALL, "engine": "torch"})
    tracerl.live(agent, env, 5).finish()
    assert agent.policy.network.layers[0].membrane.abs().sum() > 0
    tracerl.live(agent, env, 5)
    assert agent.policy.network.layers[0].membrane.abs().sum() == 0


def test_envs_are_made_from_a_name_an_id_or_an_env() -> None:
    assert tracerl.make_env("MemoryChain", {"env.kwargs.length": 3}).unwrapped.length == 3
    lake = tracerl.make_env("FrozenLake-v1")
    assert isinstance(lake.observation_space, gym.spaces.Box)
    again = tracerl.make_env(gym.make("FrozenLake-v1"))
    assert again.observation_space == lake.observation_space
    record = tracerl.live(tracerl.make_agent(again, settings=SMALL), again, 50).finish()
    assert record.step == 50


def test_settings_are_converted_to_command_line_overrides() -> None:
    settings = {
        "env": "gymnasium",
        "env.id": "a:b c'd-v1",
        "env.kwargs.path": Path("/x y/z"),
        "env.kwargs.options": {"one": 1, "two": [True, None, "it's"]},
        "agent.entropy": 1e-3,
        "network": "recurrent",
    }
    config = tracerl.runs.api.compose(settings)
    assert (config.env.id, config.env.kwargs.path) == ("a:b c'd-v1", "/x y/z")
    assert config.env.kwargs.options == {"one": 1, "two": [True, None, "it's"]}
    assert config.agent.entropy == 1e-3 and config.network.recurrent is True


def test_mapping_of_an_open_group_is_merged_with_its_other_keys() -> None:
    assert tracerl.runs.api.compose({"env": "CartPole", "env.kwargs": {"x": 1}}).env.kwargs == {"x": 1}
    assert tracerl.runs.api.compose({"env": "MemoryChain", "env.kwargs": {"length": 3}}).env.kwargs == {
        "length": 3,
        "cues": 2,
    }
    rules = tracerl.runs.api.compose({"optimizer": "torch", "optimizer.policy.kwargs": {"momentum": 0.5}}).optimizer
    assert rules.policy.kwargs == {"lr": 0.0003, "momentum": 0.5} and rules.value.kwargs == {"lr": 0.001}
    assert tracerl.runs.api.compose({"callbacks": {"a": {"every": 3}}}).callbacks == {"a": {"every": 3}}


def test_make_network_uses_the_settings_and_the_seed() -> None:
    settings = {"network": "conv", "network.channels": [2], "network.hidden": [5], "dtype": "float64"}
    images = [tracerl.make_network((6, 6), 3, settings, seed=seed) for seed in (1, 1, 2)]
    assert [layer.n_out for layer in images[0].layers] == [2 * 4 * 4, 5]
    assert images[0](torch.ones(36, dtype=torch.float64)).shape == (3,)
    assert torch.equal(images[0].flat, images[1].flat) and not torch.equal(images[0].flat, images[2].flat)


def test_api_works_in_a_program_that_uses_hydra() -> None:
    with hydra_compat.configs("tracerl.configs"):
        hydra.compose("run")
        assert tracerl.make_env("CartPole").observation_space.shape == (4,)
        assert hydra.compose("run").seed == 0


class Old:
    """An env with the interface of old Gym."""

    observation_space, action_space = gym.spaces.Box(-1, 1, (2,), np.float32), gym.spaces.Discrete(2)

    def __init__(self, resets: str, steps: int) -> None:
        nothing, self.steps = np.zeros(2, np.float32), steps
        kinds = {
            "observation": lambda seed: nothing,
            "no seed": lambda: (nothing, {}),
            "both": lambda seed: (nothing, {}),
        }
        self.reset: Any = kinds[resets]

    def step(self, action: int) -> Any:
        return (np.zeros(2, np.float32), 1.0, False, False, {})[-self.steps :] if self.steps else None


@pytest.mark.parametrize(
    ("resets", "steps", "problem"),
    [
        ("observation", 5, r"reset after 0 steps: reset must return \(observation, info\).*got array"),
        ("no seed", 5, "reset must take seed="),
        ("both", 4, r"step 1: step must return \(observation, reward, terminated, truncated, info\).*got \(1\.0"),
        ("both", 0, "step must return .* got None"),
    ],
)
def test_env_of_old_gym_raises_an_error_naming_the_expected_return(resets: str, steps: int, problem: str) -> None:
    lifetime = tracerl.live(Lazy(), Old(resets, steps), 5)
    for kind in (TypeError, tracerl.EnvFailed):
        with pytest.raises(kind, match=problem):
            next(tracerl.live(Lazy(), lifetime.env, 5))


ENV = gym.make("CartPole-v1")
LONG = gym.spaces.Box(-np.inf, np.linspace(1, 2, 60, dtype=np.float32))


@pytest.mark.parametrize(
    ("spaces", "agent", "problem"),
    [
        ((ENV.observation_space, LONG), "rstdp", r"Discrete action space for this agent, got Box\("),
        ((ENV.observation_space, LONG), "q_lambda", r"Discrete action space for this agent, got Box\("),
        ((ENV.observation_space, gym.spaces.Dict(a=LONG)), "reflect", r"action space for this agent, got Dict\("),
        ((gym.spaces.Sequence(LONG), ENV.action_space), "reflect", r"for this agent, got Sequence\(Box\("),
    ],
)
def test_error_about_a_long_space_is_one_line(spaces: Any, agent: str, problem: str) -> None:
    with pytest.raises(tracerl.ConfigError, match=problem) as caught:
        tracerl.make_agent(spaces, agent)
    assert "\n" in str(LONG) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: tracerl.make_env("Cartpole"), r"env\.id must be an env that Gymnasium can make"),
        (lambda: tracerl.make_env(3), "env must be a name"),
        (lambda: tracerl.make_agent("CartPole"), r"env must be a Gymnasium env.*make_env\('CartPole'\)"),
        (lambda: tracerl.make_agent((ENV.observation_space,)), "pair .observation_space, action_space."),
        (lambda: tracerl.make_agent(ENV, settings={"lifetimes": 0}), "lifetimes must be"),
        (lambda: tracerl.live(Lazy(), "CartPole", 5), r"env must be a Gymnasium env.*make_env\('CartPole'\)"),
        (
            lambda: tracerl.live(Lazy(), ENV, 5, callbacks=[print]),
            r"callbacks must each be tracerl\.Callback, tracerl\.Every",
        ),
        (lambda: tracerl.live(Lazy(), ENV, 1e4), "steps must be a whole number of 1 or above, got 10000.0"),
        (lambda: tracerl.make_env(ENV, {"env.id": "x"}), "settings must be empty"),
        (lambda: tracerl.make_agent(ENV, {"engine": "fused"}), "agent must be the name of an agent, got .*settings="),
        (lambda: tracerl.make_agent(ENV, "reflekt"), r"^agent cannot be used: .*\n?There are: eprop"),
        (lambda: tracerl.make_agent(ENV, settings={"encoder": "nope"}), "^encoder cannot be used: .*'encoder/nope'"),
        (lambda: tracerl.make_agent(ENV, settings={"network.hiden": [3]}), r"Did you mean network\.hidden"),
        (lambda: tracerl.make_agent(ENV, settings={"network.hidden": object()}), "^network.hidden must hold numbers"),
        (
            lambda: tracerl.make_agent(ENV, settings={"network.threshold": -1}),
            r"network\.threshold must be a number",
        ),
        (lambda: tracerl.make_agent(gym.make("FrozenLake-v1")), "env must have"),
        (lambda: tracerl.make_agent(ENV, seed=-1), "seed must be"),
        (lambda: tracerl.make_agent(ENV, "random", {"engine": "fused"}), "engine cannot be fused"),
        (lambda: tracerl.make_network(0, 1), "^inputs must be a whole number of 1 or above, got 0"),
        (lambda: tracerl.make_network((3, 4, -1), 1), "^inputs must be a whole number of 1 or above, got -1"),
        (lambda: tracerl.make_network(3, -1), "^outputs must be a whole number of 1 or above, got -1"),
        (lambda: tracerl.make_agent(ENV, "reflect", {"agent": "eprop"}), "^agent must be the argument agent"),
        (lambda: tracerl.make_env("CartPole", {"agent.entropy": 1}), r"^agent\.entropy has no effect on an env"),
        (lambda: tracerl.make_env("CartPole", {"env": "Acrobot"}), "^env has no effect on an env"),
        (lambda: tracerl.make_env("CartPole", {"seed": 3}), "^seed has no effect on an env"),
        *(
            (lambda key=key: tracerl.make_agent(ENV, settings={key: 1}), "^settings must have keys such as")
            for key in ODD
        ),
        (lambda: tracerl.make_agent(ENV, settings={"threads": -1}), "^threads must be"),
        (lambda: tracerl.make_network(2, 1, {"network.slope": 0}), r"network\.slope must be"),
        (lambda: tracerl.make_network(2, 1, {"dtype": "half"}), "dtype must be one of"),
        (lambda: tracerl.live(Lazy(), ENV, 0), "steps must be"),
        (lambda: tracerl.live(object(), ENV, 5), "agent must have the methods"),
        (lambda: tracerl.live(Lazy(), ENV, 5, milestones=["w1>475"]), "milestones must look like"),
        (lambda: tracerl.live(Lazy(), ENV, 5, on_nonfinite="ignore"), "on_nonfinite must be"),
        (lambda: tracerl.Every(0, print), "every must be"),
        (lambda: tracerl.launch({"steps": -3}, "nowhere"), "steps must be"),
    ],
)
def test_invalid_input_raises_an_error_naming_it(
    call: Any, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(tracerl.ConfigError, match=problem):
        call()


def test_numbers_of_numpy_are_counts_seeds_and_settings() -> None:
    hidden = {"network.hidden": [np.int64(4)], "agent.entropy": np.float32(0.5), "lifetimes": np.int8(1)}
    ours = tracerl.make_agent(ENV, settings=hidden, seed=np.int64(3))
    theirs = tracerl.make_agent(ENV, settings={"network.hidden": [4], "agent.entropy": 0.5}, seed=3)
    assert torch.equal(ours.policy.network.flat, theirs.policy.network.flat)
    assert tracerl.live(ours, ENV, np.int32(5), seed=np.uint8(2)).finish().step == 5
    assert len(tracerl.evaluate(ours, ENV, np.int64(1), seed=np.int64(7)).returns) == 1


class FailsOnce(ToyEnv):
    """Episodes of 7 steps; the first reset after step 50, or step 50, raises an error, and later ones do not."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where, self.steps, self.calls = where, 0, list[str]()

    def _fail(self, where: str) -> None:
        self.calls.append(where)
        if where == self.where and self.steps >= 50:
            self.where = ""
            raise RuntimeError("once")

    def begin(self) -> np.ndarray:
        self._fail("reset")
        self.left = 7
        return super().begin()

    def step(self, action: int) -> Any:
        self._fail("step")
        self.steps, self.left = self.steps + 1, self.left - 1
        return super().begin(), 1.0, self.left == 0, False, {}


@pytest.mark.parametrize("agent", ["reflect", "random"])
@pytest.mark.parametrize("where", ["reset", "step"])
def test_lifetime_goes_on_after_an_env_failed(where: str, agent: str) -> None:
    env = FailsOnce(where)
    lifetime = tracerl.live(tracerl.make_agent(env, agent), env, 100)
    for _ in range(2):  # the second time nothing is done
        with pytest.raises(tracerl.EnvFailed, match=f"failed in {where}"):
            lifetime.finish()
    with pytest.raises(tracerl.EnvFailed):
        next(lifetime)
    assert lifetime.record.step == {"reset": 56, "step": 50}[where]
    assert lifetime.go_on(20).finish().step == 120 == env.steps
    assert lifetime.finish().step == 120
    assert "".join(env.calls).count("resetreset") == (where == "reset")
    assert env.calls.count("reset") == lifetime.record.episodes + 1 + (where == "reset")


def test_finish_after_a_failed_callback_raises_it_again() -> None:
    def fail(record: Any, agent: Any) -> None:
        if record.step == 60:
            raise ValueError("mine")

    env = tracerl.make_env("CartPole")
    lifetime = tracerl.live(tracerl.make_agent(env, "random"), env, 100, callbacks=[tracerl.Every(60, fail)])
    for _ in range(2):
        with pytest.raises(tracerl.CallbackFailed, match="after 60 steps failed"):
            lifetime.finish()
    assert lifetime.record.step == 60
    assert lifetime.go_on(10).finish().step == 110
