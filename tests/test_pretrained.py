"""Pretrained agents: the files that ship, what they hold, and where their names are read."""

import doctest
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import tracerl
from tests.helpers import command, exit_code, script
from tracerl.config.checks import ConfigError
from tracerl.lifetime.evaluation import SEED
from tracerl.runs import pretrained
from tracerl.runs.api import checked_maker
from tracerl.runs.saved_run import SavedRun, load

LIMIT = 5_000_000  # bytes of all files


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SavedRun:
    """Return a short run of two lifetimes."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        settings = ["lifetimes=2", "steps=300", "network.hidden=[8]", "logger=none", "hydra.run.dir=run"]
        assert command(["env.backend=compiled", *settings], patch, folder) == 0
    return load(folder / "run")


@pytest.fixture
def own(made: SavedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SavedRun:
    """Return the run, which is the only pretrained agent, named Own."""
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    (tmp_path / "Own.safetensors").write_bytes(pretrained.pack(made.as_pretrained({"name": "Own"})))
    return made


def test_every_task_of_the_script_ships_within_the_limit_of_bytes() -> None:
    assert set(pretrained.names()) == set(script("make_pretrained").TASKS)
    assert sum(path.stat().st_size for path in pretrained.FOLDER.iterdir()) < LIMIT


@pytest.mark.parametrize("name", pretrained.names())
def test_agent_that_ships_acts_and_goes_on_learning(name: str) -> None:
    pytest.importorskip({"Min": "minatar", "Lun": "Box2D", "Dig": "sklearn"}.get(name[:3], "gymnasium"))
    run = load(f"{pretrained.PREFIX}{name}")
    agent, env = run.agent(), run.env()
    before = {key: value.clone() for key, value in agent.capture().items() if key.endswith("affine")}
    tracerl.live(agent, env, 30).finish()
    env.close()
    after = agent.capture()
    assert all(after[key].isfinite().all() for key in before) and {"mean", "lowest"} <= run_card(name).keys()
    assert any(not torch.equal(after[key], value) for key, value in before.items())


def run_card(name: str) -> dict[str, Any]:
    found: dict[str, Any] = pretrained.read(name).card["evaluation"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", pretrained.names())
def test_agent_that_ships_has_the_return_of_its_card(name: str) -> None:
    """On another processor actions differ, so that the interval of this evaluation must meet that of the card."""
    run, card = load(f"{pretrained.PREFIX}{name}"), run_card(name)
    agent = run.agent(engine="auto")
    result = tracerl.evaluate(agent, checked_maker(run.spec), card["episodes"], seed=SEED)
    low, high = result.interval()
    assert low <= card["interval_high"] and high >= card["interval_low"], (result.mean, card)


def test_state_is_that_of_the_run_but_for_the_code_of_mean_squares(own: SavedRun) -> None:
    there, here = own.agent().capture(), load("pretrained:Own").agent().capture()
    assert there.keys() == here.keys()
    for name, tensor in there.items():
        if name.endswith(".score"):
            assert not here[name].any()
        elif name.endswith(".second_moment"):
            near = tensor >= tensor.max() * 2**-31
            assert (
                torch.allclose(here[name][near], tensor[near], rtol=0.045, atol=0) and here[name].dtype == tensor.dtype
            )
            assert torch.equal(here[name] > 0, tensor > 0) and not torch.equal(here[name], tensor)
        else:
            assert torch.equal(here[name], tensor), name


def test_docstring_example_passes() -> None:
    result = doctest.testmod(pretrained)
    assert result.attempted == 3 and result.failed == 0


@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_evaluation_is_that_of_the_run(own: SavedRun, engine: str) -> None:
    agents = own.agent(engine=engine), tracerl.load_pretrained("Own", engine)
    returns = [tracerl.evaluate(agent, checked_maker(own.spec), 3, seed=1).returns for agent in agents]
    assert returns[0] == returns[1]


def test_gradient_of_the_last_step_is_not_used(own: SavedRun) -> None:
    """Two agents that differ in nothing else learn alike."""
    agents = [load("pretrained:Own").agent() for _ in range(2)]
    state = own.agent().capture()
    agents[0].restore(agents[0].capture() | {key: value for key, value in state.items() if key.endswith(".score")})
    assert any(value.any() for key, value in agents[0].capture().items() if key.endswith(".score"))
    for agent in agents:
        tracerl.live(agent, own.env(), 50, seed=3).finish()
    ends = [agent.capture() for agent in agents]
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())


def test_commands_read_the_name(
    own: SavedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tracerl import eval as evaluation
    from tracerl.export import __main__ as export

    numbers = tmp_path / "numbers.json"
    asked = ["pretrained:Own", "--episodes", 2, "--engine", "torch", "--json", numbers]
    assert exit_code(evaluation.main, monkeypatch, *asked) == 0
    assert "pretrained:Own, 300 steps old" in capsys.readouterr().out
    assert json.loads(numbers.read_text())[0]["episodes"] == 2
    assert exit_code(export.main, monkeypatch, "pretrained:Own", "--pt2", tmp_path / "own.pt2") == 0


def test_wrong_names_and_checkpoints_are_refused(own: SavedRun) -> None:
    with pytest.raises(ConfigError, match=r"pretrained must be one of Own; got 'CartPol'"):
        tracerl.load_pretrained("CartPol")
    with pytest.raises(ConfigError, match="checkpoint must be left out for a pretrained agent, which has one, got 'x'"):
        load("pretrained:Own", "x")
    with pytest.raises(ConfigError, match="engine"):
        tracerl.load_pretrained("Own", "Torch")


def test_damaged_file_is_refused(own: SavedRun) -> None:
    path = pretrained.FOLDER / "Own.safetensors"
    whole = path.read_bytes()
    for damaged in (b"", whole[:100], whole[:-1], whole.replace(b"left_out", b"left_off")):
        path.write_bytes(damaged)
        with pytest.raises(ConfigError, match=f"pretrained Own cannot be loaded: .*{path.name}"):
            load("pretrained:Own")


def test_script_trains_evaluates_and_writes_a_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made, files = script("make_pretrained"), tmp_path / "files"
    monkeypatch.setattr(made, "TASKS", {"CartPole": {"steps": 200, "engine": "torch"}})
    monkeypatch.setattr(pretrained, "FOLDER", files)
    arguments = ["CartPole", "--runs", tmp_path / "runs", "--folder", files, "--episodes", 2]
    monkeypatch.setattr(made, "PAGE", tmp_path / "page.md")
    (tmp_path / "page.md").write_text("<!-- make_pretrained agents -->\n<!-- end agents -->\n")
    for more in ([], ["--table"]):  # the second time the run is there
        assert exit_code(made.main, monkeypatch, *arguments, *more) == 0
    card = pretrained.read("CartPole").card
    assert card["command"] == "python -m tracerl.run env=CartPole steps=200 engine=torch seed=0"
    assert card["steps"] == 200 and math.isfinite(card["evaluation"]["mean"])
    assert "| CartPole | `env=CartPole steps=200" in (tmp_path / "page.md").read_text()
    assert capsys.readouterr().out.count("CartPole: ") == 2
    assert exit_code(made.main, monkeypatch, "Cartpole") == 2
