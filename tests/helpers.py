"""Agents and envs built from the project's yamls, as the command line builds them."""

import importlib
import os
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, wraps
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.defaults_list import DefaultsList, Overrides
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from tracerl.agents.reflect import ReflectAgent
from tracerl.envs.spec import EnvSpec

import tracerl.run
from tracerl.config import hydra_compat
from tracerl.config.instantiate import open_keys
from tracerl.lifetime.loop import run_lifetime
from tracerl.lifetime.record import Milestone, Record
from tracerl.nn.lifetimes import Lifetimes
from tracerl.runs.build import with_input
from tracerl.runs.by_input import kind_of_space

SCRIPTS = Path(__file__).parents[1] / "scripts"


def script(name: str) -> ModuleType:
    """Import a script under its own name, as other scripts import it."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(SCRIPTS))


def exit_code(main: Callable[[], object], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run a command line in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", [main.__module__, *map(str, arguments)])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def command(arguments: list[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> int:
    """Run ``tracerl.run`` in this process and return its exit code."""
    monkeypatch.chdir(folder)
    monkeypatch.setitem(os.environ, "HYDRA_FULL_ERROR", "1")
    threads = torch.get_num_threads()
    GlobalHydra.instance().clear()
    try:
        return exit_code(tracerl.run.main, monkeypatch, *arguments)
    finally:
        GlobalHydra.instance().clear()
        torch.set_num_threads(threads)


def compose_choices_once() -> None:
    """Let Hydra compose the same choices once in this process: that takes a third of a second, values a hundredth.

    Hydra composes the choices and then sets the values. In 1.3 ``Hydra.get_mode`` also composes, to look for a mode
    that none of our configs names.
    """
    create, lists = config_loader_impl.create_defaults_list, dict[str, DefaultsList]()
    if hasattr(create, "__wrapped__"):
        return

    @wraps(create)
    def create_defaults_list(repo: Any, config_name: Any, overrides_list: Any, **options: Any) -> DefaultsList:
        values = Overrides(repo, overrides_list).config_overrides
        choices = [override.input_line for override in overrides_list if override not in values]
        key = repr((config_name, choices, options, repo.get_sources()))
        if key not in lists:
            lists[key] = create(repo, config_name, overrides_list, **options)
        return replace(lists[key], config_overrides=values)

    setattr(config_loader_impl, "create_defaults_list", create_defaults_list)  # noqa: B010
    _call_once(
        ConfigLoaderImpl, "_compose_config_from_defaults_list", lambda _, defaults, repo: (defaults, repo.get_sources())
    )
    _call_once(ConfigRepository, "load_config", lambda repo, config_path: (config_path, repo.get_sources()))
    setattr(Hydra, "get_mode", lambda *_, **__: None)  # noqa: B010


def _call_once(where: Any, name: str, key_of: Callable[..., object]) -> None:
    """Replace a method by one that runs once per key of its arguments and returns copies of the result."""
    call, made = getattr(where, name), dict[str, bytes]()

    @wraps(call)
    def copied(*arguments: Any, **options: Any) -> Any:
        key = repr(key_of(*arguments, **options))
        if key not in made:
            made[key] = pickle.dumps(call(*arguments, **options))
        return pickle.loads(made[key])  # pickle is five times as fast as deepcopy

    setattr(where, name, copied)


def compose(*overrides: str) -> DictConfig:
    """Return the config of a command line, without the node ``hydra``."""
    return hydra_compat.compose(open_keys(list(overrides)))


def bare(env_id: str = "CartPole-v1", **kwargs: Any) -> gym.Env:
    """Return a Gymnasium env as ``EnvSpec`` makes it, without the project's wrappers."""
    return gym.make(env_id, disable_env_checker=True, **kwargs)


def make_agent(
    env: gym.Env,
    *overrides: str,
    seed: int | list[int] = 0,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> ReflectAgent:
    """Return the agent of ``agent=reflect`` with the overrides; its engine is torch by default."""
    settings = _settings(overrides, kind_of_space(env.observation_space))
    make = hydra_compat.instantiate(settings, _convert_="all", _partial_=True)
    return make(env.observation_space, env.action_space, Lifetimes(seed, dtype, device))


@lru_cache(1024)
def _settings(overrides: tuple[str, ...], kind: str) -> DictConfig:
    """Return the node ``agent`` of a command line, read only, for a kind of observations."""
    cfg = with_input(compose("engine=torch", *overrides), kind)
    OmegaConf.set_readonly(cfg, True)
    return cfg.agent


def observation(i: int) -> np.ndarray:
    """Return observation i, with CartPole's shape, sampled with seed i."""
    return np.random.default_rng(i).normal(size=4).astype(np.float32)


def some_steps(agent: Any, steps: int = 30) -> None:
    """Begin an episode and take some steps of it."""
    agent.start(observation(0))
    for i in range(1, steps):
        agent.step(float(i % 3), observation(i))


def run_one_lifetime(
    env_id: str, steps: int, *overrides: str, seed: int = 0, **options: Any
) -> tuple[ReflectAgent, Record]:
    """Run one lifetime in an env and return the agent and its record."""
    env = gym.make(env_id, disable_env_checker=True)
    agent = make_agent(env, *overrides, seed=seed, **options)
    record = Record()
    run_lifetime(agent, env, steps, seed, record)
    env.close()
    return agent, record


def run_many_lifetimes(
    env_id: str, steps: int, *overrides: str, seeds: list[int], backend: str = "gymnasium", **options: Any
) -> tuple[ReflectAgent, list[Record]]:
    """Run many lifetimes in envs as the command line makes them and return their agent and records."""
    milestones = options.pop("milestones", [])
    spec = EnvSpec(
        env_id, env_id, {}, steps, milestones, backend=backend, vectorization=options.pop("vectorization", "sync")
    )
    runner = spec.open(seeds)
    agent = make_agent(runner, *overrides, seed=seeds, **options)
    records = [Record([Milestone.parse(name) for name in milestones], lifetime) for lifetime in range(len(seeds))]
    runner.prepare(agent)
    assert runner.run(agent, steps, records, (), lambda: False) == "finished"
    runner.close()
    return agent, records
