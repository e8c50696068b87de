"""The installed package. Builds need the package registry: ``python -m pytest -m packaging``."""

import json
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USED = """
import sys, tracerl, tracerl.agents.random, tracerl.envs.spec
from importlib.resources import files
print(tracerl.__version__, (files("tracerl.configs") / "env" / "CartPole.yaml").is_file(), "agents" in sys.modules)
"""


def fresh(folder: Path, *what: str | Path) -> Path:
    """Create a new environment with the dependencies of this one and its own tracerl; return its Python."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", *what], check=True)
    others = [path for path in sys.path if path.endswith("-packages")]
    (site,) = (folder / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text("\n".join(others))
    return python


def check(python: Path, folder: Path) -> None:
    """Import the package from a folder, and run a job there by the module and by the command."""
    used = subprocess.run([python, "-c", USED], cwd=folder, capture_output=True, text=True)
    assert used.stdout.split() == ["0.1.0", "True", "False"], used.stderr
    for start in ([python, "-m", "tracerl.run"], [python.with_name("tracerl")]):
        result = subprocess.run([*start, "agent=random", "steps=200"], cwd=folder, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert json.loads(Path(result.stdout.strip().splitlines()[-1]).read_text())["status"] == "finished"


@pytest.mark.packaging
def test_wheel_runs_the_main_job_outside_the_clone(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("tracerl-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {root for root in (name.split("/")[0] for name in names) if not root.endswith(".dist-info")} == {"tracerl"}
    sources = {f"tracerl/export/c/{path.name}" for path in (ROOT / "tracerl/export/c").iterdir()}
    assert sources <= set(names)

    python = fresh(tmp_path / "venv", wheel)
    job = [python, "-m", "tracerl.run", "env=CartPole", "steps=2000"]
    result = subprocess.run(job, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads(Path(result.stdout.strip().splitlines()[-1]).read_text())["status"] == "finished"
    check(python, tmp_path)


@pytest.mark.packaging
def test_editable_install_works_from_any_folder(tmp_path: Path) -> None:
    clone, other = tmp_path / "code" / "tracerl", tmp_path / "other"
    left_out = {"__pycache__", *(path.name for path in ROOT.glob(".*"))}

    def ignored(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if name in left_out or (name == "runs" and Path(folder) == ROOT)}

    shutil.copytree(ROOT, clone, ignore=ignored)
    other.mkdir()
    python = fresh(tmp_path / "venv", "-e", clone)
    for folder in (clone, clone.parent, other):
        check(python, folder)


def test_parent_folder_of_a_clone_named_tracerl_shadows_no_package(tmp_path: Path) -> None:
    (tmp_path / "tracerl").symlink_to(ROOT, target_is_directory=True)
    for code in (["-c", USED], ["-m", "tracerl.run", "--version"]):
        result = subprocess.run([sys.executable, *code], cwd=tmp_path, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
