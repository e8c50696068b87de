"""The contributing guide, targets and workflows name what exists."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.version import Version

import tracerl

ROOT = Path(__file__).parents[1]
TARGETS = re.findall(r"^(\w+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def guide() -> str:
    return (ROOT / "CONTRIBUTING.md").read_text()


def test_citation_has_this_version_and_licence() -> None:
    citation, project = read("CITATION.cff"), (ROOT / "pyproject.toml").read_text()
    assert citation["version"] == tracerl.__version__
    assert f'license = "{citation["license"]}"' in project
    assert citation["abstract"] in project and all(f'"{word}"' in project for word in citation["keywords"])


def test_hosted_ci_runs_the_targets_of_contributors_on_two_python_versions() -> None:
    job = read(".github/workflows/ci.yml")["jobs"]["ci"]
    assert job["steps"][-1]["run"] == ".ci/run" and (ROOT / ".ci/run").stat().st_mode & 0o111
    oldest, *newer = job["strategy"]["matrix"]["python"]
    assert f'requires-python = ">={oldest}"' in (ROOT / "pyproject.toml").read_text() and newer


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name)
def test_forms_and_workflows_are_valid_yaml(path: Path) -> None:
    found = read(str(path.relative_to(ROOT)))
    fields = [field for field in found.get("body", []) if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)


def test_hooks_use_the_required_ruff_and_existing_targets() -> None:
    ruff, local = read(".pre-commit-config.yaml")["repos"]
    least = re.search(r'"ruff>=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert least and Version(ruff["rev"]) >= Version(least[1])
    for hook in local["hooks"]:
        assert hook["entry"].split()[0] == "make" and hook["entry"].split()[1] in TARGETS


@pytest.mark.parametrize("target", [target for target in TARGETS if target != "help"])
def test_every_target_names_existing_modules_and_files(target: str) -> None:
    command = ["make", "-n", target, "AREA=optim", f"PYTHON={sys.executable}"]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines
    for line in lines:
        module = re.search(r" -m (\w+)", line)
        for file in re.findall(r"(?:scripts|\.ci)/[\w.]+", line):
            assert (ROOT / file).is_file(), line
        optional = ("ruff", "mypy", "mkdocs")  # from the extras dev and docs
        assert module is None or module[1] in optional or find_spec(module[1]), line
        for marker in re.findall(r"pytest -m (\w+)", line):
            assert f'"{marker}: ' in (ROOT / "pyproject.toml").read_text(), line


def test_every_target_is_phony_and_in_the_guide() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony and set(phony[1].split()) == set(TARGETS)
    assert all(f"make {target}" in guide() for target in TARGETS)


def test_every_path_in_the_guide_exists() -> None:
    for path in re.findall(r"`((?:envs|agents|tracerl|configs|tests|scripts|docs)/[\w./]*)`", guide()):
        if "NAME" not in path:
            assert (ROOT / path).exists(), path
        else:
            assert (ROOT / path).parent.is_dir(), path
    for name in re.findall(r"`(test_\w+\.py)`", guide()):
        assert (ROOT / "tests" / name).is_file(), name
