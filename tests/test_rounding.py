"""Rounded weights are integers times one scale per layer, in every export and in the evaluation."""

import json
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

import tracerl
import tracerl.eval
from tests.helpers import command, exit_code
from tracerl.config.checks import ConfigError
from tracerl.export.__main__ import main as export
from tracerl.nn.exportable import part_of
from tracerl.nn.rounding import round_, round_weights

RUN = ["env=CartPole", "deploy=neuromorphic", "network.hidden=[12]", "network.output_scale=1", "logger=none"]
RUN += ["steps=300", "deploy.weight_bits=4", "hydra.run.dir=run"]


def levels(weight: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return weights in units of a seventh of the largest, which are integers for 4 bits."""
    return np.asarray(weight / np.abs(weight).max() * 7, np.float64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the run ``run``, whose weights are to be rounded to 4 bits."""
    folder = tmp_path_factory.mktemp("rounding")
    with pytest.MonkeyPatch.context() as patch:
        assert command(RUN, patch, folder) == 0
    return folder


def test_weights_are_rounded_to_the_nearest_level() -> None:
    weight = torch.tensor([3.0, -0.6, 0.4, 1.6, -2.4])  # 3 bits: integers from -3 to 3, with scale 1
    round_(weight, 3)
    assert weight.tolist() == [3.0, -1.0, 0.0, 2.0, -2.0]
    zero = torch.zeros(3)
    round_(zero, 8)
    assert zero.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_each_layer_has_its_scale_and_biases_stay(engine: str) -> None:
    settings = {"deploy": "neuromorphic", "engine": engine, "network.hidden": [16, 8], "network.output_scale": 1.0}
    agent = tracerl.make_agent(tracerl.make_env("CartPole"), settings=settings)
    network = agent.policy.network
    before = [layer.synapses.affine.clone() for layer in network.layers]
    round_weights(part_of(agent, "policy"), 8)
    for layer, old in zip(network.layers, before, strict=True):
        scale = old[:-1].abs().max() / 127
        steps = layer.synapses.affine[:-1] / scale
        torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
        assert float((layer.synapses.affine[:-1] - old[:-1]).abs().max()) <= 0.5001 * float(scale)
        assert torch.equal(layer.synapses.affine[-1], old[-1])
    steps = network.readout.weight / network.readout.weight.abs().max() * 127
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)


def test_shared_network_keeps_the_row_of_its_other_output() -> None:
    settings = {"engine": "torch", "network": "dense", "network.hidden": [8], "network.output_scale": 1.0}
    agent = tracerl.make_agent(tracerl.make_env("CartPole"), "eprop", {**settings, "network.reset": "hard"})
    readout = agent.parts()["policy"].network.readout
    before = readout.weight.clone()
    round_weights(part_of(agent, "policy"), 3)
    assert torch.equal(readout.weight[2], before[2]) and not torch.equal(readout.weight[:2], before[:2])


def test_export_rounds_as_the_run_says_and_as_the_option_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert exit_code(export, monkeypatch, "run", "--nir", "four.nir", "--pt2", "four.pt2") == 0
    assert capsys.readouterr().out.count("weights are integers of 4 bits times a scale per layer") == 2
    nodes = nir.read("four.nir").nodes
    for name in ("affine_0", "readout"):
        steps = levels(nodes[name].weight)
        np.testing.assert_allclose(steps, steps.round(), atol=1e-4)
    weights = [tensor for tensor in torch.export.load("four.pt2").state_dict.values() if tensor.numel() == 24]
    assert any(np.allclose(tensor.numpy(), nodes["readout"].weight) for tensor in weights)
    assert exit_code(export, monkeypatch, "run", "--nir", "two.nir", "--weight-bits", "2") == 0
    assert set(np.unique(levels(nir.read("two.nir").nodes["affine_0"].weight).round())) <= {-7.0, 0.0, 7.0}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--nir", "x", "--weight-bits", "1"], "--weight-bits must be a whole number from 2 to 16, got 1"),
        (["--nir", "x", "--form", "scaled"], "--form cannot be used with weight_bits"),
        (["--nir", "x", "--fold-normalizer"], "--fold-normalizer cannot be used with weight_bits"),
        (["--nir", "x", "--c", "y", "--weight-bits", "8"], "--weight-bits cannot be used with --c"),
        (["--c", "y", "--weight-bits", "8"], "--weight-bits cannot be used with --c"),
        (["--c", "y", "--dt", "1e-3"], "--dt needs --nir: it has no effect on other files"),
        (["--pt2", "y", "--without-readout"], "--without-readout needs --nir"),
    ],
)
def test_rounding_that_cannot_be_exported_prints_one_line(
    arguments: list[str],
    problem: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    assert exit_code(export, monkeypatch, "run", *arguments) == 2
    assert problem in capsys.readouterr().err


def test_evaluation_of_rounded_weights_leaves_the_run_as_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    found = []
    for words in ([], ["--weight-bits", "2"], ["--weight-bits", "16"], []):
        line = ["run", "--episodes", "5", "--engine", "torch", "--json", "out.json", *words]
        assert exit_code(tracerl.eval.main, monkeypatch, *line) == 0
        found.append(json.loads(Path("out.json").read_text())[0])
    assert [entry["weight_bits"] for entry in found] == [None, 2, 16, None]
    assert found[0]["returns"] == found[3]["returns"] != found[1]["returns"]
    capsys.readouterr()
    assert exit_code(tracerl.eval.main, monkeypatch, "run", "--weight-bits", "40") == 2
    assert "--weight-bits must be a whole number from 2 to 16, got 40" in capsys.readouterr().err


def test_network_without_plain_weights_raises_an_error() -> None:
    agent = tracerl.make_agent(tracerl.make_env("CartPole"), "reflect_classic")
    with pytest.raises(ConfigError, match="weight_bits must be null for TraceNetwork"):
        round_weights(part_of(agent, "policy"), 8)
