"""What is in the C program of an agent, which agents have none, and the command that writes it."""

import re
import subprocess
from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from tests.c_programs import ACTING, BOUNDED, DOUBLE, GCC, SPIKING, STRICT, TWO, agent_of, needs_compiler
from tests.checkpoints import Disk, Killed
from tests.helpers import command, exit_code, make_agent
from tests.toy_envs import Space
from tracerl.config.checks import ConfigError
from tracerl.export.__main__ import _c_program, main
from tracerl.export.c_program import CProgram, Memory, c_program, write_c_program
from tracerl.kernels import functional as kernel_functional
from tracerl.nn import functional


@pytest.mark.parametrize(
    ("actions", "span"),
    [
        (gym.spaces.Discrete(3, start=2**31 - 2), "2,147,483,646 to 2,147,483,648"),
        (gym.spaces.Discrete(2, start=-(2**40)), "-1,099,511,627,776 to -1,099,511,627,775"),
        (gym.spaces.MultiDiscrete([2, 3], start=[0, 2**31]), "0 to 2,147,483,650"),
    ],
)
def test_actions_beyond_32_bits_raise_an_error(actions: gym.Space[Any], span: str) -> None:
    with pytest.raises(ConfigError, match=f"^env must have actions of 32 bits for a C program, got {span}$"):
        c_program(agent_of(actions, engine="torch"))
    c_program(agent_of(gym.spaces.Discrete(2, start=2**31 - 2), engine="torch"))


@needs_compiler
@pytest.mark.parametrize("actions", [3, BOUNDED], ids=["discrete", "box"])
@pytest.mark.parametrize("options", [(), (DOUBLE,), (ACTING,)], ids=["float", "double", "acting"])
def test_only_three_functions_of_the_c_library_are_needed(actions: Any, options: Any, tmp_path: Path) -> None:
    program = c_program(agent_of(actions, TWO, SPIKING, "head.clipped_log_prob=true"), recorded=2)
    write_c_program(program, tmp_path)
    for optimised in ("-O0", "-O2"):
        flags = [*STRICT, optimised, *options, "-c", "-o", "agent.o", "agent.c"]
        subprocess.run([str(GCC), *flags], cwd=tmp_path, check=True)
        listed = subprocess.run(["nm", "-S", "agent.o"], cwd=tmp_path, capture_output=True, text=True, check=True)
        needed = {row.split()[-1] for row in listed.stdout.splitlines() if " U " in row}
        of_compiler = {"memcpy", "memset", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}
        mathematics = {"sqrt", "exp", "log"} if options == (DOUBLE,) else {"sqrtf", "expf", "logf"}
        assert needed <= mathematics | of_compiler, needed
    if options == (DOUBLE,):
        return
    rows = [row.split() for row in listed.stdout.splitlines()]
    sizes = {row[3]: int(row[1], 16) for row in rows if len(row) == 4 and row[2] in "bBdD"}
    memory = program.acting if options else program.learning
    assert sizes["memory"] + sizes["words"] == memory.state
    assert sum(sizes.values()) <= memory.ram <= sum(sizes.values()) + 16


@needs_compiler
@pytest.mark.parametrize("actions", [3, BOUNDED], ids=["discrete", "box"])
@pytest.mark.parametrize("options", [(), (ACTING,)], ids=["learning", "acting"])
def test_constants_have_the_size_that_is_printed(actions: Any, options: Any, tmp_path: Path) -> None:
    program = c_program(agent_of(actions, TWO, double=False), recorded=2)
    write_c_program(program, tmp_path)
    subprocess.run([str(GCC), *STRICT, "-O0", *options, "-c", "-o", "a.o", "agent.c"], cwd=tmp_path, check=True)
    listed = subprocess.run(["nm", "-S", "a.o"], cwd=tmp_path, capture_output=True, text=True, check=True)
    rows = [row.split() for row in listed.stdout.splitlines()]
    sizes = {row[3].split(".")[0]: int(row[1], 16) for row in rows if len(row) == 4 and row[2] == "r"}
    of_code = sizes.pop("mark") + sizes.pop("factors")
    assert of_code == 8 + 9 * 4
    assert sum(sizes.values()) == (program.acting if options else program.learning).constants, sizes


@needs_compiler
@pytest.mark.parametrize("option", ["-ffast-math", "-ffinite-math-only", "-Ofast"])
def test_options_that_leave_out_checks_of_numbers_are_an_error(option: str, tmp_path: Path) -> None:
    write_c_program(c_program(agent_of(3), recorded=2), tmp_path)
    done = subprocess.run([str(GCC), option, "-c", "agent.c"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0 and "checks for numbers that are not finite" in done.stderr


@needs_compiler
def test_name_of_a_run_does_not_end_a_comment(tmp_path: Path) -> None:
    program = c_program(agent_of(3), "The agent of s*/r/*\n.", recorded=2)
    write_c_program(program, tmp_path)
    assert program.files["agent.h"].startswith("/* The agent of s* /r/ *?.\n")
    subprocess.run([str(GCC), *STRICT, "-c", "agent.c"], cwd=tmp_path, check=True)


def test_all_that_cannot_be_written_is_named_at_once() -> None:
    agent = agent_of(3, "network=recurrent", "agent.trunk=shared", "optimizer=sgd", engine="torch")
    named = "^network.recurrent must be false .*; agent.trunk must be separate .*; optimizer.policy must be one of "
    with pytest.raises(ConfigError, match=named):
        c_program(agent)


def test_actions_of_half_precision_raise_an_error() -> None:
    space = gym.spaces.Box(-1, 1, (1,), np.float16)
    with pytest.raises(ConfigError, match="^env must have actions of float32 or float64 .*, got float16$"):
        c_program(agent_of(space, engine="torch"))


def test_functions_have_the_names_of_the_equations() -> None:
    """Three forms of an equation, in torch, in the kernels and in C, are found by one name."""
    text = c_program(agent_of(3)).files["agent.c"]
    defined = set(re.findall(r"^static [\w *]+?\**(\w+)\(", text, re.MULTILINE))
    names = {name.removesuffix("_") for name in dir(functional) if not name.startswith("_")}
    kernels = {name for name in dir(kernel_functional) if not name.startswith("_")}
    mirrored = {
        *"affine lif_potential lif_fire surrogate_derivative surrogate_integral low_pass accumulate".split(),
        *"carry_sensitivity td_error categorical_entropy categorical_entropy_gradient box_muller softplus".split(),
        *"raise_threshold gaussian_entropy clipped_gaussian_log_probability clipped_gaussian_score".split(),
        *("relative_entropy_by_log_std", "relative_entropy_by_mean"),
    }
    assert mirrored <= defined and mirrored <= names
    assert mirrored - {"affine", "td_error", "clipped_gaussian_score"} <= kernels


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (("agent=stream_ac",), r"agent must be reflect for a C program, got StreamAC\w*: train with agent=reflect"),
        (("agent.signal=advantage",), "agent.signal must be td for a C program, got advantage"),
        (("agent.trunk=shared",), "agent.trunk must be separate for a C program, got shared"),
        (("agent.target_rate=0.5",), "agent.target_rate must be 1 for a C program, got 0.5"),
        (("encoder=rate", "network.ticks=2"), "encoder must be raw or contrast for a C program, got rate"),
        (
            ("optimizer=sgd",),
            "optimizer.policy must be one of intentional, obgd, update_rms for a C program, got FixedStep",
        ),
        (("network=alif",), "network.neuron must be lif or graded for a C program, got alif"),
        (("network.neuron=ternary",), "network.neuron must be lif or graded for a C program, got ternary"),
        (("network=recurrent",), "network.recurrent must be false for a C program, got true"),
        (("network=graph",), "network must be of dense layers in a row for a C program, got Graph"),
        (("network.learn_threshold=true",), "network.learn_threshold must be false for a C program, got true"),
        (("network.credit=exact",), "network.credit must be otpe or presynaptic for a C program, got exact"),
        (("network.feedback=random",), "network.feedback must be symmetric for a C program, got random"),
        (("+agent.critic.recurrent=true",), "agent.critic.recurrent must be false for a C program, got true"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_unsupported_part_raises_an_error_with_the_setting(overrides: tuple[str, ...], problem: str) -> None:
    with pytest.raises(ConfigError, match=f"^{problem}"):
        c_program(agent_of(3, *overrides, engine="torch"))


def test_unsupported_actions_and_lifetimes_raise_an_error() -> None:
    with pytest.raises(ConfigError, match="^env must have Discrete, MultiDiscrete or Box actions .* got a Bernoulli"):
        c_program(agent_of(gym.spaces.MultiBinary(3), engine="torch"))
    with pytest.raises(ConfigError, match="^agent must be of one lifetime for a C program, got one of 2"):
        c_program(make_agent(Space(4, 2), seed=[0, 1]))


def test_program_of_a_run_whose_name_is_not_utf8_escapes_it() -> None:
    program = _c_program(Namespace(network="policy"), make_agent(Space(4, 2)), "x\udcff")
    assert all(text.encode("utf-8") for text in program.files.values())
    assert "The agent of the run x\\udcff." in program.files["README.md"]


@needs_compiler
def test_command_writes_a_program_that_its_readme_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["steps=300", "logger=none", "hydra.run.dir=run"], monkeypatch, tmp_path) == 0
    assert command(["steps=50", "network=alif", "logger=none", "hydra.run.dir=alif"], monkeypatch, tmp_path) == 0
    capsys.readouterr()
    assert exit_code(main, monkeypatch, "run", "--c", "c") == 0
    output = capsys.readouterr().out
    assert "wrote c: agent of run, lifetime 0, step 300" in output
    assert re.search(r"learning: [\d,]+ bytes of RAM \(state [\d,]+, work vectors [\d,]+\) and [\d,]+ of const", output)
    readme = (tmp_path / "c" / "README.md").read_text()
    assert "The agent of the run run, lifetime 0, step 300." in readme and "@" not in readme
    files = {path.name for path in (tmp_path / "c").iterdir()}
    assert files == {"agent.h", "agent.c", "weights.h", "test_agent.c", "steps.txt", "README.md"}
    shown = [text.strip() for text in readme.splitlines() if text.startswith("    ")]
    build = next(text for text in shown if text.startswith("gcc "))
    test = next(text for text in shown if text.startswith("./test_agent"))
    done = subprocess.run(f"{build} && {test}", cwd=tmp_path / "c", shell=True, capture_output=True, text=True)
    counts = re.search(r"300 steps, (\d+) of (\d+) actions equal", done.stderr)
    assert done.returncode == 0 and counts is not None, done.stderr
    assert int(counts[1]) == int(counts[2]) > 200
    assert exit_code(main, monkeypatch, "run", "--c", "c") == 0  # over an earlier export
    capsys.readouterr()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "README.md").write_text("mine")
    for arguments, problem in (
        (["alif", "--c", "no"], "network.neuron must be lif or graded for a C program, got alif"),
        (["alif", "--c", "no", "--pt2", "no.pt2"], "network.neuron must be lif or graded"),
        (["run", "--c", "no", "--network", "value"], "--network must be policy with --c"),
        (["run", "--c", ""], "argument --c: must be a path, got ''"),
        (
            ["run", "--c", "own"],
            "--c must be a new folder or that of an earlier export, got 'own', which has README.md",
        ),
        (["run", "--c", "missing/no"], "--c must be a folder that can be written"),
        (["run", "--c", "run/config.yaml"], "--c must be a folder that can be written"),
    ):
        assert exit_code(main, monkeypatch, *arguments) == 2
        assert capsys.readouterr().err.startswith(f"error: {problem}")
        assert not (tmp_path / "no").exists() and not (tmp_path / "no.pt2").exists()


def test_disk_full_at_any_call_leaves_one_agent_and_the_export_can_be_repeated(tmp_path: Path) -> None:
    files = dict.fromkeys(("agent.c", "weights.h", "agent.h"), "Written by tracerl ")
    memory = Memory(0, 0, 0)
    first, second = (CProgram({name: text + which for name, text in files.items()}, memory, memory) for which in "12")
    for kind in ("killed within", "full from then on"):
        for earlier in (None, first):
            at, stopped = 0, True
            while stopped:
                at += 1
                folder = tmp_path / f"{kind} {at} {earlier is None}"
                if earlier is not None:
                    write_c_program(earlier, folder)
                with pytest.MonkeyPatch.context() as patch:
                    failing = Disk(patch, kind, at)
                    with suppress(Killed, ConfigError):
                        write_c_program(second, folder)
                    stopped = failing.made >= at
                found = {path.name: path.read_text() for path in folder.iterdir() if path.suffix != ".part"}
                if kind != "killed within":
                    assert found in ({} if earlier is None else earlier.files, second.files)
                write_c_program(second, folder)
                assert {path.name: path.read_text() for path in folder.iterdir()} == second.files
            assert at > 15


def test_error_of_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Disk(monkeypatch, "full from then on", 1)
    program = CProgram({"agent.c": "", "agent.h": ""}, Memory(0, 0, 0), Memory(0, 0, 0))
    with pytest.raises(ConfigError, match=r"^c must be a folder that can be written, .* No space .*c/agent\.h'$"):
        write_c_program(program, tmp_path / "c")


def test_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[1] / "docs" / "c.md").read_text(encoding="utf-8")
    snippets, names = re.findall(r"```python\n(.*?)```", page, re.DOTALL), dict[str, Any]()
    for snippet in snippets:
        exec(snippet, names)
    assert len(snippets) == 2 and (tmp_path / "agent" / "agent.c").is_file() and len(names["data"]) > 1000
