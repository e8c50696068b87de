"""The scripts of examples/: each runs and prints its result; the NumPy agent takes the actions of tracerl."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from gymnasium.wrappers import DtypeObservation

import tracerl
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.random import UniformStream

EXAMPLES = Path(__file__).parents[1] / "examples"
FEW = {
    "cartpole": 300,
    "digits_by_reward": 60,
    "memorise_a_pattern": 150,
    "own_agent": 300,
    "own_env": 300,
    "own_loop": 200,
    "poisson_clicks": 300,
    "read_nir": 300,
    "reflect_in_one_file": 600,
}
NEEDED = {"digits_by_reward": ["sklearn"], "read_nir": ["nir", "nirtorch", "snntorch", "norse"]}
LEARNED = {  # bounds of the last number printed; at random it is 20 or less, .1, 0, 0, -.5, -.27, .5, 20 and 20
    "cartpole": 400,
    "digits_by_reward": 0.85,
    "memorise_a_pattern": 0.9,
    "own_agent": 0.8,
    "own_env": 0.9,
    "own_loop": -0.15,
    "poisson_clicks": 0.95,
    "read_nir": 400,
    "reflect_in_one_file": 195,
}


def load_example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_tested_and_in_the_list() -> None:
    there = {path.stem for path in EXAMPLES.glob("*.py")}
    assert there == set(FEW) == set(LEARNED)
    listed, shown = (EXAMPLES / "README.md").read_text(), (EXAMPLES.parent / "docs" / "examples.md").read_text()
    assert all(f"`{name}.py`" in listed and f'--8<-- "examples/{name}.py"' in shown for name in there)


@pytest.mark.parametrize("name", sorted(FEW))
def test_each_example_runs_the_requested_number_of_steps(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for package in NEEDED.get(name, ()):
        pytest.importorskip(package)
    score = load_example(name).main(FEW[name])
    assert isinstance(score, float) and -1 <= score <= 500
    assert len(capsys.readouterr().out.splitlines()) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(LEARNED))
def test_each_example_learns(name: str) -> None:
    for package in NEEDED.get(name, ()):
        pytest.importorskip(package)
    assert load_example(name).main() > LEARNED[name]


def test_numpy_agent_takes_the_actions_of_the_default_agent(seed: int = 0) -> None:
    env = DtypeObservation(tracerl.make_env("CartPole"), np.float64)
    agent = tracerl.make_agent(env, settings={"engine": "torch", "dtype": "float64"}, seed=seed)
    example = load_example("reflect_in_one_file")
    same = example.Reflect(
        numpy_network(example, agent.policy.network, n_out=2, threshold=0.25),
        numpy_network(example, agent.critic.network, n_out=1, threshold=0.01, graded=True),
        Sampler(seed),
    )
    observation, _ = env.reset(seed=seed)
    action = same.start(observation)
    assert action == agent.start(observation)
    episodes = 0
    for step in range(2000):
        observation, reward, terminated, truncated, _ = env.step(action)
        features = same.learn(reward, observation, terminated)
        if terminated or truncated:
            agent.end(reward, observation, terminated)
            episodes += 1
            observation, _ = env.reset()
            action, expected = same.start(observation), agent.start(observation)
        else:
            action, expected = same.act(features), agent.step(reward, observation)
        assert action == expected, step
    assert episodes > 10
    for mine, learner in ((same.policy, agent.policy), (same.critic, agent.critic)):
        np.testing.assert_allclose(mine.parameters, learner.network.flat.numpy(), rtol=0, atol=1e-10)


def numpy_network(example: ModuleType, network: Any, **settings: Any) -> Any:
    """Return the example's network with the initial weights and decays of tracerl."""
    (layer,) = network.layers
    tensors = layer.synapses.affine.detach(), layer.membrane_decay.value, network.readout.decay.value
    return example.Network(*(tensor.numpy().copy() for tensor in tensors), **settings)


class Sampler:
    """The uniform numbers with which tracerl samples the actions of a seed."""

    def __init__(self, seed: int) -> None:
        self.stream = UniformStream(Lifetimes(seed))

    def random(self) -> float:
        return self.stream.draw().item()
