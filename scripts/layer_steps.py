"""How far one update of each layer moves the policy.

python scripts/layer_steps.py pretrained:MinAtarAsterix --steps 1500

After each env step the relative entropy KL(before || after) of the policy at the observation that the transition began
with is computed in nats: for the whole update, and for the update of each layer alone. The agent goes on learning from
its state at the last checkpoint; the first and the last step of an episode are left out.
"""

import argparse
from contextlib import closing
from typing import Any, NamedTuple

import torch
from torch import Tensor

import tracerl
from tracerl.config.checks import ConfigError
from tracerl.runs.command_line import errors_in_one_line
from tracerl.runs.saved_run import SavedRun

WHOLE = "all"


class Arrival(NamedTuple):
    """A step of an agent: its state before it, the reward and the observation."""

    state: dict[str, Tensor]
    reward: float
    observation: Any


def log_probabilities(agent: Any, arrival: Arrival, flat: Tensor) -> Tensor:
    """Return the policy's log probabilities at an observation: of a frozen agent with these parameters."""
    agent.restore(arrival.state)
    agent.policy.network.flat.copy_(flat)
    agent.step(arrival.reward, arrival.observation)
    return torch.as_tensor(agent.head.log_probabilities.clone(), dtype=torch.float64)


class Measured:
    """An agent whose updates are measured while it learns.

    Attributes:
        found: KL by the name of the layer, for every update.
    """

    def __init__(self, agent: Any, probe: Any) -> None:
        """Measure an agent by another one of the same settings, which is frozen."""
        self._agent, self._probe = agent, probe
        self._last: Arrival | None = None  # of this episode
        self.found: list[dict[str, float]] = []

    def start(self, observation: Any) -> Any:
        """Begin an episode."""
        self._last = None
        return self._agent.start(observation)

    def step(self, reward: float, observation: Any) -> Any:
        """Take a step, and measure its update at the observation before."""
        agent, network = self._agent, self._agent.policy.network
        arrival = Arrival({name: tensor.clone() for name, tensor in agent.capture().items()}, reward, observation)
        flat = network.flat.clone()
        action = agent.step(reward, observation)
        if self._last is not None:
            before, found = log_probabilities(self._probe, self._last, flat), dict[str, float]()
            for name, part in parts(network).items():
                mixed = flat.clone()
                network.share(part, mixed).copy_(network.share(part, network.flat))
                after = log_probabilities(self._probe, self._last, mixed)
                found[name] = float((before.exp() * (before - after)).sum())
            self.found.append(found)
        self._last = arrival
        return action

    def end(self, reward: float, observation: Any, terminated: bool) -> None:
        """End an episode; its last update is not measured."""
        self._agent.end(reward, observation, terminated=terminated)


def parts(network: Any) -> dict[str, Any]:
    """Return a network and its layers by the name of the row."""
    return {WHOLE: network, **network.parts("layer")}


def table(run: SavedRun, steps: int) -> str:
    """Return the mean and the 95% quantile of each layer as a markdown table."""
    agent, probe = (run.agent(engine="auto") for _ in range(2))
    if not hasattr(getattr(agent, "head", None), "log_probabilities"):
        raise SystemExit(f"error: needs an agent with probabilities of actions, got {run.config.agent['_target_']}")
    probe.freeze()
    measured = Measured(agent, probe)
    with closing(run.env()) as env:
        tracerl.live(measured, env, steps).finish()
    if not measured.found:
        raise SystemExit(f"error: --steps must reach an update within an episode, got {steps}")
    lines = ["| layer | parameters | mean KL | 95% quantile |", "|---|---|---|---|"]
    for name, part in parts(agent.policy.network).items():
        values = torch.tensor([found[name] for found in measured.found], dtype=torch.float64)
        count = sum(parameter.numel() for parameter in part.parameters())
        lines.append(f"| {name} | {count:,} | {values.mean():.4f} | {values.quantile(0.95):.4f} |")
    return "\n".join(lines)


def main() -> None:
    """Read the arguments; print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="folder of a run with a checkpoint, or pretrained:NAME")
    parser.add_argument("--steps", type=int, default=1500)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with errors_in_one_line(ConfigError):
        print(table(tracerl.load(arguments.run), arguments.steps))


if __name__ == "__main__":
    main()
