"""Groups of neurons that inhibit each other."""

import torch

from tracerl.nn.layers.competing import CompetingLIF
from tracerl.nn.lifetimes import Lifetimes


def test_two_ticks_by_hand() -> None:
    """Half of group 0 spikes (u = 2, v = 1); a tick later group 1 has lost 4 * .5 of current: u = -1."""
    layer = CompetingLIF(2, 2, Lifetimes(0, torch.float64), membrane_decay=0.5, threshold=1.0, inhibition=4.0)
    current = torch.tensor([4.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    assert layer(current).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert layer.membrane.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert layer(0 * current).tolist() == [0.0, 0.0, 0.0, 0.0]
    assert layer.membrane.tolist() == [0.5, 0.0, -1.0, -1.0]


def test_neurons_of_a_group_are_adjacent() -> None:
    layer = CompetingLIF(3, 2, Lifetimes([0, 1]), membrane_decay=0.5, threshold=1.0, inhibition=1.0)
    neurons = torch.arange(12.0).reshape(2, 6)
    assert layer.per_group(neurons).tolist() == [[0.5, 2.5, 4.5], [6.5, 8.5, 10.5]]
    assert layer.spread(layer.per_group(neurons))[0].tolist() == [0.5, 0.5, 2.5, 2.5, 4.5, 4.5]


def test_reset_of_one_lifetime_clears_its_state_and_keeps_its_rate() -> None:
    layer = CompetingLIF(2, 1, Lifetimes([0, 1]), membrane_decay=0.5, threshold=1.0, inhibition=0.0)
    layer(torch.full((2, 2), 5.0))
    layer.reset_state(torch.tensor([True, False]))
    assert layer.membrane[0].abs().max() == 0 == layer.spikes[0].max()
    assert layer.membrane[1].min() > 0 and layer.spikes[1].min() == 1 and layer.rate.min() > 0
