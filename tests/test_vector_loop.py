"""Each of many lifetimes equals the single lifetime, in every backend."""

import json
import re
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from tracerl.agents.random import RandomAgent
from tracerl.envs.spec import EnvSpec

from tests.helpers import command, make_agent, run_many_lifetimes, run_one_lifetime
from tests.toy_envs import Space, ToyEnv  # and registers the probes
from tracerl.config.checks import ConfigError
from tracerl.lifetime.independent_agents import IndependentAgents
from tracerl.lifetime.loop import Diverged, EnvFailed, run_lifetime
from tracerl.lifetime.protocol import ManyAgents, StepType
from tracerl.lifetime.record import Record, VectorStatistics
from tracerl.lifetime.runners import GymnasiumRunner
from tracerl.lifetime.vector_loop import run_lifetimes
from tracerl.nn.lifetimes import Lifetimes
from tracerl.runs.execute import describe

SMALL = "network.hidden=[12]"


def rows(agent: Any) -> list[torch.Tensor]:
    """Return the whole state of an agent, with a row per lifetime."""
    return [memory.reshape(-1, memory.shape[-1]) for memory in (agent.memory.real, agent.memory.wide)]


@pytest.mark.parametrize("more", [(), ("+agent.weight_bits=8",)], ids=["plain", "rounded"])
def test_lifetime_i_of_16_is_bit_identical_to_the_single_lifetime(more: tuple[str, ...]) -> None:
    overrides = SMALL, "engine=fused", *more
    together, records = run_many_lifetimes("CartPole-v1", 500, *overrides, seeds=list(range(3, 19)))
    for i in (0, 1, 7, 14, 15):
        alone, record = run_one_lifetime("CartPole-v1", 500, *overrides, seed=3 + i)
        assert record.returns == records[i].returns and record.lengths == records[i].lengths
        assert (record.step, record.episodes, record.episode_return) == (
            500,
            records[i].episodes,
            records[i].episode_return,
        )
        for all_lifetimes, one in zip(rows(together), rows(alone), strict=True):
            assert torch.equal(all_lifetimes[i], one[0])


@pytest.mark.parametrize("optimizer", ["intentional", "torch"])
def test_lifetime_i_equals_the_single_lifetime_in_torch(optimizer: str) -> None:
    overrides = (SMALL, f"optimizer={optimizer}", "encoder=contrast")
    together, records = run_many_lifetimes("CartPole-v1", 100, *overrides, seeds=[1, 2, 3], dtype=torch.float64)
    for i, seed in enumerate([1, 2, 3]):
        alone, record = run_one_lifetime("CartPole-v1", 100, *overrides, seed=seed, dtype=torch.float64)
        assert record.returns == records[i].returns
        ours, theirs = together.policy.network.flat[i], alone.policy.network.flat
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("n", "backend"), [(50, "gymnasium"), (5, "gymnasium"), (5, "compiled")])
def test_results_are_bit_identical_for_any_number_of_threads(n: int, backend: str) -> None:
    lifetimes = [
        run_many_lifetimes(
            "CartPole-v1", 200, SMALL, "engine=fused", f"threads={i}", seeds=[*range(n)], backend=backend
        )
        for i in (1, 2, 3, 9)
    ]
    for agent, records in lifetimes[1:]:
        assert [record.returns for record in records] == [record.returns for record in lifetimes[0][1]]
        assert all(torch.equal(a, b) for a, b in zip(rows(agent), rows(lifetimes[0][0]), strict=True))


@pytest.mark.parametrize(
    ("env_id", "steps", "overrides"),
    [
        ("CartPole-v1", 1000, ()),
        ("CartPole-v1", 1000, ("optimizer=obgd", "network.hidden=[7,5]", "network.learn_threshold=true")),
        ("Acrobot-v1", 600, ("encoder=contrast",)),
        ("MountainCar-v0", 500, ("optimizer=adaptive_obgd",)),
        ("CartPole-v1", 1000, ("agent.trunk=shared", "optimizer=update_rms")),
        ("Pendulum-v1", 500, ("agent.signal=advantage",)),
        ("MountainCarContinuous-v0", 1200, ()),
        ("Pendulum-v1", 500, ("head=discretized", "head.bins=4")),
    ],
)
def test_lifetimes_in_compiled_envs_equal_those_in_gymnasium(
    env_id: str, steps: int, overrides: tuple[str, ...]
) -> None:
    arguments = (env_id, steps, SMALL, *overrides, "engine=fused")
    by_loop, theirs = run_many_lifetimes(*arguments, seeds=[0, 1, 2])
    by_kernel, ours = run_many_lifetimes(*arguments, seeds=[0, 1, 2], backend="compiled")
    for a, b in zip(ours, theirs, strict=True):
        assert (a.step, a.episodes, a.returns, a.lengths) == (b.step, b.episodes, b.returns, b.lengths)
        assert (a.episode_return, a.episode_length, a.earned) == (b.episode_return, b.episode_length, b.earned)
    assert all(torch.equal(a, b) for a, b in zip(rows(by_kernel), rows(by_loop), strict=True))


@pytest.mark.parametrize(
    "more", [(), ("agent.trunk=shared",), ("+agent.weight_bits=8",)], ids=["separate", "shared", "rounded"]
)
def test_both_engines_agree_on_every_mixture_of_step_types(more: tuple[str, ...]) -> None:
    env, seeds, rng = Space(4, 3), [0, 1, 2, 3], np.random.default_rng(0)
    agents = [
        make_agent(env, SMALL, *more, f"engine={name}", seed=seeds, dtype=torch.float64) for name in ("torch", "fused")
    ]
    step_types = np.full(4, StepType.FIRST, np.int8)
    for i in range(100):
        rewards, seen = rng.normal(size=4), rng.normal(size=(4, 4)).astype(np.float32)
        before = [memory.clone() for memory in rows(agents[0])]
        actions = [agent.advance(step_types, rewards, seen) for agent in agents]
        assert actions[0].tolist() == actions[1].tolist(), i
        skipped = step_types == StepType.SKIP
        assert all(torch.equal(now[skipped], then[skipped]) for now, then in zip(rows(agents[0]), before, strict=True))
        ended = step_types >= StepType.TERMINATED
        step_types = rng.choice(
            [StepType.SKIP, StepType.MID, StepType.TERMINATED, StepType.TRUNCATED], 4, p=[0.2, 0.6, 0.1, 0.1]
        )
        step_types[ended] = StepType.FIRST
        step_types = step_types.astype(np.int8)
    for (name, ours), theirs in zip(agents[0].state_dict().items(), agents[1].state_dict().values(), strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-9, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}")


def test_skipped_lifetime_keeps_its_torch_optimiser_state() -> None:
    agent = make_agent(Space(4, 3), SMALL, "optimizer=torch", seed=[0, 1, 2])
    agent.advance(np.full(3, StepType.FIRST, np.int8), np.zeros(3), np.ones((3, 4)))
    agent.advance(np.full(3, StepType.MID, np.int8), np.ones(3), np.ones((3, 4)))
    before = [state.clone() for state, _ in agent.policy.step_rule.external_tensors()]
    assert before
    agent.advance(np.array([StepType.MID, StepType.SKIP, StepType.MID], np.int8), np.ones(3), np.zeros((3, 4)))
    after = [state for state, _ in agent.policy.step_rule.external_tensors()]
    changed = [(now != then).flatten(1).any(1) for now, then in zip(after, before, strict=True)]
    assert torch.stack(changed).any(0).tolist() == [True, False, True]


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Rprop", "Adagrad"])
def test_torch_optimiser_of_a_lifetime_that_begins_later_starts_anew(name: str) -> None:
    rule = (SMALL, "optimizer=torch", f"optimizer.policy.name={name}", f"optimizer.value.name={name}")
    many, rng = make_agent(Space(4, 3), *rule, seed=[0, 1], dtype=torch.float64), np.random.default_rng(0)
    one = make_agent(Space(4, 3), *rule, seed=1, dtype=torch.float64)
    seen, reward = rng.normal(size=(40, 2, 4)), rng.normal(size=40)
    for i in range(20):  # the first lifetime alone
        many.advance(np.array([StepType.MID if i else StepType.FIRST, StepType.SKIP]), reward[[i, i]], seen[i])
    for i in range(20, 40):
        kind = StepType.MID if i > 20 else StepType.FIRST
        many.advance(np.array([StepType.MID, kind]), reward[[i, i]], seen[i])
        one.step(reward[i], seen[i, 1]) if i > 20 else one.start(seen[i, 1])
    torch.testing.assert_close(many.policy.network.flat[1], one.policy.network.flat, rtol=1e-9, atol=1e-12)


class Script(VectorEnv):
    """Two lifetimes that count their own steps; lifetime 0 ends every second step, lifetime 1 is cut off every third.

    Resets in the step after an end, as native vector envs do, or waits for a reset.
    """

    def __init__(self, mode: AutoresetMode, worst: float = 0.0) -> None:
        self.num_envs, self.metadata, self.worst = 2, {"autoreset_mode": mode}, worst
        self.single_observation_space = gym.spaces.Box(-1, 100, (1,), np.float32)
        self.single_action_space = gym.spaces.Discrete(2)
        self.seeds: list[Any] = []

    def observe(self) -> np.ndarray:
        return np.stack([self.episode * 10 + self.count], 1).astype(np.float32)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        self.seeds.append(seed)
        mask = np.ones(2, bool) if options is None else options["reset_mask"]
        if options is None:
            self.count, self.episode, self.ended = np.zeros(2, int), np.zeros(2, int), np.zeros(2, bool)
        self.episode[mask] += 1
        self.count[mask] = 0
        return self.observe(), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        again = self.ended & (self.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP)
        self.episode += again
        self.count = np.where(again, 0, self.count + 1)
        terminated = np.array([self.count[0] == 2, False])
        truncated = np.array([False, self.count[1] == 3])
        self.ended = terminated | truncated
        return self.observe(), np.where(again, 0.0, 1.0 + self.worst), terminated, truncated, {}


class RecordingAgent:
    """Records the steps of each lifetime."""

    def __init__(self) -> None:
        self.received: list[list[tuple]] = [[], []]

    def advance(self, step_types: np.ndarray, rewards: np.ndarray, observations: np.ndarray) -> np.ndarray:
        for lifetime in range(2):
            if step_types[lifetime] != StepType.SKIP:
                self.received[lifetime].append((StepType(step_types[lifetime]).name, int(observations[lifetime, 0])))
        return np.zeros(2, int)

    def diagnostics(self) -> dict[str, float]:
        return {}


@pytest.mark.parametrize("mode", [AutoresetMode.DISABLED, AutoresetMode.NEXT_STEP])
def test_each_lifetime_receives_the_same_steps_in_every_autoreset_mode(mode: AutoresetMode) -> None:
    envs, agent, records = Script(mode), RecordingAgent(), [Record(lifetime=lifetime) for lifetime in range(2)]
    assert run_lifetimes(agent, envs, 5, [7, 8], VectorStatistics(records)) == "finished"
    assert isinstance(agent, ManyAgents)
    assert agent.received[0] == [
        *(("FIRST", 10), ("MID", 11), ("TERMINATED", 12)),
        *(("FIRST", 20), ("MID", 21), ("TERMINATED", 22)),
        *(("FIRST", 30), ("MID", 31)),
    ]
    assert agent.received[1] == [
        *(("FIRST", 10), ("MID", 11), ("MID", 12), ("TRUNCATED", 13)),
        *(("FIRST", 20), ("MID", 21), ("MID", 22)),
    ]
    assert [(r.step, r.episodes, list(r.returns), r.episode_length) for r in records] == [
        (5, 2, [2.0, 2.0], 1),
        (5, 1, [3.0], 2),
    ]
    assert envs.seeds[0] == ([7, 8] if mode == AutoresetMode.DISABLED else 7)
    assert all(seed is None for seed in envs.seeds[1:])


class CountingCallback:
    """A callback that records the steps of its calls."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.seen: list[list[int]] = []

    def call(self, records: list[Record], agent: Any) -> None:
        self.seen.append([record.step for record in records])


def test_callbacks_are_called_on_schedule_and_interrupts_end_after_a_step() -> None:
    records, callback = [Record(lifetime=lifetime) for lifetime in range(2)], CountingCallback(2)
    statistics = VectorStatistics(records)
    arguments = (RecordingAgent(), Script(AutoresetMode.DISABLED), 100, [7, 8], statistics, [callback])
    assert run_lifetimes(*arguments, interrupted=lambda: statistics.step() == 5) == "interrupted"
    assert callback.seen == [[2, 2], [4, 4], [5, 5]]
    assert records[0].episodes == 2


def test_compiled_lifetimes_run_callbacks_on_schedule_and_can_be_interrupted() -> None:
    runner = EnvSpec("CartPole", "CartPole-v1", {}, 1, [], backend="compiled").open([0, 1])
    agent, records = (
        make_agent(runner, SMALL, "engine=fused", seed=[0, 1]),
        [Record(lifetime=lifetime) for lifetime in range(2)],
    )
    callback = CountingCallback(70)
    assert runner.run(agent, 1000, records, [callback], lambda: records[0].step >= 200) == "interrupted"
    assert callback.seen == [[70, 70], [140, 140], [210, 210], [210, 210]]
    runner.run(agent, 1000, records, [], lambda: False)
    whole = run_many_lifetimes("CartPole-v1", 1000, SMALL, "engine=fused", seeds=[0, 1], backend="compiled")[1]
    assert [record.returns for record in records] == [record.returns for record in whole]


def test_native_vector_envs_run_all_steps_and_learn() -> None:
    _, records = run_many_lifetimes(
        "CartPole-v1", 6000, SMALL, "engine=fused", seeds=[0, 1, 2, 3], vectorization="native"
    )
    assert [record.step for record in records] == [6000] * 4
    assert np.mean([record.mean_return(20) for record in records]) > 60  # 22 at random


def test_nan_reward_raises_an_error_naming_its_lifetime() -> None:
    records = [Record(lifetime=lifetime) for lifetime in range(2)]
    with pytest.raises(Diverged, match=r"reward nan in step 1 of lifetime 0"):
        run_lifetimes(
            RecordingAgent(), Script(AutoresetMode.DISABLED, float("nan")), 5, [7, 8], VectorStatistics(records)
        )


IN_STEP = "the env of lifetime 0 failed in step 50"
IN_RESET = "the env of lifetime 0 failed in reset after 50 steps"
BROKEN = {
    "raise": (EnvFailed, 49, IN_STEP),
    "reset": (EnvFailed, 50, IN_RESET),
    "exit": (EnvFailed, 49, IN_STEP),
    "exit_in_reset": (EnvFailed, 50, IN_RESET),
    "tuple": (EnvFailed, 49, IN_STEP),
    "flag": (EnvFailed, 49, IN_STEP),
    "observation": (Diverged, 49, r"nan in the observation of lifetime 0 at index \[0\] after 49 steps"),
    "first": (Diverged, 50, r"nan in the observation of lifetime 0 at index \[0\] after 50 steps"),
    "shape": (EnvFailed, 49, r"observation must be an array of shape \(1,\), got one of shape \(3,\)"),
    "reward": (Diverged, 49, "the reward nan in step 50 of lifetime 0"),
    "infinity": (Diverged, 49, "the reward inf in step 50 of lifetime 0"),
    "none": (EnvFailed, 49, "TypeError: reward must be a real number, got None"),
    "objects": (EnvFailed, 49, "observation must be an array of real numbers, got one of dtype object"),
    "reward_text": (EnvFailed, 49, "TypeError: reward must be a real number, got '1.0'"),
    "flag_text": (EnvFailed, 49, "TypeError: terminated must be true or false, got 'False'"),
    "undefined": (EnvFailed, 49, "TypeError: terminated must be true or false, got nan"),
    "two": (EnvFailed, 49, IN_STEP),
}


@pytest.mark.parametrize("how", BROKEN)
def test_env_of_many_that_raises_is_named_and_records_are_up_to_date(how: str) -> None:
    error, steps, message = BROKEN[how]
    records = [Record(lifetime=lifetime) for lifetime in range(2)]
    envs = gym.vector.SyncVectorEnv(
        [lambda: gym.make("Broken-v0", disable_env_checker=True, how=how)] * 2, autoreset_mode=AutoresetMode.DISABLED
    )
    agents = IndependentAgents(
        [RandomAgent(envs.single_observation_space, envs.single_action_space, Lifetimes(i)) for i in (0, 1)]
    )
    with pytest.raises(error) as caught:
        run_lifetimes(agents, envs, 100, [0, 1], VectorStatistics(records))
    assert re.search(message, describe(caught.value))
    assert [(record.step, record.episodes) for record in records] == [(steps, steps // 10)] * 2


def test_single_lifetime_agents_run_many_lifetimes_independently() -> None:
    env = gym.make("CartPole-v1", disable_env_checker=True)
    make = lambda seed: RandomAgent(env.observation_space, env.action_space, Lifetimes(seed))  # noqa: E731
    envs = gym.vector.SyncVectorEnv(
        [lambda: gym.make("CartPole-v1", disable_env_checker=True)] * 2, autoreset_mode=AutoresetMode.DISABLED
    )
    records = [Record(lifetime=lifetime) for lifetime in range(2)]
    run_lifetimes(IndependentAgents([make(3), make(4)]), envs, 200, [3, 4], VectorStatistics(records))
    for seed, record in zip((3, 4), records, strict=True):
        alone = Record()
        run_lifetime(make(seed), env, 200, seed, alone)
        assert alone.returns == record.returns


def test_unsupported_backend_or_vectorization_raises_an_error() -> None:
    with pytest.raises(
        ConfigError, match="backend must be gymnasium for LunarLander-v3: compiled ones are CartPole-v1"
    ):
        run_many_lifetimes("LunarLander-v3", 10, seeds=[0], backend="compiled")
    with pytest.raises(ConfigError, match="vectorization must be sync: Acrobot-v1 has no vector form of its own"):
        run_many_lifetimes("Acrobot-v1", 10, seeds=[0, 1], vectorization="native")
    with pytest.raises(ConfigError, match="vectorization must be sync for one lifetime"):
        run_many_lifetimes("CartPole-v1", 10, seeds=[0], vectorization="native")


class Odd(ToyEnv):
    """An env of one of many lifetimes; ``how`` says what is odd about those with ``seed`` 1."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.count, self.is_odd, self.closed = how, 0, False, False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        if seed is not None:
            self.is_odd = seed == 1
        if self.how == "options" and options is not None:
            raise KeyError("start")
        return np.zeros(1, np.float32), {"path": np.zeros(1 + self.is_odd)}

    def step(self, action: Any) -> Any:
        self.count += 1
        odd = self.is_odd and self.count >= 5
        if odd and self.how == "nan_then_raise" and self.count > 7:
            raise RuntimeError("the state is NaN")
        seen = np.full(1, np.nan if odd and self.how == "nan_then_raise" else 0.0, np.float32)
        if odd and self.how == "list":
            seen = [0.0]
        length = 3 + self.is_odd
        return seen, 1.0, self.count % length == 0, False, {"path": np.zeros(self.count), "late": odd or None}

    def close(self) -> None:
        self.closed = True
        if self.how == "close" and self.is_odd:
            raise RuntimeError("the simulator cannot be closed")


def odd_envs(how: str) -> gym.vector.SyncVectorEnv:
    return gym.vector.SyncVectorEnv([lambda: Odd(how)] * 3, autoreset_mode=AutoresetMode.DISABLED)


def run_odd(how: str, steps: int = 30) -> list[Record]:
    envs, records = odd_envs(how), [Record(lifetime=lifetime) for lifetime in range(3)]
    agents = [RandomAgent(envs.single_observation_space, envs.single_action_space, Lifetimes(i)) for i in range(3)]
    run_lifetimes(IndependentAgents(agents), envs, steps, [0, 1, 2], VectorStatistics(records))
    return records


@pytest.mark.parametrize("how", ["infos", "options"])
def test_envs_of_any_info_and_options_run_together(how: str) -> None:
    assert [record.episodes for record in run_odd(how)] == [10, 7, 10]


def test_env_of_a_frozen_lifetime_is_not_stepped(capsys: pytest.CaptureFixture[str]) -> None:
    records = run_odd("nan_then_raise")
    assert [(record.step, record.frozen) for record in records] == [(30, False), (4, True), (30, False)]
    assert "the env returned nan in the observation of lifetime 1" in capsys.readouterr().err


def test_observation_of_many_that_is_a_list_is_named_with_its_lifetime() -> None:
    problem = r"the env of lifetime 1 failed in step 5: ValueError: observation must be .* of shape \(1,\), got \[0.0\]"
    with pytest.raises(EnvFailed, match=problem):
        run_odd("list")


def test_all_envs_are_closed_where_one_fails_to_close() -> None:
    envs = odd_envs("close")
    envs.envs[1].is_odd = True
    with pytest.raises(RuntimeError, match="cannot be closed"):
        GymnasiumRunner(envs, [0, 1, 2]).close()
    assert [env.closed for env in envs.envs] == [True] * 3 and envs.closed


def test_spaces_that_differ_between_lifetimes_raise_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[Any]()

    def make(spec: EnvSpec) -> Any:
        made.append(Odd(""))
        made[-1].observation_space = gym.spaces.Box(0, len(made) // 3, (1,))
        return made[-1]

    monkeypatch.setattr(EnvSpec, "make", make)
    problem = r"^id must have one observation_space for all lifetimes, got Box\(0.* and, for lifetime 2, Box\(0"
    with pytest.raises(ConfigError, match=problem):
        EnvSpec("odd", "CartPole-v1", {}, 10, []).make_many(4)
    assert [env.closed for env in made] == [True] * 3


@pytest.mark.parametrize("actions", [None, np.zeros(2, np.int64)], ids=["none", "two"])
def test_number_of_actions_is_checked(actions: Any) -> None:
    class Few:
        def advance(self, *arguments: Any) -> Any:
            return actions

    with pytest.raises(ConfigError, match="^agent must return 3 actions from advance, got"):
        run_lifetimes(Few(), odd_envs(""), 5, [0, 1, 2], VectorStatistics([Record() for _ in range(3)]))


def test_agent_of_many_that_returns_no_action_is_named() -> None:
    class Forgetful(RandomAgent):
        def step(self, reward: float, observation: Any) -> Any:
            return None

    space = gym.spaces.Box(0, 1, (1,)), gym.spaces.Discrete(2)
    agents = IndependentAgents([RandomAgent(*space, Lifetimes(0)), Forgetful(*space, Lifetimes(1))])
    agents.advance(np.array([1, 1]), np.zeros(2), np.zeros((2, 1)))
    with pytest.raises(ConfigError, match="^agent must return an action, got None of lifetime 1$"):
        agents.advance(np.array([2, 2]), np.zeros(2), np.zeros((2, 1)))


def test_resumed_run_keeps_the_messages_of_diverged_lifetimes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def summary() -> Any:
        return json.loads((tmp_path / "run" / "summary.json").read_text())

    line = ["env=tests.toy_envs:Second-v0", "lifetimes=2", "network.hidden=[4]", "logger=none", "hydra.run.dir=run"]
    assert command([*line, "steps=20"], monkeypatch, tmp_path) == 0
    first = summary()
    assert list(first["diverged_lives"]) == ["1"] and "lifetime 1 at index [0] after 4 steps" in str(first)
    assert command([*line, "steps=40", "resume=true"], monkeypatch, tmp_path) == 0
    assert summary()["diverged_lives"] == first["diverged_lives"] and summary()["steps"] == 40
