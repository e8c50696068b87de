"""The parts of a run out of its config: spec of the env and agent, with errors that name the key on the command line.

What they need is imported inside the functions, so that ``--help`` and a mistyped key answer at once.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from tracerl import checks
from tracerl.building import build
from tracerl.checks import ConfigError

if TYPE_CHECKING:
    from gymnasium import Space

    from tracerl.lives import Lives
    from tracerl.world import World


def open_world(cfg: DictConfig, spec: Any, seeds: list[int]) -> "World":
    """Open the envs of all lives.

    Args:
        cfg: the whole config.
        spec: of the env, built from it.
        seeds: one per life.
    """
    try:
        world: World = spec.open(seeds)
    except ConfigError as error:
        raise error.under("env") from error
    return world


def build_agent(
    cfg: DictConfig,
    observation_space: "Space[Any]",
    action_space: "Space[Any]",
    seeds: list[int],
    names: str,
    saved: Path | None = None,
) -> Any:
    """Build the agent of one life, or those of many.

    Args:
        cfg: the whole config.
        observation_space: of one life.
        action_space: of one life.
        seeds: one per life.
        names: of env and agent, for messages about how they fit.
        saved: the saved run's file that the config comes from, where it is not trusted.

    Raises:
        ConfigError: naming the setting.
    """
    from tracerl.population import build_agents

    checks.choice("engine", cfg.engine, ("auto", "torch", "fused"))
    make = build(cfg, "agent", partly=True, saved=saved)
    spaces = {"observation_space": observation_space, "action_space": action_space}
    try:
        agent_class = hydra.utils.get_object(cfg.agent["_target_"])
        return build_agents(agent_class, partial(make, **spaces), partial(new_lives, cfg), seeds)
    except ConfigError as error:
        if error.key == "env":
            raise ConfigError("env", f"{error.problem} ({names})") from error
        if error.key.split(".")[0] in cfg:  # engine, or a setting of a group that another one cannot do with
            raise
        raise error.under("agent") from error


def new_lives(cfg: DictConfig, seeds: int | list[int]) -> "Lives":
    """Return the maker of the tensors of one life or of many.

    Raises:
        ConfigError: naming ``device`` or ``dtype``.
    """
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


def use_threads(cfg: DictConfig) -> None:
    """Let torch use as many threads as the lives are worth.

    Networks this small are slower on more threads than one; many of them at once are not.
    """
    import torch

    from tracerl.threads import available_cores

    torch.set_num_threads(1 if cfg.lifetimes == 1 else cfg.threads or available_cores())


def check_engine(engine: str, agent: Any, agent_name: str) -> str | None:
    """Say which engine computes the agent's steps and, where ``auto`` chose torch, why; None where there is none.

    Raises:
        ConfigError: ``fused`` is asked of an agent that has no kernels.
    """
    chosen = getattr(agent, "engine", None)
    if engine == "fused" and chosen != "fused":
        raise ConfigError("engine", f"cannot be fused: agent={agent_name} has no kernels")
    if chosen is None:
        return None
    reason = getattr(agent, "engine_reason", f"agent={agent_name} has no kernels" if engine == "auto" else None)
    return f"{chosen}" + (f" (not fused: {reason})" if reason else "")
