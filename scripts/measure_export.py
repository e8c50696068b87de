"""Compare the spikes of snnTorch and Norse, with a run's policy as NIR, to those of the agent.

python -m tracerl.run network=dense encoder=raw network.reset=hard hydra.run.dir=runs/hard
python scripts/measure_export.py runs/hard --steps 200

The agent acts greedily, without learning, and what its policy receives is given to both readers, whose own functions
import the same file, written with ``form="scaled"`` and ``without_readout=True``. Needs ``snntorch``,
``norse`` and ``nirtorch``. A network that NIR cannot express, such as that of ``network=normalized``, the default of
``agent=reflect``, is an error (exit code 2).
"""

import argparse
import contextlib
import io
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import nir
import torch
from torch import Tensor

import tracerl
from tracerl.config.checks import ConfigError
from tracerl.lifetime.loop import stream
from tracerl.lifetime.record import Record
from tracerl.runs.saved_run import SavedRun

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import norse.torch
    from snntorch.import_nir import import_from_nir


def received_and_sent(saved: Any, lifetime: int, steps: int) -> tuple[Any, list[list[Tensor]], list[list[Tensor]]]:
    """Run the agent of a run without learning.

    Return the agent, and by episode the inputs of its policy and the spikes of its last layer at every env step.
    """
    agent, env = saved.agent(lifetime), saved.env()
    agent.freeze()
    agent.act_greedily()
    network, start = agent.parts()["policy"].network, agent.start
    features, spikes = list[list[Tensor]](), list[list[Tensor]]()

    def begin(observation: Any) -> Any:
        features.append([])
        spikes.append([])
        return start(observation)

    agent.start = begin
    network.register_forward_pre_hook(lambda _, inputs: features[-1].append(inputs[0].clone()))
    network.register_forward_hook(lambda *_: spikes[-1].append(network.layers[-1].spikes.clone()))
    for _ in stream(agent, env, steps, 0, Record()):
        pass
    env.close()
    return agent, features, spikes


def mismatches(read: Any, file: Any, ticks: int, features: list[list[Tensor]], spikes: list[list[Tensor]]) -> int:
    """Count the neurons and env steps, at the last tick of each, at which a reader's network spikes otherwise."""
    wrong = 0
    for episode, expected in zip(features, spikes, strict=True):
        network, state = read(nir.read(file)), None
        for received, sent in zip(episode, expected, strict=True):
            for _ in range(ticks):
                with torch.no_grad():
                    found, state = network(received.unsqueeze(0), state)
            wrong += int((found.squeeze(0) != sent).sum())
    return wrong


def compared(saved: SavedRun, lifetime: int, steps: int) -> tuple[Tensor, dict[str, int]]:
    """Run an agent for some env steps, and both readers on the inputs of its policy.

    Return the spikes of the policy's last layer, [steps, n], and by reader how many of them differ. A network that NIR
    cannot express raises a ConfigError.
    """
    file, readers = io.BytesIO(), {"snnTorch": import_from_nir, "Norse": partial(norse.torch.from_nir, dt=1e-4)}
    with warnings.catch_warnings():  # of a soft reset, and of what the readers call
        warnings.simplefilter("ignore")
        nir.write(file, tracerl.to_nir(saved.agent(lifetime), form="scaled", without_readout=True))
        agent, features, spikes = received_and_sent(saved, lifetime, steps)
        ticks, wrong = agent.parts()["policy"].network.ticks, dict[str, int]()
        for name, read in readers.items():
            with contextlib.redirect_stdout(io.StringIO()):  # what the readers print
                wrong[name] = mismatches(read, file, ticks, features, spikes)
    return torch.stack([sent for episode in spikes for sent in episode]), wrong


def main() -> None:
    """Print a line per reader."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--lifetime", type=int, default=0)
    parser.add_argument("--steps", type=int, default=200, help="env steps")
    arguments = parser.parse_args()
    try:
        spikes, wrong = compared(tracerl.load(arguments.run), arguments.lifetime, arguments.steps)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    print(f"{spikes.numel():,} neuron steps, a spike in {spikes.mean():.1%} of them")
    for name, number in wrong.items():
        print(f"{name}: {number:,} differ ({number / spikes.numel():.2%})")


if __name__ == "__main__":
    main()
