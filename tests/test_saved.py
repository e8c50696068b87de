"""The readable contents of a run's folder."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tracerl.runs import saved


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        ({"steps": "many"}, {"steps"}),
        ({"steps": True, "seed": 1.5, "lifetimes": 10**400}, {"steps", "seed", "lifetimes"}),
        ({"return_last100": [1.0], "reward_rate_last10000": {"iqm": "x"}}, {"return_last100", "reward_rate_last10000"}),
        ({"return_last100": {"iqm": 1.0, "per_life": [1.0, "x"]}}, {"return_last100"}),
        ({"milestones": {"w20>=1": [None, 3]}, "diverged_lives": []}, {"diverged_lives"}),
        ({"milestones": {"w20>=1": 3}, "status": None, "more": "kept"}, {"milestones", "status"}),
    ],
)
def test_summary_entries_of_another_type_are_omitted(tmp_path: Path, entries: dict[str, Any], wrong: set[str]) -> None:
    (tmp_path / "summary.json").write_text(json.dumps(entries))
    assert saved.summary(tmp_path) == {key: value for key, value in entries.items() if key not in wrong}


def test_command_line_is_read_from_the_run_or_from_hydra(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert saved.overrides(tmp_path) is None
    (tmp_path / ".hydra").mkdir()
    for text in ("", "torn: [", "a: 1", "- {a: 1}"):
        (tmp_path / ".hydra" / "overrides.yaml").write_text(text)
        assert saved.overrides(tmp_path) is None
        assert "warning: cannot read" in capsys.readouterr().err
    (tmp_path / ".hydra" / "overrides.yaml").write_text("[]\n")
    assert saved.overrides(tmp_path) == [] and capsys.readouterr().err == ""
    (tmp_path / "overrides.yaml").write_text(yaml.safe_dump(["seed=1"]))
    assert saved.overrides(tmp_path) == ["seed=1"]
    (tmp_path / "overrides.yaml").write_text("")
    assert saved.overrides(tmp_path) == []
    assert "overrides.yaml: it holds NoneType, not a command line" in capsys.readouterr().err
