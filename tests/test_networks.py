"""A network's buffer, its views, its state."""

import copy
from typing import Any

import pytest
import torch

from tests.oracles import SETTINGS
from tests.test_gradients import build, stream
from tracerl.config.checks import ConfigError
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks import Dense, Network


def network_of(n_in: int, hidden: list[int], n_out: int, **changes: Any) -> Network:
    return build(0, n_in, n_out, hidden=hidden, **changes)


def assert_views(network: Network) -> None:
    network.flat.fill_(0.25)
    network.score.fill_(0.5)
    for parameter in network.parameters():
        assert (parameter == 0.25).all()
        assert parameter.grad is not None and (parameter.grad == 0.5).all()


def test_parameters_are_views_of_one_buffer() -> None:
    network = network_of(3, [5, 4], 2, learn_membrane_decay=True, learn_threshold=True, learn_readout_decay=True)
    assert network.flat.shape == (5 * 4 + 5 + 1 + 4 * 6 + 4 + 1 + 2 * 5 + 4,)
    assert_views(network)


def test_moved_and_copied_networks_keep_the_views() -> None:
    network = network_of(3, [5], 2)
    weight = network.layers[0].synapses.weight.clone()
    clone = copy.deepcopy(network)
    network.to(torch.float32)
    assert network.flat.dtype == torch.float32
    torch.testing.assert_close(network.layers[0].synapses.weight, weight.float())
    for moved in (network, clone):
        assert_views(moved)
    assert clone.layers[0] is clone.hidden[0]
    assert clone.layers[0].synapses.weight.data_ptr() != network.layers[0].synapses.weight.data_ptr()


def test_restored_network_continues_bit_identically() -> None:
    network, inputs = network_of(4, [5, 4], 2), stream(0, 40)
    for x in inputs[:20]:
        network(x)
    saved = copy.deepcopy(network.state_dict())
    other = build(7, hidden=[5, 4])
    other.load_state_dict(saved)
    for x in inputs[20:]:
        assert torch.equal(network(x), other(x))
    for one in (network, other):
        one.backward(torch.ones(2, dtype=torch.float64))
    assert torch.equal(network.score, other.score)


def test_reset_clears_states_and_traces_and_nothing_else() -> None:
    network = network_of(4, [5, 4], 2, learn_readout_decay=True, learn_threshold=True)
    fresh = {name: value.clone() for name, value in network.state_dict().items()}
    for x in stream(0, 30):
        network(x)
    network.reset_state()
    changed = {name for name, value in network.state_dict().items() if not torch.allclose(value, fresh[name])}
    assert changed <= {"hidden.0.rate", "hidden.1.rate", "hidden.0.synapses.inputs", "hidden.1.synapses.inputs"}


def test_reset_with_a_mask_does_not_change_other_lifetimes() -> None:
    network = Dense(**{**SETTINGS, "hidden": [6, 5]}).build((4,), 2, Lifetimes([0, 1], torch.float64))
    for x in stream(0, 30):
        network(x.expand(2, 4))
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    network.reset_state(torch.tensor([True, False]))
    for name, value in network.state_dict().items():
        assert torch.equal(value[1], kept[name][1]), name
    assert network.layers[0].membrane[0].abs().max() == 0
    assert network.layers[1].membrane[1].abs().max() > 0


def test_initial_weights_have_their_scales() -> None:
    network = Dense(**{**SETTINGS, "hidden": [400], "membrane_decay": [0.0, 0.9], "output_scale": 0.0}).build(
        (100,), 2, Lifetimes(0)
    )
    layer = network.layers[0]
    assert layer.synapses.weight.std().item() == pytest.approx(0.07, rel=0.02)
    assert layer.synapses.bias.abs().max().item() == pytest.approx(1.0, rel=0.02)
    assert 0.0 <= layer.membrane_decay.value.min() and layer.membrane_decay.value.max() <= 0.9
    assert network.readout.weight.abs().max() == 0


def test_learned_decays_and_thresholds_keep_their_value_and_their_range() -> None:
    frozen = Dense(**{**SETTINGS, "hidden": [6, 5]}).build((4,), 2, Lifetimes(0, torch.float64))
    flags = dict(learn_membrane_decay=True, learn_threshold=True, learn_readout_decay=True)
    learned = Dense(**{**SETTINGS, "hidden": [6, 5], **flags}).build((4,), 2, Lifetimes(0, torch.float64))
    for x in stream(0, 20):
        torch.testing.assert_close(frozen(x), learned(x))
    learned.flat.add_(100.0)
    learned(stream(0, 1)[0])
    learned.flat.sub_(200.0)
    learned(stream(0, 1)[0])
    assert (learned.layers[0].membrane_decay.value >= 0).all()
    assert (learned.layers[0].threshold.value >= 0).all()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden", 64),
        ("hidden", []),
        ("hidden", [0]),
        ("hidden", ["a"]),
        ("membrane_decay", 1.0),
        ("membrane_decay", [0.9, 0.1]),
        ("membrane_decay", [0.1, 0.2, 0.3]),
        ("threshold", 0.0),
        ("threshold", float("nan")),
        ("readout_decay", "fast"),
        ("reset", "none"),
        ("detach_reset", 1),
        ("surrogate", "relu"),
        ("slope", 0),
        ("weight_scale", -1.0),
        ("output_scale", float("inf")),
        ("ticks", 0),
        ("ticks", 1.5),
        ("learn_threshold", "yes"),
    ],
)
def test_invalid_settings_raise_an_error_naming_the_key(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^{key} must be"):
        Dense(**{**SETTINGS, key: value})


def test_features_with_a_row_per_tick_equal_steps_of_one_tick() -> None:
    """Outputs, states and gradients, for one lifetime and many; constant features are one row for every tick."""
    for seeds in (0, [0, 1]):
        settings = {**SETTINGS, "hidden": [6, 5]}
        single, several = (
            Dense(**settings | {"ticks": ticks}).build((4,), 2, Lifetimes(seeds, torch.float64)) for ticks in (1, 3)
        )
        lead = single.flat.shape[:-1]
        codes = torch.randn(5, *lead, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        codes[-1] = codes[-1, ..., :1, :]
        for i, code in enumerate(codes):
            for tick in range(3):
                expected = single(code[..., tick, :])
            found = several(code[..., 0, :] if i == 4 else code)
            assert torch.equal(found, expected)
        signal = torch.ones(*lead, 2, dtype=torch.float64)
        for network in (single, several):
            network.backward(signal)
        assert torch.equal(single.score, several.score)
