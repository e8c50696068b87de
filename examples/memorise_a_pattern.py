"""Learn a pattern: a spiking network receives the same spikes repeatedly and learns to output two curves.

It learns at every tick, forward in time, without backpropagation through time.

python examples/memorise_a_pattern.py [STEPS]
"""

import math
import sys

import torch
from torch import Tensor

import tracerl

TICKS, INPUTS = 50, 20


def outputs_of(network: tracerl.Network, spikes: Tensor) -> Tensor:
    """Return the outputs for the pattern, without learning: [ticks, 2]."""
    network.reset_state()
    return torch.stack([network(spikes_t) for spikes_t in spikes])


def drawn(curve: Tensor) -> str:
    """Draw a curve between -1 and 1 in a line of text."""
    return "".join("▁▂▃▄▅▆▇█"[min(7, max(0, int(4 * (height + 1))))] for height in curve.tolist())


def main(steps: int = 6_000) -> float:
    """Train for that many ticks; return the share of the curves' variance that is explained (at best 1)."""
    spikes = (torch.rand(TICKS, INPUTS, generator=torch.Generator().manual_seed(0)) < 0.1).float()
    time = torch.arange(TICKS) / TICKS * 2 * math.pi
    curves = torch.stack([time.sin(), (2 * time).sin()], -1)
    slow = {"network.membrane_decay": [0.0, 0.95], "network.readout_decay": [0.0, 0.9]}
    network = tracerl.make_network(INPUTS, 2, {"network.hidden": [64], **slow}, seed=0)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.003, maximize=True)
    for presentation in range(max(1, steps // TICKS)):
        if presentation % 20 == 0:
            error = (outputs_of(network, spikes) - curves).square().mean()
            print(f"heard {presentation:3} times: mean square error {error:.3f}")
        network.reset_state()
        for spikes_t, curve_t in zip(spikes, curves, strict=True):
            network.backward(curve_t - network(spikes_t))  # minus half the gradient of the square error
            optimizer.step()
    found = outputs_of(network, spikes)
    for i in range(2):
        print(f"\ncurve {i + 1}  {drawn(curves[:, i])}\ndrawn    {drawn(found[:, i])}")
    return 1 - float((found - curves).square().mean() / curves.square().mean())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
