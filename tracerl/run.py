"""The command line: ``python -m tracerl.run``, on Hydra. The only module that touches it.

What a life needs is imported inside the job, so that ``--help`` and a mistyped key answer at once.
"""

import difflib
import inspect
import os
import re
import sys
import uuid
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from tracerl import checks
from tracerl.checks import ConfigError, ConfigWarning

if TYPE_CHECKING:
    from tracerl.experiment import Setup
    from tracerl.lives import Lives
    from tracerl.world import World

_CONFIG_PATH = "pkg://tracerl.configs"
_OPEN = re.compile(r"^(env|optimizer\.\w+)\.kwargs\.")  # keys that others name, which Hydra would want a + for


class RunEnded(Exception):
    """A run that did not finish; the message says why, its summary is written."""


def main() -> None:
    """Run what the command line asks for, and exit with 0, or 1 (failed), 2 (bad settings) or 130 (interrupted)."""
    full_error = os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises instead of printing
    OmegaConf.register_new_resolver("tracerl.id", lambda: uuid.uuid4().hex[:6], use_cache=True, replace=True)
    OmegaConf.register_new_resolver("tracerl.slug", lambda name: re.sub(r"[^\w.-]+", "-", name), replace=True)
    warnings.showwarning = partial(_show_warning, warnings.showwarning)
    sys.argv[1:] = [_OPEN.sub(r"++\g<0>", argument) for argument in sys.argv[1:]]
    entry = hydra.main(version_base="1.3", config_path=_CONFIG_PATH, config_name="run")(job)
    try:
        entry()
    except KeyboardInterrupt:
        sys.exit(130)
    except RunEnded as error:
        _stop(str(error), 1)
    except ConfigError as error:
        _stop(str(error), 2)
    except (HydraException, OmegaConfBaseException) as error:
        _stop(_explain(error, sys.argv[1:]), 2)
    except OSError as error:
        if full_error != "1" or error.filename is None:
            raise
        _stop(f"hydra.run.dir must be a folder that can be written: {error}", 2)


def _stop(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def _show_warning(
    usual: Callable[..., None], message: Warning | str, category: type[Warning], *where: Any, **more: Any
) -> None:
    """Show the project's own warnings in one line, others as Python does (``usual``)."""
    if issubclass(category, ConfigWarning):
        print(f"warning: {message}", file=sys.stderr)
    else:
        usual(message, category, *where, **more)


def job(cfg: DictConfig) -> float | None:
    """Live as the config says; one job of a sweep.

    Returns:
        What a sweeper maximises: the mean return of the last 100 episodes or, of many lives, its interquartile mean.
        None where no episode ended.

    Raises:
        ConfigError: a setting cannot be used.
        RunEnded: the env failed or a number diverged.
        KeyboardInterrupt: the life was interrupted; its summary is written.
    """
    from tracerl.experiment import run
    from tracerl.summary import closing_lines

    setup = _setup(cfg)
    summary = run(setup)
    print("\n".join(closing_lines(summary, setup.folder)), flush=True)
    if summary["status"] == "interrupted":
        raise KeyboardInterrupt
    if summary["status"] != "finished":
        raise RunEnded(f"{summary['status']}: {summary['error']} (traceback in {setup.folder / 'error.txt'})")
    if not (setup.folder / "summary.json").exists():
        raise RunEnded("the life finished, but its summary could not be written: it is printed above")
    found = summary["return_last100"]["iqm"]
    return None if found is None else float(found)


def _setup(cfg: DictConfig) -> "Setup":
    """Build everything the lives need from the config."""
    from tracerl.episodes import EpisodeLog
    from tracerl.experiment import Setup, flatten
    from tracerl.stats import Milestone, Record

    steps = _value(cfg, "steps")
    steps = checks.whole("steps", int(steps) if isinstance(steps, float) and steps.is_integer() else steps, 1)  # 1e5
    checks.whole("lifetimes", cfg.lifetimes, 1)
    checks.whole("seed", cfg.seed, 0, 2**32 - cfg.lifetimes)  # the last life's is below 2^32
    if cfg.threads is not None:
        checks.whole("threads", cfg.threads, 1)
    spec = _build(cfg, "env")
    logger = _build(cfg, "logger")
    agent_name = HydraConfig.get().runtime.choices["agent"]
    world, agent = _world_and_agent(cfg, spec, agent_name)
    _say_which_engine(cfg, agent, agent_name)
    folder = Path(HydraConfig.get().runtime.output_dir)
    config = OmegaConf.to_yaml(cfg, resolve=True)
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    settings: Any = OmegaConf.to_container(cfg, resolve=True)
    settings["agent"] = {"name": agent_name, **_own_settings(cfg)}
    episodes = EpisodeLog(folder)
    return Setup(
        env_name=spec.name,
        agent_name=agent_name,
        agent=agent,
        world=world,
        records=[
            Record([Milestone.parse(name) for name in spec.milestones], life, episodes.keep)
            for life in range(cfg.lifetimes)
        ],
        steps=steps,
        seed=cfg.seed,
        device=cfg.device,
        folder=folder,
        log=logger.open(folder, flatten(settings), config, cfg.lifetimes),
        episodes=episodes,
    )


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
    make = _build(cfg, "agent", partly=True)
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


def _value(cfg: DictConfig, key: str) -> Any:
    """Return a setting that another group may have left open."""
    try:
        return OmegaConf.select(cfg, key, throw_on_missing=True)
    except OmegaConfBaseException as error:
        if isinstance(error, MissingMandatoryValue):
            raise _missing(str(error)) from error
        raise ConfigError(key, f"cannot be worked out: {str(error).splitlines()[0]}") from error


def _missing(message: str) -> ConfigError:
    key = re.search(r"Missing mandatory value: ([\w.]+)", message)
    name = key[1] if key else "a setting"
    return ConfigError(name, f"must be given: {name}=...")


def _own_settings(cfg: DictConfig) -> dict[str, Any]:
    """Return the agent's own numbers, without the groups it refers to."""
    raw = OmegaConf.to_container(cfg.agent, resolve=False)
    assert isinstance(raw, dict)
    return {str(key): value for key, value in raw.items() if not str(value).startswith("${")}


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


def _build(cfg: DictConfig, key: str, partly: bool = False) -> Any:
    """Build what the ``_target_`` of a group names, with errors that name the key on the command line.

    Args:
        cfg: the whole config.
        key: of the group.
        partly: return a function that takes the remaining arguments.
    """
    _refuse_unknown(cfg[key], key)
    try:
        return hydra.utils.instantiate(cfg[key], _convert_="all", _partial_=partly)
    except InstantiationException as error:
        found = re.search(r"full_key: ([\w.]+)", str(error))
        where = re.sub(r"(?<=[a-z])(\d+)$", r".\1", found[1]) if found else key  # wrappers.0, for wrappers0
        inner = where.removeprefix("agent.")
        where = inner if inner.split(".")[0] in cfg else where  # an agent's parts are groups of their own
        if isinstance(error.__cause__, ConfigError):
            raise error.__cause__.under(where) from error
        raise ConfigError(where, f"cannot be built: {error.__cause__ or error}") from error
    except MissingMandatoryValue as error:
        raise _missing(str(error)) from error


def _refuse_unknown(node: DictConfig, key: str) -> None:
    """Refuse settings added with ``+`` that what a group builds does not take.

    Raises:
        ConfigError: naming the first one.
    """
    taken = inspect.signature(hydra.utils.get_object(node["_target_"])).parameters
    names = [str(name) for name in node]
    for name in names:
        if name not in taken and name != "_target_":
            exists = sorted(other for other in names if other in taken)
            raise ConfigError(f"{key}.{name}", f"does not exist. Keys of {key}: {', '.join(exists)}")


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


def _explain(error: Exception, arguments: list[str]) -> str:
    """Turn an error of Hydra's into one screen that names the key and lists what exists."""
    message = str(error)
    if isinstance(error, MissingConfigException):
        there = f"\nThere are: {', '.join(error.options)}" if error.options else ""
        return message.splitlines()[0] + there
    if "Missing mandatory value" in message:
        return str(_missing(message))
    found = re.search(r"Could not override '([^']+)'", message)
    if found is None:
        return message.strip()
    key = found[1].split("@")[0]
    others = [argument for argument in arguments if not argument.startswith(f"{key}=")]
    parent, _, name = key.rpartition(".")
    exists = _keys_of(parent, others)
    while parent and not exists:  # the typo is further up
        parent, _, name = parent.rpartition(".")
        exists = _keys_of(parent, others)
    path = f"{parent}." if parent else ""
    if name in exists:
        return f"{path}{name} is a value, there is no {key} in it"
    near = difflib.get_close_matches(name, exists, 1, cutoff=0.5)
    hint = f" Did you mean {path}{near[0]}?" if near else ""
    return (
        f"there is no {path}{name}.{hint}\n{f'Keys of {parent}' if parent else 'Keys and groups'}: {', '.join(exists)}"
    )


def _keys_of(parent: str, arguments: list[str]) -> list[str]:
    """List the keys under a dotted name, in the config with the groups that the command line chose."""
    chosen = [argument for argument in arguments if re.fullmatch(r"\w+=[\w.-]+", argument)]
    for overrides in (chosen, []):
        GlobalHydra.instance().clear()
        try:
            with hydra.initialize_config_module("tracerl.configs", version_base="1.3"):
                node: Any = hydra.compose("run", overrides)
            for part in filter(None, parent.split(".")):
                node = node[part]
            return sorted(str(key) for key in node if key != "_target_")
        except (HydraException, OmegaConfBaseException, KeyError, TypeError):
            continue
    return []


if __name__ == "__main__":
    main()
