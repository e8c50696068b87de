"""One job: from a config to the lives it asks for, with errors that name the key on the command line.

What a life needs is imported inside the functions, so that ``--help`` and a mistyped key answer at once.
"""

import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from tracerl import checks
from tracerl.building import build, value
from tracerl.checks import ConfigError
from tracerl.resume import OVERRIDES, InUse, clear, finished_run, flat

if TYPE_CHECKING:
    from tracerl.experiment import Setup
    from tracerl.lives import Lives
    from tracerl.presence import Presence
    from tracerl.world import World


class RunEnded(Exception):
    """A run that did not finish; the message says why, its summary is written."""


def job(cfg: DictConfig) -> float | None:
    """Live as the config says; one job of a sweep.

    A job of a sweep that fails leaves its traceback in its folder and returns None, so that the others go on.

    Returns:
        What a sweeper maximises: the mean return of the last 100 episodes or, of many lives, its interquartile mean; of
        lives without an end of an episode, their reward per step. None where there is neither.

    Raises:
        ConfigError: a setting cannot be used.
        RunEnded: the env failed or a number diverged.
        KeyboardInterrupt: the life was interrupted; its summary is written.
    """
    from tracerl.experiment import keep_traceback

    folder = Path(HydraConfig.get().runtime.output_dir)
    in_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    try:
        return _live(cfg, folder, "hydra.sweep.dir" if in_sweep else "hydra.run.dir")
    except Exception as error:
        if not in_sweep:
            raise
        if not isinstance(error, (RunEnded, InUse)):  # of the one it is there already, of the other somebody else's
            keep_traceback(folder, error)
        print(f"error in {folder}: {error}", file=sys.stderr, flush=True)
        return None


def _live(cfg: DictConfig, folder: Path, key: str) -> float | None:
    """Live the lives, or return what they came to where they have been lived; ``key`` named the folder."""
    from tracerl.experiment import run
    from tracerl.presence import Presence
    from tracerl.summary import closing_lines

    steps = _check(cfg)
    if key == "hydra.run.dir" and HydraConfig.get().sweeper.get("params"):
        raise ConfigError("hydra.sweeper.params", "is given, so this is a sweep: python -m tracerl.run -m ...")
    settings = _compared(cfg)
    resume = cfg.resume or _started_again()
    with Presence(folder, steps, key) as presence:
        summary = finished_run(folder, settings, bool(resume), key, steps)
        if summary is not None:
            print(f"finished before: {folder / 'summary.json'}", flush=True)
            return _objective(summary)
        setup = _setup(cfg, settings, folder, steps, presence, resume)
        summary = run(setup)
    print("\n".join(closing_lines(summary, folder)), flush=True)
    if summary["status"] == "interrupted":
        setup.interrupted.hand_on()
        if setup.interrupted.signal not in (None, signal.SIGINT):
            raise SystemExit(128 + setup.interrupted.signal)
        raise KeyboardInterrupt
    if summary["status"] != "finished":
        raise RunEnded(f"{summary['status']}: {summary['error']} (traceback in {folder / 'error.txt'})")
    if not (folder / "summary.json").exists():
        raise RunEnded("the life finished, but its summary could not be written: it is printed above")
    return _objective(summary)


def _started_again() -> bool:
    """Say whether SLURM has put this very job back into the queue, at its time limit or when its machine went down."""
    return os.environ.get("SLURM_RESTART_COUNT", "0") != "0"


def _objective(summary: dict[str, Any]) -> float | None:
    returns, rates = summary["return_last100"]["iqm"], summary["reward_rate_last10000"]["iqm"]
    found = rates if returns is None else returns
    return None if found is None else float(found)


def _check(cfg: DictConfig) -> int:
    """Check the settings of the run itself and return its steps."""
    steps = value(cfg, "steps")
    steps = checks.whole("steps", int(steps) if isinstance(steps, float) and steps.is_integer() else steps, 1)  # 1e5
    checks.whole("lifetimes", cfg.lifetimes, 1)
    checks.whole("seed", cfg.seed, 0, 2**32 - cfg.lifetimes)  # the last life's is below 2^32
    if not isinstance(cfg.resume, (bool, str)):
        raise ConfigError("resume", f"must be true, false, auto, or the folder of a run, got {cfg.resume!r}")
    if cfg.threads is not None:
        checks.whole("threads", cfg.threads, 1)
    return steps


def _setup(
    cfg: DictConfig, settings: dict[str, Any], folder: Path, steps: int, presence: "Presence", resume: bool | str
) -> "Setup":
    """Build everything the lives need from the config, and bring it to where an earlier part of the run left off."""
    from tracerl.checkpointing import find, take_up
    from tracerl.episodes import EpisodeLog
    from tracerl.experiment import Setup
    from tracerl.guard import Guard
    from tracerl.interrupt import DeferredInterrupt
    from tracerl.stats import Milestone, Record

    spec, logger, checkpoints = build(cfg, "env"), build(cfg, "logger"), build(cfg, "checkpoint")
    agent_name = HydraConfig.get().runtime.choices["agent"]
    world, agent = _world_and_agent(cfg, spec, agent_name)
    _say_which_engine(cfg, agent, agent_name)
    records = [Record([Milestone.parse(name) for name in spec.milestones], life) for life in range(cfg.lifetimes)]
    world.guard = Guard(cfg.on_nonfinite)
    world.guard.remember(agent)
    before, past = find(folder, resume, settings), {}
    if before is None:
        clear(folder, steps)
    else:
        past = take_up(before, agent, world, records)
    config = OmegaConf.to_yaml(cfg, resolve=True)
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    overrides = OmegaConf.to_yaml(HydraConfig.get().overrides.task)
    (folder / OVERRIDES).write_text(overrides, encoding="utf-8")
    named = {**settings, "agent.name": agent_name}
    shown = {key: value for key, value in named.items() if not key.endswith("_target_") and value is not None}
    episodes = EpisodeLog(folder, past.get("episodes", 0))
    for record in records:
        record.keep = episodes.keep
    log = logger.open(folder, shown, config, cfg.lifetimes, past.get("log"))
    return Setup(
        env_name=spec.name,
        agent_name=agent_name,
        agent=agent,
        world=world,
        records=records,
        steps=steps,
        seed=cfg.seed,
        device=cfg.device,
        folder=folder,
        log=log,
        episodes=episodes,
        presence=presence,
        interrupted=DeferredInterrupt(),
        checkpoints=_checkpoints(checkpoints, agent, world, agent_name),
        settings=settings,
        seconds=past.get("seconds", 0.0),
        resumed=past.get("resumed", ()),
    )


def _checkpoints(settings: Any, agent: Any, world: "World", agent_name: str) -> Any:
    """Return the settings of the run's checkpoints; None, with a warning, where it can have none."""
    from tracerl.agent import Stateful

    agents = getattr(agent, "agents", [agent])
    if not settings.wanted:
        return None
    if not all(isinstance(each, Stateful) for each in agents):
        print(f"warning: no checkpoints: agent={agent_name} has no capture, restore and abandon", file=sys.stderr)
        return None
    obstacle = world.obstacle()
    if obstacle:
        print(f"warning: a resumed run will begin a new episode: {obstacle}", file=sys.stderr)
    return settings


def _world_and_agent(cfg: DictConfig, spec: Any, agent_name: str) -> tuple["World", Any]:
    """Build the envs of all lives and the agent or agents that live there."""
    import torch

    from tracerl.threads import available_cores

    # Networks this small are slower on more threads than one; many of them at once are not.
    torch.set_num_threads(1 if cfg.lifetimes == 1 else cfg.threads or available_cores())
    seeds = [cfg.seed + life for life in range(cfg.lifetimes)]
    try:
        world: World = spec.open(seeds)
    except ConfigError as error:
        raise error.under("env") from error
    agent = _agent(cfg, world, seeds, f"env.id={spec.id}, agent={agent_name}")
    try:
        world.prepare(agent)
    except ConfigError as error:
        raise error.under("env") from error
    return world, agent


def _agent(cfg: DictConfig, world: "World", seeds: list[int], names: str) -> Any:
    """Build the agent of one life, or those of many, with errors that name the key on the command line."""
    from tracerl.population import build_agents

    checks.choice("engine", cfg.engine, ("auto", "torch", "fused"))
    make = build(cfg, "agent", partly=True)
    spaces = {"observation_space": world.observation_space, "action_space": world.action_space}
    try:
        agent_class = hydra.utils.get_object(cfg.agent["_target_"])
        return build_agents(agent_class, partial(make, **spaces), partial(_lives, cfg), seeds)
    except ConfigError as error:
        if error.key == "env":
            raise ConfigError("env", f"{error.problem} ({names})") from error
        if error.key.split(".")[0] in cfg:  # engine, or a setting of a group that another one cannot do with
            raise
        raise error.under("agent") from error


def _compared(cfg: DictConfig) -> dict[str, Any]:
    """Return the settings by dotted name, each in one place: of the agent its own, without the groups it refers to."""
    settings: Any = OmegaConf.to_container(cfg, resolve=True)
    raw: Any = OmegaConf.to_container(cfg.agent, resolve=False)
    own = {key: value for key, value in settings["agent"].items() if not str(raw[key]).startswith("${")}
    return flat({**settings, "agent": own})


def _lives(cfg: DictConfig, seeds: int | list[int]) -> "Lives":
    """Check device and dtype and return the maker of the agent's tensors."""
    import torch

    from tracerl.lives import Lives

    checks.choice("dtype", cfg.dtype, ("float32", "float64"))
    try:
        device = torch.device(cfg.device)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError("device", f"must be a device that torch can use, got {cfg.device!r}: {reason}") from error
    return Lives(seeds, getattr(torch, cfg.dtype), device)


def _say_which_engine(cfg: DictConfig, agent: Any, agent_name: str) -> None:
    """Print which engine computes the agent's steps and, where ``auto`` chose torch, why.

    Raises:
        ConfigError: ``fused`` is asked of an agent that has no kernels.
    """
    engine = getattr(agent, "engine", None)
    if cfg.engine == "fused" and engine != "fused":
        raise ConfigError("engine", f"cannot be fused: agent={agent_name} has no kernels")
    if engine is None:
        return
    reason = getattr(agent, "engine_reason", f"agent={agent_name} has no kernels" if cfg.engine == "auto" else None)
    print(f"engine: {engine}" + (f" (not fused: {reason})" if reason else ""), flush=True)
