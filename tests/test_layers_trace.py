"""traceTorch's layers: forward and backward against traceTorch 0.3.0, by hand, and the effect of each switch."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from tracetorch import snn

from tracerl.nn.flat_parameters import FlatModule
from tracerl.nn.layers import LIF, DenseSynapses, LayerSettings, TraceLIF, TraceLIS
from tracerl.nn.layers.trace_lif import rate_window
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks.tracetorch import TraceDense, TraceNetwork

FAITHFUL = {"exact_trace_decay": False, "zero_rate_at_rest": False, "log_prob_signal": False}
LEARNED = {f"learn_{name}": True for name in ("weight", "membrane_decay", "threshold", "input_trace_decay")}
SETTINGS = {"membrane_decay": 0.9, "threshold": 1.0, "input_trace_decay": 0.9, **LEARNED, **FAITHFUL}
THEIR_NAMES = {
    "membrane_decay.raw": "mem_decay",
    "threshold.raw": "threshold",
    "input_trace_decay.raw": "in_trace_decay",
}


class Flat(FlatModule):
    """A network with a buffer for its gradients."""

    def __init__(self, network: TraceNetwork, lifetimes: Lifetimes) -> None:
        super().__init__()
        self.network = network
        self.flatten(lifetimes.shape)


def network_of(*sizes: int, lifetimes: Lifetimes, **changes: object) -> Flat:
    settings = TraceDense(hidden=list(sizes[1:-1]), **(SETTINGS | changes))
    return Flat(settings.build(sizes[0], sizes[-1], lifetimes), lifetimes)


def parameters_by_their_name(layer: TraceLIF | TraceLIS) -> dict[str, Tensor]:
    return {THEIR_NAMES.get(name, name): parameter for name, parameter in layer.named_parameters()}


def copy_of(network: TraceNetwork) -> snn.Sequential:
    """Return TraceTorch's network with the same weights."""
    theirs = snn.Sequential(
        *(snn.LIF(layer.n_in, layer.n_out) for layer in network.layers),
        snn.LIS(network.readout.n_in, network.readout.n_out),
    )
    for mine, its in zip([*network.layers, network.readout], theirs.layers, strict=True):
        for name, parameter in parameters_by_their_name(mine).items():
            # The initial values are traceTorch's, except for the random weights.
            assert name == "weight" or torch.allclose(getattr(its, name), parameter, rtol=0, atol=1e-6), name
            getattr(its, name).data.copy_(parameter)
    return theirs


def scatter(network: Flat) -> None:
    """Set every parameter to a different value."""
    network.flat.add_(0.3 * torch.randn(network.flat.shape, generator=torch.Generator().manual_seed(7)))


def test_500_steps_forward_and_backward_equal_tracetorch() -> None:
    """Every output, every parameter's gradient and the signal below, to 1e-5 in float32."""
    flat = network_of(5, 8, 7, 3, lifetimes=Lifetimes(0))
    network, theirs = flat.network, copy_of(flat.network)
    scatter(flat)
    for mine, its in zip([*network.layers, network.readout], theirs.layers, strict=True):
        for name, parameter in parameters_by_their_name(mine).items():
            getattr(its, name).data.copy_(parameter)
    generator, spikes = torch.Generator().manual_seed(1), 0.0
    for step in range(500):
        x = (torch.rand(5, generator=generator) < 0.4).float() if step % 2 else torch.randn(5, generator=generator)
        torch.testing.assert_close(network(x), theirs(x), rtol=1e-5, atol=1e-5)
        spikes += float(network.layers[-1].spikes.mean())
        signal = torch.randn(3, generator=generator)
        theirs.clear_grad()
        below, expected = network.backward(signal), signal
        for its in reversed(theirs.layers):
            expected = its.backward(expected)
        torch.testing.assert_close(below, expected, rtol=1e-5, atol=1e-5)
        for mine, its in zip([*network.layers, network.readout], theirs.layers, strict=True):
            for name, parameter in parameters_by_their_name(mine).items():
                torch.testing.assert_close(parameter.grad, getattr(its, name).grad, rtol=1e-5, atol=1e-5)
    assert 50 < spikes < 450  # the layers were neither silent nor saturated


def test_initial_values_equal_tracetorch() -> None:
    copy_of(network_of(5, 8, 3, lifetimes=Lifetimes(0)).network)
    layer = TraceLIF(400, 300, Lifetimes(0), threshold=2.0)
    assert float(layer.weight.mean()) == pytest.approx(2 / 400, abs=1e-3)
    assert float(layer.weight.std()) == pytest.approx(2 / 20, rel=0.02)
    assert float(TraceLIS(400, 300, Lifetimes(0)).weight.std()) == pytest.approx(1 / 20, rel=0.02)


def test_one_step_by_hand() -> None:
    """Two inputs, one neuron, m = .5, theta = 1, a = .5 (exact): 1.5 reaches the threshold, .5 remains."""
    lifetimes = Lifetimes(0, torch.float64)
    flat = network_of(2, 1, 2, lifetimes=lifetimes, membrane_decay=0.5, input_trace_decay=0.5, exact_trace_decay=True)
    layer = flat.network.layers[0]
    layer.weight.copy_(torch.tensor([[1.0, 0.5]]))
    assert layer(torch.tensor([1.0, 1.0], dtype=torch.float64)).tolist() == [1.0]
    torch.testing.assert_close(layer.membrane, torch.tensor([0.5], dtype=torch.float64))
    # xbar = .5 (1, 1), I = .75, E = .75 * .75 - 1 * .5 = .0625, f = sigmoid(.3125) = .5774955, 5 f (1-f) = 1.2199724
    below = layer.backward(torch.tensor([2.0], dtype=torch.float64))
    by_current = 2 * 1.2199724 * 0.75
    torch.testing.assert_close(below, by_current * torch.tensor([1.0, 0.5], dtype=torch.float64), rtol=1e-6, atol=0)
    torch.testing.assert_close(layer.weight.grad, torch.full_like(layer.weight, by_current / 2), rtol=1e-6, atol=0)
    # d/dm = 2 * 1.2199724 (theta - I/2), d/dtheta = -2 * 1.2199724 (1-m); raw: times m (1-m), 1 - exp(-theta)
    assert layer.membrane_decay.raw.grad.item() == pytest.approx(2 * 1.2199724 * 0.625 * 0.25, rel=1e-6)
    assert layer.threshold.raw.grad.item() == pytest.approx(-2 * 1.2199724 * 0.5 * (1 - math.exp(-1)), rel=1e-6)
    # d/da = -below * s, s = (1, 1); raw: times a (1-a)
    torch.testing.assert_close(layer.input_trace_decay.raw.grad, -below * 0.25)


@pytest.mark.parametrize("zero_at_rest", [False, True])
def test_rate_window_has_its_own_derivatives(zero_at_rest: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.rand(6, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(3)]
    window = rate_window(*inputs, zero_at_rest)
    expected = torch.autograd.grad(window.rate.sum(), inputs)
    torch.testing.assert_close(window[1:], expected)


def test_signal_is_by_probabilities_or_by_log_probabilities() -> None:
    lifetimes = Lifetimes(0, torch.float64)
    signal = torch.tensor([0.3, -1.0, 0.2], dtype=torch.float64)
    for logarithmic in (False, True):
        flat = network_of(4, 3, lifetimes=lifetimes, log_prob_signal=logarithmic)
        readout = flat.network.readout
        flat.network(torch.rand(4, dtype=torch.float64, generator=torch.Generator().manual_seed(2)))
        flat.network.backward(signal)
        weight = readout.weight.detach().clone().requires_grad_()
        average = readout.input_trace * (1 - readout.input_trace_decay.value)
        level = (weight @ average) / (1 - readout.membrane_decay.value + 1e-6)
        p = torch.softmax(level, -1)
        (expected,) = torch.autograd.grad(((p.log() if logarithmic else p) * signal).sum(), weight)
        torch.testing.assert_close(readout.weight.grad, expected)


# The known defects, each with its switch off and on.


def test_input_trace_decay_of_0_9_is_0_711_unless_exact() -> None:
    for exact, value in ((False, 0.7109495), (True, 0.9)):
        layer = TraceLIF(2, 1, Lifetimes(0), input_trace_decay=0.9, exact_trace_decay=exact)
        layer(torch.ones(2))
        layer(torch.zeros(2))
        torch.testing.assert_close(layer.input_trace, torch.full((2,), value))


def test_neuron_at_rest_has_rate_0_378_unless_zero_at_rest() -> None:
    nothing, decay, threshold = torch.zeros(1), torch.tensor([0.9]), torch.ones(1)
    as_it_is, mended = (rate_window(nothing, decay, threshold, zero) for zero in (False, True))
    assert as_it_is.rate.item() == pytest.approx(0.3775407)
    assert as_it_is.by_threshold.item() == pytest.approx(-5 * 0.3775407 * 0.6224593 * 0.1, rel=1e-5)
    assert mended.rate.item() == mended.by_threshold.item() == mended.by_decay.item() == 0
    assert rate_window(torch.full((1,), 9.0), decay, threshold, True).rate.item() == pytest.approx(1.0)


def test_unlikely_outputs_learn_only_with_a_signal_by_log_probabilities() -> None:
    gradients = []
    for logarithmic in (False, True):
        flat = network_of(1, 2, lifetimes=Lifetimes(0), log_prob_signal=logarithmic)
        flat.network.readout.weight.copy_(torch.tensor([[4.0], [0.0]]))
        flat.network(torch.ones(1))
        flat.network.backward(torch.tensor([0.0, -1.0]))  # the second output, of probability 1e-5, shall be likelier
        gradients.append(float(flat.network.readout.weight.grad.abs().max()))
    assert gradients[0] < 1e-3 * gradients[1]


@pytest.mark.parametrize("frozen", [*itertools.combinations(LEARNED, 1), tuple(LEARNED)[1:]])
def test_frozen_parameters_are_constant_and_the_rest_learns_equally(frozen: tuple[str, ...]) -> None:
    """TraceTorch fails if a decay does not require a gradient."""
    lifetimes = Lifetimes(0)
    free, held = (
        network_of(4, 6, 3, lifetimes=lifetimes),
        network_of(4, 6, 3, lifetimes=Lifetimes(0), **dict.fromkeys(frozen, False)),
    )
    for _ in range(5):
        x = torch.rand(4, generator=torch.Generator().manual_seed(3))
        torch.testing.assert_close(free.network(x), held.network(x))
    for flat in (free, held):
        flat.network.backward(torch.tensor([1.0, -0.5, 0.2]))
    gradients = {name: parameter.grad for name, parameter in free.named_parameters()}
    left = dict(held.named_parameters())
    assert len(left) == len(gradients) - sum(1 if name == "learn_threshold" else 2 for name in frozen)
    for name, parameter in left.items():
        torch.testing.assert_close(parameter.grad, gradients[name])


def test_one_of_many_lifetimes_equals_the_single_lifetime() -> None:
    many = network_of(4, 6, 3, lifetimes=Lifetimes([3, 4, 5], torch.float64))
    alone = network_of(4, 6, 3, lifetimes=Lifetimes(4, torch.float64))
    assert torch.equal(many.flat[1], alone.flat)
    generator = torch.Generator().manual_seed(0)
    for step in range(50):
        x = torch.randn(3, 4, generator=generator, dtype=torch.float64)
        torch.testing.assert_close(many.network(x)[1], alone.network(x[1]))
        signal = torch.randn(3, 3, generator=generator, dtype=torch.float64)
        torch.testing.assert_close(many.network.backward(signal)[1], alone.network.backward(signal[1]))
        torch.testing.assert_close(many.score[1], alone.score)
        if step == 20:
            many.network.reset_state(torch.tensor([False, True, False]))
            alone.network.reset_state()
    assert many.network.layers[0].input_trace.abs().min() > 0


def test_lif_and_trace_lif_layers_spike_equally() -> None:
    """The current of ``LIF`` is normalised by 1-m, that of ``TraceLIF`` is not; the membrane is the same after that."""
    lifetimes = Lifetimes(0, torch.float64)
    synapses = DenseSynapses(4, 6, lifetimes, bias_scale=0.0)
    mine = LIF(synapses, lifetimes, LayerSettings((0.8, 0.8), (0.5, 0.5)))
    trace = TraceLIF(4, 6, lifetimes, membrane_decay=0.8, threshold=0.5)
    trace.weight.copy_(0.2 * synapses.weight)
    generator, spikes = torch.Generator().manual_seed(0), 0.0
    for _ in range(100):
        x = 3 * torch.randn(4, generator=generator, dtype=torch.float64)
        assert torch.equal(mine(x), trace(x))
        spikes += float(trace.spikes.mean())
    assert 5 < spikes < 95
