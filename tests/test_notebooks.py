"""The notebooks of examples/: stored without outputs, opened in Colab, and run from the first cell to the last."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.test_docs import PRIVATE

nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples" / "notebooks"
PICTURES = {"first_agent": 2, "own_env_and_neuron": 3, "spikes": 4}  # drawn by each
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
METADATA = {"language_info": {"name": "python"}}
EXECUTE = """
import sys, nbclient, nbformat, traitlets.config
local = traitlets.config.Config({"KernelManager": {"transport": "ipc"}})  # sockets of this machine, no ports
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", config=local).execute()
nbformat.write(notebook, sys.argv[2])
"""
named = pytest.mark.parametrize("name", sorted(PICTURES))


def read(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_every_notebook_is_tested_and_in_the_list() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(PICTURES)
    for page in ("examples/README.md", "docs/examples.md"):
        assert all(f"{name}.ipynb" in (ROOT / page).read_text() for name in PICTURES)


@named
def test_notebook_is_stored_without_outputs(name: str) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    assert notebook.metadata == METADATA and not any(cell.metadata for cell in notebook.cells)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code(notebook))


@named
def test_notebook_opens_in_colab_and_installs_what_it_needs(name: str) -> None:
    notebook = read(name)
    repository = PROJECT["urls"]["Homepage"].removeprefix("https://")
    colab = f"https://colab.research.google.com/{repository.replace('.com', '')}/blob/main/examples/notebooks"
    badge = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    assert f"{badge}({colab}/{name}.ipynb)" in notebook.cells[0].source
    install = code(notebook)[0]
    extras = re.search(r'%pip install -q "tracerl\[([\w,]+)\]"', install.source)
    assert notebook.cells[1] is install and extras
    assert set(extras[1].split(",")) <= set(PROJECT["optional-dependencies"])


@named
def test_notebook_uses_the_words_of_the_field_and_links_to_what_exists(name: str) -> None:
    for cell in read(name).cells:
        lines = cell.source.splitlines()
        assert not [line for line in lines if len(line) > 120 and "colab-badge" not in line]
        if cell.cell_type == "markdown":
            assert not re.search(PRIVATE, re.sub(r"`[^`]*`|\$[^$]+\$|\]\([^)]*\)", "", cell.source), re.IGNORECASE)
            for target in re.findall(r"\]\(([^):]+)\)", cell.source):
                assert (FOLDER / target).is_file(), target
            for path in re.findall(r"\]\(https://github\.com/\S+?/blob/main/([^)]+)\)", cell.source):
                assert (ROOT / path).is_file(), path


@named
def test_notebook_runs(name: str, tmp_path: Path) -> None:
    for needed in ("nbclient", "ipykernel", "matplotlib"):
        pytest.importorskip(needed)
    command = [sys.executable, "-c", EXECUTE, str(FOLDER / f"{name}.ipynb"), "executed.ipynb"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr

    executed = nbformat.read(tmp_path / "executed.ipynb", as_version=4)
    outputs = [output for cell in code(executed) for output in cell.outputs]
    pictures = [kind for output in outputs for kind in output.get("data", {}) if kind.startswith("image/")]
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    assert len(pictures) == PICTURES[name]
    assert printed and "warning" not in printed.lower()
