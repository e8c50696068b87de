"""Every yaml composes and builds what it names."""

from pathlib import Path

import gymnasium as gym
import hydra
import numpy as np
import pytest
import tracerl.configs
from omegaconf import DictConfig

import tests.toy_envs  # noqa: F401  registers Image
from tests.helpers import compose
from tests.services import fake_mlflow, fake_wandb
from tracerl.config import hydra_compat
from tracerl.lifetime.protocol import Agent
from tracerl.nn.lifetimes import Lifetimes
from tracerl.runs.build import with_input
from tracerl.runs.by_input import kind_of_space
from tracerl.runs.logging.tensorboard import LoggedRun

ROOT = Path(tracerl.configs.__file__).parent
# settings that encoders over several ticks need
NEEDS = {
    "encoder=latency": ["network.ticks=4"],
    "encoder=rate": ["network.ticks=4"],
    "network=perceptron": ["agent=stream_q"],
}


def whole(*overrides: str) -> DictConfig:
    """Return the config of a command line, with the node ``hydra``."""
    with hydra_compat.configs("tracerl.configs"):
        return hydra.compose("run", list(overrides), return_hydra_config=True)


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (ROOT / group).glob("*.yaml"))


def test_every_group_is_covered_here() -> None:
    groups = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert groups == {
        "env", "agent", "network", "encoder", "optimizer", "head", "deploy", "logger", "experiment", "hydra", "space",
        "study",
    }  # fmt: skip


@pytest.mark.parametrize("name", choices("env"))
def test_envs(name: str) -> None:
    config = compose(f"env={name}", *(["env.id=CartPole-v1"] if name == "gymnasium" else []))
    spec = hydra_compat.instantiate(config.env, _convert_="all")  # tested further by test_envs_contract.py
    assert config.steps == spec.steps
    assert spec.name.startswith(name) or spec.name == spec.id


def test_wrappers_stand_around_the_env_and_the_first_is_innermost() -> None:
    wrap = "{_target_: gymnasium.wrappers.%s, _partial_: true, %s}"
    inner, outer = wrap % ("TimeLimit", "max_episode_steps: 3"), wrap % ("TransformReward", "func: null")
    config = compose(f"env.wrappers=[{inner}, {outer}]".replace(" ", ""))
    env = hydra_compat.instantiate(config.env, _convert_="all").make()
    assert isinstance(env, gym.wrappers.TransformReward) and isinstance(env.env, gym.wrappers.TimeLimit)
    env.close()


def test_time_aware_envs_show_the_share_of_their_limit_as_the_last_number() -> None:
    wrap = "{_target_:tracerl.envs.masked_observation.MaskedObservation,_partial_:true,hidden:[1,3]}"
    config = compose("env.time_aware=true", "+env.kwargs.max_episode_steps=4", f"env.wrappers=[{wrap}]")
    env = hydra_compat.instantiate(config.env, _convert_="all").make()
    whole = gym.make("CartPole-v1", disable_env_checker=True)
    seen, expected = [env.reset(seed=1)[0]], [whole.reset(seed=1)[0]]
    for _ in range(4):
        seen.append(env.step(0)[0])
        expected.append(whole.step(0)[0])
    assert [observation[-1] for observation in seen] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert env.reset()[0][-1] == 0.0
    np.testing.assert_array_equal(np.array(seen)[:, :2], np.array(expected)[:, [0, 2]])
    assert all(env.observation_space.contains(observation) for observation in seen)
    assert seen[0].dtype == np.float32


@pytest.mark.parametrize(
    "override",
    [f"agent={name}" for name in choices("agent")]
    + [f"{group}={name}" for group in ("network", "encoder", "optimizer", "head") for name in choices(group)],
)
def test_agents_and_their_parts_live_a_few_steps(override: str) -> None:
    needs_images = override == "network=conv"
    env = gym.make("Image-v0" if needs_images else "CartPole-v1", disable_env_checker=True)
    cfg = with_input(compose(override, *NEEDS.get(override, []), "engine=torch"), kind_of_space(env.observation_space))
    make = hydra_compat.instantiate(cfg.agent, _convert_="all", _partial_=True)
    agent = make(env.observation_space, env.action_space, Lifetimes(0))
    assert isinstance(agent, Agent)
    observation, _ = env.reset(seed=0)
    action = agent.start(observation)
    for _ in range(8):
        observation, reward, *_ = env.step(action)
        action = agent.step(float(reward), observation)
        assert env.action_space.contains(action)
    agent.end(1.0, observation, terminated=True)
    env.close()


@pytest.mark.parametrize("name", choices("logger"))
def test_loggers(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_wandb(monkeypatch)
    fake_mlflow(monkeypatch)
    log = hydra_compat.instantiate(compose(f"logger={name}").logger).open(LoggedRun(tmp_path))
    if log is not None:
        log.close(success=True)
    assert bool(list(tmp_path.iterdir())) is (name != "none")


@pytest.mark.parametrize("name", choices("experiment"))
def test_experiments(name: str) -> None:
    if "/hydra/sweeper: optuna" in (ROOT / "experiment" / f"{name}.yaml").read_text():
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    config = whole(f"experiment={name}")
    assert config.hydra.sweeper.params
    for key, choice in config.hydra.sweeper.params.items():
        value = choice.split(",")[0]
        first = compose(f"experiment={name}", f"{key}={value if '(' not in value else 1}")
        assert hydra_compat.instantiate(first.env, _convert_="all").steps


def test_optuna_maximises_the_return_in_a_study_in_the_folder_of_the_sweep() -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    sweeper = whole("hydra/sweeper=optuna", "hydra/sweeper/sampler=random", "hydra.sweep.dir=here").hydra.sweeper
    assert sweeper.direction == "maximize" and sweeper.storage == "sqlite:///here/study.db"
    assert sweeper.sampler["_target_"] == "optuna.samplers.RandomSampler"


@pytest.mark.parametrize("name", choices("space"))
def test_spaces_hold_the_default_settings(name: str) -> None:
    pytest.importorskip("optuna")
    from tracerl.search.space import read

    space = read([f"space={name}"], None)
    for chosen in space.corners():
        space.compose(chosen)
    cfg, groups = space.compose()
    assert space.given(with_input(cfg, "images" if name == "images" else "vectors"), groups) is not None


@pytest.mark.parametrize("name", choices("hydra/launcher"))
def test_launchers(name: str) -> None:
    pytest.importorskip("hydra_plugins")
    launcher = whole(f"hydra/launcher={name}").hydra.launcher
    assert launcher._target_.startswith("hydra_plugins.")


def test_a_yaml_says_everything_once() -> None:
    """Keys of the agent are short, and its parts are the groups themselves."""
    config = compose("optimizer.policy.eta=0.01", "network.hidden=[7]")
    assert config.agent.optimizer.policy.eta == 0.01
    assert config.agent.network.hidden == [7]
    assert "network" not in compose("agent=random")
