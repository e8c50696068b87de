"""The state of a C program and that of the agent in Python are exchanged both ways."""

import ctypes
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.c_programs import (
    ACTING,
    DOUBLE,
    TWO,
    Compiled,
    agent_of,
    assert_same_state,
    built,
    expected_actions,
    needs_compiler,
    run_program,
)
from tracerl.config.checks import ConfigError
from tracerl.export.c_program import random_steps, step_line
from tracerl.export.c_state import _sum_of, load_state, save_state

pytestmark = needs_compiler


@pytest.mark.parametrize("double", [True, False], ids=["float64", "float32"])
def test_state_of_python_continues_in_c_and_back(double: bool, tmp_path: Path) -> None:
    agent = agent_of(3, TWO, double=double)
    program = built(agent, tmp_path, *[DOUBLE] * double)
    random_steps(agent, 400)
    agent.start(np.zeros(4))  # within an episode
    (tmp_path / "before").write_bytes(save_state(agent, real="float64" if double else "float32"))
    rng, lines = np.random.default_rng(2), []
    for _ in range(100):
        observation, reward = rng.normal(size=4), float(rng.normal())
        lines.append(step_line(2, reward, observation, agent.step(reward, observation)))
    found, _ = run_program(program, lines, tmp_path / "before", tmp_path / "after")
    np.testing.assert_array_equal(found, expected_actions(lines, 4))
    other = agent_of(3, TWO, double=double)
    load_state(other, (tmp_path / "after").read_bytes())
    assert save_state(other, real="float64" if double else "float32") == (tmp_path / "after").read_bytes()
    assert other.step(1.0, np.ones(4)) == agent.step(1.0, np.ones(4))
    if double:
        assert_same_state(agent.capture(), other)


def test_states_that_do_not_fit_are_not_loaded(tmp_path: Path) -> None:
    agent, wider = agent_of(3, "network.hidden=[9]"), agent_of(3, "network.hidden=[10]")
    program = built(agent, tmp_path)
    data = save_state(agent)
    broken = {
        "cut": data[:-1],
        "longer": data + b"\0",
        "changed": data[:100] + bytes([data[100] ^ 1]) + data[101:],
        "empty": b"",
        "other settings": save_state(wider),
        "float64": save_state(agent, real="float64"),
        "acting": save_state(agent, learns=False),
    }
    for name, given in broken.items():
        (tmp_path / "state").write_bytes(given)
        done = subprocess.run([str(program), str(tmp_path / "state")], input="", capture_output=True, text=True)
        assert done.returncode == 2 and "holds no state of this agent" in done.stderr, name
    before = agent.capture()
    for name in ("cut", "longer", "changed", "empty", "other settings"):
        with pytest.raises(ConfigError, match="^data must be "):
            load_state(agent, broken[name])
    assert all(torch.equal(tensor, before[key]) for key, tensor in agent.capture().items())
    with pytest.raises(ConfigError, match="real must be one of float32, float64; got 'float16'"):
        save_state(agent, real="float16")


def test_numbers_that_are_not_finite_change_nothing_but_that_the_last_ones_end_the_episode(tmp_path: Path) -> None:
    agent = agent_of(3, "network.hidden=[9]")
    program, lines = built(agent, tmp_path, DOUBLE), random_steps(agent, 50)
    run_program(program, lines, "-", tmp_path / "same")
    load_state(agent, (tmp_path / "same").read_bytes())
    assert agent.policy.eligibility_trace.abs().sum() > 0
    agent.reset_episode()
    ended = save_state(agent, real="float64")
    for bad, expected in (
        (step_line(2, np.nan, np.zeros(4), 0), (tmp_path / "same").read_bytes()),
        (step_line(2, 0.0, np.full(4, np.inf), 0), (tmp_path / "same").read_bytes()),
        (step_line(3, np.inf, np.zeros(4), []), ended),
    ):
        command = [str(program), "-", str(tmp_path / "found")]
        given = "\n".join([*lines, bad])
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        assert done.returncode == 3, done.stderr
        assert (tmp_path / "found").read_bytes() == expected


def test_episode_before_a_loss_of_power_is_dropped_as_in_python(tmp_path: Path) -> None:
    agent = agent_of(3, "network.hidden=[9]")
    program, lines = Compiled(tmp_path, agent), random_steps(agent, 50)
    assert lines[-1].startswith("2")
    program.load(save_state(agent))
    program.library.agent_reset_episode()
    agent.reset_episode()
    assert program.save(len(save_state(agent))) == save_state(agent)


def test_build_that_acts_only_takes_any_reward(tmp_path: Path) -> None:
    agent = agent_of(3, "network.hidden=[9]")
    program = Compiled(tmp_path, agent, ACTING)
    program.start(np.zeros(4))
    assert program.step(np.nan, np.zeros(4)) in range(3)
    program.end(np.inf, np.zeros(4), True)


@pytest.mark.parametrize(
    "other",
    [
        "network.reset=hard",
        "network.surrogate=triangle",
        "network.detach_reset=true",
        "optimizer.policy.eta=0.01",
        "agent.trace_decay=0.1",
        "agent.entropy=0.5",
        "encoder.clip=2",
    ],
)
def test_state_of_an_agent_with_other_settings_is_refused(other: str, tmp_path: Path) -> None:
    agent = agent_of(3, "network.hidden=[9]")
    data = save_state(agent_of(3, "network.hidden=[9]", other))
    with pytest.raises(ConfigError, match="^data must be of an agent with the same settings"):
        load_state(agent, data)
    if other == "network.reset=hard":
        program = Compiled(tmp_path, agent)
        assert program.library.agent_load(data, ctypes.c_size_t(len(data))) == 0
        program.load(save_state(agent))


def test_state_of_an_earlier_version_without_a_number_of_settings_is_read(tmp_path: Path) -> None:
    agent = agent_of(3, "network.hidden=[9]")
    random_steps(agent, 20)
    body = save_state(agent)[:28] + bytes(4) + save_state(agent)[32:-8]
    data = body + struct.pack("<Q", _sum_of(body))
    other = agent_of(3, "network.hidden=[9]")
    load_state(other, data)
    assert save_state(other) == save_state(agent)
    Compiled(tmp_path, agent).load(data)
