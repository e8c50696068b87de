"""The outputs in docs/ are of the current settings and have the form of their commands."""

import json
import re
from pathlib import Path

import pytest

from tests.helpers import exit_code, script

pytest.importorskip("norse")
outputs = script("doc_outputs")
runs = script("study_runs")
RECORD = json.loads(outputs.RECORD.read_text())


@pytest.mark.parametrize("name", outputs.OUTPUTS)
def test_outputs_have_the_current_settings_and_form(name: str) -> None:
    output = outputs.OUTPUTS[name]
    text, settings = outputs.made(output, output.few)
    changes = runs.differences(*({str(i): one for i, one in enumerate(found)} for found in (RECORD[name], settings)))
    assert not changes, f"run python scripts/doc_outputs.py {name}: {changes}"
    page = (outputs.DOCS / output.page).read_text()
    shown = re.search(rf"<!-- doc_outputs {name} -->\n(.*?)<!-- end {name} -->", page, re.DOTALL)
    assert shown is not None
    assert [form(line) for line in shown[1].splitlines()[:3]] == [form(line) for line in text.splitlines()[:3]]


def test_outputs_are_written_with_their_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "DOCS", tmp_path)
    monkeypatch.setattr(outputs, "RECORD", tmp_path / "outputs.json")
    monkeypatch.setitem(outputs.OUTPUTS, "clicks", outputs.Output("page.md", lambda _: outputs.clicks(104), 104))
    (tmp_path / "page.md").write_text("<!-- doc_outputs clicks -->\n<!-- end clicks -->\n")
    assert exit_code(script("doc_outputs").main, monkeypatch, "clicks") == 0
    assert "in the second half" in (tmp_path / "page.md").read_text()
    (settings,) = json.loads((tmp_path / "outputs.json").read_text())["clicks"][:1]
    assert settings["env"]["name"] == "PoissonClicks"
    assert exit_code(script("doc_outputs").main, monkeypatch, "click") == 2


def form(line: str) -> str:
    """Return the words of a line before its numbers; for a row of a table, the number of cells."""
    return f"{line.count('|')} cells" if line.startswith("|") else re.split(r"[\d▁▂▃▄▅▆▇█]", line)[0]
