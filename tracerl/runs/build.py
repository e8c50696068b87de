"""Build the agent of a run from its config. Errors name the key on the command line.

torch and Gymnasium are imported inside the functions, so that ``--help`` and the error of a mistyped key are quick.
"""

import re
from copy import deepcopy
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig, OmegaConf

from tracerl.config import checks
from tracerl.config.checks import ConfigError, NotMade
from tracerl.config.instantiate import build
from tracerl.runs.by_input import for_input, kind_of_space

if TYPE_CHECKING:
    from gymnasium import Space

    from tracerl.nn.lifetimes import Lifetimes
    from tracerl.runs.saved_agent import SavedAgent

_BY_INPUT = ("agent", "encoder", "head", "network", "optimizer")  # groups whose settings can depend on the observation
_OF_KINDS = re.compile(r"\$\{tracerl\.input:[^$]*\}")
_SMALL = 4096  # extra numbers allowed in one tensor, on top of the size of the saved state


def build_agent(
    cfg: DictConfig,
    observation_space: "Space[Any]",
    action_space: "Space[Any]",
    seeds: list[int],
    names: str,
    saved: Path | None = None,
    most: int | None = None,
) -> Any:
    """Build the agent of one or many lifetimes; errors name the setting.

    Args:
        cfg: the whole config.
        observation_space: observation space of one lifetime.
        action_space: action space of one lifetime.
        seeds: one seed per lifetime.
        names: env and agent, for messages about how they fit.
        saved: the untrusted file that the config comes from, if any.
        most: largest number of elements in one tensor; None: no limit.
    """
    from tracerl.lifetime.arguments import check_methods
    from tracerl.lifetime.independent_agents import IndependentAgents, build_agents
    from tracerl.runs.saved_agent import AgentSpec

    checks.choice("engine", cfg.engine, ("auto", "torch", "fused"))
    cfg = with_input(cfg, kind_of_space(observation_space))
    deploy = deploy_settings(cfg, saved)
    if deploy is not None and deploy.exact:
        deploy.check_config(cfg)
    bits = None if deploy is None else deploy.learned_bits
    cfg = cfg if bits is None else _with_weight_bits(cfg, bits)
    try:
        make = build(cfg, "agent", partly=True, saved=saved)
    except ConfigError as error:
        if error.key != "agent.weight_bits" or bits is None:
            raise
        name = cfg.agent["_target_"].rpartition(".")[2]
        problem = f"must be export for {name}, which cannot round weights while it learns; got learning"
        raise ConfigError("deploy.rounding", problem) from error
    spaces = {"observation_space": observation_space, "action_space": action_space}
    try:
        agent_class = hydra.utils.get_object(cfg.agent["_target_"])
        agent = build_agents(agent_class, partial(make, **spaces), partial(new_lifetimes, cfg, most=most), seeds)
    except ConfigError as error:
        if error.key == "env":
            problem = " ".join(f"{error.problem} ({names})".split())  # NumPy breaks long bounds of spaces into lines
            raise ConfigError("env", problem) from error
        if error.key.split(".")[0] in cfg:  # engine, or a setting of another group
            raise
        raise error.under("agent") from error
    except Exception as error:  # in a part of the user, or in one of ours
        made = cfg.agent["_target_"]
        raise NotMade("agent", f"cannot be built: {made} raised {checks.described(error)}") from error
    for each in agent.agents if isinstance(agent, IndependentAgents) else [agent] if len(seeds) == 1 else []:
        check_methods(each)
    if deploy is not None and deploy.exact:
        deploy.check(agent)
    if hasattr(agent, "built_from"):
        settings: Any = {"agent": OmegaConf.to_container(cfg.agent, resolve=True)}
        settings |= {"dtype": cfg.dtype, "device": str(cfg.device)}
        agent.built_from = AgentSpec(settings, (observation_space, action_space), list(seeds))
    return agent


def deploy_settings(cfg: DictConfig, saved: Path | None = None) -> Any:
    """Build the settings of ``deploy``; None for an earlier run, which has none. ``saved`` as in ``build_agent``."""
    return build(cfg, "deploy", saved=saved) if "deploy" in cfg else None


def _with_weight_bits(cfg: DictConfig, bits: int) -> DictConfig:
    """Return a config whose agent rounds its weights while it learns. Settings of a saved agent then have the bits."""
    plain: Any = OmegaConf.to_container(cfg)
    changed: DictConfig = OmegaConf.create(plain | {"agent": plain["agent"] | {"weight_bits": bits}})
    return changed


def with_input(cfg: DictConfig, kind: str) -> DictConfig:
    """Return a config with the settings for a kind of observation; see ``for_input``. ``cfg`` is not changed."""
    plain: Any = OmegaConf.to_container(cfg)
    chosen = {group: for_input(expanded(plain[group]), kind) for group in _BY_INPUT if group in plain}
    return cfg if all(plain[group] == chosen[group] for group in chosen) else OmegaConf.create(plain | chosen)


def expanded(tree: Any) -> Any:
    """Return a tree with the mapping of kinds in place of each ``${tracerl.input:{...}}``."""
    if isinstance(tree, dict):
        return {key: expanded(part) for key, part in tree.items()}
    if isinstance(tree, list):
        return [expanded(part) for part in tree]
    if isinstance(tree, str) and _OF_KINDS.fullmatch(tree):
        return deepcopy(_mapping(tree))
    return tree


@lru_cache(1024)
def _mapping(interpolation: str) -> Any:
    """Return the mapping of kinds that an interpolation holds, which OmegaConf takes a millisecond to parse."""
    resolved: Any = OmegaConf.to_container(OmegaConf.create([interpolation]), resolve=True)
    return resolved[0]


def rebuild_agent(
    saved: "SavedAgent", file: Path | None, engine: str | None = None, device: str | None = None, trust: bool = False
) -> Any:
    """Build the agent of a file and restore its state; a ValueError if the state does not fit.

    Without ``engine`` and ``device`` those of the saved agent are used. ``file`` is None for a pickle. With ``trust``
    every class that the settings name is allowed and printed; else only what ``tracerl.config.trust`` allows.
    """
    from tracerl.config.trust import check
    from tracerl.lifetime.runners import compile_steps

    settings, seeds = saved.spec.settings, saved.spec.seeds
    if file is not None:
        check(settings["agent"], "agent", file, trust=trust)
    own = {"engine": engine or saved.engine, "device": device or settings["device"]}
    cfg = OmegaConf.create({**settings, **own})
    if "engine" in cfg.agent:
        cfg.agent.engine = cfg.engine
    most = sum(tensor.numel() for tensor in saved.state.values()) + _SMALL
    agent = build_agent(cfg, *saved.spec.spaces, seeds, "the saved agent", None if trust else file, most)
    check_engine(cfg.engine, agent, type(agent).__name__)
    compile_steps(agent)
    agent.restore(saved.state)
    if hasattr(agent, "in_episode"):
        agent.in_episode = saved.mode["in_episode"]
    if saved.mode["frozen"]:
        agent.freeze()
    if saved.mode["greedy"]:
        agent.act_greedily()
    if saved.on_nonfinite != "raise":
        agent.on_nonfinite = saved.on_nonfinite
    return agent


def copied_agent(agent: Any, n: int) -> Any:
    """Build an agent of ``n`` lifetimes, each with the state of an agent of one lifetime, on the same engine."""
    from tracerl.lifetime.runners import compile_steps

    spec = agent.built_from
    cfg = OmegaConf.create({**spec.settings, "engine": agent.engine})
    if "engine" in cfg.agent:
        cfg.agent.engine = cfg.engine
    observations, actions = spec.spaces
    many = build_agent(cfg, observations, actions, list(spec.seeds) * n, "the copied agent")
    compile_steps(many)
    own = many.capture()
    many.restore({name: tensor.expand(own[name].shape) for name, tensor in _with_axis(agent.capture(), own).items()})
    return many


def _with_axis(state: Any, own: Any) -> Any:
    """Return a state of one lifetime with an axis of lifetimes, of length 1, where ``own`` has one."""
    return {name: tensor[None] if tensor.dim() < own[name].dim() else tensor for name, tensor in state.items()}


def unpickled_agent(data: bytes) -> Any:
    """Build an agent from its file in a pickle. The classes are trusted, because a pickle can run any code."""
    from tracerl.runs.saved_agent import unpack_agent

    return rebuild_agent(unpack_agent(data), None, trust=True)


def new_lifetimes(cfg: DictConfig, seeds: int | list[int], most: int | None = None) -> "Lifetimes":
    """Return the ``Lifetimes`` that create the tensors of one or many lifetimes.

    Raises:
        ConfigError: ``dtype`` is another one, or torch cannot use ``device``.
    """
    import torch

    from tracerl.nn.lifetimes import Lifetimes

    checks.choice("dtype", cfg.dtype, ("float32", "float64"))
    try:
        device = torch.device(cfg.device)
        torch.zeros(1, device=device).item()  # of the device meta it has no value
    except (RuntimeError, AssertionError, NotImplementedError, TypeError, OverflowError) as error:
        reason = "it is neither text nor a number" if cfg.device is None else str(error).splitlines()[0]
        raise ConfigError("device", f"must be a device that torch can use, got {cfg.device!r}: {reason}") from error
    return Lifetimes(seeds, getattr(torch, cfg.dtype), device, most)


def check_counts(cfg: DictConfig, seed: Any) -> int:
    """Check ``lifetimes``, ``threads`` and the seed of the first lifetime, and return the seed."""
    checks.whole("lifetimes", cfg.lifetimes, 1)
    if cfg.threads is not None:
        checks.whole("threads", cfg.threads, 1)
    return checks.whole("seed", seed, 0, 2**32 - cfg.lifetimes)  # the last lifetime's seed is below 2^32


def use_threads(cfg: DictConfig) -> None:
    """Set the number of torch threads: one for one lifetime, else ``threads`` or all cores.

    One small network is slower on several threads. Many networks at once are not.
    """
    import torch

    from tracerl.config.threads import available_cores

    cores = available_cores()  # torch ends the process where it is given a hundred thousand threads
    torch.set_num_threads(1 if cfg.lifetimes == 1 else min(cfg.threads or cores, cores))


def check_engine(engine: str, agent: Any, agent_name: str) -> str | None:
    """Return the agent's engine and, if ``auto`` chose torch, the reason; None for an agent without engines.

    Raises:
        ConfigError: ``engine`` is ``fused``, and the agent has no kernels.
    """
    chosen = getattr(agent, "engine", None)
    if engine == "fused" and chosen != "fused":
        raise ConfigError("engine", f"cannot be fused: agent={agent_name} has no kernels")
    if chosen is None:
        return None
    reason = getattr(agent, "engine_reason", f"agent={agent_name} has no kernels" if engine == "auto" else None)
    return f"{chosen}" + (f" (not fused: {reason})" if reason else "")
