"""What a release needs in agreement: version, changelog, and one address of the repository."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import tracerl

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ADDRESS = PROJECT["urls"]["Homepage"]
HOSTS = r"(?:https://github\.com|https://raw\.githubusercontent\.com|colab\.research\.google\.com/github)"
SUFFIXES = {".cff", ".ipynb", ".md", ".py", ".toml", ".yaml", ".yml"}


def files() -> list[Path]:
    """The files of the checkout that can name the address."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("the checkout is not a git repository")
    return [ROOT / line for line in listed.stdout.splitlines() if Path(line).suffix in SUFFIXES]


def test_the_address_of_the_repository_is_the_same_everywhere() -> None:
    name = ADDRESS.removeprefix("https://github.com/")
    assert re.fullmatch(r"[\w-]+/[\w-]+", name)
    found: dict[str, set[Path]] = {}
    for path in files():
        for repository in re.findall(HOSTS + r"/([\w-]+/tracerl)\b", path.read_text()):
            found.setdefault(repository, set()).add(path.relative_to(ROOT))
    assert set(found) == {name}
    assert {Path("pyproject.toml"), Path("mkdocs.yml"), Path("CITATION.cff")} <= found[name]


def test_urls_of_the_project_are_in_its_repository() -> None:
    assert {"Homepage", "Documentation", "Changelog", "Issues"} <= set(PROJECT["urls"])
    assert all(url.startswith(ADDRESS) for url in PROJECT["urls"].values())
    for url in PROJECT["urls"].values():
        path = re.search(r"/(?:blob|tree)/main/(.*)", url)
        assert path is None or (ROOT / path[1]).exists(), url


def test_version_is_in_one_place_and_the_changelog_has_a_section_for_the_next() -> None:
    assert "version" in PROJECT["dynamic"] and "version" not in PROJECT
    sections = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    released = [re.fullmatch(r"(\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d", section) for section in sections[1:]]
    assert sections[0] == "Unreleased" and all(released)
    versions = [tuple(map(int, found[1].split("."))) for found in released if found]
    assert versions == sorted(versions, reverse=True)
    assert not versions or tuple(map(int, tracerl.__version__.split("."))) >= versions[0]


def test_classifiers_name_the_tested_versions_of_python() -> None:
    classifiers = [found.rpartition(" ")[2] for found in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", found)]
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    tested = {version for line in re.findall(r"python: \[(.*)\]", workflow) for version in re.findall(r"3\.\d+", line)}
    assert set(classifiers) == tested
    assert PROJECT["requires-python"] == f">={min(classifiers, key=lambda version: int(version.split('.')[1]))}"
