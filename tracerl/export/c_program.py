"""An agent that learns as a C program: the files of a folder, and what they take of memory.

The sources in ``c/`` are the same for every agent: one file per file of ``tracerl.kernels``. They are joined to
``agent.c``, and ``weights.h`` configures them by defines, tables and numbers.
"""

import re
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tracerl
from tracerl.config.checks import ConfigError
from tracerl.export.c_layout import SOURCES, StateLayout, number
from tracerl.export.c_support import check_exportable
from tracerl.export.description import moments
from tracerl.kernels.layout import ABSENT, GAUSSIAN, INTENTIONAL, OBGD, UPDATE_RMS
from tracerl.runs.files import write_together

PARTS = ("memory functional currents neurons otpe presynaptic steps networks streams heads state actor_critic").split()
_LEAST_GAP = 4  # zeros between two runs of numbers that are listed
_HEADER, _WRITTEN_BY = "agent.h", b"Written by tracerl "  # a file, renamed first, and what is in it


@dataclass(frozen=True)
class Memory:
    """What a C program takes, in bytes, with float as the type of its networks.

    Attributes:
        state: the packed state, which ``agent_save`` writes.
        work: vectors and sums that are written before they are read, the newest action, and a flag.
        constants: the exported state and the tables, which can stay in flash; a compiler may leave out some tables.
    """

    state: int
    work: int
    constants: int

    @property
    def ram(self) -> int:
        """State and work vectors."""
        return self.state + self.work

    def __str__(self) -> str:
        """Say it in a line."""
        parts = f"state {self.state:,}, work vectors {self.work:,}"
        return f"{self.ram:,} bytes of RAM ({parts}) and {self.constants:,} of constants, beside the code"


@dataclass(frozen=True)
class CProgram:
    """The files of an agent's C program by name, and their memory with and without learning."""

    files: dict[str, str]
    learning: Memory
    acting: Memory

    @property
    def lines(self) -> list[str]:
        """What is printed about the memory."""
        return [f"learning: {self.learning}", f"acting only, TRACERL_LEARN=0: {self.acting}"]


def c_program(agent: Any, about: str = "An agent of tracerl.", recorded: int = 300) -> CProgram:
    """Return the C program of an agent between two episodes.

    Args:
        agent: a ``ReflectAgent`` of one lifetime; it is not changed.
        about: a line about its origin, for the heads of the files.
        recorded: steps of the test program, which a copy of the agent takes.

    Raises:
        ConfigError: naming the setting that the C program does not support.
    """
    check_exportable(agent)
    exported = deepcopy(agent)
    exported.reset_episode()
    learning, acting = StateLayout(exported, True), StateLayout(exported, False)
    sizes = _sizes(learning)
    memory = [_memory(layout, sizes, layout is learning) for layout in (learning, acting)]
    weights = _weights(exported, learning, acting, sizes)
    program = CProgram({}, *memory)
    fields = _fields(exported, learning, acting)
    fields |= {"ABOUT": _in_a_comment(about), "MEMORY": "\n".join(f"- {line}" for line in program.lines)}
    sources = ["begin", "layout", *PARTS]
    texts = {name: (SOURCES / f"{name}.c").read_text(encoding="utf-8") for name in sources}
    joined = "\n".join([texts["begin"], texts["layout"], '#include "weights.h"\n', *(texts[name] for name in PARTS)])
    found = {"agent.c": _filled(joined, fields), "weights.h": weights, "steps.txt": _recorded_steps(exported, recorded)}
    for name in ("agent.h", "test_agent.c", "README.md"):
        found[name] = _filled((SOURCES / name).read_text(encoding="utf-8"), fields)
    program.files.update(found)
    return program


def write_c_program(program: CProgram, folder: Path) -> None:
    """Write the files into a folder, which is made where it is missing; those of an earlier export are replaced.

    All are written before the first is replaced, so that a full disk leaves the earlier export as it was.

    Raises:
        ConfigError: naming the option ``c``, if the folder cannot be written, or has such files of another origin.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError("it is a file")
        if not folder.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {folder.parent}")
        folder.mkdir(exist_ok=True)
        there = [name for name in program.files if (folder / name).exists()]
        if there and not _is_export(folder):
            wanted = "must be a new folder or that of an earlier export"
            raise ConfigError("c", f"{wanted}, got {str(folder)!r}, which has {', '.join(there)}")
        write_together(folder, {_HEADER: program.files[_HEADER], **program.files})
    except OSError as error:
        raise ConfigError("c", f"must be a folder that can be written, got {str(folder)!r}: {error}") from error


def _is_export(folder: Path) -> bool:
    """Return whether a folder has the header of an earlier export."""
    header = folder / _HEADER
    return header.is_file() and _WRITTEN_BY in header.read_bytes()


def _sizes(layout: StateLayout) -> dict[str, int]:
    """Return the defines that configure the sources, by name."""
    agent, layers = layout.records.agent[0], layout.records.layers
    learners = agent["policy"], agent["critic"]
    rules = [int(learner["step_rule"]["kind"]) for learner in learners]

    def has(values: Any) -> int:
        return int((np.asarray(values) != ABSENT).any())

    return {
        "HEAD_IS_GAUSSIAN": int(agent["head"]["kind"] == GAUSSIAN),
        "HEAD_HAS_GRID": has(agent["head"]["grid"]),
        "HAS_NORM": has(layers["norm"]["normalized"]),
        "HAS_OTPE": has(layers["sensitivity"]),
        "HAS_PATH_CREDIT": has(layers["path_credit"]["carried"]),
        "HAS_PRESYNAPTIC": has(layers["presynaptic"]["trace"]),
        "HAS_INTENTIONAL": int(INTENTIONAL in rules),
        "HAS_OBGD": int(OBGD in rules),
        "HAS_UPDATE_RMS": int(UPDATE_RMS in rules),
        "WIDEST": int(layers["n_out"].max()),
        "N_ENCODED": int(agent["encoder"]["n_out"]),
        "MOST_OUTPUTS": max(int(learner["network"]["readout"]["n_out"]) for learner in learners),
        "MOST_LAYERS": max(int(learner["network"]["len_hidden"]) for learner in learners),
    }


def _is_continuous(sizes: dict[str, int]) -> bool:
    """Return whether the actions are numbers of a Box."""
    return bool(sizes["HEAD_IS_GAUSSIAN"] or sizes["HEAD_HAS_GRID"])


def _memory(layout: StateLayout, sizes: dict[str, int], learns: bool) -> Memory:
    """Return what a build takes; the work vectors are those of ``c/memory.c``."""
    widest, outputs = sizes["WIDEST"], sizes["MOST_OUTPUTS"]
    work = 2 * widest + sizes["N_ENCODED"] + outputs
    if learns:
        work += 2 * widest + outputs
        work += sizes["HAS_PATH_CREDIT"] * (sizes["MOST_LAYERS"] + 2 * outputs * widest)
        work += sizes["HAS_PRESYNAPTIC"] * widest
    action = layout.records.agent[0]["head"]["n_components"] * (8 if _is_continuous(sizes) else 4)
    reals, _ = layout.values()
    listed = sum(count for _, count in _runs(reals))
    constants = 4 * listed + 8 * len(_runs(reals)) + 8 * layout.words + 8 * max(1, len(layout.records.constants))
    constants += layout.table_bytes + (0 if _is_continuous(sizes) else int(action))
    return Memory(4 * layout.reals + 8 * layout.words, 4 * work + int(action) + 4 + 16 * learns, constants)


def _runs(reals: Any) -> list[tuple[int, int]]:
    """Return start and count of the runs of numbers that are not zero; short gaps between them are included."""
    at = np.flatnonzero(reals)
    if not at.size:
        return [(0, 1)]
    ends = np.flatnonzero(np.diff(at) > _LEAST_GAP)
    firsts, lasts = at[np.r_[0, ends + 1]], at[np.r_[ends, at.size - 1]]
    return [(int(first), int(last - first + 1)) for first, last in zip(firsts, lasts, strict=True)]


def _weights(agent: Any, learning: StateLayout, acting: StateLayout, sizes: dict[str, int]) -> str:
    """Return weights.h."""
    defines = "".join(f"#define {name} {value}\n" for name, value in sizes.items())
    constants = ", ".join(number(float(value)) for value in learning.records.constants) or "0"
    starts = ", ".join(str(int(start)) for start in np.ravel(getattr(agent.head, "start", 0)))
    first = "" if _is_continuous(sizes) else f"static const agent_action first_action[] = {{{starts}}};\n"
    double = agent.memory.real.element_size() == 8
    return (
        "/* Sizes and settings of the agent, tables of where its state stands, and its state at the export. */\n\n"
        f"{defines}\nstatic const double constants[] = {{{constants}}};\n{first}\n"
        f"#if TRACERL_LEARN\n{_state(learning, double)}#else\n{_state(acting, double)}#endif\n"
    )


def _state(layout: StateLayout, double: bool) -> str:
    """Return the tables and numbers of one build."""
    reals, words = layout.values()
    runs = _runs(reals)
    each = [number(float(value), 17 if double else 9) for start, n in runs for value in reals[start : start + n]]
    listed = [f"R({text})" for text in each]
    places = "".join(f"    {{{start}, {count}}},\n" for start, count in runs)
    bits = [f"{{.word = INT64_C({w})}}" if isinstance(w, int) else f"{{.wide = {number(w)}}}" for w in words]
    return (
        f"#define LAYOUT UINT64_C(0x{layout.identity:016X})\n#define SETTINGS UINT32_C(0x{layout.settings:08X})\n"
        f"#define N_RUNS {len(runs)}\n\n{layout.tables()}\n"
        f"/* The exported state: runs of `memory` that are not zero, their numbers, and all of `words`. */\n"
        f"static const struct {{ int32_t start, count; }} runs[N_RUNS] = {{\n{places}}};\n"
        f"static const real exported_reals[] = {{\n{_rows(listed)}}};\n"
        f"static const union word exported_words[AGENT_WORDS] = {{\n{_rows(bits, 4)}}};\n"
    )


def _rows(items: list[str], each: int = 8) -> str:
    return "".join(f"    {', '.join(items[i : i + each])},\n" for i in range(0, len(items), each))


def _fields(agent: Any, learning: StateLayout, acting: StateLayout) -> dict[str, str | int]:
    """Return what stands for the names between two @ in the sources."""
    head, continuous = agent.head, _is_continuous(_sizes(learning))
    numbers = "the number of a chosen action for each component, as the env counts them"
    return {
        "VERSION": tracerl.__version__,
        "OBSERVED": agent.n_observed,
        "COMPONENTS": head.n_components,
        "APPLIED": "action[0]" if head.n_components == 1 else f"action[0] to action[{head.n_components - 1}]",
        "ACTION": ("float" if head.chosen().dtype == np.float32 else "double") if continuous else "int32_t",
        "ACTION_MEANING": "numbers in the env's own units, within its bounds" if continuous else numbers,
        "LEARN_REALS": learning.reals,
        "LEARN_WORDS": learning.words,
        "ACT_REALS": acting.reals,
        "ACT_WORDS": acting.words,
    }


def _in_a_comment(text: str) -> str:
    """Return a line without what would end a comment of C, or the line."""
    return re.sub(r"[\x00-\x1f\x7f]", "?", text).replace("*/", "* /").replace("/*", "/ *")


def _filled(text: str, fields: dict[str, str | int]) -> str:
    return re.sub(r"@([A-Z_]+)@", lambda found: str(fields[found[1]]), text)


def _recorded_steps(agent: Any, count: int) -> str:
    """Return steps with observations around those that the agent has seen, taken by a copy of it."""
    mean, deviation = np.zeros(agent.n_observed), np.ones(agent.n_observed)
    if agent.encoder.normalizer is not None:
        mean, deviation = (tensor.numpy()[: agent.n_observed].copy() for tensor in moments(agent.encoder))
    return "\n".join(random_steps(deepcopy(agent), count, mean=mean, deviation=deviation)) + "\n"


def random_steps(agent: Any, count: int, seed: int = 0, mean: Any = 0.0, deviation: Any = 1.0) -> list[str]:
    """Let an agent take steps of random episodes, and return the lines of the test program; see ``c/test_agent.c``.

    Args:
        agent: of one lifetime, between two episodes; it learns.
        count: number of steps.
        seed: of observations, rewards and episodes.
        mean: of the observations, a number or [n].
        deviation: of the observations, a number or [n].
    """
    rng, lines, kind = np.random.default_rng(seed), list[str](), 1
    for _ in range(count):
        observation = mean + deviation * rng.normal(size=agent.n_observed)
        reward, action = float(rng.normal()), np.zeros(0)
        if kind == 1:
            action = agent.start(observation)
        elif kind == 2:
            action = agent.step(reward, observation)
        else:
            agent.end(reward, observation, kind == 3)
        lines.append(step_line(kind, reward, observation, action))
        kind = 1 if kind > 2 else int(rng.choice([2, 3, 4], p=[0.94, 0.03, 0.03]))
    return lines


def step_line(kind: int, reward: float, observation: Any, action: Any) -> str:
    """Return a line of the test program: kind of the step, reward, observation, and the action if there is one."""
    numbers = [float(reward), *map(float, np.ravel(observation)), *np.ravel(action).tolist()]
    return " ".join([str(kind), *map(repr, numbers)])
