"""Start one run from its config, for the command line and for Python.

torch and Gymnasium are imported inside the functions, so that ``--help`` and the error of a mistyped key are quick.
"""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from tracerl.config import checks, floats
from tracerl.config.checks import ConfigError, ConfigWarning, NotMade
from tracerl.config.instantiate import build, value, with_current_keys
from tracerl.runs import saved
from tracerl.runs.build import build_agent, check_engine, use_threads, with_input
from tracerl.runs.by_input import KINDS, kind_of_space
from tracerl.runs.files import write_atomic
from tracerl.runs.output import dropping_failed_writes
from tracerl.runs.resume import check_folder, clear, finished_run, flat
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


class RunEnded(Exception):
    """A run that did not finish. The message has the reason, and the summary is written."""


@dataclass(frozen=True)
class Origin:
    """The origin of a run's config."""

    folder: Path  # existing folder of the run
    key: str  # setting that named the folder, for messages
    agent_name: str  # name of the chosen agent
    overrides: Sequence[str]  # overrides of the command line, kept for ``resume=PATH``


def launch(cfg: DictConfig, origin: Origin, callbacks: Sequence[Any] = ()) -> dict[str, Any]:
    """Run the lifetimes of a config and write the files that ``docs/tags.md`` lists.

    What stdout or stderr cannot write is dropped, and the run continues.

    Args:
        cfg: the config.
        origin: where it comes from.
        callbacks: made already, beside those of the config.

    Raises:
        ConfigError: a setting cannot be used.
        RunEnded: the env, a callback or the start of a logger failed, or a number diverged.
        KeyboardInterrupt: SIGINT arrived. The summary is written, as ``finished`` if the run had ended.
        SystemExit: SIGTERM or SIGUSR2 arrived, with 128 + the signal. The summary is written too.
    """
    with dropping_failed_writes():
        return _launch(cfg, origin, callbacks)


def _launch(cfg: DictConfig, origin: Origin, callbacks: Sequence[Any]) -> dict[str, Any]:
    from tracerl.runs.execute import forget_traceback, run
    from tracerl.runs.lock import RunLock
    from tracerl.runs.summary import closing_lines

    cfg = with_current_keys(cfg, ConfigWarning)
    folder, steps = origin.folder, _check(cfg)
    _warn_of_other_env(cfg, origin.overrides)
    check_folder(folder, origin.key)
    possible = (_compared(with_input(cfg, kind)) for kind in KINDS)
    requeued = os.environ.get("SLURM_RESTART_COUNT", "0") != "0"  # at the job's time limit or after a failed machine
    resume = cfg.resume or requeued
    if requeued and saved.command_line(folder / OVERRIDES, warn=False) == list(origin.overrides):
        resume = True  # also in place of a checkpoint by name, which the first start of this job has gone back to
    with RunLock(folder, steps, origin.key) as run_lock:
        summary = finished_run(folder, possible, bool(resume), origin.key, steps)
        if summary is not None:
            forget_traceback(folder)
            print(f"finished before: {folder / 'summary.json'}", flush=True)
            return summary
        with _failed_run(folder):
            setup = _setup(cfg, origin, steps, run_lock, resume, callbacks)
        forget_traceback(folder)
        summary = run(setup)
    places = [] if setup.log is None else setup.log.places()
    print("\n".join(closing_lines(summary, folder, places)), flush=True)
    if summary["status"] == "interrupted":
        setup.interrupted.forward()
        setup.interrupted.end()
    failure = _failure(summary, folder)
    if setup.interrupted.ends_command():  # what comes after the run, such as the next job of a sweep
        if failure is not None:
            print(f"error: {failure}", file=sys.stderr, flush=True)
        setup.interrupted.end()
    setup.interrupted.forward_after_end()
    if failure is not None:
        raise failure
    return summary


def _failure(summary: dict[str, Any], folder: Path) -> RunEnded | None:
    """Return the error of a run that did not finish or that has no summary; None without one."""
    if summary["status"] != "finished":
        return _run_ended(summary["status"], summary["error"], folder)
    if not (folder / "summary.json").exists():
        return RunEnded("the run finished, but its summary could not be written: it is printed above")
    return None


@contextmanager
def _failed_run(folder: Path) -> Iterator[None]:
    """Turn an env or logger that fails at construction, and a call of ``sys.exit``, into a failed run.

    The traceback of these, and of an agent that cannot be built, is kept in the folder.
    """
    from tracerl.lifetime.loop import NOT_FAILURES, EnvFailed
    from tracerl.runs.execute import describe, keep_traceback
    from tracerl.runs.logging.writers import LoggerFailed

    try:
        yield
    except NotMade as failure:
        keep_traceback(folder, failure)
        where = f"{failure.problem} (traceback in {folder / 'error.txt'})"
        raise ConfigError(failure.key, where) from failure
    except BaseException as failure:
        if isinstance(failure, (Exception, *NOT_FAILURES)) and not isinstance(failure, (EnvFailed, LoggerFailed)):
            raise
        keep_traceback(folder, failure)
        raise _run_ended("failed", describe(failure), folder) from failure


def _run_ended(status: str, error: str, folder: Path) -> RunEnded:
    return RunEnded(f"{status}: {error} (traceback in {folder / 'error.txt'})")


def _check(cfg: DictConfig) -> int:
    """Check the settings of the run and return its number of steps."""
    steps = value(cfg, "steps")
    steps = checks.whole("steps", int(steps) if isinstance(steps, float) and steps.is_integer() else steps, 1)  # 1e5
    checks.whole("lifetimes", cfg.lifetimes, 1)
    checks.whole("seed", cfg.seed, 0, 2**32 - cfg.lifetimes)  # the last lifetime's seed is below 2^32
    if not isinstance(cfg.resume, (bool, str)):
        raise ConfigError("resume", f"must be true, false, auto, or the folder of a run, got {cfg.resume!r}")
    if cfg.threads is not None:
        checks.whole("threads", cfg.threads, 1)
    return steps


def _warn_of_other_env(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Warn if ``env.id=`` puts another env under the name of a yaml, as in ``env.id=Acrobot-v1`` without ``env=``."""
    set_keys = {override.partition("=")[0] for override in overrides}
    if "env.id" not in set_keys or "env.name" in set_keys:
        return
    env_id, name = str(cfg.env.id), str(cfg.env.name)
    if name not in env_id:
        kept = f"the name, steps and milestones of {name}"
        warnings.warn(f"env.id={env_id} keeps {kept}, env={env_id} does not", ConfigWarning, stacklevel=2)


def check_run(cfg: DictConfig, agent_name: str) -> DictConfig:
    """Build the parts of a run, discard them, and return the config with the settings for the env's observations.

    Raises:
        ConfigError: a setting cannot be used.
        EnvFailed: the env raised an exception.
    """
    cfg = with_current_keys(cfg, ConfigWarning)
    _check(cfg)
    spec, *_ = _built(cfg)
    with closing(_runner(cfg, spec)) as runner:
        cfg = with_input(cfg, kind_of_space(runner.observation_space))
        check_engine(cfg.engine, _agent(cfg, spec, runner, agent_name), agent_name)
    return cfg


def _setup(
    cfg: DictConfig, origin: Origin, steps: int, run_lock: "RunLock", resume: bool | str, callbacks: Sequence[Any]
) -> "Setup":
    """Build the parts of a run from its config, and restore the state of an earlier part of the run."""
    from tracerl.lifetime.callbacks import Events, RunState
    from tracerl.nn.views import constants
    from tracerl.runs.execute import Setup
    from tracerl.runs.signals import DeferredInterrupt
    from tracerl.runs.summary import Outcome

    spec, checkpoints, evaluations, logger, found = _built(cfg, callbacks)
    folder, agent_name = origin.folder, origin.agent_name
    runner = _runner(cfg, spec)
    cfg = with_input(cfg, kind_of_space(runner.observation_space))
    agent, settings = _announced_agent(cfg, spec, runner, agent_name), _compared(cfg)
    records = _records(cfg, spec, runner, agent)
    initial = constants(agent)
    before, past = _restored(origin, resume, settings, agent, runner, records, steps)
    events = Events(RunState(agent, records, steps, folder), found)
    events.restore(past.get("callbacks", {}))
    config, interrupted = _write_config(cfg, origin), DeferredInterrupt()
    logged = _logged_run(cfg, origin, settings, config, steps, initial, past)
    with ExitStack() as opened:
        episodes = _open_episodes(opened, folder, past, records, events)
        log = _open_log(opened, logger, logged, events)
        frozen_copies = _evaluations(cfg, evaluations, spec, folder, log, max(r.step for r in records), interrupted)
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
        checkpoints=_checkpoints(checkpoints, agent, runner, agent_name),
        kept={"settings": floats.encode(settings), "config": config, "overrides": list(map(str, origin.overrides))},
        seconds=past.get("seconds", 0.0),
        resumed=past.get("resumed", ()),
    )


def _announced_agent(cfg: DictConfig, spec: Any, runner: "EnvRunner", agent_name: str) -> Any:
    """Build the agent or agents of all lifetimes, and print their engine and network."""
    agent = _agent(cfg, spec, runner, agent_name)
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
    runner.divergence.remember(agent)
    return [Record([Milestone.parse(name) for name in spec.milestones], i) for i in range(cfg.lifetimes)]


def _restored(
    origin: Origin,
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


def _write_config(cfg: DictConfig, origin: Origin) -> str:
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
    origin: Origin,
    settings: dict[str, Any],
    config: str,
    steps: int,
    initial: Any,
    past: dict[str, Any],
) -> "LoggedRun":
    """Return what the loggers need of the run."""
    from tracerl.runs.logging.writers import LoggedRun

    about = {**settings, "agent.name": origin.agent_name}
    hidden = [key for key in settings if key.endswith("_target_") or key.split(".")[0] == "callbacks"]
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


def _built(cfg: DictConfig, made: Sequence[Any] = ()) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
    """Build env spec, schedules of checkpoints and evaluations, logger and callbacks, with those that are ``made``."""
    from tracerl.lifetime.callbacks import named

    spec, checkpoints, evaluations = (build(cfg, key) for key in ("env", "checkpoint", "eval"))
    callbacks = _callbacks(cfg)
    logger = build(cfg, "logger") if "logger" in cfg else None  # logger=[] leaves it out
    if checkpoints.best_by == "evaluation" and evaluations.every is None:
        raise ConfigError("checkpoint.best_by", "may be evaluation only where eval.every is given, got eval.every=null")
    return spec, checkpoints, evaluations, logger, {**callbacks, **named(made)}


def _callbacks(cfg: DictConfig) -> dict[str, Any]:
    """Build the callbacks of the config, by name."""
    from tracerl.lifetime.callbacks import named

    plain: Any = OmegaConf.to_container(cfg)
    wanted = plain.get("callbacks") or {}  # earlier runs have none
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


def _evaluations(
    cfg: DictConfig, settings: Any, spec: Any, folder: Path, log: Any, step: int, interrupted: "DeferredInterrupt"
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

    return Evaluations(settings, env, single, folder, cfg.seed, log, step, interrupted)


def _checkpoints(settings: Any, agent: Any, runner: "EnvRunner", agent_name: str) -> Any:
    """Return the settings of the checkpoints; None, with a warning, if the agent has no state to save."""
    from tracerl.lifetime.protocol import is_stateful

    agents = getattr(agent, "agents", [agent])
    if not settings.wanted:
        return None
    if not all(is_stateful(each) for each in agents):
        print(f"warning: no checkpoints: agent={agent_name} has no capture, restore and reset_episode", file=sys.stderr)
        return None
    unsupported_reason = runner.unsupported_reason()
    if unsupported_reason:
        print(f"warning: a resumed run will begin a new episode: {unsupported_reason}", file=sys.stderr)
    return settings


def _runner(cfg: DictConfig, spec: Any) -> "EnvRunner":
    """Build the envs of all lifetimes."""
    use_threads(cfg)
    with checks.under("env"):
        runner: EnvRunner = spec.open(_seeds(cfg))
    return runner


def _agent(cfg: DictConfig, spec: Any, runner: "EnvRunner", agent_name: str) -> Any:
    """Build the agent or agents of all lifetimes."""
    names = f"env.id={spec.id}, agent={agent_name}"
    agent = build_agent(cfg, runner.observation_space, runner.action_space, _seeds(cfg), names)
    with checks.under("env"):
        runner.prepare(agent)
    return agent


def _seeds(cfg: DictConfig) -> list[int]:
    return [cfg.seed + lifetime for lifetime in range(cfg.lifetimes)]


def _compared(cfg: DictConfig) -> dict[str, Any]:
    """Return the settings by dotted name, without the groups that the agent's settings refer to."""
    settings: Any = OmegaConf.to_container(cfg, resolve=True)
    raw: Any = OmegaConf.to_container(cfg.agent, resolve=False)
    own = {key: value for key, value in settings["agent"].items() if not str(raw[key]).startswith("${")}
    return flat({**settings, "agent": own})
