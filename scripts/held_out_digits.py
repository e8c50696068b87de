"""Learn the digits of ``env=Digits`` online, then count right answers on held-out images, without learning.

python scripts/held_out_digits.py --steps 50000 --seeds 0-4
python scripts/held_out_digits.py --seeds 0,1 encoder=on_off env.kwargs.bernoulli=true    # any override of tracerl.run

A lifetime of ``--steps`` env steps is of ``split=train``, each image drawn with replacement and each action sampled, as
in any run. Then learning stops: every image of both splits is shown once, the answer is the likeliest action after its
last showing, and after each image the agent's state (weights, running statistics, membranes) is restored. An image
enters only the running statistics that standardise itself.

`online` is the mean return of the last 100 episodes of the lifetime, actions sampled; `train` and `held out` are
shares of right answers. An encoder that compares an observation with the one before (`contrast`) treats
every showing as a first one.
"""

import argparse
import math
import statistics
from dataclasses import replace
from typing import Any

import gymnasium as gym
import torch
from omegaconf import DictConfig
from seeds import parse_seeds

from tracerl.config.hydra_compat import compose, instantiate
from tracerl.lifetime.record import Record
from tracerl.nn.lifetimes import Lifetimes
from tracerl.runs.build import with_input
from tracerl.runs.by_input import kind_of


def trained(config: DictConfig, spec: Any, steps: int, seed: int) -> tuple[Any, Record]:
    """Train over whole episodes, at least ``steps`` env steps; return the agent at rest and the record."""
    runner, record = spec.open([seed]), Record()
    config = with_input(config, kind_of(runner.observation_space.shape))
    make = instantiate(config.agent, _convert_="all", _partial_=True)
    agent = make(runner.observation_space, runner.action_space, Lifetimes(seed))
    if not hasattr(agent, "head") or not hasattr(agent, "memory"):
        raise SystemExit(f"{type(agent).__name__} has no head to read and no state to restore: take agent=reflect")
    runner.prepare(agent)
    showings = spec.kwargs["showings"]
    runner.run(agent, math.ceil(steps / showings) * showings, [record], (), lambda: False)
    runner.close()
    return agent, record


@torch.inference_mode()
def accuracy(agent: Any, env: gym.Env[Any, Any], seed: int) -> float:
    """Return the share of an env's images that the agent names, leaving the agent as it was.

    ``Agent.start`` sees an observation and acts; it learns nothing. Called again for each further showing, with no end
    between, it continues from the membranes of the showing before. ``seed`` is that of Bernoulli pixels.
    """
    memory = agent.memory
    before = memory.real.clone(), memory.wide.clone()
    env.reset(seed=seed)
    right, images = 0, len(env.unwrapped.labels)  # type: ignore[attr-defined]
    for image in range(images):
        observation, info = env.reset(options={"image": image})
        action, over = agent.start(observation), False
        while not over:
            likeliest = int(agent.head.probabilities.argmax())
            observation, _, over, _, _ = env.step(action)
            action = action if over else agent.start(observation)
        right += likeliest == info["label"]
        memory.real.copy_(before[0])
        memory.wide.copy_(before[1])
    return right / images


def main() -> None:
    """Read the arguments, train and test every seed, print accuracies and their means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50_000, help="env steps of each lifetime")
    parser.add_argument("--seeds", type=parse_seeds, default=list(range(5)), help="0-4 or 0,3,7")
    parser.add_argument("overrides", nargs="*", help="settings for tracerl.run, such as network=conv")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = compose(["env=Digits", *arguments.overrides])
    spec = instantiate(config.env, _convert_="all")
    splits = [replace(spec, kwargs={**spec.kwargs, "split": split}) for split in ("train", "held_out")]
    rows = []
    for seed in arguments.seeds:
        agent, record = trained(config, splits[0], arguments.steps, seed)
        rows.append((record.mean_return(), *(accuracy(agent, split.make(), seed) for split in splits)))
        print(f"seed {seed}: {line(rows[-1])}", flush=True)
    print(f"mean of {len(rows)}: {line([statistics.mean(column) for column in zip(*rows, strict=True)])}")


def line(shares: Any) -> str:
    """Format the three shares of one lifetime, or their means."""
    return ", ".join(f"{name} {share:.3f}" for name, share in zip(("online", "train", "held out"), shares, strict=True))


if __name__ == "__main__":
    main()
