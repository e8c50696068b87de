"""Messages about keys and choices of the command line, with the user's own folder of configs."""

from pathlib import Path

import pytest

from tests.helpers import command
from tracerl.config.search_path import search_path

OWN = {
    "encoder/previous.yaml": "_target_: previous.Previous\nnormalize: true\nlast: 2\n",
    "agent/own.yaml": (
        "# @package _global_\ndefaults: [/encoder: raw, _self_]\nagent: {_target_: own.Own, encoder: '${encoder}'}\n"
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in OWN.items():
        (tmp_path / "configs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "configs" / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "message", "keys"),
    [
        ("encoder=previous encoder.foo=1", "there is no encoder.foo.", "Keys of encoder: last, normalize"),
        ("encoder=previous encoder.lst=1", "there is no encoder.lst. Did you mean encoder.last?", "last, normalize"),
        ("agent=own head=bounded", "there is no head with agent=own.", "Keys and groups: agent, "),
        ("agent=own head=bounded network=dense", "there is no head with agent=own.", "Keys and groups: agent, "),
        ("agent=own network.ticks=3", "there is no network.ticks with agent=own.", "Keys and groups: agent, "),
        ("agent=own encoder.clp=3", "there is no encoder.clp. Did you mean encoder.clip?", "Keys of encoder: clip, "),
        ("agent=stream_ac network.ticks=3", "there is no network.ticks with agent=stream_ac.", "Keys and groups: "),
    ],
)
def test_key_that_a_choice_lacks_is_named_with_the_keys_of_the_choice(
    line: str,
    message: str,
    keys: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(["--config-dir", "configs", *line.split()], monkeypatch, folder) == 2
    first, second = capsys.readouterr().err.strip().splitlines()
    assert first == f"error: {message}"
    assert keys in second


def test_resume_without_the_folder_of_configs_says_that_it_is_needed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["agent=own", "agent._target_=tracerl.agents.random.RandomAgent", "~agent.encoder", "steps=20"]
    where, said = "hydra.run.dir=run", "A run that was started with --config-dir needs it again"
    assert command(["--config-dir", "configs", *run, where], monkeypatch, folder) == 0
    capsys.readouterr()
    assert command(["resume=run", "steps=30"], monkeypatch, folder) == 2
    error = capsys.readouterr().err.strip()
    assert "Could not find 'agent/own'" in error and error.endswith(said)
    assert command(["resume=run", "steps=30", "--config-dir=configs"], monkeypatch, folder) == 0
    assert command(["agent=own", "steps=30"], monkeypatch, folder) == 2  # no resume
    assert said not in capsys.readouterr().err


def test_search_path_has_the_folders_of_both_options() -> None:
    assert search_path(["steps=3", "agent=own"]) == []
    assert search_path(["-cd", "/a", "hydra.searchpath=[file:///b]"]) == ["hydra.searchpath=['file:///a','file:///b']"]
