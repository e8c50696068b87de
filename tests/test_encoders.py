"""Encoders: each by hand, their random numbers, shapes, one lifetime and many."""

import math
import re
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from tests.encoders import PLAIN, SCALED, build, encode
from tests.helpers import make_agent, run_many_lifetimes, run_one_lifetime
from tests.toy_envs import Space
from tracerl.config.checks import ConfigError
from tracerl.nn.encoders import Contrast, Encoder, EncoderSettings, Latency, OnOff, Population, Rate, Raw
from tracerl.nn.encoders.on_off import on_off_rates
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.random import CODE, UniformStream

ALL = {
    "raw": Raw(**SCALED),
    "contrast": Contrast(**SCALED, trace_decay=0.5),
    "contrasts": Contrast(**SCALED, trace_decay=[0.5, 0.0, 0.99]),
    "memories": Contrast(**SCALED, trace_decay=0.0, memory_decay=[0.9, 0.99]),
    "on_off": OnOff(**SCALED),
    "rate": Rate(**SCALED),
    "population": Population(**SCALED, fields=5, beta=1.5, spikes=False),
    "population, spikes": Population(**SCALED, fields=5, beta=1.5, spikes=True),
    "latency": Latency(**SCALED),
}
DRAWING = ("rate", "population, spikes")
IN_AGENTS = {  # overrides; latency needs two ticks at least
    "on_off": ("encoder=on_off",),
    "rate": ("encoder=rate",),
    "population": ("encoder=population",),
    "population, spikes": ("encoder=population", "encoder.spikes=true"),
    "latency": ("encoder=latency",),
}


def test_raw_without_normalisation_is_the_observation_in_the_agent_dtype() -> None:
    encoder = Raw(normalize=False, clip=10.0).build((3,), 1, Lifetimes(0, torch.float32))
    assert encoder.n_out == 3
    assert encode(encoder, 1.0, -2.0, 1e5).dtype == torch.float32
    assert encode(encoder, 1.0, -2.0, 1e5).tolist() == [1.0, -2.0, 1e5]


@pytest.mark.parametrize("engine", ["torch", "fused"])
@pytest.mark.parametrize("seed", [0, [0, 1, 2]])
def test_images_of_bytes_are_divided_by_255_unless_standardised(engine: str, seed: int | list[int]) -> None:
    overrides = ("encoder=raw", "encoder.normalize=false", "network.hidden=[4]", f"engine={engine}")
    images = np.random.default_rng(0).integers(256, size=(20, 3, 5, 6), dtype=np.uint8)
    agents = []
    for top, dtype in ((255, np.uint8), (2, np.float64)):  # images bounded by 1 have another default
        env = Space((5, 6), 3)
        env.observation_space = gym.spaces.Box(0, top, (5, 6), dtype)
        agents.append(make_agent(env, *overrides, seed=seed))
    in_bytes, scaled = agents
    for t, image in enumerate(images):
        for agent, seen in ((in_bytes, image), (scaled, image / 255)):
            if isinstance(seed, list):
                agent.advance(np.full(3, min(t + 1, 2)), np.full(3, float(t % 2)), seen)
            elif t:
                agent.step(float(t % 2), seen[0])
            else:
                agent.start(seen[0])
    for name, tensor in in_bytes.capture().items():
        torch.testing.assert_close(tensor, scaled.capture()[name], rtol=0, atol=0)


def test_on_off_by_hand() -> None:
    assert encode(build(OnOff(**PLAIN), 3), 1.5, -5.0, 0.0).tolist() == [1.5, 0.0, 0.0, 0.0, 5.0, 0.0]


def test_rates_of_the_split_are_bounded_by_one_spike_per_tick() -> None:
    found = on_off_rates(torch.tensor([0.5, -2.0, 9.0]), 0.4, 0.3)
    torch.testing.assert_close(found, torch.tensor([0.2, 0.0, 1.0, 0.0, 0.8, 0.0, 0.3]))


def test_on_off_splits_the_standardised_observation() -> None:
    """Of 1 and 4: mean 2.5, sample variance 4.5, so the second is 1.5 / sqrt(4.5) above its mean."""
    encoder = build(OnOff(**SCALED), 1)
    assert encode(encoder, 1.0).tolist() == [0.0, 0.0]
    assert encode(encoder, 4.0).tolist() == pytest.approx([1.5 / math.sqrt(4.5), 0.0])


def test_rate_samples_spikes_with_the_probability_of_each_half() -> None:
    """20,000 ticks: five standard deviations of a mean are 5 sqrt(.25 / 20000) = .018."""
    code = encode(build(Rate(**PLAIN), 4, ticks=20_000), 1.0, -0.5, 5.0, 0.0)
    assert set(code.unique().tolist()) == {0.0, 1.0}
    expected = [0.5, 0.0, 1.0, 0.0, 0.0, 0.25, 0.0, 0.0]
    assert code.mean(0).tolist() == pytest.approx(expected, abs=0.018)
    certain = [i for i, probability in enumerate(expected) if probability in (0.0, 1.0)]
    assert (code[:, certain] == torch.tensor(expected)[certain]).all()


def test_rate_samples_are_independent_over_ticks_and_inputs() -> None:
    code = encode(build(Rate(**PLAIN), 2, ticks=20_000), 1.0, 1.0)[:, :2] - 0.5
    assert abs((code[:, 0] * code[:, 1]).mean()) < 0.01  # five standard deviations of .25 / sqrt(20000)
    assert abs((code[1:, 0] * code[:-1, 0]).mean()) < 0.01


def test_population_by_hand() -> None:
    """Centres -3, -1, 1, 3 over [-2, 2], as far apart as a field is wide; -9 counts as -2."""
    encoder = build(Population(**PLAIN, fields=4, beta=1.0, spikes=False), 2)
    assert encoder.centres.flatten().tolist() == [-3.0, -1.0, 1.0, 3.0]
    activations = encode(encoder, 1.0, -9.0).unflatten(-1, (4, 2))
    assert activations[:, 0].tolist() == pytest.approx([math.exp(-2), math.exp(-0.5), 1.0, math.exp(-0.5)])
    assert activations[:, 1].tolist() == pytest.approx([math.exp(-d * d / 8) for d in (1, 1, 3, 5)])


def test_receptive_fields_narrow_with_beta() -> None:
    found = encode(build(Population(**PLAIN, fields=4, beta=2.0, spikes=False), 1), 0.0)
    assert found.tolist() == pytest.approx([math.exp(-d * d / 2) for d in (3, 1, 1, 3)])


def test_population_spikes_have_the_activations_as_probabilities() -> None:
    """20,000 ticks, as above: within .018."""
    graded, spiking = (build(Population(**PLAIN, fields=5, beta=1.5, spikes=s), 2, ticks=20_000) for s in (False, True))
    code = encode(spiking, 0.7, -1.9)
    assert code.shape == (20_000, 10)
    assert set(code.unique().tolist()) == {0.0, 1.0}
    assert code.mean(0).tolist() == pytest.approx(encode(graded, 0.7, -1.9).tolist(), abs=0.018)


def test_latency_by_hand() -> None:
    """Of four ticks: (1 - 2/2) 4 = 0, (1 - 1/2) 4 = 2, (1 - .3) 4 = 2.8, (1 - .7) 4 = 1.2, and 0 comes last."""
    inputs = [2.0, 1.0, 0.6, 0.0, -1.4, -9.0]
    code = encode(build(Latency(**PLAIN), 6, ticks=4), *inputs).unflatten(-1, (2, 6))  # [ticks, halves, inputs]
    assert (code.sum((0, 1)) == 1).all()  # one spike per input
    ticks, halves, _ = (code.nonzero()[code.nonzero()[:, 2].argsort()]).T
    assert ticks.tolist() == [0, 2, 2, 3, 1, 0]
    assert halves.tolist() == [0, 0, 0, 0, 1, 1]


def test_larger_inputs_never_spike_later() -> None:
    inputs = torch.linspace(0.0, 3.0, 200, dtype=torch.float64)
    for ticks in (2, 3, 8):
        code = build(Latency(**PLAIN), 200, ticks)(inputs)[:, :200]
        first = code.argmax(0)
        assert (first.diff() <= 0).all()
        assert first.unique().tolist() == list(range(ticks))


@pytest.mark.parametrize(
    ("name", "shape", "temporal"),
    [
        ("raw", (3, 2), False),
        ("contrast", (2, 3, 2), False),
        ("contrasts", (4, 3, 2), False),
        ("memories", (4, 3, 2), False),
        ("on_off", (2, 3, 2), False),
        ("rate", (2, 3, 2), True),
        ("population", (5, 3, 2), False),
        ("population, spikes", (5, 3, 2), True),
        ("latency", (2, 3, 2), True),
    ],
)
def test_features_have_the_declared_shape(name: str, shape: tuple[int, ...], temporal: bool) -> None:
    lifetimes = Lifetimes([4, 5], torch.float32)
    encoder = ALL[name].build((3, 2), 7, lifetimes)
    assert (encoder.shape, encoder.n_out, encoder.temporal) == (shape, math.prod(shape), temporal)
    code = encoder(torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), first=True)
    assert code.dtype == torch.float32
    assert code.shape == ((2, 7, encoder.n_out) if temporal else (2, encoder.n_out)) == (2, *encoder.layout)


@pytest.mark.parametrize("name", ALL)
def test_lifetime_i_of_many_is_bit_identical_to_the_single_lifetime(name: str) -> None:
    seeds, rng = [3, 4, 5], np.random.default_rng(0)
    together, alone = build(ALL[name], 3, 4, seeds), [build(ALL[name], 3, 4, seed) for seed in seeds]
    for _ in range(20):
        seen, first = torch.from_numpy(rng.normal(size=(3, 3))), torch.from_numpy(rng.random(3) < 0.3)
        codes = together(seen, first=first)
        for i, encoder in enumerate(alone):
            assert torch.equal(codes[i], encoder(seen[i], first=bool(first[i])))


@pytest.mark.parametrize("name", DRAWING)
def test_samples_depend_on_the_seed_the_lifetime_and_the_step(name: str) -> None:
    one, again, other = (build(ALL[name], 3, 50, seed) for seed in (1, 1, 2))
    seen = torch.zeros(3, dtype=torch.float64)
    for encoder in (one, again, other):
        encoder(seen)  # the first standardised observation is 0, with rate 0
    seen = torch.ones(3, dtype=torch.float64)
    code = one(seen)
    assert torch.equal(code, again(seen))
    assert not torch.equal(code, other(seen))
    assert not torch.equal(again(seen), code)


def test_encoder_has_its_own_random_stream() -> None:
    encoder = build(ALL["rate"], 3, 4, seed=7)
    encode(encoder, 1.0, 2.0, 3.0)
    expected = UniformStream(Lifetimes(7), CODE)
    expected.draw_many(4 * 6)
    assert torch.equal(encoder.stream.counter, expected.counter)
    agent = make_agent(gym.make("CartPole-v1"), "encoder=rate", "network.ticks=3", "network.hidden=[5]", seed=7)
    other = make_agent(gym.make("CartPole-v1"), "network.hidden=[5]", seed=7)
    for one in (agent, other):
        one.start(np.ones(4, np.float32))
    assert torch.equal(agent.stream.counter, other.stream.counter)  # actions are sampled as with any encoder


@pytest.mark.parametrize("name", IN_AGENTS)
def test_many_lifetimes_equal_single_lifetimes(name: str) -> None:
    """Their episodes end at different steps: each lifetime has its own encoder state and samples."""
    overrides = (*IN_AGENTS[name], "network.ticks=3", "network.hidden=[8]")
    together, records = run_many_lifetimes("CartPole-v1", 120, *overrides, seeds=[1, 2, 3], dtype=torch.float64)
    for i, seed in enumerate([1, 2, 3]):
        alone, record = run_one_lifetime("CartPole-v1", 120, *overrides, seed=seed, dtype=torch.float64)
        assert record.returns == records[i].returns
        for key, ours in together.encoder.state_dict().items():
            assert torch.equal(ours[i], alone.encoder.state_dict()[key]), key
        ours, theirs = together.policy.network.flat[i], alone.policy.network.flat
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", IN_AGENTS)
def test_encoder_without_a_kernel_selects_torch_and_gives_the_reason(name: str) -> None:
    env, overrides = gym.make("CartPole-v1"), (*IN_AGENTS[name], "network.ticks=2")
    agent = make_agent(env, *overrides, "engine=auto")
    reason = f"it has no kernel for the encoder {name.split(',')[0]}"
    assert (agent.engine, agent.engine_reason) == ("torch", reason)
    with pytest.raises(ConfigError, match=f"^engine cannot be fused: {reason}"):
        make_agent(env, *overrides, "engine=fused")


@dataclass(frozen=True)
class Wrong(EncoderSettings):
    """Settings of an encoder that returns a feature more than it declares, or nothing."""

    nothing: bool

    def build(self, shape: tuple[int, ...], ticks: int, lifetimes: Lifetimes) -> Encoder:
        return WrongEncoder(shape, lifetimes, self)


class WrongEncoder(Encoder):
    name = "wrong"

    def __init__(self, shape: tuple[int, ...], lifetimes: Lifetimes, settings: Wrong) -> None:
        super().__init__(shape, math.prod(shape), settings, lifetimes)
        self.nothing = settings.nothing

    def forward(self, observation: torch.Tensor, first: bool | torch.Tensor = False) -> Any:
        return None if self.nothing else torch.cat([observation, observation[..., :1]], -1).to(self.dtype)


@pytest.mark.parametrize("agent", ["reflect", "stream_ac", "q_lambda", "eprop", "rstdp", "reflect_classic"])
@pytest.mark.parametrize(
    ("nothing", "of_one", "of_two"), [("false", "the shape (5,)", "the shape (2, 5)"), ("true", "None", "None")]
)
def test_features_of_another_shape_than_declared_raise_an_error_at_the_first_start(
    agent: str, nothing: str, of_one: str, of_two: str
) -> None:
    encoder = f"agent.encoder={{_target_:{__name__}.Wrong,normalize:true,clip:5.0,nothing:{nothing}}}"
    one, two = (make_agent(gym.make("CartPole-v1"), f"agent={agent}", encoder, seed=seed) for seed in (0, [0, 1]))
    said = "encoder must return a torch tensor of the shape"
    with pytest.raises(ConfigError, match=re.escape(f"{said} (4,), got {of_one}")):
        one.start(np.ones(4))
    with pytest.raises(ConfigError, match=re.escape(f"{said} (2, 4), got {of_two}")):
        two.advance(np.ones(2, np.int8), np.zeros(2), np.ones((2, 4)))


def test_latency_needs_ticks() -> None:
    with pytest.raises(ConfigError, match=r"^network.ticks must be 2 or above for the encoder latency.*, got 1"):
        make_agent(gym.make("CartPole-v1"), "encoder=latency")


def test_agent_without_ticks_accepts_only_constant_features() -> None:
    env = gym.make("CartPole-v1")
    assert make_agent(env, "agent=stream_ac", "encoder=population").policy.network.in_a_row[0].n_in == 4 * 8
    for overrides in (["encoder=rate"], ["encoder=population", "encoder.spikes=true"]):
        with pytest.raises(ConfigError, match="^encoder must not be .*: this agent has no ticks"):
            make_agent(env, "agent=stream_ac", *overrides)


FIELDS = dict(fields=8, beta=1.5, spikes=False)


@pytest.mark.parametrize(
    ("settings", "values", "key"),
    [
        (Contrast, dict(normalize=1, clip=10.0, trace_decay=0.5), "normalize"),
        (Contrast, dict(normalize=True, clip=0.0, trace_decay=0.5), "clip"),
        (Contrast, dict(normalize=True, clip=10.0, trace_decay=1.0), "trace_decay"),
        (Contrast, dict(normalize=True, clip=10.0, trace_decay="slow"), "trace_decay"),
        (Contrast, dict(normalize=True, clip=10.0, trace_decay=[], memory_decay=[]), "trace_decay"),
        (Contrast, dict(normalize=True, clip=10.0, trace_decay=[0.5, 1.5]), "trace_decay"),
        (Contrast, dict(normalize=True, clip=10.0, trace_decay=0.5, memory_decay=[0.5, 1.0]), "memory_decay"),
        (Contrast, dict(normalize=True, clip=10.0, trace_decay=0.5, memory_decay="long"), "memory_decay"),
        (OnOff, dict(normalize=True, clip=-1.0), "clip"),
        (Rate, dict(normalize="yes", clip=2.0), "normalize"),
        (Latency, dict(normalize=True, clip=0), "clip"),
        (Population, dict(**SCALED, **FIELDS) | dict(fields=2), "fields"),
        (Population, dict(**SCALED, **FIELDS) | dict(beta=0.0), "beta"),
        (Population, dict(**SCALED, **FIELDS) | dict(spikes=1), "spikes"),
    ],
)
def test_invalid_settings_raise_an_error_naming_the_key(settings: type, values: dict, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{key} must be"):
        settings(**values)
