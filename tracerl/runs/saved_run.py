"""Load a saved run: its config, its agent at a checkpoint, and its env."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
from omegaconf import DictConfig, OmegaConf

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.config.instantiate import build
from tracerl.config.moved import keep_arguments
from tracerl.config.trust import check, check_literal
from tracerl.lifetime.env_closing import closing_env
from tracerl.lifetime.protocol import is_stateful, reset_episode
from tracerl.runs import pretrained, saved
from tracerl.runs.build import build_agent
from tracerl.runs.checkpoint import BadCheckpoint, Checkpoint, best, newest_good, read
from tracerl.runs.checkpoint.names import checkpoints
from tracerl.runs.files import parse_yaml
from tracerl.runs.run_info import RunInfo
from tracerl.runs.saved import CHECKPOINTS, CONFIG

NEWEST, BEST = "newest", "best"
_MOST_NAMED = 5  # checkpoints in the message of an error


@dataclass(frozen=True)
class SavedRun:
    """A run with a checkpoint."""

    folder: Path  # folder of the run
    config: DictConfig  # settings, resolved at the start of the run
    checkpoint: Checkpoint  # state of agent, env runner and records
    # whether env and agent may use classes that ``tracerl.config.trust`` does not allow
    trust: bool = False

    @property
    def _checked(self) -> Path | None:
        """The file whose ``_target_`` entries are checked before they are built; None if it is trusted."""
        return None if self.trust else self.folder / CONFIG

    @property
    def step(self) -> int:
        """Env steps of each lifetime at the checkpoint."""
        return self.checkpoint.step

    @property
    def lifetimes(self) -> int:
        """Number of lifetimes."""
        return int(self.config.lifetimes)

    @property
    def spec(self) -> Any:
        """The ``EnvSpec`` of the env, with the Gymnasium backend for every run."""
        plain = OmegaConf.merge(self.config, {"env": {"backend": "gymnasium", "vectorization": "sync"}})
        assert isinstance(plain, DictConfig)
        return build(plain, "env", saved=self._checked)

    def env(self, **kwargs: Any) -> gym.Env[Any, Any]:
        """Make one env of the run, for the first lifetime; see ``env_of``.

        Args:
            kwargs: passed to ``gymnasium.make``, such as ``render_mode="rgb_array"``.
        """
        return self.env_of(0, **kwargs)

    def env_of(self, lifetime: int, **kwargs: Any) -> gym.Env[Any, Any]:
        """Make the env of a lifetime; ``kwargs`` as for ``env``.

        What its ``NormalizeObservation`` and ``NormalizeReward`` have learned is that of the checkpoint, and stays so.
        """
        spec = self.spec
        with checks.under("env"):
            env: gym.Env[Any, Any] = replace(spec, kwargs={**spec.kwargs, **kwargs}).make()
        self._restore_statistics(env, lifetime)
        return env

    def _restore_statistics(self, env: gym.Env[Any, Any], lifetime: int) -> None:
        """Set what the normalising wrappers of a lifetime's env had learned at the checkpoint."""
        from tracerl.lifetime.env_state import join, restore_statistics, statistics_in

        if "world" not in self.checkpoint.parts:  # a pretrained agent
            return
        arrays = {name: tensor.numpy() for name, tensor in self.checkpoint.parts["world"].items()}
        try:
            for found in statistics_in(join(arrays, RunInfo.of(self.checkpoint).world))[lifetime : lifetime + 1]:
                restore_statistics(env, found, hold=True)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError("checkpoint", f"of {self.folder} has no state of its env: {error}") from error

    @keep_arguments(life="lifetime")
    def memory(self, lifetime: int = 0) -> dict[str, Any]:
        """Return the state of the agent of one lifetime, its running episode included: tensors by name."""
        checks.whole("lifetime", lifetime, 0, self.lifetimes - 1)
        state = self.checkpoint.parts["agent"]
        if self.lifetimes == 1:
            return state
        if {name.partition(".")[0] for name in state} == set(map(str, range(self.lifetimes))):  # independent agents
            start = f"{lifetime}."
            return {name.removeprefix(start): tensor for name, tensor in state.items() if name.startswith(start)}
        return of_lifetime(state, lifetime)

    @keep_arguments(life="lifetime")
    def agent(
        self, which: int | Literal["best"] | None = None, engine: str = "torch", *, lifetime: int | None = None
    ) -> Any:
        """Build the agent of one lifetime with its state at the checkpoint, between two episodes.

        Args:
            which: None: this checkpoint, which is the newest unless ``load`` was given another. ``best``: the kept
                checkpoint with the highest mean return. A number: a lifetime, as ``lifetime``.
            engine: ``torch``, ``fused`` or ``auto``. It may differ from the engine of the run, as all share one state.
            lifetime: index of the lifetime; None: the first.

        Raises:
            ConfigError: the lifetime or checkpoint does not exist, or the checkpoint does not fit the settings.
        """
        if isinstance(which, str):
            checks.choice("which", which, (BEST,))
            return load(self.folder, which, trust=self.trust).agent(lifetime, engine)
        if which is not None and lifetime is not None:
            raise ConfigError("lifetime", f"must be given once, got {which!r} and {lifetime!r}")
        lifetime = checks.whole("lifetime", which or lifetime or 0, 0, self.lifetimes - 1)
        agent = self.new_agent(lifetime, engine)
        if not is_stateful(agent):
            raise ConfigError("agent", f"of {self.folder} cannot be restored: it has no capture and restore")
        try:
            agent.restore(self.memory(lifetime))
        except (ValueError, KeyError, IndexError, RuntimeError, TypeError) as error:
            raise ConfigError("checkpoint", f"of {self.folder} does not fit its {CONFIG}: {error}") from error
        reset_episode(agent)
        return agent

    def as_pretrained(self, card: dict[str, Any]) -> pretrained.Pretrained:
        """Return the first lifetime as a pretrained agent, with a model card; ``tracerl.runs.pretrained`` writes it."""
        config: Any = OmegaConf.to_container(OmegaConf.merge(self.config, {"lifetimes": 1}))
        return pretrained.Pretrained(config, self.step, card, self.agent().capture())

    @keep_arguments(life="lifetime")
    def new_agent(self, lifetime: int = 0, engine: str = "torch") -> Any:
        """Build the agent of one lifetime as it was before its first step.

        Args:
            lifetime: index of the lifetime.
            engine: ``torch``, ``fused`` or ``auto``.

        Raises:
            ConfigError: the lifetime does not exist, or the settings do not give an agent.
        """
        checks.whole("lifetime", lifetime, 0, self.lifetimes - 1)
        single = OmegaConf.merge(self.config, {"lifetimes": 1, "engine": engine, "seed": self.config.seed + lifetime})
        assert isinstance(single, DictConfig)
        if "engine" in single.agent:  # resolved when the run began
            single.agent.engine = engine
        with closing_env(self.env()) as env:
            names = f"env.id={self.config.env.id}, {CONFIG} in {self.folder}"
            spaces = env.observation_space, env.action_space
            return build_agent(single, *spaces, [single.seed], names, self._checked)


def load(path: str | Path, checkpoint: str | Path | None = None, *, trust: bool = False) -> SavedRun:
    """Load a run. Its env and agent are not built yet.

    Args:
        path: folder of the run or of one of its checkpoints; or ``pretrained:NAME``, an agent that ships with tracerl.
        checkpoint: name of a folder in ``checkpoints``. None or ``newest``: the newest valid one. ``best``: the
            valid one with the highest mean return.
        trust: allow env and agent classes of any package. This runs code that the run names, and prints each name.
            False: allow tracerl, Gymnasium and packages with envs registered in Gymnasium; see SECURITY.md.

    Raises:
        ConfigError: there is no run or no valid checkpoint.
    """
    given = folder = checks.path("path", path)
    if (name := pretrained.name_of(path)) is not None:
        return _pretrained(name, checkpoint)
    try:
        if not _is_run(given) and given.is_dir() and _is_run(given.parent.parent):
            folder, checkpoint = given.parent.parent, given if checkpoint is None else checkpoint
        if not _is_run(folder):
            raise ConfigError("run", f"must be the folder of a run or of one of its checkpoints, got {str(path)!r}")
        found = _checkpoint(folder, checkpoint)
    except OSError as error:
        raise ConfigError("run", f"must be a folder that can be read: {error}") from error
    config = _config(folder, found)
    plain: Any = OmegaConf.to_container(config, resolve=False)
    for key in ("env", "agent") if trust else ():
        check(plain[key], key, folder / CONFIG, trust=True)
    return SavedRun(folder, config, found, checks.flag("trust", trust))


def _pretrained(name: str, checkpoint: str | Path | None) -> SavedRun:
    if checkpoint not in (None, NEWEST, BEST):
        raise ConfigError(
            "checkpoint", f"must be left out for a pretrained agent, which has one, got {str(checkpoint)!r}"
        )
    found = pretrained.read(name)
    config = OmegaConf.create(found.config)
    return SavedRun(Path(f"{pretrained.PREFIX}{name}"), config, Checkpoint(found.step, {"agent": found.state}, {}, {}))


def _is_run(folder: Path) -> bool:
    return (folder / CONFIG).is_file() or (folder / CHECKPOINTS).is_dir()


def _config(folder: Path, checkpoint: Checkpoint) -> DictConfig:
    """Return the config of a run: ``config.yaml`` or, if it cannot be read, its copy in the checkpoint."""
    plain: Any = saved.config(folder)
    if plain is None:
        text = RunInfo.of(checkpoint).config
        if text is None:
            raise ConfigError("run", f"has a {CONFIG} that cannot be read, and no copy in its checkpoint: {folder}")
        try:
            plain = parse_yaml(text)
        except ValueError as error:
            raise ConfigError("run", f"has a {CONFIG} that cannot be read: {folder}: {error}") from error
    check_literal(plain, "", folder / CONFIG)  # before OmegaConf resolves anything
    try:
        config = OmegaConf.create(plain)
        if not isinstance(config, DictConfig):
            raise ValueError("it must hold groups of settings")
        if not all(isinstance(config[key], DictConfig) for key in ("agent", "env")):
            raise ValueError("agent and env must be groups of settings")
        checks.whole("lifetimes", config.lifetimes, 1)
        checks.whole("seed", config.seed, 0)
    except Exception as error:  # OmegaConf can raise any error for invalid data
        raise ConfigError("run", f"has a {CONFIG} that is not a run's: {folder}: {error}") from error
    return config


def _checkpoint(folder: Path, which: str | Path | None) -> Checkpoint:
    if which == BEST:
        found = best(folder / CHECKPOINTS)
        if found is None:
            problem = f"must have a mean return to be the best, none in {folder / CHECKPOINTS} has"
            raise ConfigError("checkpoint", problem)
        return found
    if which is not None and which != NEWEST:
        named = checks.path("checkpoint", which)
        path = named if os.path.lexists(named) else folder / CHECKPOINTS / named
        if named.name in ("", "..") or not os.path.lexists(path):
            there = [found.name for found in checkpoints(folder / CHECKPOINTS)]
            wanted = f"must be {NEWEST}, {BEST} or the name of a folder in {CHECKPOINTS}"
            problem = f"{wanted} ({', '.join(there[:_MOST_NAMED]) or 'which is empty'}), got {str(which)!r}"
            raise ConfigError("checkpoint", problem)
        try:
            return _of_agent(read(path))
        except (BadCheckpoint, OSError) as error:
            raise ConfigError("checkpoint", f"must be sound: {error}") from error
    newest, passed_over = newest_good(folder / CHECKPOINTS)
    if newest is None:
        why = f": {passed_over[-1]}" if passed_over else ": there is none (checkpoint.every and checkpoint.minutes)"
        raise ConfigError("run", f"must have a checkpoint in {folder / CHECKPOINTS}{why}")
    return _of_agent(newest)


def _of_agent(checkpoint: Checkpoint) -> Checkpoint:
    if "agent" not in checkpoint.parts:
        raise ConfigError("checkpoint", f"at step {checkpoint.step:,} cannot be used: it has no part of an agent")
    return checkpoint


def of_lifetime(state: Mapping[str, Any], lifetime: int) -> dict[str, Any]:
    """Return the part of one lifetime of the state of an agent of many."""
    return {name: tensor[lifetime] if tensor.dim() else tensor for name, tensor in state.items()}  # scalars are shared
