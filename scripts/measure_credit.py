"""Measure how well each credit knows a hidden layer's gradient: cosine to backpropagation through time, in float64.

python scripts/measure_credit.py            # from the root of the repository; prints the tables of docs/credit.md
python scripts/measure_credit.py --write docs/credit.md

A network of random weights sees 200 steps of Gaussian noise; the gradient of a fixed mix of its outputs at the last
step by a layer's weights and biases is compared with autograd's. Credit `exact` is exact (cosine 1) everywhere.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.oracles import SETTINGS, bptt, scores_of  # noqa: E402  the oracle stands with the tests
from tracerl.lives import Lives  # noqa: E402
from tracerl.network import Dense  # noqa: E402

BASE = {**SETTINGS, "membrane_decay": 0.5, "readout_decay": 0.5}
DRAWN = dict(membrane_decay=[0.0, 0.9], readout_decay=[0.0, 0.7])
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
    "drawn, neuron=alif": {**DRAWN, "neuron": "alif", "adaptation": 0.5, "adaptation_decay": [0.9, 0.99]},
    "drawn, neuron=alif, recurrent": {
        **DRAWN,
        "neuron": "alif",
        "adaptation": 0.5,
        "adaptation_decay": [0.9, 0.99],
        "recurrent": True,
    },
    "drawn, neuron=synaptic": {**DRAWN, "neuron": "synaptic", "synapse_decay": [0.0, 0.5]},
}
STACKS = {"1 hidden": (1, 0), "2: upper": (2, 1), "2: lower": (2, 0), "3: lowest": (3, 0)}  # depth, layer


def cosines(depth: int, width: int, seed: int, changes: dict[str, Any], credit: str) -> list[float]:
    """Cosine of each hidden layer's score to autograd's gradient, bottom first."""
    settings = {**BASE, **changes, "hidden": [width] * depth, "credit": credit}
    network = Dense(**settings).build((4,), 2, Lives(seed, torch.float64))
    noise = torch.Generator().manual_seed(1000 + seed)
    inputs, g = torch.randn(200, 4, generator=noise, dtype=torch.float64), torch.tensor([0.7, -1.3]).double()
    for x in inputs:
        network(x)
    network.backward(g)
    ours, truth = scores_of(network), bptt(network, inputs, g)
    return [
        float(
            torch.cosine_similarity(
                torch.cat([ours[f"W{i}"].flatten(), ours[f"b{i}"]]),
                torch.cat([truth[f"W{i}"].flatten(), truth[f"b{i}"]]),
                dim=0,
            )
        )
        for i in range(depth)
    ]


def table(credit: str, width: int, seeds: int) -> str:
    """Return a markdown table of one credit: settings x layer, mean and worst seed."""
    lines = [f"| settings | {' | '.join(STACKS)} |", "|---" * (len(STACKS) + 1) + "|"]
    for name, changes in CASES.items():
        found = {
            depth: torch.tensor([cosines(depth, width, seed, changes, credit) for seed in range(seeds)])
            for depth in (1, 2, 3)
        }
        columns = [found[depth][:, layer] for depth, layer in STACKS.values()]
        cells = [f"{column.mean():.3f} ({column.min():.3f})" for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def write(path: Path, name: str, text: str) -> None:
    """Put a text between the two markers of a name in a file."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, rest = path.read_text(encoding="utf-8").split(begin)
    path.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}", encoding="utf-8")


def main() -> None:
    """Print or write a table for otpe and one for presynaptic credit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--write", type=Path, help="markdown file with markers such as <!-- otpe -->")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for credit in ("otpe", "presynaptic"):
        found = table(credit, arguments.width, arguments.seeds)
        if arguments.write is None:
            print(f"{credit}\n\n{found}\n")
        else:
            write(arguments.write, credit, found)


if __name__ == "__main__":
    main()
