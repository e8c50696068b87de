"""A model of traceTorch becomes the policy of an agent, which learns, and an agent's policy becomes a model.

The tests need traceTorch 0.19. The environment of the other tests has 0.3.0, the oracle of ``agent=reflect_classic``.
``.ci/run`` installs 0.19 into a folder of its own and runs this file with it, as one can by hand:

    pip install --no-deps --target FOLDER "tracetorch>=0.19"
    PYTHONPATH=FOLDER python -m pytest -n 0 tests/test_tracetorch.py
"""

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tracerl
from tests.toy_envs import Space
from tracerl.export.program import program_of

THEIRS = version("tracetorch")
if not THEIRS.startswith("0.3."):
    import tracetorch
    from tracetorch import functional, snn
needs_new = pytest.mark.skipif(THEIRS.startswith("0.3."), reason=f"needs tracetorch 0.19, here is {THEIRS}")
TORCH = {"engine": "torch"}


@pytest.fixture(scope="module")
def env() -> Any:
    return tracerl.make_env("CartPole")


def drawn(n: int, low: float, high: float) -> Tensor:
    return torch.rand(n, generator=torch.Generator().manual_seed(n)) * (high - low) + low


def neurons(kind: str = "LIB", n: int = 8, **changed: Any) -> Any:
    """Return neurons of different decays and thresholds, with spikes that are numbers of {-1, 0, 1}."""
    threshold = drawn(n, 0.4, 1.5)
    names = ("pos_threshold", "neg_threshold") if "T" in kind else ("threshold",)
    usual = {"beta": drawn(n, 0.1, 0.95), "quant_fn": functional.round_ste(), **dict.fromkeys(names, threshold)}
    if kind.startswith("S"):
        usual["alpha"] = drawn(n, 0.1, 0.8)
    return getattr(snn, kind)(n, **{**usual, **changed})


def linear(n_in: int, n_out: int, bias: bool = True) -> nn.Linear:
    made, generator = nn.Linear(n_in, n_out, bias), torch.Generator().manual_seed(n_in)
    for parameter in made.parameters():
        parameter.data.normal_(generator=generator)
    return made


def models() -> dict[str, nn.Module]:
    """Return a model of each kind that has a counterpart, with 4 inputs and 2 outputs."""

    class Own(tracetorch.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.spikes, self.nothing = linear(4, 8), neurons(), nn.Identity()
            self.top = nn.Sequential(linear(8, 2, False), snn.LI(2, beta=0.7))

        def forward(self, x: Tensor) -> Any:
            return self.top(self.nothing(self.spikes(self.first(x))))

    return {
        "no readout filter": nn.Sequential(linear(4, 8), neurons(), linear(8, 2)),
        "filtered spikes": nn.Sequential(linear(4, 8), neurons(), snn.LI(8, beta=drawn(8, 0.1, 0.9)), linear(8, 2)),
        "averaged spikes": nn.Sequential(linear(4, 8), neurons(), snn.LIEMA(8), linear(8, 2)),
        "averaged outputs": nn.Sequential(linear(4, 8), neurons(), linear(8, 2, False), snn.LIEMA(2)),
        "a model of its own": Own(),
        "two layers": nn.Sequential(linear(4, 8), neurons(), linear(8, 6), neurons(n=6), linear(6, 2)),
        "synaptic": nn.Sequential(linear(4, 8), neurons("SLIB"), linear(8, 2)),
        "both": nn.Sequential(linear(4, 8), neurons("SLIB"), linear(8, 6), neurons(n=6), linear(6, 2)),
        "ternary": nn.Sequential(linear(4, 8), neurons("LIT"), linear(8, 6), neurons("LIT", 6), linear(6, 2)),
        "recurrent without weights": nn.Sequential(linear(4, 8), neurons("RLIB"), linear(8, 2)),
        "compiled": nn.Sequential(linear(4, 8), compiled(neurons()), linear(8, 2)),
    }


def compiled(layer: Any) -> Any:
    layer.TTcompile()
    return layer


def outputs(network: Any, codes: Tensor, batched: bool) -> Tensor:
    with torch.no_grad():
        return torch.stack([network(x.unsqueeze(0))[0] if batched else network(x).clone() for x in codes])


def zero(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, tracetorch.Layer):
            module.zero_states()


@needs_new
def test_policy_equals_the_model_over_200_steps(env: Any) -> None:
    for name, model in models().items():
        codes = torch.randn(200, 4, generator=torch.Generator().manual_seed(1))
        agent: Any = tracerl.from_tracetorch(model, env, settings=TORCH)
        assert agent.encoder.normalizer is None  # observations of the env
        network, fired = agent.policy.network, torch.zeros(())
        expected, found = outputs(model, codes, True), []
        with torch.no_grad():
            for x in codes:
                found.append(network(x).clone())
                fired += network.layers[0].spikes.abs().mean() / 200
        torch.testing.assert_close(
            torch.stack(found), expected, rtol=1e-4, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )
        assert 0.05 < float(fired) < 0.95, name
        assert network.layers[0].spikes.min() >= 0 or name == "ternary"


@needs_new
@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_agent_from_a_model_learns(engine: str, env: Any) -> None:
    model = nn.Sequential(linear(4, 8), neurons("LIT"), snn.LIEMA(8, beta=0.5), linear(8, 2))
    model(torch.ones(3, 4)).sum()  # leaves a state with a graph, of another shape than that of one env
    before = [parameter.clone() for parameter in model.parameters()]
    agent: Any = tracerl.from_tracetorch(model, env, settings={"engine": engine}, seed=1)
    first = agent.policy.network.flat.clone()
    tracerl.live(agent, env, 300).finish()
    assert not torch.equal(first, agent.policy.network.flat) and torch.isfinite(agent.policy.network.flat).all()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert type(agent.policy.network.layers[0]).__name__ == "Ternary"


@needs_new
def test_example_of_the_page_works() -> None:
    text = (Path(__file__).parents[1] / "docs/coming-from.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert "steps=20_000" in example
    namespace: dict[str, Any] = {}
    exec(example.replace("steps=20_000", "steps=500"), namespace)
    assert namespace["learned"](torch.zeros(1, 4)).shape == (1, 2)


def convolution(n_in: int, n_out: int, kernel: int, **sizes: Any) -> nn.Conv2d:
    made, generator = nn.Conv2d(n_in, n_out, kernel, **sizes), torch.Generator().manual_seed(n_out)
    for parameter in made.parameters():
        parameter.data.normal_(generator=generator)
    return made


def of_images(kind: str = "LIB") -> nn.Sequential:
    """Return a model of images of 2 channels of 8 x 6 pixels, with 2 outputs."""
    first = convolution(2, 3, 3, padding=1, stride=2), neurons(kind, 3, dim=-3)
    second = convolution(3, 5, 2, bias=False), neurons(kind, 5, dim=-3)
    return nn.Sequential(*first, *second, nn.Flatten(), linear(30, 7), neurons(kind, 7), linear(7, 2))


@needs_new
@pytest.mark.parametrize("kind", ["LIB", "SLIB", "LIT"])
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("agent", ["reflect", "eprop"])
def test_policy_equals_a_model_of_images_over_200_steps(kind: str, channels_last: bool, agent: str) -> None:
    model, shape = of_images(kind), (8, 6, 2) if channels_last else (2, 8, 6)
    made: Any = tracerl.from_tracetorch(
        model, Space(shape, 2), agent, {"engine": "torch"} if agent == "reflect" else {}
    )
    part, fired = made.parts()["policy"], torch.zeros(3)
    with torch.no_grad():
        for image in torch.randn(200, 2, 8, 6, generator=torch.Generator().manual_seed(1)):
            seen = image.permute(1, 2, 0) if channels_last else image
            found = part.network(seen.flatten())[part.outputs]
            torch.testing.assert_close(found, model(image.unsqueeze(0))[0], rtol=1e-4, atol=1e-4)
            fired += torch.stack([layer.spikes.abs().mean() / 200 for layer in part.network.layers])
    back = tracerl.to_tracetorch(made)
    zero(model)
    for image in torch.randn(50, 1, 2, 8, 6, generator=torch.Generator().manual_seed(2)):
        torch.testing.assert_close(back(image), model(image), rtol=1e-4, atol=1e-4)
    assert 0.05 < float(fired.min()) and float(fired.max()) < 0.95


@needs_new
def test_convolution_without_a_counterpart_raises_an_error_naming_the_setting() -> None:
    conv = {"network": "conv", "encoder": "raw", "network.hidden": [5]}
    for settings, problem in (
        ({"network.pool": 2, "network.membrane_decay": 0}, r"network\.pool must be 1 for traceTorch's models, got 2"),
        ({"network.membrane_decay": [0.1, 0.8]}, r"network\.membrane_decay must be the same at all positions"),
        ({"network.membrane_decay": 0, "network.threshold": [0.1, 0.8]}, r"network\.threshold must be the same at all"),
    ):
        with pytest.raises(tracerl.ConfigError, match=problem):
            tracerl.to_tracetorch(tracerl.make_agent(Space((8, 6, 2), 2), settings={**conv, **settings}))
    plain = {**conv, "network.membrane_decay": [0.0, 0.0], "network.hidden": [], "network.output_scale": 1.0}
    agent: Any = tracerl.make_agent(Space((8, 6, 2), 2), settings=plain)
    model, part = tracerl.to_tracetorch(agent), agent.parts()["policy"]
    with torch.no_grad():
        for image in torch.randn(50, 2, 8, 6, generator=torch.Generator().manual_seed(2)):
            expected = part.network(image.permute(1, 2, 0).flatten())[part.outputs]
            torch.testing.assert_close(model(image.unsqueeze(0))[0], expected, rtol=1e-4, atol=1e-4)
    assert part.network.layers[0].spikes.any() and len(expected) == 2


@needs_new
def test_agent_from_a_model_of_images_learns() -> None:
    env = tracerl.make_env("MinAtarBreakout")
    channels, n_actions = env.observation_space.shape[-1], env.action_space.n
    spikes = neurons("LIT", 6, dim=-3), neurons("LIT", 16)
    layers = convolution(channels, 6, 3), spikes[0], nn.Flatten(), linear(6 * 8 * 8, 16), spikes[1]
    agent: Any = tracerl.from_tracetorch(nn.Sequential(*layers, linear(16, n_actions)), env)
    assert agent.engine == "fused"
    first = agent.policy.network.flat.clone()
    tracerl.live(agent, env, 300).finish()
    assert not torch.equal(first, agent.policy.network.flat) and torch.isfinite(agent.policy.network.flat).all()


@needs_new
@pytest.mark.parametrize(
    ("at", "layer", "problem"),
    [
        (0, lambda: convolution(4, 3, 3), r"layer 0 \(Conv2d\), which receives 4 channels, the image has 2"),
        (0, lambda: convolution(2, 3, (3, 2)), r"layer 0 \(Conv2d\), which must have one kernel size"),
        (0, lambda: convolution(2, 3, 3, dilation=2), r"layer 0 \(Conv2d\), which must have one kernel size"),
        (1, lambda: neurons(n=3), r"layer 1 \(LIB\), which has dim=-1: it must be -3, as after a Conv2d"),
        (1, lambda: nn.MaxPool2d(2), r"layer 1 \(MaxPool2d\), which tracerl cannot read: neurons are expected"),
        (4, lambda: nn.Flatten(2), r"layer 4 \(Flatten\), which does not flatten channels, height and width"),
        (6, lambda: neurons("LIT", 7), r"layers that differ in network\.neuron"),
    ],
    ids=["channels", "kernel", "dilation", "dim", "pooling", "flatten", "kinds"],
)
def test_image_layer_without_a_counterpart_raises_an_error_naming_it(at: int, layer: Any, problem: str) -> None:
    model = of_images()
    model[at] = layer()
    with pytest.raises(tracerl.ConfigError, match=problem):
        tracerl.from_tracetorch(model, Space((8, 6, 2), 2))


@needs_new
def test_eprop_and_a_new_readout(env: Any) -> None:
    model = nn.Sequential(linear(4, 8), neurons())
    for kind in ("reflect", "eprop"):
        agent: Any = tracerl.from_tracetorch(model, env, kind)
        tracerl.live(agent, env, 20).finish()
    with_readout: Any = tracerl.from_tracetorch(nn.Sequential(*model, linear(8, 2)), env, "eprop")
    assert tracerl.to_tracetorch(with_readout)(torch.zeros(1, 4)).shape == (1, 2)


@needs_new
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"network.hidden": [9, 7], "network.readout_decay": 0},
        {"network.neuron": "synaptic"},
        {"network.neuron": "ternary", "network.hidden": [9, 7]},
        {"network.membrane_decay": 0.0},
        {"dtype": "float64"},
    ],
    ids=str,
)
def test_model_equals_the_policy_over_200_steps_and_is_read_back(settings: dict[str, Any], env: Any) -> None:
    shape = {**TORCH, "network": "dense", "encoder": "raw", "network.hidden": [9], "network.output_scale": 1.0}
    agent: Any = tracerl.make_agent(env, settings={**shape, **settings}, seed=3)
    tracerl.live(agent, env, 60).finish()
    agent.reset_episode()
    agent.freeze()
    network = agent.policy.network
    model = tracerl.to_tracetorch(agent)
    codes = torch.randn(200, 4, generator=torch.Generator().manual_seed(1), dtype=network.flat.dtype)
    network.reset_state()
    expected = outputs(network, codes, False)
    torch.testing.assert_close(outputs(model, codes, True), expected, rtol=1e-4, atol=1e-4)
    assert 0.01 < float(network.layers[0].rate.abs().mean()) < 0.99
    model.zero_states()
    dtype = {"dtype": settings["dtype"]} if "dtype" in settings else {}
    again: Any = tracerl.from_tracetorch(model, env, settings={**TORCH, **dtype})
    torch.testing.assert_close(outputs(again.policy.network, codes, False), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(again.policy.network.flat, network.flat, rtol=1e-4, atol=1e-6)


@needs_new
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("reflect_classic", {}),
        ("eprop", {"network": "dense", "network.output_scale": 1.0}),
        ("q_lambda", {"engine": "torch", "network": "dense", "network.output_scale": 1.0}),
    ],
)
def test_models_of_other_agents_equal_their_programs(kind: str, settings: dict[str, Any], env: Any) -> None:
    agent: Any = tracerl.make_agent(env, kind, {"encoder": "raw", **settings}, seed=1)
    tracerl.live(agent, env, 60).finish()
    model, program = tracerl.to_tracetorch(agent), program_of(agent)
    program.encoder = Unencoded(program.encoder)  # the model receives encoded observations
    state = torch.zeros(program.n_state)
    with torch.no_grad():
        for x in torch.randn(200, 4, generator=torch.Generator().manual_seed(1)):
            _, expected, state = program(x, state)
            torch.testing.assert_close(model(x.unsqueeze(0))[0], expected, rtol=1e-4, atol=1e-5)
    assert expected.abs().max() > 0.01


class Unencoded(nn.Module):
    """In place of an encoder: observations that are encoded already."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.dtype, self.sizes = encoder.dtype, encoder.sizes

    def forward(self, observation: Tensor, parts: dict[str, Tensor]) -> Tensor:
        return observation


@needs_new
def test_folded_normaliser_takes_raw_observations(env: Any) -> None:
    shape = {**TORCH, "network": "dense", "encoder": "raw", "network.hidden": [9], "network.output_scale": 1.0}
    agent: Any = tracerl.make_agent(env, settings=shape, seed=3)
    tracerl.live(agent, env, 60).finish()
    model, folded = tracerl.to_tracetorch(agent), tracerl.to_tracetorch(agent, fold_normalizer=True)
    moments = agent.encoder.normalizer.moments
    seen = torch.randn(50, 4, generator=torch.Generator().manual_seed(2)) * 0.1
    standardised = ((seen.double() - moments.mean) / moments.deviation()).float()
    torch.testing.assert_close(outputs(folded, seen, True), outputs(model, standardised, True), rtol=1e-3, atol=1e-3)


@needs_new
@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"network": "alif"}, r"network\.neuron must be lif, synaptic or ternary .*, got alif"),
        ({"network": "dense", "network.neuron": "graded"}, r"network\.neuron must be .*, got graded"),
        ({"network": "dense", "network.reset": "hard"}, r"network\.reset must be soft .*, got hard"),
        ({"network": "normalized"}, r"network\.layer_norm must be false .*, got true"),
        ({"network": "dense", "network.recurrent": True}, r"network\.recurrent must be false .*, got true"),
        ({"network": "dense", "network.ticks": 2}, r"network\.ticks must be 1 .*, got 2"),
        ({"network": "graph"}, "network must be of layers in a row"),
    ],
    ids=str,
)
def test_network_without_a_counterpart_raises_an_error_naming_the_setting(
    settings: dict[str, Any], problem: str, env: Any
) -> None:
    with pytest.raises(tracerl.ConfigError, match=problem):
        tracerl.to_tracetorch(tracerl.make_agent(env, settings=settings))


class Other(nn.Sequential):
    """Calls more than its layers."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(super().forward(x))


def wrong() -> list[tuple[Any, str]]:
    first, top = linear(4, 8), linear(8, 2)

    def around(*middle: Any) -> nn.Sequential:
        return nn.Sequential(first, *middle, top)

    return [
        (
            around(snn.LIB(8)),
            r"layer 1 \(LIB\), which has spikes that are not 0 .* quant_fn=tracetorch.functional.round",
        ),
        (
            around(neurons(quant_fn=functional.stochastic_round_ste())),
            r"layer 1 \(LIB\), which has spikes that are not",
        ),
        (around(snn.DLIB(8)), r"layer 1 \(DLIB\), which tracerl cannot read"),
        (around(snn.SLIT(8)), r"layer 1 \(SLIT\), which tracerl cannot read"),
        (around(snn.LITS(8)), r"layer 1 \(LITS\), which tracerl cannot read"),
        (around(neurons(bias=0.3)), r"layer 1 \(LIB\), which has a bias"),
        (around(neurons("LIT", neg_threshold=0.3)), r"layer 1 \(LIT\), which has pos_threshold and neg_threshold"),
        (around(neurons("RLIB", rec_weight=0.3)), r"layer 1 \(RLIB\), which averages its own spikes by gamma"),
        (around(neurons(dim=0)), r"layer 1 \(LIB\), which has dim=0: it must be -1"),
        (of_images(), "channels needs observations of two to four dimensions"),
        (around(nn.ReLU()), r"layer 1 \(ReLU\), which tracerl cannot read"),
        (nn.Sequential(first, neurons(), top, snn.LI(2)), r"layer 3 \(LI\), which averages the bias of 2 too"),
        (
            nn.Sequential(first, neurons(), linear(8, 2, False), snn.LI(2, beta=torch.tensor([0.3, 0.5]))),
            r"layer 3 \(LI\), which has decays beta that differ",
        ),
        (nn.Sequential(first, neurons(), top, linear(2, 2)), r"layer 3 \(Linear\), which tracerl cannot"),
        (nn.Sequential(first, neurons(), snn.LI(8)), "model must hold .* it ends before a Linear"),
        (nn.Sequential(first, neurons(), linear(8, 6), neurons("LIT", 6), linear(6, 2)), "differ in network.neuron"),
        (linear(4, 2), "there are no spiking neurons in it"),
        (Other(first, neurons(), top), "model must call its layers in the order in which it has them"),
        (nn.Sequential(linear(5, 8), neurons(), top), "env must make 5 numbers for the traceTorch model"),
        (nn.Sequential(first, neurons(), linear(8, 3)), "env must have actions for the traceTorch model's 3 outputs"),
        (7, r"model must be a torch.nn.Module of traceTorch's layers, got int"),
    ]


@needs_new
def test_model_without_a_counterpart_raises_an_error_naming_the_layer(env: Any) -> None:
    for model, problem in wrong():
        with pytest.raises(tracerl.ConfigError, match=problem):
            tracerl.from_tracetorch(model, env)


@needs_new
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            {"settings": {"network.hidden": [9]}},
            r"network\.hidden must be \[8\], as in the traceTorch model, got \[9\]",
        ),
        ({"settings": {"dtype": "int8"}}, "dtype must be one of float32, float64"),
        ({"agent": "stream_ac"}, "agent must be one of reflect, eprop"),
    ],
)
def test_unsuitable_settings_raise_an_error(options: Any, problem: str, env: Any) -> None:
    with pytest.raises(tracerl.ConfigError, match=problem):
        tracerl.from_tracetorch(nn.Sequential(linear(4, 8), neurons(), linear(8, 2)), env, **options)


@pytest.mark.skipif(not THEIRS.startswith("0.3."), reason=f"needs tracetorch 0.3.0, here is {THEIRS}")
def test_older_version_raises_an_error_with_the_command(env: Any) -> None:
    problem = r'tracetorch must be of version 0.19 or later, got 0.3.0: pip install "tracerl\[tracetorch\]"'
    with pytest.raises(tracerl.ConfigError, match=problem):
        tracerl.from_tracetorch(nn.Sequential(nn.Linear(4, 8)), env)
    with pytest.raises(tracerl.ConfigError, match=problem):
        tracerl.to_tracetorch(tracerl.make_agent(env, settings={"network": "dense"}))
