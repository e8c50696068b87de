"""A warning if no neuron of a layer has fired."""

import warnings
from pathlib import Path
from typing import Any

import pytest

import tracerl
from tests.forks import run
from tracerl.config.checks import ConfigWarning
from tracerl.lifetime.silent_layers import PATIENCE, SilentLayers, silent_layers

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


def test_a_resumed_lifetime_is_not_checked_again() -> None:
    callback = SilentLayers()
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
