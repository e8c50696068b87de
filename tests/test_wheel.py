"""The built package. Building and installing need the package registry and the extra ``release``.

``python -m pytest -m packaging`` builds the package and runs it. ``-m release`` installs its extras too, which takes
gigabytes, and tries every Python on the path.
"""

import email
import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import tracerl

ROOT = Path(__file__).parents[1]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
EXTRAS = {"envs", "plots", "watch", "nir", "onnx", "tracetorch", "sweep", "bench"}  # for users; docs/release.md
WITHOUT_BOX2D = {"minatar", "mujoco", "atari", "digits", "popgym"}  # of envs, for which Python 3.14 has wheels
USED = """
import sys, tracerl, tracerl.agents.random, tracerl.envs.spec
from importlib.resources import files
print(tracerl.__version__, (files("tracerl.configs") / "env" / "CartPole.yaml").is_file(), "agents" in sys.modules)
"""
ENVS = """
import tracerl
for name in ("LunarLander", "MinAtarBreakout", "HalfCheetah", "Atari", "Digits"):
    tracerl.make_env(name).reset(seed=0)
"""


def succeed(*words: str | Path, cwd: Path | None = None) -> str:
    """Run a command and return what it printed; without the checkout on Python's path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(words, cwd=cwd, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, f"{words}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that is built from it."""
    if not (find_spec("build") and find_spec("twine")):
        pytest.skip('needs pip install "tracerl[release]"')
    folder = tmp_path_factory.mktemp("dist")
    succeed(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    return folder


@pytest.fixture
def wheel(built: Path) -> Path:
    (found,) = built.glob("tracerl-*.whl")
    return found


def interpreter(version: str) -> str:
    """Return a Python of this version that is on the path and starts; else skip the test."""
    for folder in os.get_exec_path():
        python = shutil.which(f"python{version}", path=folder)
        if python and subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True).returncode == 0:
            return python
    pytest.skip(f"no Python {version} on the path")


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
    assert used.stdout.split() == [tracerl.__version__, "True", "False"], used.stderr
    for start in ([python, "-m", "tracerl.run"], [python.with_name("tracerl")]):
        result = subprocess.run([*start, "agent=random", "steps=200"], cwd=folder, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert json.loads(Path(result.stdout.strip().splitlines()[-1]).read_text())["status"] == "finished"


@pytest.mark.packaging
def test_distributions_pass_the_checks_of_the_index(built: Path) -> None:
    files = sorted(built.iterdir())
    assert [path.name.removeprefix(f"tracerl-{tracerl.__version__}") for path in files] == [
        "-py3-none-any.whl",
        ".tar.gz",
    ]
    succeed(sys.executable, "-m", "twine", "check", "--strict", *files)


@pytest.mark.packaging
def test_description_renders_with_absolute_links_and_pictures(wheel: Path) -> None:
    from readme_renderer import markdown

    with zipfile.ZipFile(wheel) as archive:
        metadata = email.message_from_bytes(archive.read(f"tracerl-{tracerl.__version__}.dist-info/METADATA"))
    text = str(metadata.get_payload())
    assert metadata["Description-Content-Type"] == "text/markdown" and metadata["Author"]
    page = markdown.render(text)
    targets = re.findall(r'(?:href|src)="([^#"][^"]*)"', page or "")
    assert page and "<table>" in page and "<img" in page
    assert len(targets) > 30 and all(target.startswith("https://") for target in targets)
    inside = [re.search(rf"/tracerl/(?:blob/)?v{re.escape(tracerl.__version__)}/([^#]+)", target) for target in targets]
    assert all((ROOT / found[1]).exists() for found in inside if found)
    assert len([found for found in inside if found]) == len([target for target in targets if "/tracerl/" in target])


@pytest.mark.packaging
def test_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    inside = {"tracerl": "tracerl", **{name: f"tracerl/{name}" for name in ("agents", "envs", "configs")}}
    expected = {
        f"{target}/{path.relative_to(ROOT / source).as_posix()}"
        for source, target in inside.items()
        for path in (ROOT / source).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == expected


@pytest.mark.packaging
def test_wheel_runs_the_main_job_outside_the_clone(wheel: Path, tmp_path: Path) -> None:
    python = fresh(tmp_path / "venv", wheel)
    job = [python, "-m", "tracerl.run", "env=CartPole", "steps=2000"]
    result = subprocess.run(job, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads(Path(result.stdout.strip().splitlines()[-1]).read_text())["status"] == "finished"
    check(python, tmp_path)


@pytest.mark.release
@pytest.mark.parametrize("version", VERSIONS)
def test_distributions_install_on_each_python_and_their_extras_resolve(
    version: str, built: Path, wheel: Path, tmp_path: Path
) -> None:
    succeed(interpreter(version), "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    pip = (python, "-m", "pip", "install", "-q")
    succeed(*pip, "--upgrade", "pip")  # earlier ones download what they would install
    (source,) = built.glob("*.tar.gz")
    for path in (source, wheel):
        succeed(*pip, "--no-deps", "--force-reinstall", path)
        succeed(python, "-m", "compileall", "-q", *(tmp_path / "venv/lib").glob("python*/site-packages/tracerl"))
        assert succeed(python, "-c", "import tracerl; print(tracerl.__version__)").strip() == tracerl.__version__
    extras = EXTRAS if version != "3.14" else EXTRAS - {"envs"} | WITHOUT_BOX2D
    succeed(*pip, "--dry-run", f"{wheel}[{','.join(sorted(extras))}]")


@pytest.mark.release
def test_wheel_and_its_extras_work_in_a_bare_environment(wheel: Path, tmp_path: Path) -> None:
    extras = EXTRAS if sys.version_info < (3, 14) else EXTRAS - {"envs"} | WITHOUT_BOX2D
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    succeed(python, "-m", "pip", "install", "-q", f"{wheel}[{','.join(sorted(extras))}]")
    succeed(python, "-m", "pip", "check")
    check(python, tmp_path)
    succeed(python, "-c", ENVS if "envs" in extras else ENVS.replace('"LunarLander", ', ""), cwd=tmp_path)
    run = succeed(python, "-m", "tracerl.run", "network=dense", "engine=torch", "steps=200", cwd=tmp_path)
    folder = Path(run.strip().splitlines()[-1]).parent
    succeed(python, "-m", "tracerl.plot", folder, "--what", "raster", "-o", "raster.png", cwd=tmp_path)
    succeed(python, "-m", "tracerl.watch", folder, "--video", "out.mp4", "--steps", "20", cwd=tmp_path)
    succeed(python, "-m", "tracerl.export", folder, "--nir", "net.nir", cwd=tmp_path)


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
