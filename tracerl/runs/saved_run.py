"""A run's folder, read back: its config, its agent as it was at a checkpoint, and its env."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
from omegaconf import DictConfig, OmegaConf

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.config.instantiate import build
from tracerl.config.trust import check, check_literal
from tracerl.lifetime.protocol import Stateful
from tracerl.runs import saved
from tracerl.runs.build import build_agent
from tracerl.runs.checkpoint import BadCheckpoint, Checkpoint, best, newest_good, read
from tracerl.runs.checkpoint.schedule import FOLDER
from tracerl.runs.files import parse_yaml
from tracerl.runs.run_info import RunInfo
from tracerl.runs.saved import CONFIG

BEST = "best"


@dataclass(frozen=True)
class SavedRun:
    """A run with a checkpoint."""

    folder: Path  # of the run
    config: DictConfig  # its settings, as resolved when it began
    checkpoint: Checkpoint  # the state of agent, env runner and records
    # whether its env and agent may be built of what ``tracerl.config.trust`` lets no saved run name.
    trust: bool = False

    @property
    def _checked(self) -> Path | None:
        """The file whose targets are checked before they are built; None where it is trusted."""
        return None if self.trust else self.folder / CONFIG

    @property
    def step(self) -> int:
        """Env steps of each lifetime at the checkpoint."""
        return self.checkpoint.step

    @property
    def lifetimes(self) -> int:
        """How many lifetimes there are."""
        return int(self.config.lifetimes)

    @property
    def spec(self) -> Any:
        """The env's ``EnvSpec``, through Gymnasium whatever the run's backend."""
        plain = OmegaConf.merge(self.config, {"env": {"backend": "gymnasium", "vectorization": "sync"}})
        assert isinstance(plain, DictConfig)
        return build(plain, "env", saved=self._checked)

    def env(self, **kwargs: Any) -> gym.Env[Any, Any]:
        """Make one env as the run had it; ``kwargs`` go to ``gymnasium.make``, such as ``render_mode="rgb_array"``."""
        spec = self.spec
        with checks.under("env"):
            env: gym.Env[Any, Any] = replace(spec, kwargs={**spec.kwargs, **kwargs}).make()
        return env

    def memory(self, life: int = 0) -> dict[str, Any]:
        """Return what the agent of one lifetime kept, its running episode included: tensors, by name."""
        checks.whole("life", life, 0, self.lifetimes - 1)
        state = self.checkpoint.parts["agent"]
        numbered = all(name.split(".")[0].isdecimal() for name in state)  # agents built one per lifetime
        return _of_lifetime(state, life, self.lifetimes, {} if numbered else state)

    def agent(
        self, which: int | Literal["best"] | None = None, engine: str = "torch", *, life: int | None = None
    ) -> Any:
        """Build the agent of one lifetime as it was at the checkpoint, between two episodes.

        Args:
            which: None: at this checkpoint, which is the newest unless ``load`` was told another. ``best``: at the one
                with the highest mean return of those that are kept. A number: a lifetime, as ``life``.
            engine: ``torch``, ``fused`` or ``auto``, whichever the run had: both share one memory.
            life: number among the run's lifetimes; None: the first.

        Raises:
            ConfigError: there is no such lifetime or checkpoint, or the checkpoint is of an agent with other settings.
        """
        if isinstance(which, str):
            checks.choice("which", which, (BEST,))
            return load(self.folder, which).agent(life, engine)
        if which is not None and life is not None:
            raise ConfigError("life", f"must be given once, got {which!r} and {life!r}")
        life = checks.whole("life", which or life or 0, 0, self.lifetimes - 1)
        single = OmegaConf.merge(self.config, {"lifetimes": 1, "engine": engine, "seed": self.config.seed + life})
        assert isinstance(single, DictConfig)
        if "engine" in single.agent:  # resolved when the run began
            single.agent.engine = engine
        env = self.env()
        try:
            names = f"env.id={self.config.env.id}, {CONFIG} in {self.folder}"
            spaces = env.observation_space, env.action_space
            agent = build_agent(single, *spaces, [single.seed], names, self._checked)
        finally:
            env.close()
        if not isinstance(agent, Stateful):
            raise ConfigError("agent", f"of {self.folder} cannot be restored: it has no capture and restore")
        try:
            agent.restore(_of_lifetime(self.checkpoint.parts["agent"], life, self.lifetimes, agent.capture()))
        except (ValueError, KeyError, IndexError, RuntimeError, TypeError) as error:
            raise ConfigError("checkpoint", f"of {self.folder} does not fit its {CONFIG}: {error}") from error
        agent.abandon()
        return agent


def load(path: str | Path, checkpoint: str | Path | None = None, *, trust: bool = False) -> SavedRun:
    """Read a run back. Nothing of it is built yet.

    Args:
        path: the run's folder, or one of its checkpoints.
        checkpoint: which one, a folder in ``checkpoints``; None: the newest that is sound; ``best``: of the sound ones
            the one with the highest mean return.
        trust: let its env and agent be of any package, which runs code that the run names; each such name is printed.
            False: of tracerl, Gymnasium and packages whose envs Gymnasium knows; see SECURITY.md.

    Raises:
        ConfigError: there is no run, or no sound checkpoint.
    """
    given = Path(path)
    folder = given
    if not _is_run(given) and _is_run(given.parent.parent):
        folder, checkpoint = given.parent.parent, given if checkpoint is None else checkpoint
    if not _is_run(folder):
        raise ConfigError("run", f"must be the folder of a run or of one of its checkpoints, got {str(path)!r}")
    found = _checkpoint(folder, checkpoint)
    config = _config(folder, found)
    plain: Any = OmegaConf.to_container(config, resolve=False)
    for key in ("env", "agent") if trust else ():
        check(plain[key], key, folder / CONFIG, trust=True)
    return SavedRun(folder, config, found, checks.flag("trust", trust))


def _is_run(folder: Path) -> bool:
    return (folder / CONFIG).is_file() or (folder / FOLDER).is_dir()


def _config(folder: Path, checkpoint: Checkpoint) -> DictConfig:
    """Return the config of a run: its ``config.yaml`` or, where that cannot be read, the checkpoint's copy."""
    text = None if (found := saved.config(folder)) is not None else RunInfo.of(checkpoint).config
    if found is None and text is None:
        raise ConfigError("run", f"has a {CONFIG} that cannot be read, and no copy in its checkpoint: {folder}")
    try:
        plain = parse_yaml(text) if text is not None else found
    except ValueError as error:
        raise ConfigError("run", f"has a {CONFIG} that cannot be read: {folder}: {error}") from error
    check_literal(plain, "", folder / CONFIG)  # before OmegaConf resolves anything
    try:
        config = OmegaConf.create(plain)
        if not all(isinstance(config[key], DictConfig) for key in ("agent", "env")):
            raise ValueError("agent and env must be groups of settings")
        checks.whole("lifetimes", config.lifetimes, 1)
        checks.whole("seed", config.seed, 0)
    except Exception as error:  # whatever OmegaConf makes of it
        raise ConfigError("run", f"has a {CONFIG} that is not a run's: {folder}: {error}") from error
    return config


def _checkpoint(folder: Path, which: str | Path | None) -> Checkpoint:
    if which == BEST:
        return _best(folder)
    if which is not None:
        found = Path(which) if Path(which).exists() else folder / FOLDER / which
        try:
            return _of_agent(read(found))
        except BadCheckpoint as error:
            raise ConfigError("checkpoint", f"must be sound: {error}") from error
    try:
        newest, passed_over = newest_good(folder / FOLDER)
    except OSError as error:
        raise ConfigError("run", f"must have a folder of checkpoints that can be listed: {error}") from error
    if newest is None:
        why = f": {passed_over[-1]}" if passed_over else ": there is none (checkpoint.every and checkpoint.minutes)"
        raise ConfigError("run", f"must have a checkpoint in {folder / FOLDER}{why}")
    return _of_agent(newest)


def _of_agent(checkpoint: Checkpoint) -> Checkpoint:
    if "agent" not in checkpoint.parts:
        raise ConfigError("checkpoint", f"at step {checkpoint.step:,} cannot be used: it has no part of an agent")
    return checkpoint


def _best(folder: Path) -> Checkpoint:
    found = best(folder / FOLDER)
    if found is None:
        problem = f"must have a mean return to be the best, none in {folder / FOLDER} has"
        raise ConfigError("checkpoint", problem)
    return found


def _of_lifetime(state: dict[str, Any], life: int, lifetimes: int, own: dict[str, Any]) -> dict[str, Any]:
    """Return one lifetime's part of what an agent captured.

    Args:
        state: of all lifetimes, by name.
        life: which one.
        lifetimes: how many there are.
        own: what an agent of one lifetime captures, for the names.
    """
    if lifetimes == 1:
        return state
    start = f"{life}."  # agents built one per lifetime have theirs under its number
    if not any(name in state for name in own):
        return {name.removeprefix(start): tensor for name, tensor in state.items() if name.startswith(start)}
    return {name: tensor[life] if tensor.dim() else tensor for name, tensor in state.items()}  # else shared by all
