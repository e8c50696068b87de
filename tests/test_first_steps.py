"""Warnings after the first steps: no neuron of a layer has fired, or the observations hardly vary."""

import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import tracerl
from tests.forks import run
from tracerl.config.checks import ConfigWarning
from tracerl.lifetime.first_steps import PATIENCE, SMALL_DEVIATION, FirstStepsCheck, largest_deviations, silent_layers
from tracerl.nn import normalizers

SILENT = {"network.hidden": [4, 3], "network.threshold": 50.0, "network.layer_norm": False}


def made(engine: str, lifetimes: int = 1, **settings: Any) -> Any:
    shape = {"network.hidden": [4, 3], "engine": engine, "lifetimes": lifetimes, **settings}
    return tracerl.make_agent(tracerl.make_env("CartPole"), settings=shape)


@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_silent_network_raises_one_warning(engine: str) -> None:
    env = tracerl.make_env("CartPole")
    with pytest.warns(ConfigWarning, match=r"layer policy.network.hidden.0 has fired in 1,000 env steps") as caught:
        tracerl.live(made(engine, **SILENT), env, PATIENCE + 50).finish()
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracerl.live(made(engine, **SILENT), env, PATIENCE - 50).finish()
        tracerl.live(made(engine), env, PATIENCE + 50).finish()


def test_a_layer_is_silent_if_it_is_so_in_one_lifetime() -> None:
    agent = made("torch", 2)
    agent.policy.network.layers[0].rate[:] = 0.5
    agent.policy.network.layers[1].rate[1] = 0.5
    assert silent_layers(agent) == ["policy.network.hidden.1"]
    assert silent_layers(object()) == []


class Scaled(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Observations times a factor."""

    def __init__(self, env: Any, factor: float) -> None:
        super().__init__(env)
        self.factor, self.observation_space = factor, gymnasium.spaces.Box(-np.inf, np.inf, (4,), np.float64)

    def observation(self, observation: Any) -> Any:
        return np.asarray(observation, np.float64) * self.factor


@pytest.mark.parametrize("agent", ["reflect", "stream_ac", "q_lambda"])
def test_observations_that_are_not_scaled_up_raise_one_warning(agent: str) -> None:
    def live(factor: float) -> None:
        env = tracerl.make_env(Scaled(gymnasium.make("CartPole-v1"), factor))
        made = tracerl.make_agent(env, agent, {"engine": "torch"} if agent == "q_lambda" else None)
        tracerl.live(made, env, PATIENCE + 50).finish()

    with pytest.warns(
        ConfigWarning, match=r"largest standard deviation .* is \de-0[56] after 1,000 env steps"
    ) as caught:
        live(1e-5)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        live(0.01)
        live(0.0)  # equal observations, as of a bandit


def test_largest_deviations_are_those_of_each_lifetime() -> None:
    agent = made("torch", 2)
    for _ in range(3):
        agent.encoder.normalizer.moments.update(torch.tensor([[1.0, 2.0, 3.0, 4.0] * 3] * 2, dtype=torch.float64))
    agent.encoder.normalizer.moments.squares[1, 2] = 32.0
    assert largest_deviations(agent) == [4.0]  # the first lifetime has seen one observation three times
    assert largest_deviations(made("torch", **{"encoder.normalize": False})) == []
    assert largest_deviations(made("torch")) == []
    assert largest_deviations(object()) == []
    assert SMALL_DEVIATION**2 == normalizers._EPSILON


def test_a_resumed_lifetime_is_not_checked_again() -> None:
    callback = FirstStepsCheck()
    assert callback.next_call(0) == PATIENCE == callback.next_call(PATIENCE - 1)
    assert callback.next_call(PATIENCE) > 10**15


def test_command_line_prints_the_warning_in_one_line(tmp_path: Path) -> None:
    settings = [f"{key}={value}".replace(" ", "") for key, value in SILENT.items()]
    result = run(
        tmp_path, "env=CartPole", *settings, "steps=1100", "logger=none", "lifetimes=2", "env.backend=compiled"
    )
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if "arning" in line]
    assert line.startswith("warning: no neuron of the layer policy.network.hidden.0 has fired")
