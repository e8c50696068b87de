"""Invalid options of watching raise an error naming the option before anything is written."""

import errno
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

from tests.watching import cli, made_runs
from tracerl.config.checks import ConfigError
from tracerl.watch import watch
from tracerl.watch.outputs import Files


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_runs(tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nowhere"], "RUN must be the folder of a run"),
        (["run", "--video", "a.avi"], "video must be a file whose name ends in .mp4 or .gif, got 'a.avi'"),
        (["run", "--video", "gone/a.mp4"], "video must be a file that can be written: 'gone/a.mp4'"),
        (["run", "--raster", "a.png", "--raster", "b.png"], "argument --raster: must be given once, got 'b.png' too"),
        (["run", "--raster", "a.jpg"], "raster must be a file whose name ends in .png"),
        (["run", "--raster", "folder.png"], "raster must be a file, and 'folder.png' is a folder"),
        (["run", "--video", "a.gif", "--video", "a.gif"], "video must name each file once"),
        (["run", "--raster", "a.png", "--lifetime", "2"], "lifetime must be a whole number from 0 to 1, got 2"),
        (
            ["run", "--raster", "a.png", "--checkpoint", "step-1"],
            "--checkpoint must be newest, best or the name of a folder in checkpoints",
        ),
        (["run", "--raster", "a.png", "--steps", "0"], "steps must be a whole number of 1 or above"),
        (["run", "--raster", "a.png", "--episodes", "0"], "episodes must be"),
        (["run", "--raster", "a.png", "--seed", "-1"], "seed must be"),
        (["run", "--raster", "a.png", "--span", "3"], "span must be a whole number from 10 to 10000"),
        (["run", "--video", "a.gif", "--span", str(10**30)], "span must be a whole number from 10 to 10000"),
        (["run", "--raster", "a.png", "--speed", "0"], "speed must be a number from 0.01"),
        (["run", "--raster", "a.png", "--fps", "nan"], "fps must be a number from 1 to 120"),
        (["run", "--video", "a.gif", "--fps", "60"], "fps must be at most 50 for a gif"),
        (["run", "--video", "a.gif", "--size", "64x48"], "size must be from 640x400 to 3840x2160, got 64x48"),
        (["run", "--video", "a.gif", "--size", "641x400"], "size must be even"),
        (["run", "--video", "a.gif", "--size", "big"], "must look like 960x540, got 'big'"),
        (["random", "--raster", "a.png", "--greedy"], "greedy needs an agent with a distribution over actions"),
        (["run", "--vide", "a.gif"], "unrecognized arguments: --vide"),
    ],
)
def test_invalid_option_raises_an_error_before_anything_is_written(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    problem: str,
) -> None:
    for name in ("run", "random"):
        (tmp_path / name).symlink_to(run.parent / name)
    (tmp_path / "folder.png").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert cli(monkeypatch, *arguments) == 2
    output = capsys.readouterr().err
    assert problem in output and "Traceback" not in output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.png", "random", "run"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a display is taken for granted")
def test_missing_display_raises_an_error_naming_the_options_that_need_none(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    assert cli(monkeypatch, run) == 2
    assert "window needs a display, and there is none: --video out.mp4" in capsys.readouterr().err


@pytest.mark.parametrize(("missing", "options"), [("imageio_ffmpeg", ["--video", "a.mp4"]), ("pygame", ["--window"])])
def test_missing_package_raises_an_error_naming_its_extra(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    missing: str,
    options: list[str],
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.chdir(tmp_path)
    assert cli(monkeypatch, run, *options) == 2
    assert 'pip install "tracerl[watch]"' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_missing_pygame_raises_an_error_naming_the_extra(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(self: Any) -> None:
        raise gym.error.DependencyNotInstalled("pygame is not installed")

    monkeypatch.setattr(CartPoleEnv, "render", lacking)
    with pytest.raises(ConfigError, match=r'env needs packages to draw its frames: pip install "tracerl\[watch\]"'):
        watch(run, video=tmp_path / "a.gif", steps=3)
    assert not list(tmp_path.iterdir())


def test_options_from_python_are_checked(run: Path) -> None:
    with pytest.raises(ConfigError, match="steps must be"):
        watch(run, steps=1.5)
    with pytest.raises(ConfigError, match="size must be a width and a height"):
        watch(run, size=640)


def test_raster_on_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    files = Files([], tmp_path / "a.png", (64, 64), 30.0)
    monkeypatch.setattr(Path, "write_bytes", full)
    lines, failed = files.finish(np.zeros((4, 4, 3), np.uint8))
    assert (lines, str(failed)) == ([], f"{tmp_path}/a.png: No space left on device")
    assert not list(tmp_path.iterdir())
