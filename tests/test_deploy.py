"""``deploy=neuromorphic`` composes with every env, and its agents are exported without a warning."""

from pathlib import Path
from typing import Any

import nir
import pytest
import tracerl.configs

import tracerl
from tests.helpers import command, compose, exit_code
from tracerl.config.checks import ConfigError
from tracerl.export.__main__ import main as export
from tracerl.runs.build import with_input
from tracerl.runs.by_input import KINDS

ENVS = sorted(path.stem for path in (Path(tracerl.configs.__file__).parent / "env").glob("*.yaml"))
CHIP = {"deploy": "neuromorphic", "engine": "torch"}


@pytest.mark.parametrize("env", ENVS)
def test_preset_composes_with_every_env(env: str) -> None:
    cfg = compose(f"env={env}", "deploy=neuromorphic", *(["env.id=CartPole-v1"] if env == "gymnasium" else []))
    for kind in KINDS:
        network = with_input(cfg, kind).agent.network
        assert (network.reset, network.layer_norm, cfg.deploy.exact) == ("hard", False, True)
    default = compose(f"env={env}", *(["env.id=CartPole-v1"] if env == "gymnasium" else []))
    for kind in KINDS:
        network = with_input(default, kind).agent.network
        expected = ("hard", False) if kind == "unit" else ("soft", True)
        assert (network.reset, network.layer_norm) == expected and not default.deploy.exact


@pytest.mark.parametrize(
    ("env", "agent"),
    [
        *((env, "reflect") for env in ("CartPole", "CartPolePositions", "MemoryChain", "Pendulum", "Taxi")),
        *(("MinAtarBreakout", agent) for agent in ("reflect", "q_lambda")),
    ],
)
def test_agent_of_the_preset_has_a_nir_form_with_a_hard_reset(env: str, agent: str) -> None:
    graph = tracerl.to_nir(tracerl.make_agent(tracerl.make_env(env), agent, CHIP))
    assert graph.metadata["reset"] == "hard"


def test_critic_standardises_its_currents_and_the_policy_of_the_preset_does_not() -> None:
    agent = tracerl.make_agent(tracerl.make_env("CartPole"), "reflect", CHIP)
    (policy,), (critic,) = agent.policy.network.layers, agent.critic.network.layers
    assert policy.norm is None and critic.norm is not None


def test_run_of_the_preset_is_exported_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["env=CartPole", "deploy=neuromorphic", "steps=60", "lifetimes=2", "logger=none", "hydra.run.dir=run"]
    assert command(line, monkeypatch, tmp_path) == 0
    capsys.readouterr()
    assert exit_code(export, monkeypatch, "run", "--nir", "net.nir", "--lifetime", "1", "--with-encoder") == 0
    output = capsys.readouterr()
    assert output.err == "" and "the state of trace_0 is the first observation" in output.out
    assert "encode -> affine_0 -> lif_0" in output.out
    assert nir.read(tmp_path / "net.nir").metadata["reset"] == "hard"
    assert command([*line, "steps=90", "resume=true"], monkeypatch, tmp_path) == 0


@pytest.mark.parametrize(
    ("agent", "settings", "problem"),
    [
        ("reflect", {"network.reset": "soft"}, r"network\.reset must be hard: .* got soft"),
        ("reflect", {"network.layer_norm": True}, r"network\.layer_norm must be false"),
        ("reflect", {"network": "alif"}, r"network\.neuron must be lif or synaptic: .* threshold adapts"),
        ("reflect", {"network.neuron": "graded"}, r"network\.neuron must be lif or synaptic"),
        ("reflect", {"network": "graph"}, r"network\.edges must not be delayed"),
        ("reflect", {"network.ticks": 2}, r"network\.ticks must be 1, or encoder=raw: .* got 2"),
        ("reflect", {"encoder": "population"}, r"encoder must be raw, contrast or auto: .* encoder=population"),
        ("reflect", {"lifetimes": 2, "network.reset": "soft"}, r"network\.reset must be hard"),
        ("reflect", {"deploy.weight_bits": 1}, r"deploy\.weight_bits must be a whole number from 2 to 16, got 1"),
        ("reflect", {"deploy.exact": 2}, r"deploy\.exact must be true or false, got 2"),
        ("eprop", {}, r"network\.neuron must be lif or synaptic"),
        ("eprop", {"lifetimes": 2, "network": "dense", "network.reset": "soft"}, r"network\.reset must be hard"),
        ("stream_ac", {}, "agent must be reflect, eprop or q_lambda .* StreamACAgent, which has no network"),
        ("stream_q", {}, "network must be of spiking neurons with deploy=neuromorphic, got perceptron"),
        ("reflect_classic", {}, "agent must be reflect, eprop or q_lambda .* ReflectClassicAgent"),
    ],
)
def test_setting_that_is_not_exact_raises_an_error_naming_it(
    agent: Any, settings: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        tracerl.make_agent(tracerl.make_env("CartPole"), agent, {"deploy": "neuromorphic", **settings})


def test_ticks_are_allowed_where_no_traces_advance_with_them() -> None:
    settings = {**CHIP, "encoder": "raw", "network.ticks": 2}
    assert tracerl.make_agent(tracerl.make_env("CartPole"), settings=settings).policy.network.ticks == 2
