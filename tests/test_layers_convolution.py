"""Convolutional synapses and pooling: against torch, by hand, and their state."""

from typing import Any

import pytest
import torch

from tests.oracles import currents, pooled
from tracerl.nn.layers import LIF, ConvolutionalSynapses, LayerSettings, Pooling
from tracerl.nn.lifetimes import Lifetimes

SEEDS: list[Any] = [(0, torch.float64), (3, torch.float32), ([0, 1], torch.float64)]


@pytest.mark.parametrize(
    "geometry",
    [dict(), dict(stride=2, padding=1), dict(channels_last=True), dict(channels_last=True, codes=2)],
    ids=str,
)
@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_synapses_convolve_and_compute_vjp_and_jvp(seeds: Any, geometry: dict[str, Any]) -> None:
    """Currents are conv2d's, ``jvp`` is linear in the input as they are, and ``vjp`` is its transpose."""
    lifetimes = Lifetimes(*seeds)
    synapses = ConvolutionalSynapses((2, 5, 6), 3, 3, lifetimes, **geometry)
    x, y = lifetimes.normal(1.0, synapses.n_in), lifetimes.normal(1.0, synapses.n_out)
    found = synapses.forward(x)
    assert found.shape == (*lifetimes.shape, synapses.n_out) and found.dtype == lifetimes.dtype
    for i in [(0,), (1,)] if lifetimes.shape else [()]:
        torch.testing.assert_close(found[i], currents(synapses.weight[i], synapses.bias[i], x[i], synapses))
    pushed, pulled = synapses.jvp(x.unsqueeze(-2)).squeeze(-2), synapses.vjp(y.unsqueeze(-2)).squeeze(-2)
    torch.testing.assert_close(pushed, found - synapses.forward(torch.zeros_like(x)))
    torch.testing.assert_close((pushed * y).sum(-1), (pulled * x).sum(-1))
    assert synapses.drive().shape == (*lifetimes.shape, synapses.rows, synapses.n_out)


def test_convolution_by_hand() -> None:
    """Weights 1, 10, 100, 1000 over the image 1 2 3 / 4 5 6, bias .5; a score of 1 at the first position only."""
    lifetimes = Lifetimes(0, torch.float64)
    synapses = ConvolutionalSynapses((1, 2, 3), 1, 2, lifetimes)
    synapses.affine.copy_(torch.tensor([[1.0], [10.0], [100.0], [1000.0], [0.5]]))
    x = torch.arange(1.0, 7.0, dtype=torch.float64)
    assert synapses.out_shape == (1, 1, 2)
    assert synapses.forward(x).tolist() == [5421.5, 6532.5]
    assert synapses.drive().tolist() == [[1.0, 2.0], [2.0, 3.0], [4.0, 5.0], [5.0, 6.0], [1.0, 1.0]]
    synapses.affine.grad = torch.zeros_like(synapses.affine)
    synapses.write_score(synapses.drive() * torch.tensor([1.0, 0.5]))
    assert synapses.affine.grad.squeeze(-1).tolist() == [2.0, 3.5, 6.5, 8.0, 1.5]
    pulled = synapses.vjp(torch.tensor([[1.0, 2.0]], dtype=torch.float64))
    assert pulled.tolist() == [[1.0, 12.0, 20.0, 100.0, 1200.0, 2000.0]]


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
@pytest.mark.parametrize("kind", ["average", "max"])
def test_pooling_equals_torch_in_value_vjp_and_jvp(seeds: Any, kind: Any) -> None:
    lifetimes = Lifetimes(*seeds)
    pooling = Pooling((2, 5, 6), 2, kind, lifetimes)
    assert pooling.out_shape == (2, 2, 3)
    spikes, y = (lifetimes.uniform(0, 1, pooling.n_in) > 0.6).to(lifetimes.dtype), lifetimes.normal(1.0, pooling.n_out)
    found = pooling(spikes).reshape(-1, pooling.n_out)
    pulled = pooling.vjp(y.unsqueeze(-2)).reshape(-1, pooling.n_in)
    for i, lifetime in enumerate(spikes.reshape(-1, pooling.n_in)):
        one = lifetime.clone().requires_grad_()
        expected = pooled(one, pooling)
        torch.testing.assert_close(found[i], expected.detach())
        (gradient,) = torch.autograd.grad(y.reshape(-1, pooling.n_out)[i] @ expected, one)
        torch.testing.assert_close(pulled[i], gradient)
    x = lifetimes.normal(1.0, pooling.n_in)
    pushed = pooling.jvp(x.unsqueeze(-2)).squeeze(-2)
    pulled = pooling.vjp(y.unsqueeze(-2)).squeeze(-2)
    torch.testing.assert_close((pushed * y).sum(-1), (pulled * x).sum(-1))


def test_max_pooling_of_spikes_is_any_spike_with_the_gradient_of_the_first() -> None:
    pooling = Pooling((1, 2, 4), 2, "max", Lifetimes(0))
    spikes = torch.tensor([0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0])  # rows 0100 and 1100
    assert pooling(spikes).tolist() == [1.0, 0.0]
    assert pooling.vjp(torch.tensor([[2.0, 3.0]])).tolist() == [[0.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0]]


def test_initial_weights_have_their_scales() -> None:
    synapses = ConvolutionalSynapses((8, 6, 6), 200, 5, Lifetimes(0), weight_scale=0.5, sparsity=0.25)
    assert ((synapses.weight == 0).sum(-1) == 50).all()
    assert synapses.weight[synapses.weight != 0].std().item() == pytest.approx(0.5 / 200**0.5, rel=0.02)
    assert synapses.bias.abs().max().item() == pytest.approx(1.0, rel=0.02)


def test_presynaptic_credit_has_one_trace_of_the_documented_size() -> None:
    layer = LIF(ConvolutionalSynapses((4, 10, 10), 16, 3, Lifetimes(0)), Lifetimes(0), LayerSettings())
    layer.track(Lifetimes(0))
    assert layer.sensitivity is not None and layer.sensitivity.numel() == 37_888
    assert layer.synapses.affine.numel() == 592
