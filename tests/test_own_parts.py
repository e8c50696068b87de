"""A part of the user that cannot be used is named in one line, with its traceback in error.txt."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import tracerl
from tracerl.config.checks import ConfigError
from tracerl.nn.encoders import Encoder, EncoderSettings
from tracerl.nn.encoders.raw import Raw, RawEncoder
from tracerl.nn.heads import Categorical, Head
from tracerl.nn.networks import Dense
from tracerl.optim import ObGD
from tracerl.optim.rule import StepRule
from tracerl.runs.launch import RunEnded

HERE = "tests.test_own_parts."


@dataclass(frozen=True)
class Nameless(EncoderSettings):
    """Settings of an encoder without a name."""

    def build(self, shape: Any, ticks: int, lifetimes: Any) -> Encoder:
        return NamelessEncoder(shape, shape[0], self, lifetimes, ticks if ticks > 1 else None)


class NamelessEncoder(Encoder):
    def forward(self, observation: torch.Tensor, first: Any = False) -> torch.Tensor:
        code = self.standardise(observation).to(self.dtype)
        return code if not self.temporal else code.unsqueeze(-2).expand(*observation.shape[:-1], *self.layout)


@dataclass(frozen=True)
class Temporal(Nameless):
    def build(self, shape: Any, ticks: int, lifetimes: Any) -> Encoder:
        return NamelessEncoder(shape, shape[0], self, lifetimes, ticks)


@dataclass(frozen=True)
class Failing(EncoderSettings):
    def build(self, shape: Any, ticks: int, lifetimes: Any) -> Any:
        return shape.no_such_thing


class Late(Nameless):
    def build(self, shape: Any, ticks: int, lifetimes: Any) -> Encoder:
        return LateEncoder(shape, shape[0], self, lifetimes, ticks if ticks > 1 else None)


class LateEncoder(NamelessEncoder):
    """An encoder that raises an error at its sixteenth observation."""

    seen = 0

    def forward(self, observation: torch.Tensor, first: Any = False) -> torch.Tensor:
        self.seen += 1
        if self.seen == 16:
            raise KeyError("late")
        return super().forward(observation, first)


class Short(Categorical):
    """A head whose score would be stretched over the actions."""

    def score(self) -> torch.Tensor:
        return super().score()[..., :1]


def short(observation_space: Any, lifetimes: Any) -> Head:
    return Short(2, lifetimes)


class Returning(StepRule):
    """A rule that returns its step."""

    def forward(self, network: Any, trace: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return trace * signal.unsqueeze(-1)


class Returned(ObGD):
    def build(self, network: Any, trace_decay: float, lifetimes: Any) -> Any:
        return Returning(lifetimes)


class NoRule(ObGD):
    def build(self, network: Any, trace_decay: float, lifetimes: Any) -> Any:
        return None


class Sized(Head):
    """A head that does not say how many outputs it needs."""

    def __init__(self, space: Any, lifetimes: Any) -> None:
        super().__init__()


class Mute(Sized):
    n_outputs = 2


class NoLayer(Dense):
    def layer(self, synapses: Any, lifetimes: Any, recurrent: bool = False) -> Any:
        return None


class Narrow:
    """An agent without the spaces among its arguments."""

    def __init__(self, lifetimes: Any) -> None: ...


SMALL = {"network.hidden": [4], "steps": 20, "logger": "none"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"encoder": "raw", "encoder._target_": "Failing"},
            "agent cannot be built: .*ReflectAgent raised AttributeErr",
        ),
        (
            {"agent": "random", "agent._target_": "Narrow"},
            "agent cannot be built: .*Narrow raised TypeError: .* unexpected keyword argument 'observation_space'",
        ),
    ],
)
def test_error_of_a_part_is_one_line_with_its_traceback_in_a_file(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (target,) = (key for key in settings if key.endswith("_target_"))
    small = {} if "agent" in settings else SMALL
    with pytest.raises(ConfigError, match=rf"^{message}.*\(traceback in .*error\.txt\)$"):
        tracerl.launch({**small, **settings, target: HERE + settings[target], "steps": 20}, tmp_path)
    assert "Traceback" in (text := (tmp_path / "error.txt").read_text())
    assert "no_such_thing" in text or "observation_space" in text
    assert not (tmp_path / "config.yaml").exists()


def test_error_of_a_part_in_a_step_is_one_line_with_its_place(tmp_path: Path) -> None:
    settings = {**SMALL, "env": "Pendulum", "encoder": "raw", "encoder._target_": HERE + "Late", "checkpoint.every": 10}
    where = r"in LateEncoder\.forward \(test_own_parts\.py, line \d+\) after 15 env steps"
    with pytest.raises(RunEnded, match=rf"^failed: KeyError: 'late' {where} \(traceback in .*error\.txt\)$"):
        tracerl.launch(settings, tmp_path)
    assert 'raise KeyError("late")' in (tmp_path / "error.txt").read_text()
    assert "failed" in (tmp_path / "summary.json").read_text()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000000000010"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "obgd", "optimizer.value._target_": "NoRule"}, r"optimizer must build a .*StepRule, got None"),
        ({"head._target_": "Sized"}, "head must have n_outputs, a whole number: Sized has none"),
        ({"head._target_": "Mute"}, "head must have the method sample: Mute has none of its own"),
        (
            {"network": "dense", "network._target_": "NoLayer"},
            r"network cannot be built: layer of NoLayer must return a .*SpikingLayer, got None",
        ),
        (
            {"encoder": "raw", "encoder._target_": "Nameless", "engine": "fused"},
            "engine cannot be fused: it has no kernel for the encoder NamelessEncoder",
        ),
    ],
)
def test_part_of_another_class_is_named(settings: dict[str, Any], message: str) -> None:
    named = {key: HERE + value if key.endswith("_target_") else value for key, value in settings.items()}
    if "head._target_" in named:
        named = {"agent.head": {"_target_": named["head._target_"], "_partial_": True}}
    env = tracerl.make_env("CartPole")
    with pytest.raises(ConfigError, match=f"^{message}"):
        tracerl.make_agent(env, settings={"network.hidden": [4], **named})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"agent.head": {"_target_": HERE + "short", "_partial_": True}},
            r"head must return a tensor of the shape \(2,\) from score, got the shape \(1,\)",
        ),
        (
            {"optimizer": "obgd", "optimizer.policy._target_": HERE + "Returned"},
            "optimizer must change network.flat in forward and return nothing, Returning returns a step",
        ),
    ],
)
def test_part_that_would_not_learn_is_named_in_the_first_step(settings: dict[str, Any], message: str) -> None:
    env = tracerl.make_env("CartPole")
    agent = tracerl.make_agent(env, settings={"network.hidden": [4], **settings})
    with pytest.raises(ConfigError, match=f"^{message}"):
        tracerl.live(agent, env, 5).finish()


def test_encoder_without_a_name_is_used() -> None:
    env = tracerl.make_env("CartPole")
    settings = {"network.hidden": [4], "encoder": "raw", "encoder._target_": HERE + "Nameless"}
    agent = tracerl.make_agent(env, settings=settings)
    assert tracerl.live(agent, env, 30).finish().step == 30
    assert agent.engine_reason == "it has no kernel for the encoder NamelessEncoder"
    with pytest.raises(ConfigError, match="encoder must not be NamelessEncoder: this agent has no ticks"):
        tracerl.make_agent(env, "stream_ac", {"encoder": "raw", "encoder._target_": HERE + "Temporal"})


class Buffered(RawEncoder):
    """Keeps which numbers are positive, and their mean by assignment, and uses neither."""

    def __init__(self, shape: Any, lifetimes: Any, settings: Any, dtype: torch.dtype) -> None:
        super().__init__(shape, lifetimes, settings)
        self.register_buffer("high", lifetimes.zeros(self.n_out, dtype=dtype))
        self.register_buffer("average", lifetimes.zeros(self.n_out))

    def forward(self, observation: Any, first: Any = False) -> Any:
        features = super().forward(observation, first)
        self.high.copy_(features > 0)
        self.average = 0.9 * self.average + 0.1 * features
        return features


@dataclass(frozen=True)
class BufferedSettings(Raw):
    dtype: str = "bool"

    def build(self, shape: Any, ticks: int, lifetimes: Any) -> Any:
        return Buffered(shape, lifetimes, self, getattr(torch, self.dtype))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "float16", "int32", "float64"])
@pytest.mark.parametrize("own", ["float32", "float64"])
def test_buffers_of_any_dtype_have_their_own_memory(dtype: str, own: str) -> None:
    env, returns = tracerl.make_env("CartPole"), []
    for more in ({}, {"encoder._target_": HERE + "BufferedSettings", "+encoder.dtype": dtype}):
        settings = {"network.hidden": [4], "encoder": "raw", "engine": "torch", "dtype": own, **more}
        agent = tracerl.make_agent(env, settings=settings, seed=3)
        returns.append(tracerl.live(agent, env, 150, seed=3).finish().returns)
    assert returns[0] == returns[1]
    assert agent.encoder.high.any() and agent.encoder.average.any()
    assert torch.equal(agent.capture()["encoder.average"], agent.encoder.average)
