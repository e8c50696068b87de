"""Helpers that write run folders by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tracerl.runs.logging.episodes import EpisodeLog


def run(
    folder: Path,
    *overrides: str,
    lifetimes: list[list[float]],
    length: int = 10,
    ended: bool = True,
    env: str = "CartPole",
    seed: int = 0,
    **more: Any,
) -> Path:
    """Write a run's folder with the returns of each lifetime; all episodes have one length."""
    folder.mkdir(parents=True)
    lines = [f"env={env}", f"seed={seed}", f"lifetimes={len(lifetimes)}", *overrides]
    (folder / "overrides.yaml").write_text(yaml.safe_dump(lines))
    log = EpisodeLog(folder)
    for i in range(max(map(len, lifetimes))):
        for lifetime, returns in enumerate(lifetimes):
            if i < len(returns):
                log.keep(lifetime, (i + 1) * length, returns[i], length)
    log.flush()
    settings = {"seed": seed, "lifetimes": len(lifetimes), "agent": {"_target_": "elsewhere.Agent"}}
    config = {"env": {"name": env, "milestones": ["w2>=3"]}, **settings}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    if ended:
        log.close()
        per_life = [float(np.mean(returns[-100:])) if returns else None for returns in lifetimes]
        summary = {"env": env, "agent": "reflect", "seed": seed, "lifetimes": len(lifetimes), "status": "finished"}
        summary |= {"steps": max(map(len, lifetimes)) * length, "return_last100": {"per_life": per_life}}
        (folder / "summary.json").write_text(json.dumps({**summary, "milestones": {"w2>=3": [None, 7]}, **more}))
    else:
        log._file.close()
    return folder


def two_settings(folder: Path) -> Path:
    """Make two settings of two lifetimes each in a folder, and return it."""
    run(folder / "a", "agent.x=1", lifetimes=[[1.0, 3.0, 5.0], [3.0, 5.0, 7.0]])
    run(folder / "b", "agent.x=2", lifetimes=[[0.0, 0.0], [1.0, 1.0]])
    return folder
