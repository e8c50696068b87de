"""How far one update of each layer moves the policy.

python scripts/layer_steps.py pretrained:MinAtarAsterix --steps 1500

After each env step the relative entropy KL(before || after) of the policy at the observation that the transition began
with is computed in nats: for the whole update, and for the update of each layer alone. The agent goes on learning from
its state at the last checkpoint; the first and the last step of an episode are left out.
"""

import argparse
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import gymnasium as gym
import torch
from torch import Tensor

import tracerl
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


def relative_entropies(agent: Any, probe: Any, env: gym.Env[Any, Any], steps: int) -> Iterator[dict[str, float]]:
    """Yield KL by the name of the layer, for every update.

    Args:
        agent: learns from the env.
        probe: another agent of the same settings, frozen.
        env: env.
        steps: number of env steps.
    """
    network = agent.policy.network
    observation, _ = env.reset(seed=0)
    action, last = agent.start(observation), None
    for _ in range(steps):
        observation, paid, terminated, truncated, _ = env.step(action)
        reward = float(paid)
        if terminated or truncated:
            agent.end(reward, observation, terminated=terminated)
            observation, _ = env.reset()
            action, last = agent.start(observation), None
            continue
        arrival = Arrival({name: tensor.clone() for name, tensor in agent.capture().items()}, reward, observation)
        flat = network.flat.clone()
        action = agent.step(reward, observation)
        if last is not None:
            before, found = log_probabilities(probe, last, flat), dict[str, float]()
            for name, part in {WHOLE: network, **network.parts("layer")}.items():
                mixed = flat.clone()
                network.share(part, mixed).copy_(network.share(part, network.flat))
                after = log_probabilities(probe, last, mixed)
                found[name] = float((before.exp() * (before - after)).sum())
            yield found
        last = arrival


def table(run: SavedRun, steps: int) -> str:
    """Return the mean and the 95% quantile of each layer as a markdown table."""
    agent, probe = (run.agent(engine="auto") for _ in range(2))
    if not hasattr(getattr(agent, "head", None), "log_probabilities"):
        raise SystemExit(f"error: needs an agent with probabilities of actions, got {run.config.agent['_target_']}")
    probe.freeze()
    with closing(run.env()) as env:
        found = list(relative_entropies(agent, probe, env, steps))
    if not found:
        raise SystemExit(f"error: --steps must reach an update within an episode, got {steps}")
    lines = ["| layer | parameters | mean KL | 95% quantile |", "|---|---|---|---|"]
    for name, part in {WHOLE: agent.policy.network, **agent.policy.network.parts("layer")}.items():
        values = torch.tensor([one[name] for one in found], dtype=torch.float64)
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
    print(table(tracerl.load(arguments.run), arguments.steps))


if __name__ == "__main__":
    main()
