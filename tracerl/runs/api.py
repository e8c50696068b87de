"""The Python interface: build envs, agents, networks and runs from the settings of the command line."""

import re
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import gymnasium as gym
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from tracerl.config import checks, hydra_compat
from tracerl.config.checks import ConfigError
from tracerl.config.error_messages import check_choices, explain
from tracerl.config.instantiate import build, open_keys
from tracerl.config.overrides import text_of
from tracerl.nn.spaces import spaces_of

if TYPE_CHECKING:
    from tracerl.agents.common.online import OnlineAgent
    from tracerl.lifetime.protocol import MadeAgent
    from tracerl.nn.networks import Network

EnvOrSpaces = gym.Env[Any, Any] | tuple[gym.Space[Any], gym.Space[Any]]  # the spaces of observations and of actions
Settings = Mapping[str, Any]  # by the keys of the command line: {"network.hidden": [64], "encoder": "contrast"}


def make_env(env: str | gym.Env[Any, Any], settings: Settings | None = None) -> gym.Env[Any, Any]:
    """Make an env whose observations are a Box, which every agent accepts.

    Args:
        env: name of a file in ``configs/env``, a Gymnasium id, or an env, which is wrapped if it needs to be.
        settings: settings of the env, such as ``{"env.kwargs.length": 8}``. Only for an ``env`` given by name.

    Raises:
        ConfigError: naming the setting.
    """
    settings = _mapping(settings)
    if isinstance(env, str):
        for key in settings:
            if not str(key).lstrip("+~").startswith("env."):
                raise ConfigError(str(key), "has no effect on an env: its settings begin with env.")
        return checked_maker(env_spec(env, settings))()
    if not isinstance(env, gym.Env):
        raise ConfigError("env", f"must be a name, a Gymnasium id or a Gymnasium env, got {env!r}")
    if settings:
        raise ConfigError("settings", f"must be empty for an env that is made already, got {dict(settings)}")
    from tracerl.lifetime.observations import as_box

    with checks.under("env"):
        boxed: gym.Env[Any, Any] = as_box(env)
    return boxed


def env_spec(env: str, settings: Settings | None = None) -> Any:
    """Return the ``EnvSpec`` of a name or Gymnasium id; see ``make_env``."""
    return build(compose({**_env(env), **(settings or {})}), "env")


def checked_maker(spec: Any) -> Callable[[], gym.Env[Any, Any]]:
    """Return a function that makes an env of an ``EnvSpec``, with errors that begin with ``env``."""

    def make() -> gym.Env[Any, Any]:
        with checks.under("env"):
            made: gym.Env[Any, Any] = spec.make()
        return made

    return make


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
        env: an env from ``make_env``, or the pair of its observation and action space.
        agent: name of a file in ``configs/agent``. For an agent of your own, call its class.
        settings: settings by the keys of the command line. Settings in an env's yaml have no effect here. With
            ``lifetimes`` above 1 the agent holds that many lifetimes, and ``advance`` steps them together.
        seed: seed of the weights and actions. Lifetime i has ``seed`` + i.
        on_nonfinite: how the agent handles a reward or an observation that is not finite, in a loop of your own.
            ``raise``: it raises ``Diverged`` before its state changes. ``skip``: it leaves the transition out, repeats
            the last action and counts the step in ``agent.skipped``. ``live`` has its own argument of this name.

    Raises:
        ConfigError: naming the setting, or ``env`` if its spaces do not fit.

    Examples:
        >>> import tracerl
        >>> env = tracerl.make_env("CartPole")
        >>> agent = tracerl.make_agent(env, settings={"network.hidden": [32], "agent.entropy": 0.01}, seed=3)
        >>> agent.policy.network.layers[0].n_out
        32
    """
    from tracerl.lifetime.runners import compile_steps
    from tracerl.runs.build import build_agent, check_counts, check_engine, deploy_settings
    from tracerl.runs.ignored import ignored_by, warn_of_ignored

    spaces = spaces_of(env)
    if not isinstance(agent, str):
        raise ConfigError("agent", f"must be the name of an agent, got {agent!r:.200}; settings are settings=")
    settings = _mapping(settings)
    for key in ("agent", "seed"):
        if key in settings:
            raise ConfigError(key, f"must be the argument {key}: among the settings it has no effect")
    cfg = compose({"env": "gymnasium", "env.id": "made-already", "agent": agent, **settings})
    seed = check_counts(cfg, seed)
    made: MadeAgent = build_agent(cfg, *spaces, list(range(seed, seed + cfg.lifetimes)), f"{env}, agent={agent}")
    check_engine(cfg.engine, made, agent)
    warn_of_ignored(_overrides(settings), ignored_by(made, cfg, deploy=deploy_settings(cfg)), agent)
    compile_steps(made)
    if hasattr(made, "on_nonfinite"):
        made.on_nonfinite = on_nonfinite
    elif on_nonfinite != "raise":
        raise ConfigError("on_nonfinite", f"must be raise for agent={agent}, which does not check its inputs")
    return made


def load_agent(
    path: str | Path,
    env: EnvOrSpaces | None = None,
    *,
    engine: str | None = None,
    device: str | None = None,
    trust: bool = False,
) -> Any:
    """Load an agent from the file that ``agent.save`` wrote. The state within an episode is restored too.

    Args:
        path: path of the file.
        env: an env or the pair of its spaces. They must equal the spaces of the saved agent. None: not compared.
        engine: ``torch``, ``fused`` or ``auto``. None: the engine of the saved agent. All engines share one state.
        device: device of the tensors. None: the device of the saved agent.
        trust: allow every class that the file names. This runs code that the file chooses, and prints each such name.
            False: allow the classes that ``tracerl.load`` allows.

    Raises:
        ConfigError: naming the file and its problem, ``env`` if its spaces differ, ``engine`` or ``device``.

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
    except Exception as error:  # settings and state come from a file and can cause any error
        if {"engine": engine, "device": device}.get(getattr(error, "key", "")) is not None:  # an argument is at fault
            raise
        what = error if isinstance(error, ValueError) else checks.described(error)
        raise ConfigError(str(path), f"cannot be loaded: {what}") from error


def make_network(
    inputs: int | tuple[int, ...], outputs: int, settings: Settings | None = None, *, seed: int = 0
) -> "Network":
    """Make a network without an agent, for one lifetime and a learning signal of your own.

    Args:
        inputs: number of inputs per tick, or their shape for a network on images.
        outputs: number of readout outputs.
        settings: settings by the keys of the command line: ``network``, ``network.*``, ``dtype``, ``device``.
        seed: seed of the weights.

    Raises:
        ConfigError: naming the setting.

    Examples:
        >>> import torch, tracerl
        >>> network = tracerl.make_network(3, 1, {"network.hidden": [8], "network.readout_decay": 0.5})
        >>> error = 1 - network(torch.ones(3))     # one tick: membranes and traces advance
        >>> network.backward(error)                # d objective / d outputs; the score of every parameter
        >>> network.flat += 0.1 * network.score    # a step of your own
    """
    from tracerl.runs.build import new_lifetimes, with_input
    from tracerl.runs.by_input import kind_of

    shape = inputs if isinstance(inputs, tuple) else (inputs,)
    shape = tuple(checks.whole("inputs", size, 1) for size in shape)
    outputs, seed = checks.whole("outputs", outputs, 1), checks.whole("seed", seed, 0, 2**32 - 1)
    cfg = with_input(compose({"agent": "reflect", **_mapping(settings)}), kind_of(shape))
    made: Network = build(cfg, "network").build(shape, outputs, new_lifetimes(cfg, seed))
    return made


def launch(settings: Settings, folder: str | Path | None = None, *, callbacks: Sequence[Any] = ()) -> dict[str, Any]:
    """Run all lifetimes, as ``python -m tracerl.run`` does, and return the contents of ``summary.json``.

    Args:
        settings: settings by the keys of the command line, such as
            ``{"env": "CartPole", "lifetimes": 40, "env.backend": "compiled"}``.
        folder: folder for the config, TensorBoard events, episodes, checkpoints and summary of the run. None: a new
            folder under ``runs/``.
        callbacks: ``tracerl.Callback`` by event, or ``tracerl.Every`` on a schedule.

    Raises:
        ConfigError: naming the setting.
        RunEnded: the env, an agent or part, a callback or the start of a logger failed, or a number diverged. The
            summary is written.
        KeyboardInterrupt: SIGINT arrived. The summary is written, as ``finished`` if the run had ended.
        SystemExit: SIGTERM or SIGUSR2 arrived, with 128 + the signal. The summary is written too.
    """
    from tracerl.runs.launch import RunOrigin
    from tracerl.runs.launch import launch as start

    cfg, overrides = compose(settings), _overrides(settings)
    agent_name = str(settings.get("agent", "reflect"))
    try:
        path = Path(folder) if folder is not None else _new_folder(cfg, agent_name)
        path.mkdir(parents=True, exist_ok=True)
    except (TypeError, OSError) as error:
        raise ConfigError("folder", f"must be a folder that can be written, got {folder!r}: {error}") from error
    return start(cfg, RunOrigin(path, "folder", agent_name, overrides), callbacks)


def compose(settings: Settings) -> DictConfig:
    """Return the whole config for these settings, as the command line composes it.

    Raises:
        ConfigError: a key or a choice does not exist.
    """
    overrides = _overrides(settings)
    check_choices(overrides)
    try:
        return hydra_compat.compose(overrides)
    except (HydraException, OmegaConfBaseException) as error:
        found = re.search(r"Could not find '([\w/]+)/", str(error))
        key = found[1] if found is not None and found[1] in settings else "settings"
        raise ConfigError(key, f"cannot be used: {explain(error, overrides)}") from error


def _mapping(settings: Settings | None) -> Settings:
    """Return settings that are a mapping, empty for None; a ConfigError for anything else."""
    return {} if settings is None else _given(settings)


def _given(settings: Settings) -> Settings:
    """Return settings that are a mapping; a ConfigError for anything else, None included."""
    if not isinstance(settings, Mapping):
        raise ConfigError("settings", f"must be a mapping by the keys of the command line, got {settings!r:.200}")
    return settings


def _overrides(settings: Settings) -> list[str]:
    """Return settings as overrides of the command line."""
    overrides = []
    for key, value in _given(settings).items():
        if not isinstance(key, str) or not re.fullmatch(r"[+~]{0,2}\w[\w./@-]*", key):
            raise ConfigError("settings", f"must have keys such as network.hidden, got {key!r:.200}")
        try:
            overrides.append(f"{key}={text_of(value)}")
        except ConfigError as error:
            raise ConfigError(key, error.problem) from error
    return open_keys(overrides)


def _env(name: str) -> dict[str, str]:
    """Return the settings that select an env by the name of its yaml, or by its Gymnasium id if there is no yaml."""
    known = re.fullmatch(r"[\w-]+", name) and (files("tracerl.configs") / "env" / f"{name}.yaml").is_file()
    return {"env": name} if known else {"env": "gymnasium", "env.id": name}


def _new_folder(cfg: DictConfig, agent_name: str) -> Path:
    """Return the default folder of a new run."""
    import time
    import uuid

    name = re.sub(r"[^\w.-]+", "-", str(cfg.env.name))
    return Path("runs") / name / agent_name / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{uuid.uuid4().hex[:6]}"
