"""The C program of an agent takes the actions of the fused engine."""

import hashlib
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from tests.c_programs import (
    ACTING,
    BOUNDED,
    DOUBLE,
    GREEDY,
    SPIKING,
    TWO,
    Compiled,
    agent_of,
    assert_same_state,
    built,
    expected_actions,
    needs_compiler,
    run_program,
)
from tests.engines import FAN_IN, SPACES
from tests.helpers import make_agent
from tracerl.export.c_layout import StateLayout
from tracerl.export.c_program import random_steps, step_line
from tracerl.export.c_state import load_state, save_state

pytestmark = needs_compiler
PRESYNAPTIC, RAW = "network.credit=presynaptic", "encoder=raw"
THREE = "network.hidden=[6,5,4]"
FREE = gym.spaces.Box(-np.inf, np.inf, (2,))
RELATIVE = "head=relative", "head.reference_std=0.9", "head.bonus_components=1"
CASES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "raw": (3, (RAW, "network=dense", "network.hidden=[9]")),
    "nothing scaled": (3, ("encoder.normalize=false", "agent.scale_reward=false", "network.hidden=[9]")),
    "contrasts and memories": (2, ("encoder.trace_decay=[.5,.99]", "encoder.memory_decay=[.9]", "network.hidden=[9]")),
    "memories": (2, ("encoder.trace_decay=[]", "encoder.memory_decay=[.5,.99]", "network.hidden=[9]")),
    "three layers, ticks": (3, (THREE, SPIKING, "network.ticks=3")),
    "two layers, not normalised": (3, (RAW, "network=dense", TWO)),
    "presynaptic": (3, (TWO, SPIKING, PRESYNAPTIC, "network.ticks=2")),
    "presynaptic, hard reset, shared decays": (
        3,
        (TWO, PRESYNAPTIC, "network.reset=hard", "network.membrane_decay=0.6", "network.readout_decay=0.4"),
    ),
    "mixed credit": (3, (TWO, "network.credit=mixed", "network.membrane_decay=0.5")),
    "hard reset": (3, (TWO, "network.reset=hard", SPIKING)),
    "hard reset, not detached": (3, ("network.hidden=[9]", "network.reset=hard", "network.detach_reset=false")),
    "soft reset, detached": (3, ("network.hidden=[9]", "network.detach_reset=true")),
    "triangle": (3, (TWO, "network.surrogate=triangle", "network.slope=0.7", SPIKING)),
    "graded, arctan": (3, (TWO, "network.neuron=graded")),
    "graded, triangle": (3, (TWO, "network.neuron=graded", "network.surrogate=triangle")),
    "rate target": (3, ("network.hidden=[9]", "network.rate_target=0.2")),
    "arctan in the critic": (3, ("network.hidden=[9]", "agent.critic.surrogate=arctan")),
    "rectifier in the critic": (3, ("network.hidden=[9]", "agent.critic.surrogate=rectifier")),
    "wider critic": (3, ("network.hidden=[5]", "+agent.critic.hidden=[9,7]")),
    "obgd": (3, (TWO, "optimizer=obgd")),
    "growing discount": (3, ("network.hidden=[9]", "agent.discount=[0.99,0.995]", "agent.horizon_share=2")),
    "update rms": (3, (TWO, *FAN_IN)),
    "update rms, presynaptic": (3, (TWO, "optimizer=update_rms", PRESYNAPTIC)),
    "low floor": (3, ("network.hidden=[9]", "optimizer.policy.floor=0.2", "optimizer.value.normalize_signal=true")),
    "discrete from 3": (SPACES["discrete from 3"], ("network.hidden=[9]",)),
    "multi-discrete": (SPACES["multi-discrete"], ("network.hidden=[9]",)),
    "box": (SPACES["box"], ("network.hidden=[9]", "head.max_std=null")),
    "bounded box": (BOUNDED, ("network.hidden=[9]",)),
    "bounded box, target": (
        BOUNDED,
        ("network.hidden=[9]", "head=bounded", "head.max_std=null", "head.target_std=0.5"),
    ),
    "bounded box, reference": (BOUNDED, ("network.hidden=[9]", *RELATIVE)),
    "bounded box, clipped": (BOUNDED, (TWO, "head=bounded", "head.mean_margin=0.5")),
    "bounded box, discretized": (BOUNDED, ("network.hidden=[9]", "head=discretized")),
    "box without bounds": (FREE, ("network.hidden=[9]", "optimizer=obgd")),
}
# In these, differences of rounding grow, between torch and the fused engine too. They are compared over 500 steps from
# a common state, ten times.
GROWING = {
    "graded, arctan",
    "graded, triangle",
    "bounded box, clipped",
    "presynaptic, hard reset, shared decays",
    "mixed credit",
}
# Together these have every part once; the others are slow.
ALWAYS = {
    "raw",
    "contrasts and memories",
    "three layers, ticks",
    "presynaptic, hard reset, shared decays",
    "graded, triangle",
    "rate target",
    "arctan in the critic",
    "obgd",
    "update rms, presynaptic",
    "multi-discrete",
    "box",
    "bounded box, target",
    "bounded box, clipped",
}


def test_default_takes_the_actions_of_the_fused_engine_in_cartpole(tmp_path: Path) -> None:
    env = gym.make("CartPole-v1")
    agent = make_agent(env, "engine=fused", dtype=torch.float64)
    program, lines = built(agent, tmp_path, DOUBLE, checked=False), list[str]()
    observation, _ = env.reset(seed=0)
    action, lengths = agent.start(observation), [0]
    lines.append(step_line(1, 0.0, observation, action))
    while len(lines) < 5000:
        observation, reward, terminated, truncated, _ = env.step(action)
        lengths[-1] += 1
        if terminated or truncated:
            agent.end(float(reward), observation, terminated)
            lines.append(step_line(3 if terminated else 4, float(reward), observation, np.zeros(0)))
            observation, _ = env.reset()
            lengths.append(0)
        action = agent.step(float(reward), observation) if lengths[-1] else agent.start(observation)
        lines.append(step_line(2 if lengths[-1] else 1, float(reward), observation, action))
    actions, _ = run_program(program, lines, "-", tmp_path / "after")
    np.testing.assert_array_equal(actions, expected_actions(lines, 4))
    assert max(lengths) > 3 * np.mean(lengths[:10])  # it has learned something
    other = make_agent(env, "engine=torch", dtype=torch.float64)
    load_state(other, (tmp_path / "after").read_bytes())
    assert_same_state(agent.capture(), other)


@pytest.mark.parametrize(
    "name", [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_every_part_takes_the_actions_of_the_fused_engine(name: str, tmp_path: Path) -> None:
    actions, overrides = CASES[name]
    agent = agent_of(actions, *overrides)
    program, before, after = built(agent, tmp_path, DOUBLE), tmp_path / "before", tmp_path / "after"
    joined = 10 if name in GROWING else 1
    for part in range(joined):
        before.write_bytes(save_state(agent, real="float64"))
        lines = random_steps(agent, 5000 // joined, seed=part)
        found, _ = run_program(program, lines, before, after)
        np.testing.assert_allclose(found, expected_actions(lines, 4), rtol=1e-5, atol=1e-6)
        expected = {key: tensor.clone() for key, tensor in agent.capture().items()}
        load_state(agent, after.read_bytes())
        assert_same_state(expected, agent, 1e-4 if name in GROWING else 1e-6)
        agent.reset_episode()


def test_identity_of_a_state_has_the_names_of_the_first_version() -> None:
    layout = StateLayout(agent_of(3), learns=True)
    named = [(each.name.replace("bias_correction", "unseen"), len(each), each.is_wide) for each in layout.buffers]
    assert any("unseen" in name for name, *_ in named)
    text = "\n".join(["True", *(" ".join(map(str, each)) for each in named)])
    assert layout.identity == int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def test_episodes_of_one_step_with_equal_rewards_are_learned_as_in_python(tmp_path: Path) -> None:
    """The discounted rewards have no variance then, so that their scale is at its lower bound."""
    agent = agent_of(3, TWO)
    program, rng, lines = built(agent, tmp_path, DOUBLE), np.random.default_rng(0), []
    for _ in range(100):
        first, second = rng.normal(size=(2, 4))
        lines.append(step_line(1, 0.0, first, agent.start(first)))
        agent.end(3.0, second, True)
        lines.append(step_line(3, 3.0, second, []))
    found, _ = run_program(program, lines, "-", tmp_path / "after")
    np.testing.assert_array_equal(found, expected_actions(lines, 4))
    expected = {name: tensor.clone() for name, tensor in agent.capture().items()}
    load_state(agent, (tmp_path / "after").read_bytes())
    assert_same_state(expected, agent)


def test_reward_far_beyond_those_before_it_is_bounded_as_in_python(tmp_path: Path) -> None:
    agent = agent_of(3, TWO)
    program, lines = built(agent, tmp_path, DOUBLE), random_steps(agent, 1100)
    if agent.in_episode:
        agent.end(0.0, np.ones(4), True)
        lines.append(step_line(3, 0.0, np.ones(4), []))
    lines.append(step_line(1, 0.0, np.ones(4), agent.start(np.ones(4))))
    lines.append(step_line(2, 1e9, np.ones(4), agent.step(1e9, np.ones(4))))
    assert 10 < float(agent.reward_scaler.discounted) < 1e4
    found, _ = run_program(program, lines, "-", tmp_path / "after")
    np.testing.assert_array_equal(found, expected_actions(lines, 4))
    expected = {name: tensor.clone() for name, tensor in agent.capture().items()}
    load_state(agent, (tmp_path / "after").read_bytes())
    assert_same_state(expected, agent)


@pytest.mark.parametrize("actions", [3, BOUNDED], ids=["discrete", "box"])
def test_float_takes_the_same_actions_until_rounding_parts_them(actions: Any, tmp_path: Path) -> None:
    agent = agent_of(actions, TWO, "head=bounded", "head.mean_margin=0.5", double=False)
    program = built(agent, tmp_path)
    lines = random_steps(agent, 300)
    found, said = run_program(program, lines)
    np.testing.assert_allclose(found[:100], expected_actions(lines, 4)[:100], rtol=1e-3, atol=1e-3)
    assert f"state {len(save_state(agent))} bytes" in said


@pytest.mark.parametrize("actions", [3, BOUNDED], ids=["discrete", "box"])
@pytest.mark.parametrize("greedy", [False, True], ids=["sampled", "greedy"])
def test_build_without_learning_acts_as_a_frozen_agent(actions: Any, greedy: bool, tmp_path: Path) -> None:
    agent = agent_of(actions, TWO)
    random_steps(agent, 300)
    program = built(agent, tmp_path, DOUBLE, ACTING, *[GREEDY] * greedy)
    agent.reset_episode()
    agent.freeze()
    agent.act_greedily(greedy)
    lines = random_steps(agent, 500, seed=1)
    found, said = run_program(program, lines, "-", tmp_path / "after")
    np.testing.assert_allclose(found, expected_actions(lines, 4), rtol=1e-7, atol=1e-7)
    assert len(save_state(agent, learns=False, real="float64")) == (tmp_path / "after").stat().st_size
    load_state(agent, (tmp_path / "after").read_bytes())
    assert (greedy or len({*map(tuple, found)}) > 1) and "state" in said


def mean_return(agent: Any, steps: int, seed: int) -> float:
    """Let an agent learn CartPole; return the mean return of all its episodes."""
    env, returns, total = gym.make("CartPole-v1"), [], 0.0
    observation, _ = env.reset(seed=seed)
    action = agent.start(observation)
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(action)
        total += float(reward)
        if terminated or truncated:
            agent.end(float(reward), observation, terminated)
            returns.append(total)
            observation, _ = env.reset()
            action, total = agent.start(observation), 0.0
        else:
            action = agent.step(float(reward), observation)
    return float(np.mean(returns))


@pytest.mark.slow
def test_float_learns_as_well_as_the_fused_engine_over_twenty_seeds(tmp_path: Path) -> None:
    env, found = gym.make("CartPole-v1"), []
    compiled = Compiled(tmp_path, make_agent(env))
    for seed in range(20):
        agent = make_agent(env, "engine=fused", seed=seed)
        compiled.load(save_state(agent))
        found.append([mean_return(each, 20_000, seed) for each in (agent, compiled)])
    python, c = np.array(found).T
    spread = np.sqrt((python.var(ddof=1) + c.var(ddof=1)) / 20)
    said = f"means {python.mean():.1f} and {c.mean():.1f}, deviation of their difference {spread:.1f}"
    print(said, f"{(python != c).sum()} of 20 lifetimes differ", sep=", ")
    assert abs(python.mean() - c.mean()) < 2 * spread, said
    assert min(python.mean(), c.mean()) > 100, said  # at random it is 22
