"""A non-finite number is named in its step and does not spread to other lifetimes."""

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from tracerl.envs.spec import EnvSpec

import tests.toy_envs  # noqa: F401  registers the probes
from tests.helpers import command, make_agent, run_many_lifetimes
from tracerl.lifetime.divergence import Diverged, DivergenceCheck
from tracerl.lifetime.loop import LoopState, run_lifetime
from tracerl.lifetime.protocol import StepType
from tracerl.lifetime.record import Record, steps_of_all

SMALL = "network.hidden=[8]"
ENGINES = ("engine=torch", "engine=fused")
AGENTS = {
    "torch": (SMALL, "engine=torch"),
    "fused": (SMALL, "engine=fused"),
    "eprop": ("agent=eprop", SMALL),
    "reflect_classic": ("agent=reflect_classic", "agent.network.hidden=[8]"),
    "q_lambda, torch": ("agent=q_lambda", SMALL, "engine=torch"),
    "q_lambda, fused": ("agent=q_lambda", SMALL, "engine=fused"),
    "stream_ac": ("agent=stream_ac", "agent.hidden=[8]"),
    "stream_ac, fused": ("agent=stream_ac", "agent.hidden=[8]", "engine=fused"),
}


class Poison:
    """A callback that sets one weight of one lifetime to NaN at a given step."""

    def __init__(self, step: int, name: str, lifetime: int | None = None) -> None:
        self.every, self._name, self._lifetime, self.done = step, name, lifetime, False

    def call(self, records: Any, agent: Any) -> None:
        if not self.done:
            tensor = agent.capture()[self._name]
            place = tensor if self._lifetime is None else tensor[self._lifetime]
            with torch.no_grad():
                place.view(-1)[3] = torch.nan
        self.done = True


def name_of_a_weight(agent: Any, part: str) -> str:
    names = [
        name for name in agent.capture() if name.startswith(part) and name.endswith((".affine", ".weight", ".flat"))
    ]
    return names[0]


@pytest.mark.parametrize("kind", AGENTS)
def test_non_finite_weight_ends_the_lifetime_within_a_step_and_is_named(kind: str) -> None:
    env = gym.make("CartPole-v1", disable_env_checker=True)
    agent, record = make_agent(env, *AGENTS[kind]), Record()
    name = name_of_a_weight(agent, "learner" if kind == "eprop" else "policy")
    with pytest.raises(
        Diverged,
        match=rf"the agent's {name} is nan at \[.*\] in step 5[1-3]: try a smaller step size, or smaller weights",
    ):
        run_lifetime(agent, env, 1000, 0, record, [Poison(50, name)])
    assert record.step in (51, 52, 53)
    spoiled = [key for key, tensor in agent.capture().items() if not tensor.isfinite().all()]
    assert len(spoiled) < len(agent.capture()) / 2  # the diverged state is kept


@pytest.mark.parametrize("engine", ENGINES)
def test_diverged_lifetime_stops_learning(engine: str) -> None:
    agent = make_agent(gym.make("CartPole-v1"), SMALL, engine)
    agent.start(np.zeros(4, np.float32))
    agent.step(1.0, np.ones(4, np.float32))
    before = agent.policy.network.flat.clone()
    agent.fault.fill_(1)
    for act in (
        lambda: agent.start(np.ones(4)),
        lambda: agent.step(1.0, np.ones(4)),
        lambda: agent.end(1.0, np.ones(4), True),
    ):
        with pytest.raises(Diverged, match="^the agent's step along its trace is not finite: try"):
            act()
    assert torch.equal(agent.policy.network.flat, before)


@pytest.mark.parametrize(("engine", "backend"), [("torch", "gymnasium"), ("fused", "gymnasium"), ("fused", "compiled")])
def test_diverged_lifetime_is_unchanged_and_the_others_are_unaffected(engine: str, backend: str) -> None:
    arguments = ("CartPole-v1", 200, SMALL, f"engine={engine}")
    _, expected = run_many_lifetimes(*arguments, seeds=[0, 1, 2], backend=backend)
    runner = EnvSpec("CartPole", "CartPole-v1", {}, 1, [], backend=backend).open([0, 1, 2])
    agent, records = (
        make_agent(runner, SMALL, f"engine={engine}", seed=[0, 1, 2]),
        [Record(lifetime=i) for i in range(3)],
    )
    name = name_of_a_weight(agent, "policy")
    assert runner.run(agent, 200, records, [Poison(60, name, 1)], lambda: False) == "finished"
    assert [record.frozen for record in records] == [False, True, False]
    assert records[1].step < 70 and steps_of_all(records) == 200
    assert list(runner.divergence.problems) == [1]
    assert f"{name} of lifetime 1 is nan at" in runner.divergence.problems[1]
    for i in (0, 2):
        assert records[i].returns == expected[i].returns and records[i].step == 200
    runner.close()


@pytest.mark.parametrize(("at", "steps"), [(300, 900), (100, 150)])  # 101: found in the last call of the kernel
@pytest.mark.parametrize("backend", ["gymnasium", "compiled"])
def test_diverged_lifetime_is_re_initialised(backend: str, at: int, steps: int) -> None:
    runner = EnvSpec("CartPole", "CartPole-v1", {}, 1, [], backend=backend).open([0, 1])
    agent, records = make_agent(runner, SMALL, "engine=fused", seed=[0, 1]), [Record(lifetime=i) for i in range(2)]
    runner.divergence = DivergenceCheck("reset_life")
    runner.divergence.store_initial_state(agent)
    assert (
        runner.run(agent, steps, records, [Poison(at, name_of_a_weight(agent, "policy"), 1)], lambda: False)
        == "finished"
    )
    assert [record.step for record in records] == [steps, steps]
    assert all(tensor.isfinite().all() for tensor in agent.capture().values()) and not agent.faults.any()
    assert list(runner.divergence.problems) == [1]
    runner.close()


def test_single_diverged_lifetime_is_re_initialised() -> None:
    env = gym.make("Pendulum-v1", disable_env_checker=True)
    agent, record, divergence = make_agent(env, SMALL, "engine=fused"), Record(), DivergenceCheck("reset_life")
    divergence.store_initial_state(agent)
    poison = Poison(100, name_of_a_weight(agent, "policy"))
    assert run_lifetime(agent, env, 500, 0, record, [poison], loop_state=LoopState(divergence=divergence)) == "finished"
    assert record.step == 500 and list(divergence.problems) == [0]


def ended_episodes(kind: str, at: int | None) -> tuple[list[tuple[int, float, int]], torch.Tensor]:
    """Return the episodes of lifetime 0, which is re-initialised after step ``at``, and its weights at the end."""
    backend, lifetimes = ("compiled", 2) if kind == "compiled" else ("gymnasium", 1 if kind == "alone" else 2)
    runner = EnvSpec("CartPole", "CartPole-v1", {}, 1, [], backend=backend).open(range(lifetimes))
    seed: Any = 0 if lifetimes == 1 else [0, 1]
    agent = make_agent(runner, SMALL, "engine=fused", seed=seed, dtype=torch.float64)
    records, found = [Record(lifetime=i) for i in range(lifetimes)], list[tuple[int, float, int]]()
    records[0].keep = lambda lifetime, *episode: found.append(episode)  # type: ignore[method-assign]
    runner.divergence = DivergenceCheck("reset_life")
    runner.divergence.store_initial_state(agent)
    poison = None if at is None else Poison(at, "critic.network.readout.affine", None if lifetimes == 1 else 0)
    assert runner.run(agent, 150, records, [] if poison is None else [poison], lambda: False) == "finished"
    assert list(runner.divergence.problems) == ([] if at is None else [0])
    runner.close()
    return found, agent.policy.network.flat.reshape(lifetimes, -1)[0].clone()


@pytest.mark.parametrize("before_the_end", [3, 1, 0])
def test_re_initialised_lifetime_is_the_same_alone_among_many_and_compiled(before_the_end: int) -> None:
    end = ended_episodes("alone", None)[0][1][0]  # of the second episode
    episodes, weights = ended_episodes("alone", end - before_the_end)
    assert [step for step, *_ in episodes[:2]] == [episodes[0][0], end]
    for kind in ("many", "compiled"):
        found = ended_episodes(kind, end - before_the_end)
        assert found[0] == episodes and torch.equal(found[1], weights)


@pytest.mark.parametrize("policy", ["freeze", "reset_life"])
def test_divergence_at_the_start_of_an_episode_costs_the_others_nothing(policy: str) -> None:
    _, (alone, *_) = run_many_lifetimes("CartPole-v1", 200, SMALL, "engine=torch", seeds=[0, 1])
    runner = EnvSpec("CartPole", "CartPole-v1", {}, 1, []).open([0, 1])
    agent, records = make_agent(runner, SMALL, "engine=torch", seed=[0, 1]), [Record(lifetime=i) for i in range(2)]
    runner.divergence, advance, ends = DivergenceCheck(policy), agent.advance, iter(range(1000))
    runner.divergence.store_initial_state(agent)

    def overflowing(step_types: np.ndarray, rewards: np.ndarray, observations: Any) -> Any:
        actions = advance(step_types, rewards, observations)
        if step_types[1] >= StepType.TERMINATED and next(ends) == 1:  # the last update of the second episode
            agent.policy.network.readout.affine[1] = torch.inf
        return actions

    agent.advance = overflowing  # type: ignore[method-assign]
    assert runner.run(agent, 200, records, [], lambda: False) == "finished"
    assert list(runner.divergence.problems) == [1] and records[1].frozen == (policy == "freeze")
    assert records[0].returns == alone.returns and records[0].step == 200
    assert records[1].step == (sum(records[1].returns) if policy == "freeze" else 200)
    runner.close()


@pytest.mark.parametrize(("name", "lifetimes"), [("Adam", 1), ("Adam", 2), ("Adagrad", 2)])
def test_lifetime_with_an_optimiser_of_torch_is_re_initialised(name: str, lifetimes: int) -> None:
    runner = EnvSpec("CartPole", "CartPole-v1", {}, 1, []).open(range(lifetimes))
    seed: Any = 0 if lifetimes == 1 else [0, 1]
    agent, records = (
        make_agent(runner, SMALL, "optimizer=torch", f"optimizer.policy.name={name}", seed=seed),
        [Record() for _ in range(lifetimes)],
    )
    runner.divergence = DivergenceCheck("reset_life")
    runner.divergence.store_initial_state(agent)
    poison = Poison(60, name_of_a_weight(agent, "policy"), None if lifetimes == 1 else 1)
    assert runner.run(agent, 150, records, [poison], lambda: False) == "finished"
    assert list(runner.divergence.problems) == [lifetimes - 1]
    assert all(tensor.isfinite().all() for tensor in agent.capture().values())
    runner.close()


def test_env_that_fails_in_every_lifetime_ends_the_run_under_every_policy() -> None:
    runner = EnvSpec("Broken", "Broken-v0", {"how": "reward"}, 1, []).open([0, 1])
    agent, records = make_agent(runner, SMALL, "engine=torch", seed=[0, 1]), [Record(lifetime=i) for i in range(2)]
    runner.divergence = DivergenceCheck("reset_life")
    runner.divergence.store_initial_state(agent)
    with pytest.raises(Diverged, match="no lifetime is left; the last that stopped: the env returned the reward nan"):
        runner.run(agent, 200, records, [], lambda: False)
    runner.close()


@pytest.mark.parametrize("policy", ["freeze", "stop"])
def test_run_ends_at_the_first_or_at_the_last_divergence_by_policy(policy: str) -> None:
    runner = EnvSpec("CartPole", "CartPole-v1", {}, 1, []).open([0, 1])
    agent, records = make_agent(runner, SMALL, "engine=fused", seed=[0, 1]), [Record(lifetime=i) for i in range(2)]
    runner.divergence = DivergenceCheck(policy)
    name = name_of_a_weight(agent, "policy")
    poisons = [Poison(100, name, 1), Poison(150, name, 0)]
    with pytest.raises(
        Diverged,
        match="no lifetime is left; the first that stopped: .* of lifetime 1"
        if policy == "freeze"
        else "^the agent's .* of lifetime 1",
    ):
        runner.run(agent, 900, records, poisons, lambda: False)
    runner.close()


@pytest.mark.parametrize("how", ["reward", "observation"])
def test_env_that_returns_nan_ends_only_its_own_lifetime(how: str) -> None:
    spec = EnvSpec("Broken", "Broken-v0", {"how": how}, 1, [])
    runner = spec.open([0, 1])
    for env in runner._env.envs[:1]:
        env.unwrapped.count = -100  # fails a hundred steps after the other
    agent, records = make_agent(runner, SMALL, "engine=fused", seed=[0, 1]), [Record(lifetime=i) for i in range(2)]
    assert runner.run(agent, 120, records, [], lambda: False) == "finished"
    assert [record.frozen for record in records] == [False, True]
    assert records[0].step == 120 and records[1].step == 49
    assert all(tensor.isfinite().all() for tensor in agent.capture().values())
    runner.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_diverged_lifetime_of_many_is_not_restarted(engine: str) -> None:
    agent = make_agent(gym.make("CartPole-v1"), SMALL, engine, seed=[0, 1])
    seen = np.ones((2, 4), np.float32)
    agent.advance(np.full(2, StepType.FIRST, np.int8), np.zeros(2), seen)
    agent.fault[1] = 1
    before = agent.memory.real.clone()
    for step_type in (StepType.MID, StepType.TERMINATED, StepType.FIRST):
        with pytest.raises(Diverged, match="of lifetime 1 along its trace"):
            agent.advance(np.full(2, step_type, np.int8), np.ones(2), seen)
    assert torch.equal(agent.memory.real, before)
    agent.advance(
        np.array([StepType.MID, StepType.SKIP], np.int8), np.array([1.0, np.nan]), seen
    )  # without it, the other continues
    assert torch.equal(agent.memory.real[1], before[1]) and not torch.equal(agent.memory.real[0], before[0])


def test_divergence_check_decides_whether_a_run_ends_with_any_logger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("lifetimes=3", "on_nonfinite=reset_life", "network.weight_scale=3e37", "seed=80612", "steps=400")
    found = []
    for logger in ("logger=none", "logger.every=100"):
        folder = tmp_path / logger
        assert command([*settings, logger, f"hydra.run.dir={str(folder)!r}"], monkeypatch, tmp_path) == 0
        found.append(json.loads((folder / "summary.json").read_text()))
    measured = {"wall_seconds", "steps_per_second", "peak_rss_mb", "ended"}
    for key in found[0].keys() - measured:
        assert found[0][key] == found[1][key], key
