"""The command line of the export, and its files in other libraries."""

import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

import tracerl
from tests.helpers import command, exit_code, script
from tracerl.export.__main__ import main, write_whole
from tracerl.export.program import program_of

PLAIN = ["network=dense", "encoder=raw", "logger=none"]  # settings that NIR can express
RUN = ["steps=400", "lifetimes=2", "network.hidden=[12]", "network.reset=hard", "network.output_scale=1", *PLAIN]
PAGE = Path(__file__).parents[1] / "docs" / "export.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the run ``run``."""
    folder = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patch:
        assert command([*RUN, "env.backend=compiled", "hydra.run.dir=run"], patch, folder) == 0
        assert command(["agent=random", "steps=20", "logger=none", "hydra.run.dir=random"], patch, folder) == 0
    return folder


def export(arguments: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the command line in this process and return its exit code."""
    monkeypatch.chdir(folder)
    return exit_code(main, monkeypatch, *arguments)


def test_newest_checkpoint_of_a_lifetime_is_exported(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(["run", "--nir", "one.nir", "--lifetime", "1"], folder, monkeypatch) == 0
    output = capsys.readouterr()
    assert "wrote one.nir: policy of run, lifetime 1, step 400" in output.out
    assert "input -> affine_0 -> lif_0 -> li -> readout -> output" in output.out
    assert "12 neurons, 72 synapses" in output.out and "--fold-normalizer" in output.out and output.err == ""
    graph, agent = nir.read(folder / "one.nir"), tracerl.load(folder / "run").agent(1)
    np.testing.assert_array_equal(graph.nodes["affine_0"].weight, agent.policy.network.layers[0].synapses.weight)
    np.testing.assert_array_equal(graph.nodes["readout"].weight, agent.policy.network.readout.weight)
    assert (graph.metadata["env"], graph.metadata["step"], graph.metadata["seed"]) == ("CartPole", 400, 1)


def test_soft_reset_raises_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command([*PLAIN, "steps=50", "hydra.run.dir=soft"], monkeypatch, tmp_path) == 0
    capsys.readouterr()
    assert export(["soft", "--nir", "soft.nir"], tmp_path, monkeypatch) == 0
    assert re.search(r"^warning: network\.reset=soft has no NIR equivalent", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["run"], "there is nothing to write: give --nir FILE"),
        (["nowhere", "--nir", "x"], "RUN must be the folder of a run"),
        (
            ["run", "--nir", "x", "--checkpoint", "step-7"],
            "--checkpoint must be newest, best or the name of a folder in checkpoints",
        ),
        (["run", "--nir", "x", "--lifetime", "2"], "--lifetime must be a whole number from 0 to 1, got 2"),
        (
            ["random", "--nir", "x"],
            "agent must have a network of spiking neurons, which its method .* RandomAgent has no such method",
        ),
        (["run", "--pt2", "x", "--network", "actor"], "--network must be one of policy, value .* got 'actor'"),
        (["run", "--nir", "x", "--form", "odd"], "--form must be one of plain, scaled"),
        (["run", "--nir", "x", "--dt", "nan"], "--dt must be a number above 0"),
        (["run", "--nir", "."], "--nir must be a file that can be written, got '.': it is a folder"),
        (["run", "--nir", "no/x"], "--nir must be .* there is no folder no"),
        (["run", "--pt2", "x", "--onnx", "x"], "--onnx must be another path than that of --pt2, got 'x'"),
        (["run", "--nir", "x", "--pt2", "run/../x"], "--pt2 must be another path than that of --nir, got 'run/../x'"),
        (["run", "--c", "./x/", "--onnx", "x"], "--c must be another path than that of --onnx, got 'x'"),
    ],
)
def test_unsupported_export_prints_one_line(
    arguments: list[str], problem: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert export(arguments, folder, monkeypatch) == 2
    output = capsys.readouterr()
    assert re.search(rf"^error: .*{problem}", output.err), output.err
    assert output.err.count("\n") == 1 and output.out == "" and not (folder / "x").exists()


@pytest.mark.parametrize(("option", "package"), [("nir", "nir"), ("onnx", "onnxscript")])
def test_missing_extra_raises_an_error_with_the_install_command(
    option: str, package: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert export(["run", f"--{option}", "x"], folder, monkeypatch) == 2
    expected = f'error: --{option} needs packages that are not installed: pip install "tracerl[{option}]"\n'
    assert capsys.readouterr().err == expected


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # deprecations of torch in snnTorch and Norse
def test_measuring_script_finds_no_difference(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["measure_export", "run", "--lifetime", "1", "--steps", "30"])
    script("measure_export").main()
    output = capsys.readouterr().out
    assert output.startswith("372 neuron steps, a spike in ")
    assert "snnTorch: 0 differ" in output and "Norse: 0 differ" in output


def test_file_is_written_completely_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.nir"
    write_whole(path, b"first", "nir")

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch, pytest.raises(tracerl.ConfigError, match="nir must be .*: disk full"):
        patch.setattr(os, "rename", fail)
        write_whole(path, b"second", "nir")
    assert path.read_bytes() == b"first" and list(tmp_path.iterdir()) == [path]
    write_whole(path, b"third", "nir")
    assert path.read_bytes() == b"third" and path.stat().st_mode & 0o444 == 0o444 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.filterwarnings("ignore:nirtorch.load:DeprecationWarning")
def test_examples_of_the_export_page_run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Every snippet of docs/export.md runs, in order, and computes the outputs of the agent."""
    files = ["--pt2", "net.pt2", "--onnx", "net.onnx"]
    assert export(["run", *files], folder, monkeypatch) == 0
    n_state = int(re.findall(r"state \[(\d+)\]", capsys.readouterr().out)[0])
    observations = torch.from_numpy(np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32))
    network = tracerl.load("run").agent().policy.network
    names: dict[str, Any] = {"codes": observations, "observations": observations, "n_state": n_state}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations of torch on import of snnTorch and Norse
        import norse.torch  # noqa: F401
        import snntorch  # noqa: F401
    with torch.no_grad():
        logits = [network(code).clone() for code in observations][-1]
    program = program_of(tracerl.load("run").agent())
    expected, state = [], torch.zeros(n_state)
    for observation in observations:
        action, outputs, state = program(observation, state)
        expected.append(int(action))
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(snippets) == 6
    for number, snippet in enumerate(snippets):
        exec(snippet, names)
        if number == 1:  # snnTorch with the readout
            np.testing.assert_allclose(np.asarray(names["logits"]), logits, atol=1e-5)
        elif number == 2:  # Norse without
            np.testing.assert_array_equal(names["spikes"][0], network.layers[-1].spikes)
        elif number in (4, 5):  # torch.export and ONNX
            np.testing.assert_allclose(np.asarray(names["outputs"]), outputs, atol=1e-5)
            np.testing.assert_allclose(np.asarray(names["state"]), state, atol=1e-5)
            assert int(names["action"][0]) == expected[-1]
    assert isinstance(names["agent"], tracerl.OnlineAgent) and names["agent"].engine == "fused"
