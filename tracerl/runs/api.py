"""tracerl from Python: envs, agents and runs out of the settings that the command line has, without Hydra in sight."""

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import gymnasium as gym
import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from tracerl.config import checks, hydra_compat
from tracerl.config.checks import ConfigError
from tracerl.config.error_messages import explain
from tracerl.config.instantiate import build, open_keys
from tracerl.nn.spaces import spaces_of

if TYPE_CHECKING:
    from tracerl.agents.common.online import OnlineAgent
    from tracerl.lifetime.protocol import MadeAgent
    from tracerl.nn.networks import Network

EnvOrSpaces = gym.Env[Any, Any] | tuple[gym.Space[Any], gym.Space[Any]]  # the spaces of observations and of actions
Settings = Mapping[str, Any]  # by the keys of the command line: {"network.hidden": [64], "encoder": "contrast"}


def make_env(env: str | gym.Env[Any, Any], settings: Settings | None = None) -> gym.Env[Any, Any]:
    """Make an env whose observations are a Box, in which any agent can run.

    Args:
        env: name of one in ``configs/env``, id of one in Gymnasium, or an env, which is wrapped where it has to be.
        settings: of the env, such as ``{"env.kwargs.length": 8}``; only where ``env`` is a name.

    Raises:
        ConfigError: naming the setting.
    """
    if isinstance(env, str):
        spec = build(compose({**_env(env), **(settings or {})}), "env")
        with checks.under("env"):
            made: gym.Env[Any, Any] = spec.make()
        return made
    if not isinstance(env, gym.Env):
        raise ConfigError("env", f"must be a name, an id of Gymnasium, or a Gymnasium env, got {env!r}")
    if settings:
        raise ConfigError("settings", f"must be empty where the env is made already, got {dict(settings)}")
    from tracerl.lifetime.observations import as_box

    with checks.under("env"):
        boxed: gym.Env[Any, Any] = as_box(env)
    return boxed


@overload
def make_agent(
    env: EnvOrSpaces,
    agent: Literal["reflect"] = ...,
    settings: Settings | None = ...,
    *,
    seed: int = ...,
    on_nonfinite: str = ...,
) -> "OnlineAgent": ...
@overload
def make_agent(
    env: EnvOrSpaces, agent: str, settings: Settings | None = ..., *, seed: int = ..., on_nonfinite: str = ...
) -> "MadeAgent": ...
def make_agent(
    env: EnvOrSpaces,
    agent: str = "reflect",
    settings: Settings | None = None,
    *,
    seed: int = 0,
    on_nonfinite: str = "raise",
) -> "MadeAgent":
    """Make an agent for the spaces of an env.

    Args:
        env: an env, as ``make_env`` makes one for any agent, or the pair of its observation and action space.
        agent: name of one in ``configs/agent``. One of your own is made by its class.
        settings: by the keys of the command line; those of an env's yaml count for nothing here. ``lifetimes`` above 1
            makes as many agents in one, which ``advance`` steps together.
        seed: of its weights and actions; lifetime i has ``seed`` + i.
        on_nonfinite: in a loop of your own, what follows a reward or an observation that is not finite. ``raise``:
            ``Diverged``, before anything of the agent changes. ``skip``: the transition is left out, the last action
            held, and ``agent.skipped`` counts it. ``live`` has an argument of this name for its own loop.

    Raises:
        ConfigError: naming the setting, or ``env`` where its spaces do not fit.

    Examples:
        >>> import tracerl
        >>> env = tracerl.make_env("CartPole")
        >>> agent = tracerl.make_agent(env, settings={"network.hidden": [32], "agent.entropy": 0.01}, seed=3)
        >>> agent.policy.network.layers[0].n_out
        32
    """
    from tracerl.lifetime.runners import compile_steps
    from tracerl.runs.build import build_agent, check_engine

    spaces = spaces_of(env)
    cfg = compose({"env": "gymnasium", "env.id": "made-already", "agent": agent, **(settings or {})})
    lifetimes = checks.whole("lifetimes", cfg.lifetimes, 1)
    checks.whole("seed", seed, 0, 2**32 - lifetimes)
    made: MadeAgent = build_agent(cfg, *spaces, list(range(seed, seed + lifetimes)), f"{env}, agent={agent}")
    check_engine(cfg.engine, made, agent)
    compile_steps(made)
    if hasattr(made, "on_nonfinite"):
        made.on_nonfinite = on_nonfinite
    elif on_nonfinite != "raise":
        raise ConfigError("on_nonfinite", f"must be raise for agent={agent}, which does not look at its inputs")
    return made


def load_agent(
    path: str | Path,
    env: EnvOrSpaces | None = None,
    *,
    engine: str | None = None,
    device: str | None = None,
    trust: bool = False,
) -> Any:
    """Load an agent that its ``save`` wrote, in the state that it had, within an episode too.

    Args:
        path: of the file.
        env: an env or the pair of its spaces, which must be those that the agent was made for; None: not compared.
        engine: ``torch``, ``fused`` or ``auto``; None: the one that it was saved with. The state is that of any.
        device: of its tensors; None: the one that it was saved with.
        trust: build whatever classes the file names, for files of your own: it runs code that the file chooses, and
            prints each such name. False: those of ``tracerl.load``.

    Raises:
        ConfigError: naming the file and what is wrong with it, ``env`` where its spaces are others, ``engine`` or
            ``device``.

    Examples:
        >>> import tempfile, tracerl
        >>> env = tracerl.make_env("CartPole")
        >>> agent = tracerl.make_agent(env, settings={"network.hidden": [8]})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     agent.save(f"{folder}/agent.safetensors")
        ...     again = tracerl.load_agent(f"{folder}/agent.safetensors", env)
        >>> observation, _ = env.reset(seed=0)
        >>> again.start(observation) == agent.start(observation)
        True
    """
    from tracerl.runs.build import rebuild_agent
    from tracerl.runs.saved_agent import read_agent

    saved = read_agent(path)
    if env is not None:
        for kind, mine, theirs in zip(("observation", "action"), saved.spec.spaces, spaces_of(env), strict=True):
            if mine != theirs:
                problem = f"must have the {kind} space that {path} was saved with, {mine}, got {theirs}"
                raise ConfigError("env", problem)
    try:
        return rebuild_agent(saved, Path(path), engine, device, checks.flag("trust", trust))
    except Exception as error:  # of whatever the settings and the state in the file lead to
        if {"engine": engine, "device": device}.get(getattr(error, "key", "")) is not None:  # what was asked for here
            raise
        what = error if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ConfigError(str(path), f"cannot be loaded: {what}") from error


def make_network(
    inputs: int | tuple[int, ...], outputs: int, settings: Settings | None = None, *, seed: int = 0
) -> "Network":
    """Make a network alone, of one lifetime, to be taught by whatever signal you have.

    Args:
        inputs: numbers that it receives per tick, or their shape where the network is for images.
        outputs: of the readout.
        settings: by the keys of the command line: ``network``, ``network.*``, ``dtype``, ``device``.
        seed: of its weights.

    Raises:
        ConfigError: naming the setting.

    Examples:
        >>> import torch, tracerl
        >>> network = tracerl.make_network(3, 1, {"network.hidden": [8], "network.readout_decay": 0.5})
        >>> error = 1 - network(torch.ones(3))     # one tick: membranes and traces advance
        >>> network.backward(error)                # d objective / d outputs; the score of every parameter
        >>> network.flat += 0.1 * network.score    # a step of your own
    """
    from tracerl.runs.build import new_lifetimes

    shape = inputs if isinstance(inputs, tuple) else (inputs,)
    for size in (*shape, outputs):
        checks.whole("inputs and outputs", size, 1)
    checks.whole("seed", seed, 0, 2**32 - 1)
    cfg = compose({"agent": "reflect", **(settings or {})})
    made: Network = build(cfg, "network").build(shape, outputs, new_lifetimes(cfg, seed))
    return made


def launch(settings: Settings, folder: str | Path | None = None) -> dict[str, Any]:
    """Live a whole run, as ``python -m tracerl.run`` does, and return its ``summary.json``.

    Args:
        settings: by the keys of the command line: ``{"env": "CartPole", "lifetimes": 40, "env.backend": "compiled"}``.
        folder: of the run, with its config, TensorBoard events, episodes, checkpoints and summary; None: a new one
            under ``runs/``.

    Raises:
        ConfigError: naming the setting.
        RunEnded: the env failed or a number diverged; the summary is written.
        KeyboardInterrupt: the run was interrupted; its summary is written.
    """
    from tracerl.runs.launch import Origin
    from tracerl.runs.launch import launch as start

    cfg, overrides = compose(settings), _overrides(settings)
    agent_name = str(settings.get("agent", "reflect"))
    place = Path(folder) if folder is not None else _new_folder(cfg, agent_name)
    place.mkdir(parents=True, exist_ok=True)
    return start(cfg, Origin(place, "folder", agent_name, overrides))


def compose(settings: Settings) -> DictConfig:
    """Return the whole config that the command line would make of these settings.

    Raises:
        ConfigError: there is no such key or choice.
    """
    overrides = _overrides(settings)
    try:
        with hydra_compat.configs("tracerl.configs"):
            return hydra.compose("run", overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError("settings", f"cannot be used: {explain(error, overrides)}") from error


def _overrides(settings: Settings) -> list[str]:
    """Write settings as the command line has them."""
    return open_keys([f"{key}={_text(value)}" for key, value in settings.items()])


def _text(value: Any) -> str:
    """Write a value in Hydra's grammar."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (str, Path)):
        return str(value) if re.fullmatch(r"[A-Za-z][\w.-]*", str(value)) else _quoted(str(value))
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_text(part)}" for key, part in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_text, value)) + "]"
    raise ConfigError("settings", f"must hold numbers, texts, lists and mappings, got {value!r}")


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _env(name: str) -> dict[str, str]:
    """Return the settings that choose an env by the name of its yaml or, where there is none, by its id."""
    there = (files("tracerl.configs") / "env" / f"{name}.yaml").is_file() if re.fullmatch(r"[\w-]+", name) else False
    return {"env": name} if there else {"env": "gymnasium", "env.id": name}


def _new_folder(cfg: DictConfig, agent_name: str) -> Path:
    """Return where the command line would put the run."""
    import time
    import uuid

    name = re.sub(r"[^\w.-]+", "-", str(cfg.env.name))
    return Path("runs") / name / agent_name / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{uuid.uuid4().hex[:6]}"
