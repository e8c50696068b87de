"""Build the parts of a run from its config, and restore the state of an earlier part of the run.

torch and Gymnasium are imported inside the functions, so that ``--help`` and the error of a mistyped key are quick.
"""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from tracerl.config import checks, floats
from tracerl.config.checks import ConfigError
from tracerl.config.instantiate import build
from tracerl.runs.build import build_agent, check_engine, deploy_settings, use_threads, with_input
from tracerl.runs.by_input import kind_of_space
from tracerl.runs.files import write_atomic
from tracerl.runs.ignored import ignored_by, warn_of_ignored
from tracerl.runs.resume import clear, flat
from tracerl.runs.saved import CONFIG, OVERRIDES

if TYPE_CHECKING:
    from tracerl.lifetime.callbacks import Events
    from tracerl.lifetime.record import Record
    from tracerl.lifetime.runners import EnvRunner
    from tracerl.lifetime.statistics import Keep
    from tracerl.runs.checkpoint.read import Checkpoint
    from tracerl.runs.execute import Setup
    from tracerl.runs.lock import RunLock
    from tracerl.runs.logging.episodes import EpisodeLog
    from tracerl.runs.logging.writers import LoggedRun
    from tracerl.runs.signals import DeferredInterrupt


@dataclass(frozen=True)
class RunOrigin:
    """The origin of a run's config."""

    folder: Path  # existing folder of the run
    key: str  # setting that named the folder, for messages
    agent_name: str  # name of the chosen agent
    overrides: Sequence[str]  # overrides of the command line, kept for ``resume=PATH``


def prepare(
    cfg: DictConfig, origin: RunOrigin, steps: int, run_lock: "RunLock", resume: bool | str, callbacks: Sequence[Any]
) -> "Setup":
    """Build the parts of a run from its config, and restore the state of an earlier part of the run."""
    from tracerl.lifetime.callbacks import Events, RunState
    from tracerl.nn.views import constants
    from tracerl.runs.execute import Setup
    from tracerl.runs.signals import DeferredInterrupt
    from tracerl.runs.summary import Outcome

    spec, checkpoints, evaluations, logger, found = built(cfg, callbacks)
    folder, agent_name = origin.folder, origin.agent_name
    runner = make_runner(cfg, spec)
    cfg = with_input(cfg, kind_of_space(runner.observation_space))
    agent, settings = _announced_agent(cfg, spec, runner, agent_name), compared(cfg)
    check_evaluations(evaluations, agent)
    records = _records(cfg, spec, runner, agent)
    initial = constants(agent)
    before, past = _restored(origin, resume, settings, agent, runner, records, steps)
    if before is None:  # else the first part of the run has said it
        parts = {"deploy": deploy_settings(cfg), "eval": evaluations, "checkpoint": checkpoints}
        warn_of_ignored(origin.overrides, ignored_by(agent, cfg, **parts), agent_name)
    events = Events(RunState(agent, records, steps, folder), found)
    events.restore(past.get("callbacks", {}))
    scheduled = _checkpoints(checkpoints, agent, runner, agent_name)
    config, interrupted = _write_config(cfg, origin), DeferredInterrupt()
    logged = _logged_run(cfg, origin, settings, config, steps, initial, past)
    with ExitStack() as opened:
        episodes = _open_episodes(opened, folder, past, records, events)
        log = _open_log(opened, logger, logged, events)
        step = max(record.step for record in records)
        frozen_copies = _evaluations(cfg, evaluations, spec, folder, log, step, interrupted, runner)
        _forget_later(folder, before, resume)  # last, because all that can be refused is accepted now
        opened.pop_all()  # the run closes them
    if checkpoints.best_by == "evaluation":
        events.by_evaluation(frozen_copies)
    return Setup(
        about=Outcome(spec.name, agent_name, getattr(agent, "engine", None), cfg.device, cfg.seed),
        agent=agent,
        runner=runner,
        records=records,
        steps=steps,
        folder=folder,
        log=log,
        episodes=episodes,
        run_lock=run_lock,
        interrupted=interrupted,
        evaluations=frozen_copies,
        events=events,
        checkpoints=scheduled,
        kept={"settings": floats.encode(settings), "config": config, "overrides": list(map(str, origin.overrides))},
        seconds=past.get("seconds", 0.0),
        resumed=past.get("resumed", ()),
    )


def _announced_agent(cfg: DictConfig, spec: Any, runner: "EnvRunner", agent_name: str) -> Any:
    """Build the agent or agents of all lifetimes, and print their engine and network."""
    agent = make_agent(cfg, spec, runner, agent_name)
    engine = check_engine(cfg.engine, agent, agent_name)
    if engine is not None:
        print(f"engine: {engine}", flush=True)
    if (network := getattr(agent, "network_description", None)) is not None:
        print(f"network: {network}", flush=True)
    return agent


def _records(cfg: DictConfig, spec: Any, runner: "EnvRunner", agent: Any) -> "list[Record]":
    """Return a record per lifetime, with the env's milestones, and give the runner its check for divergence."""
    from tracerl.lifetime.divergence import DivergenceCheck
    from tracerl.lifetime.record import Milestone, Record

    runner.divergence = DivergenceCheck(cfg.on_nonfinite)
    runner.divergence.store_initial_state(agent)
    return [Record([Milestone.parse(name) for name in spec.milestones], i) for i in range(cfg.lifetimes)]


def _restored(
    origin: RunOrigin,
    resume: bool | str,
    settings: dict[str, Any],
    agent: Any,
    runner: "EnvRunner",
    records: "list[Record]",
    steps: int,
) -> "tuple[Checkpoint | None, dict[str, Any]]":
    """Restore an earlier part of the run, or clear its folder; return the checkpoint and the state of the files."""
    from tracerl.runs.checkpoint.schedule import find, restore_run

    before = find(origin.folder, resume, settings)
    if before is None:
        clear(origin.folder, steps, origin.key)
        return None, {}
    return before, restore_run(before, agent, runner, records, steps)


def _write_config(cfg: DictConfig, origin: RunOrigin) -> str:
    """Write the overrides and the resolved config of the run, and return the config as yaml."""
    config = OmegaConf.to_yaml(cfg, resolve=True)
    write_atomic(origin.folder / OVERRIDES, OmegaConf.to_yaml(list(origin.overrides)))
    write_atomic(origin.folder / CONFIG, config)  # written last, because it marks the folder as a run
    return config


def _open_episodes(
    opened: ExitStack, folder: Path, past: dict[str, Any], records: "list[Record]", events: "Events"
) -> "EpisodeLog":
    """Open the log of episodes, closed with ``opened``, and write what the records keep to it."""
    from tracerl.runs.logging.episodes import EpisodeLog

    episodes = EpisodeLog(folder, past.get("episodes", 0))
    opened.callback(episodes.close)
    for record in records:
        record.keep = _kept_by(episodes, events)
    return episodes


def _logged_run(
    cfg: DictConfig,
    origin: RunOrigin,
    settings: dict[str, Any],
    config: str,
    steps: int,
    initial: Any,
    past: dict[str, Any],
) -> "LoggedRun":
    """Return what the loggers need of the run."""
    from tracerl.runs.logging.writers import LoggedRun

    about = {**settings, "agent.name": origin.agent_name}
    hidden = {key for key in settings if key.endswith("_target_") or key.split(".")[0] == "callbacks"}
    hidden.add("env.steps")  # the default of ``steps``, which is shown
    shown = {key: value for key, value in about.items() if key not in hidden and value is not None}
    earlier = {"resume_offset": past.get("log"), "kept": past.get("kept", {})}
    return LoggedRun(origin.folder, shown, config, steps, cfg.lifetimes, initial, **earlier)


def _open_log(opened: ExitStack, logger: Any, logged: "LoggedRun", events: "Events") -> Any:
    """Open what the loggers write, closed with ``opened``, for the callbacks too; None without a logger."""
    log = None if logger is None else logger.open(logged)
    if log is not None:
        opened.callback(log.close, False, {})
        events.log_with(log.scalars)
    return log


def _forget_later(folder: Path, before: "Checkpoint | None", resume: bool | str) -> None:
    """Remove what is later than a checkpoint that ``resume`` names."""
    from tracerl.runs.checkpoint.schedule import forget_later, names_checkpoint

    if before is not None and names_checkpoint(folder, resume):
        forget_later(folder, before.step)


def built(cfg: DictConfig, made: Sequence[Any] = ()) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
    """Build env spec, schedules of checkpoints and evaluations, logger and callbacks, with those that are ``made``."""
    from tracerl.lifetime.callbacks import named

    spec, checkpoints, evaluations = (build(cfg, key) for key in ("env", "checkpoint", "eval"))
    callbacks = _callbacks(cfg)
    logger = build(cfg, "logger") if "logger" in cfg else None  # logger=[] leaves it out
    if checkpoints.best_by == "evaluation" and evaluations.every is None:
        raise ConfigError("checkpoint.best_by", "may be evaluation only where eval.every is given, got eval.every=null")
    given = named(made)
    if twice := callbacks.keys() & given.keys():
        problem = "must have another name than the callbacks that are given from Python"
        raise ConfigError(f"callbacks.{min(twice)}", problem)
    return spec, checkpoints, evaluations, logger, {**callbacks, **given}


def _callbacks(cfg: DictConfig) -> dict[str, Any]:
    """Build the callbacks of the config, by name."""
    from tracerl.lifetime.callbacks import named

    plain: Any = OmegaConf.to_container(cfg)
    wanted = {} if plain.get("callbacks") is None else plain["callbacks"]  # earlier runs have none
    if not isinstance(wanted, dict):
        raise ConfigError("callbacks", f"must be a mapping of names to callbacks, got {wanted!r:.200}")
    found = {}
    for name, settings in wanted.items():
        if not isinstance(settings, dict) or "_target_" not in settings:
            raise ConfigError(f"callbacks.{name}", f"must have a _target_, the class, got {settings!r:.200}")
        key = f"callbacks.{name}"
        found[name] = build(OmegaConf.create({**plain, key: settings}), key)
    return named(found)


def _kept_by(episodes: "EpisodeLog", events: "Events") -> "Keep":
    """Return what is called with every ended episode: the log of episodes, and the callbacks if there are any."""
    if not events.by_episode:
        return episodes.keep

    def keep(lifetime: int, step: int, episode_return: float, length: int) -> None:
        episodes.keep(lifetime, step, episode_return, length)
        events.keep(lifetime, step, episode_return, length)

    return keep


def check_evaluations(settings: Any, agent: Any) -> None:
    """Raise a ConfigError if the agent cannot take the actions that evaluations during the run need."""
    from tracerl.lifetime.evaluation import frozen_copy
    from tracerl.lifetime.protocol import agents_of

    if settings.every is not None and settings.greedy:
        with checks.under("eval"):
            frozen_copy(agents_of(agent)[0], greedy=True)


def _evaluations(
    cfg: DictConfig,
    settings: Any,
    spec: Any,
    folder: Path,
    log: Any,
    step: int,
    interrupted: "DeferredInterrupt",
    runner: "EnvRunner",
) -> Any:
    """Return the callback that evaluates frozen copies; None without a schedule."""
    if settings.every is None:
        return None
    from dataclasses import replace

    from tracerl.nn.spaces import spaces_of
    from tracerl.runs.evaluations import Evaluations

    with checks.under("env"):
        env = replace(spec, backend="gymnasium", vectorization="sync").make()

    def single() -> Any:
        one = OmegaConf.merge(cfg, {"lifetimes": 1})
        assert isinstance(one, DictConfig)
        return build_agent(one, *spaces_of(env), [cfg.seed], "eval")

    timeout = getattr(spec, "timeout", None)
    return Evaluations(settings, env, single, folder, cfg.seed, log, step, interrupted, runner.statistics, timeout)


def _checkpoints(settings: Any, agent: Any, runner: "EnvRunner", agent_name: str) -> Any:
    """Return the settings of the checkpoints; None, with a warning, if the agent has no state to save."""
    from tracerl.lifetime.arguments import check_state
    from tracerl.lifetime.protocol import agents_of, is_stateful, missing_methods

    if not settings.wanted:
        return None
    if without := [each for each in agents_of(agent) if not is_stateful(each)]:
        missing = " and no ".join(missing_methods(without[0]))
        print(f"warning: no checkpoints: agent={agent_name} has no {missing}", file=sys.stderr)
        return None
    try:
        state = agent.capture()
    except Exception:  # a state can begin to exist in the first step
        state = {}
    check_state(state)  # else the run would end at its first checkpoint
    unsupported_reason = runner.unsupported_reason()
    if unsupported_reason:
        print(f"warning: a resumed run will begin a new episode: {unsupported_reason}", file=sys.stderr)
    return settings


def make_runner(cfg: DictConfig, spec: Any) -> "EnvRunner":
    """Build the envs of all lifetimes."""
    use_threads(cfg)
    with checks.under("env"):
        runner: EnvRunner = spec.open(_seeds(cfg))
    return runner


def make_agent(cfg: DictConfig, spec: Any, runner: "EnvRunner", agent_name: str) -> Any:
    """Build the agent or agents of all lifetimes."""
    names = f"env.id={spec.id}, agent={agent_name}"
    agent = build_agent(cfg, runner.observation_space, runner.action_space, _seeds(cfg), names)
    with checks.under("env"):
        runner.prepare(agent)
    return agent


def _seeds(cfg: DictConfig) -> list[int]:
    return [cfg.seed + lifetime for lifetime in range(cfg.lifetimes)]


def compared(cfg: DictConfig) -> dict[str, Any]:
    """Return the settings by dotted name, without the groups that the agent's settings refer to."""
    settings: Any = OmegaConf.to_container(cfg, resolve=True)
    raw: Any = OmegaConf.to_container(cfg.agent, resolve=False)
    own = {key: value for key, value in settings["agent"].items() if not str(raw[key]).startswith("${")}
    return flat({**settings, "agent": own})
