"""Lives under one step-size rule, and what is told of them; ``compare_step_sizes.py`` puts them into tables."""

import math
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import hydra
import numpy as np
import torch
from omegaconf import DictConfig
from step_size_trials import Trial

from tracerl.config.hydra_compat import configs, instantiate
from tracerl.lifetime.independent_agents import build_agents
from tracerl.lifetime.record import Milestone, Record
from tracerl.nn.lifetimes import Lives

Found = dict[str, Any]  # what one row measured, as JSON
PARTS = 12  # a life is reported in so many equal parts


@dataclass(frozen=True)
class Row:
    """One rule: a label, settings of ``tracerl.run``, and the trial that takes the place of the policy's rule."""

    label: str
    overrides: str = ""
    trial: dict[str, Any] = field(default_factory=dict)


class Parts:
    """Episodes and the policy's entropy by part of the life, gathered while the lives go on.

    Attributes:
        every: env steps of a part.
        entropy: of the policy in each part, in nats, mean over steps and lives.
    """

    def __init__(self, steps: int, lives: int) -> None:
        """Start empty."""
        self.every = math.ceil(steps / PARTS)
        self.entropy: list[float] = []
        self._sums, self._counts = np.zeros((lives, PARTS)), np.zeros((lives, PARTS))

    def keep(self, life: int, step: int, episode_return: float, length: int) -> None:
        """Count an episode in the part in which it ended; see ``Record.keep``."""
        part = min((step - 1) // self.every, PARTS - 1)
        self._sums[life, part] += episode_return
        self._counts[life, part] += 1

    def look(self, records: Any, agent: Any) -> None:
        """Read the entropy since the last look; see ``Monitor.look``."""
        self.entropy.append(agent.diagnostics()["learn/entropy"])

    def returns(self) -> list[list[float]]:
        """Return every life's mean return by part; one without an episode has that of the part before."""
        means = np.divide(self._sums, self._counts, out=np.full_like(self._sums, np.nan), where=self._counts > 0)
        for part in range(1, PARTS):
            missing = np.isnan(means[:, part])
            means[missing, part] = means[missing, part - 1]
        found: list[list[float]] = means.tolist()
        return found


def compose(overrides: str) -> DictConfig:
    """Return the config that a command line would give."""
    with configs("tracerl.configs"):
        return hydra.compose("run", overrides.split())


def build(config: DictConfig, seeds: list[int], trial: dict[str, Any]) -> tuple[Any, Any, list[str]]:
    """Make the world, the agent of all lives and the names of the milestones."""
    spec = instantiate(config.env, _convert_="all")
    world = spec.open(seeds)
    make = instantiate(config.agent, _convert_="all", _partial_=True)
    make = partial(make, world.observation_space, world.action_space)
    if trial:
        rules = instantiate(config.optimizer, _convert_="all")
        make = partial(make, optimizer={**rules, "policy": Trial(rules["policy"], **trial)})
    agent_class = hydra.utils.get_object(config.agent["_target_"])
    agent = build_agents(agent_class, make, partial(Lives, dtype=getattr(torch, config.dtype)), seeds)
    world.prepare(agent)
    return world, agent, list(spec.milestones)


def live(row: Row, shared: str, lives: int, seed: int) -> Found:
    """Live the lives of one row and return what is told of them."""
    config = compose(f"{shared} {row.overrides}")
    steps = int(config.steps)
    torch.set_num_threads(1)
    world, agent, milestones = build(config, [seed + life for life in range(lives)], row.trial)
    parts = Parts(steps, lives)
    records = [Record([Milestone.parse(name) for name in milestones], life, parts.keep) for life in range(lives)]
    started = time.perf_counter()
    world.live(agent, steps, records, [parts], lambda: False)
    seconds = time.perf_counter() - started
    world.close()
    return {
        "steps": steps,
        "seconds": seconds,
        "last100": [record.mean_return(partial=True) for record in records],
        "milestones": {
            name: [record.milestones[i].reached_at for record in records] for i, name in enumerate(milestones)
        },
        "returns": parts.returns(),
        "entropy": parts.entropy[:PARTS],
        "state": state_per_parameter(agent),
    }


def state_per_parameter(agent: Any) -> float:
    """Return how many numbers the policy's rule keeps per parameter."""
    kept = sum(buffer.numel() for buffer in agent.policy.step_rule.buffers())
    return float(kept / agent.policy.network.flat.numel())
