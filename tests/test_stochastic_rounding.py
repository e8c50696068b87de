"""Weights that are rounded while they are learned stay integers of N bits times a fixed scale."""

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from tracerl.agents.reflect import ReflectAgent

import tracerl
from tests.helpers import command, exit_code, make_agent, observation, some_steps
from tests.toy_envs import Space
from tracerl.config.checks import ConfigError
from tracerl.export.__main__ import main as export
from tracerl.export.c_program import c_program
from tracerl.nn.exportable import part_of
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.rounding import round_weights, weight_groups
from tracerl.nn.stochastic_rounding import StochasticRounding

LEARNING = {"deploy.weight_bits": 8, "deploy.rounding": "learning"}
RUN = ["env=CartPole", "deploy=neuromorphic", "network.hidden=[12]", "engine=torch", "logger=none"]
RUN += ["deploy.weight_bits=8", "deploy.rounding=learning"]


def agent_of(*overrides: str, bits: int = 8, **options: Any) -> ReflectAgent:
    return make_agent(Space(4, 3), "network.hidden=[9]", f"+agent.weight_bits={bits}", *overrides, **options)


def integers(agent: Any) -> list[torch.Tensor]:
    """Return the weights of the policy's network in units of their scale, [*lifetimes, n_out, n_in] of each group."""
    rounding = agent.policy.rounding
    groups = weight_groups(agent.policy.network, rounding.outputs)
    return [weight.double() / rounding.scale[..., i, None, None] for i, weight in enumerate(groups)]


def assert_on_grid(agent: Any) -> None:
    for weights in integers(agent):
        assert torch.equal(weights, weights.round()) and float(weights.abs().max()) <= agent.policy.rounding.largest


def biases(agent: Any) -> torch.Tensor:
    return agent.policy.network.layers[0].synapses.bias.clone()


@pytest.mark.parametrize("engine", ["torch", "fused"])
@pytest.mark.parametrize("bits", [3, 8])
@pytest.mark.parametrize(
    "more",
    [
        ("network.hidden=[7,5]", "network.recurrent=true"),
        ("agent.trunk=shared", "network.output_scale=1"),
        ("agent=q_lambda", "optimizer=update_rms"),
    ],
    ids=["two layers", "shared", "q_lambda"],
)
def test_weights_are_on_the_grid_at_every_step_and_biases_are_not(
    more: tuple[str, ...], bits: int, engine: str
) -> None:
    agent = agent_of(*more, f"engine={engine}", bits=bits, dtype=torch.float64)
    scale = agent.policy.rounding.scale.clone()
    first, before = [weights.clone() for weights in integers(agent)], biases(agent)
    assert_on_grid(agent)
    agent.start(observation(0))
    for i in range(1, 60):
        agent.step(float(i % 3), observation(i))
        assert_on_grid(agent)
    assert not torch.equal(integers(agent)[0], first[0])
    assert torch.equal(agent.policy.rounding.scale, scale) and not torch.equal(biases(agent), before)
    steps = biases(agent) / scale[0]
    assert not torch.allclose(steps, steps.round(), atol=1e-3)


def test_convolutions_are_rounded_and_a_separate_critic_is_not() -> None:
    settings = "network=conv", "network.channels=[3]", "agent.trunk=separate", "+agent.weight_bits=4"
    agent = make_agent(Space((6, 6, 2), 3), *settings)
    assert_on_grid(agent)
    assert [tuple(weights.shape) for weights in integers(agent)] == [(3, 18), (3, 48)]
    assert agent.critic is not None and agent.critic.rounding is None
    assert len(agent.critic.network.layers[0].synapses.weight.unique()) == 3 * 18


def test_scale_is_a_power_of_two_for_the_largest_weight_or_the_inputs() -> None:
    agent = agent_of("network.hidden=[16]", "network.output_scale=0", bits=4)
    network, rounding = agent.policy.network, agent.policy.rounding
    with torch.no_grad():
        network.layers[0].synapses.weight.fill_(0.6)
        rounding.begin(network)
    # 1.5 * 0.6 / 7 is above 0.125; of the readout, which starts at zero, 1.5 * 2 / sqrt(16) / 7 is below it
    assert rounding.scale.tolist() == [0.25, 0.125] and rounding.largest == 7
    assert network.layers[0].synapses.weight.unique().tolist() == [0.5, 0.75]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_is_unbiased_leaves_the_grid_and_saturates(dtype: torch.dtype) -> None:
    """40,000 draws of each of nine numbers; the deviation of a mean is at most 0.5 / 200 of a unit."""
    agent = agent_of("network.hidden=[1]", seed=list(range(10)), bits=5, dtype=dtype)
    rounding, flat = agent.policy.rounding, agent.policy.network.flat
    asked_for = [0.3, -0.3, 2.75, -14.9, 1e-3, 5.0, 0.0, 99.0, -99.0]
    units = torch.tensor(asked_for, dtype=torch.float64).repeat(2)[: len(rounding._places)]
    total, squares = torch.zeros(len(units)), torch.zeros(len(units))
    for _ in range(4000):
        flat[..., rounding._places] = (units * rounding.scale[..., rounding._groups]).to(dtype)
        rounding(flat)
        drawn = flat[..., rounding._places].double() / rounding.scale[..., rounding._groups]
        assert torch.equal(drawn, drawn.round())
        total += drawn.sum(0)
        squares += (drawn - units).square().sum(0)
    mean, wanted = total / 40_000, units.clamp(-15, 15)
    assert (mean - wanted).abs().max() < 5 * 0.5 / 200
    share = units - units.floor()
    inside = units.abs() <= 15
    torch.testing.assert_close((squares / 40_000)[inside], (share * (1 - share))[inside].float(), atol=0.01, rtol=0)
    assert torch.equal(mean[units == 5], torch.full_like(mean[units == 5], 5.0))
    assert torch.equal(mean[units.abs() == 99], wanted[units.abs() == 99].float())


def test_actions_use_the_same_random_numbers_as_without_rounding() -> None:
    plain, rounded = make_agent(Space(4, 3), "network.hidden=[9]"), agent_of()
    assert torch.equal(plain.stream.counter, rounded.stream.counter)
    assert not any("rounding" in name for name in plain.state_dict())
    for agent in (plain, rounded):
        some_steps(agent, 20)
    assert torch.equal(plain.stream.counter, rounded.stream.counter)
    names = {name for name in rounded.state_dict() if name not in plain.state_dict()}
    assert names == {"policy.rounding.scale", "policy.rounding.stream.counter"}


def test_frozen_agent_draws_nothing() -> None:
    agent = agent_of()
    some_steps(agent, 20)
    agent.freeze()
    before = agent.policy.network.flat.clone(), agent.policy.rounding.stream.counter.clone()
    some_steps(agent, 20)
    assert torch.equal(agent.policy.network.flat, before[0])
    assert torch.equal(agent.policy.rounding.stream.counter, before[1])


def test_each_of_many_lifetimes_is_rounded_as_it_is_alone() -> None:
    together = agent_of("network.output_scale=1", seed=[3, 4, 5], dtype=torch.float64)
    for i, seed in enumerate([3, 4, 5]):
        alone = agent_of("network.output_scale=1", seed=seed, dtype=torch.float64)
        assert torch.equal(together.policy.rounding.scale[i], alone.policy.rounding.scale)
        assert torch.equal(together.policy.network.flat[i], alone.policy.network.flat)


def test_resumed_run_is_bit_identical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command([*RUN, "steps=400", "hydra.run.dir=whole"], monkeypatch, tmp_path) == 0
    assert command([*RUN, "steps=230", "hydra.run.dir=parts"], monkeypatch, tmp_path) == 0
    assert command([*RUN, "steps=400", "hydra.run.dir=parts", "resume=true"], monkeypatch, tmp_path) == 0
    states = [tracerl.load(tmp_path / name).agent().capture() for name in ("whole", "parts")]
    assert all(torch.equal(states[0][name], tensor) for name, tensor in states[1].items())


def test_export_of_learned_integers_is_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command([*RUN, "steps=200", "hydra.run.dir=run"], monkeypatch, tmp_path) == 0
    agent: Any = tracerl.load(tmp_path / "run").agent()
    before = agent.policy.network.flat.clone()
    for bits in (8, 12):
        round_weights(part_of(agent, "policy"), bits)
        assert torch.equal(agent.policy.network.flat, before)
    assert exit_code(export, monkeypatch, "run", "--nir", "eight.nir") == 0
    assert "weights are integers of 8 bits times a scale per layer" in capsys.readouterr().out
    nodes = nir.read(tmp_path / "eight.nir").nodes
    assert np.array_equal(nodes["affine_0"].weight, agent.policy.network.layers[0].synapses.weight.numpy())
    assert np.array_equal(nodes["readout"].weight, agent.policy.network.readout.weight.numpy())
    round_weights(part_of(agent, "policy"), 4)
    assert not torch.equal(agent.policy.network.flat, before)
    assert exit_code(export, monkeypatch, "run", "--c", "agent") == 2
    assert "deploy.rounding must be export for a C program" in capsys.readouterr().err


def test_agent_without_a_run_is_not_written_as_a_c_program() -> None:
    agent = tracerl.make_agent(tracerl.make_env("CartPole"), settings=LEARNING)
    with pytest.raises(ConfigError, match="deploy.rounding must be export for a C program"):
        c_program(agent)


def test_network_from_elsewhere_is_rounded_with_a_scale_of_its_own() -> None:
    env = tracerl.make_env("CartPole")
    source = tracerl.make_agent(env, settings={"deploy": "neuromorphic", "network.hidden": [6], "engine": "torch"})
    with torch.no_grad():
        source.policy.network.layers[0].synapses.weight.mul_(100)
    settings = {**LEARNING, "engine": "torch", "encoder": "contrast"}
    agent: Any = tracerl.from_nir(tracerl.to_nir(source), env, settings=settings)
    assert_on_grid(agent)
    ours, theirs = (made.policy.network.layers[0].synapses.weight for made in (agent, source))
    assert float((ours - theirs).abs().max()) <= float(agent.policy.rounding.scale[0])


@pytest.mark.parametrize(
    ("agent", "settings", "problem"),
    [
        ("reflect", {"deploy.rounding": "learning"}, "deploy.weight_bits must be a whole number from 2 to 16 with"),
        ("reflect", {"deploy.rounding": "often"}, "deploy.rounding must be one of export, learning; got 'often'"),
        ("reflect", {**LEARNING, "deploy.weight_bits": 17}, "deploy.weight_bits must be .* from 2 to 16, got 17"),
        ("stream_q", LEARNING, "deploy.rounding must be export for a Perceptron, got learning"),
        *(
            (name, LEARNING, f"deploy.rounding must be export for {kind}, which cannot round weights while it learns")
            for name, kind in [
                ("eprop", "EpropAgent"),
                ("rstdp", "RSTDPAgent"),
                ("reflect_classic", "ReflectClassicAgent"),
                ("stream_ac", "StreamACAgent"),
                ("random", "RandomAgent"),
            ]
        ),
        (
            "reflect",
            {**LEARNING, "agent._target_": "tests.test_stochastic_rounding.Own"},
            "deploy.rounding must be export for Own",
        ),
    ],
)
def test_rounding_that_is_not_supported_raises_an_error_naming_it(
    agent: Any, settings: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        tracerl.make_agent(tracerl.make_env("CartPole"), agent, settings)


class Own:
    """An agent of one's own, with settings of the same names and none for rounding."""

    def __init__(
        self,
        observation_space: Any,
        action_space: Any,
        lifetimes: Lifetimes,
        network: Any,
        encoder: Any,
        optimizer: Any,
        engine: str,
        threads: int | None,
        signal: str,
        discount: Any,
        horizon_share: float,
        trace_decay: float,
        entropy: float,
        scale_reward: bool,
        average_decay: float,
        critic: Any,
        trunk: str,
        value_weight: float,
        target_rate: float,
        head: Any,
    ) -> None: ...


def test_unsupported_agent_ends_the_command_before_the_run_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["env=CartPole", "agent=eprop", "deploy.weight_bits=8", "deploy.rounding=learning", "hydra.run.dir=run"]
    assert command([*line, "steps=50", "logger=none"], monkeypatch, tmp_path) == 2
    assert "deploy.rounding must be export for EpropAgent" in capsys.readouterr().err
    assert not (tmp_path / "run" / "checkpoints").exists() and not (tmp_path / "run" / "summary.json").exists()


def test_number_of_bits_is_checked() -> None:
    network = make_agent(Space(4, 3), "network.hidden=[9]").policy.network
    with pytest.raises(ConfigError, match="bits must be a whole number from 2 to 16, got 1"):
        StochasticRounding(network, [slice(None)], 1, Lifetimes(0))
