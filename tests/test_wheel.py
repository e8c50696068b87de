"""The wheel, built and run away from the clone. Builds need the package registry: ``python -m pytest -m packaging``."""

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.packaging
def test_the_wheel_runs_the_main_job_outside_the_clone(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("tracerl-*.whl")
    roots = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"tracerl"}

    # A fresh environment that sees the dependencies of this one, but the wheel's tracerl in place of the clone's.
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", wheel], check=True)
    here = [path for path in sys.path if path.endswith("-packages")]
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text("\n".join(here))
    job = [python, "-m", "tracerl.run", "env=CartPole", "steps=2000"]
    result = subprocess.run(job, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads(Path(result.stdout.strip().splitlines()[-1]).read_text())["status"] == "finished"
