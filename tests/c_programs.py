"""Export agents as C, compile them and run their test program."""

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from tests.helpers import make_agent
from tests.toy_envs import Space
from tracerl.export.c_program import c_program, write_c_program

GCC = shutil.which("gcc") or shutil.which("cc")
STRICT = "-std=c99 -Wall -Wextra -Wconversion -Werror -pedantic".split()
CHECKED = "-g -fsanitize=undefined,address -fno-sanitize-recover=all".split()
DOUBLE, ACTING, GREEDY = "-DTRACERL_REAL=double", "-DTRACERL_LEARN=0", "-DTRACERL_GREEDY=1"
needs_compiler = pytest.mark.skipif(GCC is None, reason="no C compiler (gcc or cc) is on the path")
TWO, SPIKING = "network.hidden=[7,5]", "agent.critic=null"
BOUNDED = gym.spaces.Box(-1, 2, (2,))


def agent_of(actions: Any, *overrides: str, double: bool = True, engine: str = "fused", size: int = 4) -> Any:
    """Return an agent for observations of ``size`` numbers."""
    dtype = torch.float64 if double else torch.float32
    return make_agent(Space(size, actions), *overrides, f"engine={engine}", dtype=dtype)


def built(agent: Any, folder: Path, *options: str, checked: bool = True) -> Path:
    """Export an agent, compile the test program and return it."""
    write_c_program(c_program(agent, recorded=2), folder)
    assert GCC is not None
    flags = [*STRICT, *(["-O0", *CHECKED] if checked else ["-O2"]), *options]
    program = folder / "test_agent"
    sources = [folder / "test_agent.c", folder / "agent.c"]
    subprocess.run([GCC, *flags, *map(str, sources), "-lm", "-o", str(program)], check=True)
    return program


def run_program(program: Path, lines: list[str], *arguments: Path | str) -> tuple[np.ndarray, str]:
    """Return the actions of the test program, one row each, and what it says at its end."""
    command = [str(program), *map(str, arguments)]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), (done.returncode, done.stderr)
    return np.array([line.split() for line in done.stdout.splitlines()], float), done.stderr


def expected_actions(lines: list[str], size: int) -> np.ndarray:
    """Return the actions in the lines, one row each."""
    rows = [text.split()[2 + size :] for text in lines]
    return np.array([row for row in rows if row], float)


def assert_same_state(expected: dict[str, torch.Tensor], agent: Any, rtol: float = 1e-6) -> None:
    theirs = agent.capture()
    for name, tensor in expected.items():
        said = f"{name} differs by {(theirs[name] - tensor).abs().max() if tensor.numel() else 0}"
        torch.testing.assert_close(theirs[name], tensor, rtol=rtol, atol=rtol / 10, msg=said)


class Compiled:
    """The C program of an agent of CartPole in this process, with the methods of an agent."""

    def __init__(self, folder: Path, agent: Any, *options: str) -> None:
        write_c_program(c_program(agent, recorded=2), folder)
        flags = [*STRICT, "-O2", "-shared", "-fPIC", *options]
        subprocess.run([str(GCC), *flags, "agent.c", "-lm", "-o", "a.so"], cwd=folder, check=True)
        self.library = ctypes.CDLL(str(folder / "a.so"))
        for name in ("agent_start", "agent_step"):
            getattr(self.library, name).restype = ctypes.POINTER(ctypes.c_int32)

    def load(self, data: bytes) -> None:
        assert self.library.agent_load(data, ctypes.c_size_t(len(data))) == 1

    def save(self, size: int) -> bytes:
        data = ctypes.create_string_buffer(size)
        assert self.library.agent_save(data, ctypes.c_size_t(size)) == size
        return data.raw

    def start(self, observation: np.ndarray) -> int:
        return self.library.agent_start((ctypes.c_double * 4)(*observation))[0]

    def step(self, reward: float, observation: np.ndarray) -> int:
        return self.library.agent_step(ctypes.c_double(reward), (ctypes.c_double * 4)(*observation))[0]

    def end(self, reward: float, observation: np.ndarray, terminated: bool) -> None:
        values = (ctypes.c_double * 4)(*observation)
        assert self.library.agent_end(ctypes.c_double(reward), values, int(terminated)) == 1
