"""Measure the error of each credit in a hidden layer's gradient: cosine to backpropagation through time, in float64.

python scripts/measure_credit.py            # from the root of the repository; prints the tables of docs/credit.md
python scripts/measure_credit.py --write docs/credit.md

A network of random weights receives 200 steps of Gaussian noise, a convolutional one images of it; the gradient of a
fixed mix of its outputs at the last step by a layer's weights and biases is compared with autograd's. Credit `exact`
is exact (cosine 1) everywhere.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from doc_tables import write_table

from tests.oracles import SETTINGS, bptt, scores_of, spiking  # the oracle is one of the tests
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks import Convolutional, Dense, Network

STEPS = 200  # that a network receives
BASE = {**SETTINGS, "membrane_decay": 0.5, "readout_decay": 0.5}
DRAWN: dict[str, Any] = dict(membrane_decay=[0.0, 0.9], readout_decay=[0.0, 0.7])
ADAPTIVE = {**DRAWN, "neuron": "alif", "adaptation": 0.1, "adaptation_decay": [0.9, 0.99]}
CASES: dict[str, dict[str, Any]] = {
    "m = .5, k = 0": dict(readout_decay=0.0),
    "m = .5, k = .5": {},
    "m = .9, k = .5": dict(membrane_decay=0.9),
    "drawn per neuron (the default)": DRAWN,
    "drawn, triangle": {**DRAWN, "surrogate": "triangle"},
    "drawn, hard reset": {**DRAWN, "reset": "hard"},
    "the same, spike kept in it": {**DRAWN, "reset": "hard", "detach_reset": False},
    "drawn, recurrent": {**DRAWN, "recurrent": True},
    "drawn, currents normalised": {**DRAWN, "layer_norm": True},
    "drawn, neuron=alif": ADAPTIVE,
    "drawn, neuron=alif, recurrent": {**ADAPTIVE, "recurrent": True},
    "drawn, neuron=synaptic": {**DRAWN, "neuron": "synaptic", "synapse_decay": [0.0, 0.5]},
}
IMAGE = dict(channels=[8], kernel=3, stride=1, padding=0, pool=1, pool_kind="average", channels_last=True, hidden=[])
CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "alone": {},
    "average pooling": dict(pool=2),
    "max pooling": dict(pool=2, pool_kind="max"),
    "a dense layer of 32 on top": dict(hidden=[32]),
    "pooling and a dense layer": dict(pool=2, hidden=[32]),
    "another convolution on top": dict(channels=[8, 8]),
    "layer_norm": dict(layer_norm=True),
    "credit presynaptic": dict(credit="presynaptic"),
    "credit mixed, a dense layer of 32 on top": dict(credit="mixed", hidden=[32]),
}
STACKS = {"1 hidden": (1, 0), "2: upper": (2, 1), "2: lower": (2, 0), "3: lowest": (3, 0)}  # depth, layer


def dense(depth: int, width: int, seed: int, changes: dict[str, Any]) -> list[float]:
    """Cosines of the layers of a dense network."""
    network = Dense(**{**BASE, **changes, "hidden": [width] * depth}).build((4,), 2, Lifetimes(seed, torch.float64))
    return cosines(network, seed)


def convolutional(seed: int, changes: dict[str, Any]) -> float:
    """Cosine of the lowest layer of a network over images of 8 x 8 x 2."""
    settings = Convolutional(**{**BASE, **IMAGE, **changes})
    return cosines(settings.build((8, 8, 2), 2, Lifetimes(seed, torch.float64)), seed)[0]


def cosines(network: Network, seed: int) -> list[float]:
    """Cosine of each hidden layer's gradient to autograd's gradient, bottom first."""
    noise, n_in = torch.Generator().manual_seed(1000 + seed), network.wiring.n_in
    inputs, g = torch.randn(STEPS, n_in, generator=noise, dtype=torch.float64), torch.tensor([0.7, -1.3]).double()
    for x in inputs:
        network(x)
    network.backward(g)
    both, found = (scores_of(network), bptt(network, inputs, g)), []
    for i, _ in spiking(network):
        ours, truth = (torch.cat([scores[f"W{i}"].flatten(), scores[f"b{i}"]]) for scores in both)
        found.append(float(torch.cosine_similarity(ours, truth, dim=0)))
    return found


def table(credit: str, width: int, seeds: int) -> str:
    """Return a markdown table of one credit: settings x layer, mean and worst seed."""
    lines = [f"| settings | {' | '.join(STACKS)} |", "|---" * (len(STACKS) + 1) + "|"]
    for name, changes in CASES.items():
        settings = {**changes, "credit": credit}
        each = {depth: [dense(depth, width, seed, settings) for seed in range(seeds)] for depth in (1, 2, 3)}
        found = {depth: torch.tensor(rows) for depth, rows in each.items()}
        columns = [found[depth][:, layer] for depth, layer in STACKS.values()]
        cells = [f"{column.mean():.3f} ({column.min():.3f})" for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def convolution_table(seeds: int) -> str:
    """Return a markdown table of convolutional networks: settings x decays, mean and worst seed."""
    lines = ["| the lowest convolution | m = .5, k = .5 | drawn per neuron |", "|---|---|---|"]
    for name, changes in CONVOLUTIONS.items():
        columns = [torch.tensor([convolutional(seed, {**d, **changes}) for seed in range(seeds)]) for d in ({}, DRAWN)]
        lines.append(f"| {name} | {' | '.join(f'{c.mean():.3f} ({c.min():.3f})' for c in columns)} |")
    return "\n".join(lines)


def main() -> None:
    """Print or write a table for otpe, one for presynaptic credit and one of convolutions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--write", type=Path, help="markdown file with markers such as <!-- measure_credit otpe -->")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {credit: table(credit, arguments.width, arguments.seeds) for credit in ("otpe", "presynaptic")}
    found["convolutions"] = convolution_table(arguments.seeds)
    for name, text in found.items():
        if arguments.write is None:
            print(f"{name}\n\n{text}\n")
        else:
            write_table("measure_credit", arguments.write, name, text)


if __name__ == "__main__":
    main()
