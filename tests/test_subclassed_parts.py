"""Custom parts that inherit from those with kernels are computed by torch, and raise an error in exports."""

from functools import partial
from typing import Any

import gymnasium as gym
import pytest
import torch
from tracerl.agents.reflect import ReflectAgent

import tracerl
from tests.helpers import make_agent
from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.export.c_program import c_program
from tracerl.export.description import describe
from tracerl.export.nir_export import left_out
from tracerl.export.program import program_of
from tracerl.export.program_modules import Choice
from tracerl.nn.encoders import Contrast, ContrastEncoder, Raw, RawEncoder
from tracerl.nn.heads import Bernoulli, Categorical, Discretized, Gaussian, GaussianSettings, head_for
from tracerl.nn.layers import LIF, ConvolutionalSynapses, DenseSynapses, Pooling
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks import Dense
from tracerl.optim import ObGD
from tracerl.optim.obgd import OvershootingBounded

SMALL = "network.hidden=[16]"
CHIP = ("deploy=neuromorphic", "engine=torch")
OWN_LAYERS = ("network=dense", f"network._target_={__name__}.BoundedDense", SMALL)


class Cautious(ObGD):
    """A step-size rule that inherits from one with a kernel."""

    def build(self, network: Any, trace_decay: float, lifetimes: Lifetimes) -> OvershootingBounded:
        return Halved(self, lifetimes)


class Halved(OvershootingBounded):
    """Half the steps of ObGD."""

    def forward(self, network: Any, trace: torch.Tensor, signal: torch.Tensor) -> None:
        super().forward(network, trace, signal / 2)


class Fair(Categorical):
    """A head that inherits from one with a kernel."""

    def __init__(self, space: Any, lifetimes: Lifetimes) -> None:
        super().__init__(int(space.n), lifetimes)


class Shared(Categorical):
    """A head with a setting, which it checks."""

    def __init__(self, space: Any, lifetimes: Lifetimes, share: Any) -> None:
        super().__init__(int(space.n), lifetimes)
        checks.unit_interval("share", share)
        checks.whole("env", int(space.n), 2)


class Bounded(LIF):
    """Neurons that inherit from those with an export: a membrane that cannot be below 0."""

    def fire(self, current: torch.Tensor) -> torch.Tensor:
        return super().fire(current.clamp(min=0.0))


class BoundedDense(Dense):
    """Settings of dense layers of these neurons."""

    def layer(self, synapses: Any, lifetimes: Lifetimes, recurrent: bool = False) -> Bounded:
        return Bounded(synapses, lifetimes, self.layer_settings(recurrent))


class Rooted(RawEncoder):
    """An encoder that inherits from one with an export."""

    def forward(self, observation: torch.Tensor, first: bool | torch.Tensor = False) -> torch.Tensor:
        return super().forward(observation, first).abs().sqrt()


class RootedRaw(Raw):
    """Its settings."""

    def build(self, shape: tuple[int, ...], ticks: int, lifetimes: Lifetimes) -> Rooted:
        return Rooted(shape, lifetimes, self)


class Doubled(ContrastEncoder):
    """An encoder that inherits from another one with an export."""

    def forward(self, observation: torch.Tensor, first: bool | torch.Tensor = False) -> torch.Tensor:
        return super().forward(observation, first) * 2


class DoubledContrast(Contrast):
    """Its settings."""

    def build(self, shape: tuple[int, ...], ticks: int, lifetimes: Lifetimes) -> Doubled:
        return Doubled(shape, lifetimes, self)


def no_head(space: Any, lifetimes: Lifetimes) -> None:
    """A function that an invalid ``agent.head`` names."""


class Other(ReflectAgent):
    """An agent that inherits from the one with kernels."""


@pytest.mark.parametrize(
    ("overrides", "lacking"),
    [
        (["optimizer=obgd", f"optimizer.policy._target_={__name__}.Cautious"], "Halved"),
        ([f"agent.head={{_target_:{__name__}.Fair,_partial_:true}}"], "Fair"),
        ([f"agent._target_={__name__}.Other"], "Other"),
    ],
)
def test_subclass_of_a_part_with_a_kernel_is_computed_by_torch(overrides: list[str], lacking: str) -> None:
    agent = make_agent(gym.make("CartPole-v1"), SMALL, "engine=auto", *overrides)
    assert agent.engine == "torch" and lacking in agent.engine_reason
    with pytest.raises(ConfigError, match=f"engine cannot be fused.*{lacking}"):
        make_agent(gym.make("CartPole-v1"), SMALL, "engine=fused", *overrides)


def test_invalid_head_raises_an_error_naming_the_key() -> None:
    for wrong in ("3", f"{{_target_:{__name__}.no_head,_partial_:true}}"):
        with pytest.raises(ConfigError, match="head must be null or _target_ of a head"):
            make_agent(gym.make("CartPole-v1"), f"agent.head={wrong}")


@pytest.mark.parametrize("agent", ["reflect", "stream_ac"])
def test_setting_that_a_head_refuses_is_named_under_head(agent: str) -> None:
    head = f"agent.head={{_target_:{__name__}.Shared,_partial_:true,share:2}}"
    with pytest.raises(ConfigError, match=r"^head\.share must be a number in \[0, 1\], got 2"):
        make_agent(gym.make("CartPole-v1"), f"agent={agent}", head)


def test_head_made_from_python_names_its_settings_and_the_env() -> None:
    for share, space, key in ((2, 3, "head.share"), (0.5, 1, "env")):
        with pytest.raises(ConfigError) as found:
            head_for(gym.spaces.Discrete(space), Lifetimes(0), partial(Shared, share=share))
        assert found.value.key == key


OWN_ENCODERS = [
    (("encoder=raw", f"encoder._target_={__name__}.RootedRaw"), "Rooted"),
    (("encoder=contrast", f"encoder._target_={__name__}.DoubledContrast"), "Doubled"),
]


def own_agent(*overrides: str) -> Any:
    return make_agent(gym.make("CartPole-v1"), "engine=torch", "network.reset=hard", *overrides)


@pytest.mark.parametrize("network", ["policy", "value"])
def test_layers_that_no_export_knows_raise_an_error_naming_them(network: str) -> None:
    agent = own_agent("network.layer_norm=false", *OWN_LAYERS)
    for export in (tracerl.to_nir, program_of):
        with pytest.raises(ConfigError, match=r"network\._target_ must build tracerl's own .*, got Bounded$"):
            export(agent, network=network)
    with pytest.raises(
        ConfigError, match=r"^network\._target_ must build tracerl's own layers for a C program, got BoundedDense$"
    ):
        c_program(agent)


@pytest.mark.parametrize("base", [DenseSynapses, ConvolutionalSynapses, Pooling])
def test_other_parts_of_a_network_that_no_export_knows_raise_an_error(base: type) -> None:
    env = tracerl.make_env("MinAtarBreakout")
    settings = {"engine": "torch", "network": "conv", "network.hidden": [8], "network.pool": 2}
    agent: Any = tracerl.make_agent(env, settings=settings)
    part = agent.parts()["policy"]
    describe(part)
    next(each for each in part.network.modules() if type(each) is base).__class__ = type("Own", (base,), {})
    with pytest.raises(ConfigError, match=r"network\._target_ .*, got Own$"):
        describe(part)


def test_perceptron_cannot_be_exported() -> None:
    agent = tracerl.make_agent(tracerl.make_env("CartPole"), "stream_q", {"engine": "torch"})
    with pytest.raises(ConfigError, match=r"network\._target_ .*, got Perceptron$"):
        program_of(agent)


def test_preset_for_chips_refuses_layers_and_encoders_that_nir_does_not_know() -> None:
    env = gym.make("CartPole-v1")
    for part, target, name in (("network", "BoundedDense", "Bounded"), ("encoder", "RootedRaw", "Rooted")):
        plain = {"network": "dense", "encoder": "raw", "deploy": "neuromorphic", "engine": "torch"}
        tracerl.make_agent(env, settings=plain)
        with pytest.raises(ConfigError, match=rf"^{part}.* must .*{name}$"):
            tracerl.make_agent(env, settings=plain | {f"{part}._target_": f"{__name__}.{target}"})


def test_graph_is_not_read_into_layers_of_another_kind() -> None:
    env = gym.make("CartPole-v1")
    graph = tracerl.to_nir(make_agent(env, *CHIP, "network=dense", SMALL))
    settings = {"engine": "torch", "network._target_": f"{__name__}.BoundedDense"}
    with pytest.raises(ConfigError, match=r"network\._target_ must .*, got Bounded$"):
        tracerl.from_nir(graph, env, settings=settings)


@pytest.mark.parametrize(("overrides", "name"), OWN_ENCODERS)
def test_encoder_that_no_export_knows_raises_an_error_naming_it(overrides: tuple[str, ...], name: str) -> None:
    agent = own_agent("network.layer_norm=false", SMALL, *overrides)
    with pytest.raises(ConfigError, match=f"^encoder must be raw or contrast for a program, got {name}$"):
        program_of(agent)
    with pytest.raises(ConfigError, match=f"^encoder must be raw or contrast for a C program, got {name}$"):
        c_program(agent)
    with pytest.raises(ConfigError, match=f"^encoder must be raw, contrast or auto: .* encoder={name}$"):
        tracerl.to_nir(agent, with_encoder=True)
    with pytest.raises(ConfigError, match=f"^fold_normalizer needs encoder=raw, .* got encoder={name}$"):
        tracerl.to_nir(agent, fold_normalizer=True)


@pytest.mark.parametrize(("overrides", "name"), OWN_ENCODERS)
def test_graph_without_its_encoder_names_the_class_of_the_encoder(overrides: tuple[str, ...], name: str) -> None:
    env, agent = gym.make("CartPole-v1"), own_agent("network.layer_norm=false", SMALL, *overrides)
    graph = tracerl.to_nir(agent)
    assert graph.metadata["encoder"] == name and "encoder_trace_decay" not in graph.metadata
    lines = list(left_out(describe(agent.parts()["policy"]), agent.encoder, False))
    assert f"input: the features of encoder={name}, which is not in the file." in lines
    with pytest.raises(ConfigError, match=f"encoder.*{name}"):
        tracerl.from_nir(graph, env, settings={"engine": "torch"})


@pytest.mark.parametrize("base", [Categorical, Bernoulli, Discretized, Gaussian])
def test_head_that_no_program_knows_raises_an_error_naming_it(base: Any) -> None:
    made, box = type("Own", (base,), {}), gym.spaces.Box(-1, 1, (2,))
    rest: tuple[Any, ...] = {
        Categorical: (3, Lifetimes(0)),
        Bernoulli: (gym.spaces.MultiBinary(2), Lifetimes(0)),
        Discretized: (box, Lifetimes(0), 3, 1.0, None),
        Gaussian: (box, Lifetimes(0), GaussianSettings()),
    }[base]
    Choice(base(*rest))
    with pytest.raises(ConfigError, match="^head must be one of tracerl's own for a program, got Own$"):
        Choice(made(*rest))


def test_agent_with_a_head_of_its_own_has_programs_of_its_critic_alone() -> None:
    agent = own_agent(SMALL, f"agent.head={{_target_:{__name__}.Fair,_partial_:true}}")
    with pytest.raises(ConfigError, match="head must be one of tracerl's own for a program, got Fair"):
        program_of(agent)
    assert program_of(agent, "value").choice is None
