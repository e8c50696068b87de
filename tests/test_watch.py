"""Watching a run: the contents of frames and files; the run's folder is not changed."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image

from tests.helpers import script
from tests.watching import FLAGS, SMALL, cli, made_runs
from tracerl.runs.saved_run import SavedRun, load
from tracerl.watch import watch
from tracerl.watch.options import Options
from tracerl.watch.playing import play
from tracerl.watch.video import Video


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_runs(tmp_path_factory.mktemp("runs"))


def frames_of(path: Path) -> np.ndarray:
    """Return the frames of a video, uint8, [frames, 400, 640, 3]."""
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    read = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout
    return np.frombuffer(read, np.uint8).reshape(-1, 400, 640, 3)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def watched_agents(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list to which every watched agent is added."""
    made: list[Any] = []
    build = SavedRun.agent

    def keeping(self: SavedRun, *arguments: Any) -> Any:
        made.append(build(self, *arguments))
        return made[-1]

    monkeypatch.setattr(SavedRun, "agent", keeping)
    return made


def test_files_have_every_step_and_the_end_of_every_episode(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = contents(run)
    files = ["--video", "out.mp4", "--video", "out.gif", "--raster", "out.png"]
    assert cli(monkeypatch, run, "--episodes", 2, "--lifetime", 1, *files, *FLAGS) == 0
    output = capsys.readouterr().out.splitlines()
    steps = int(output[0].split()[0])
    assert "2 episodes ended" in output[0] and len(output) == 4
    assert steps == 16
    frames = steps + 1  # after the first episode, its end and the beginning of the next
    assert len(frames_of(tmp_path / "out.mp4")) == frames
    with Image.open("out.gif") as gif:
        assert (gif.n_frames, gif.size) == (frames, (640, 400))  # type: ignore[attr-defined]
    with Image.open("out.png") as picture:
        assert picture.format == "PNG" and picture.size[0] > steps
    assert contents(run) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.gif", "out.mp4", "out.png"]


def test_video_has_the_drawn_frames(run: Path, tmp_path: Path) -> None:
    watch(run, video=[tmp_path / "a.mp4", tmp_path / "a.gif"], steps=6, **SMALL)
    frames = frames_of(tmp_path / "a.mp4")
    assert len(frames) == 6
    with Image.open(tmp_path / "a.gif") as gif:
        for i, drawn in enumerate(frames):
            gif.seek(i)
            assert np.abs(drawn.astype(int) - np.asarray(gif.convert("RGB"))).mean() < 4
    assert np.abs(np.diff(frames.astype(int), axis=0)).mean((1, 2, 3)).min() > 0.01  # the frames differ


@pytest.mark.parametrize("learn", [False, True])
def test_watched_agent_learns_only_on_request_and_the_run_is_not_changed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], learn: bool
) -> None:
    before, agents = contents(run), watched_agents(monkeypatch)
    watch(run, raster=tmp_path / "a.png", steps=30, learn=learn)
    (kept,) = run.parent.glob("run/checkpoints/step-*")
    weights = load(kept).checkpoint.parts["agent"]["policy.network.readout.affine"][0]
    assert torch.equal(agents[0].policy.network.readout.affine, weights) is not learn
    assert contents(run) == before
    assert ("the folder of the run does not change" in capsys.readouterr().err) is learn


def test_agent_that_cannot_be_frozen_can_be_watched(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watch(run.parent / "random", video=tmp_path / "a.gif", steps=3, **SMALL)
    assert capsys.readouterr().err.startswith("RandomAgent cannot be frozen; the folder of the run does not change")


def test_greedy_takes_the_most_probable_action(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agents = watched_agents(monkeypatch)
    watch(run, raster=tmp_path / "a.png", steps=5)
    watch(run, raster=tmp_path / "a.png", steps=5, greedy=True)
    assert [agent.head.greedy for agent in agents] == [False, True]
    assert agents[1].head.action.item() == agents[1].head.probabilities.argmax().item()


def test_interrupted_video_is_complete(run: Path, tmp_path: Path) -> None:
    options = Options(run, videos=[tmp_path / "a.mp4", tmp_path / "a.gif"], raster=tmp_path / "a.png", **SMALL)
    asked = iter([False] * 5 + [True] * 9)
    record, lines = play(options, print, lambda: next(asked))
    assert record.step == 6 and len(lines) == 3
    assert len(frames_of(tmp_path / "a.mp4")) == 6
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 6  # type: ignore[attr-defined]


def test_ctrl_c_completes_the_files(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(CartPoleEnv, "step", after(4, CartPoleEnv.step, lambda: signal.raise_signal(signal.SIGINT)))
    assert cli(monkeypatch, run, "--video", tmp_path / "a.gif", *FLAGS) == 130
    out, err = capsys.readouterr()
    assert "interrupted: the files are kept" in err and "5 frames" in out
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


def test_env_that_raises_leaves_the_video_so_far(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise RuntimeError("the pole broke")

    monkeypatch.setattr(CartPoleEnv, "step", after(4, CartPoleEnv.step, fail))
    assert cli(monkeypatch, run, "--video", tmp_path / "a.mp4", *FLAGS) == 1
    err = capsys.readouterr().err
    assert "error: the env failed in step 5: RuntimeError: the pole broke" in err and "kept" in err
    assert len(frames_of(tmp_path / "a.mp4")) == 4


def test_failed_video_is_dropped_and_the_others_are_kept(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add = Video.add

    def full(self: Video, picture: Any) -> None:
        if self.frames == 3 and ".gif" not in self._path.name:
            raise OSError("no space left")
        add(self, picture)

    monkeypatch.setattr(Video, "add", full)
    files = ["--video", tmp_path / "a.gif", "--video", tmp_path / "a.mp4", "--raster", tmp_path / "a.png"]
    assert cli(monkeypatch, run, *files, *FLAGS) == 1
    err = capsys.readouterr().err
    assert f"error: {tmp_path / 'a.mp4'}: no space left" in err and err.count("kept") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gif", "a.png"]


def after(calls: int, method: Callable[..., Any], then: Callable[[], None]) -> Callable[..., Any]:
    """Return a method that calls ``then`` before its call number ``calls + 1``."""
    seen = []

    def counted(self: Any, *arguments: Any) -> Any:
        seen.append(1)
        if len(seen) == calls + 1:
            then()
        return method(self, *arguments)

    return counted


def test_envs_without_frames_are_watched_without_them(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_driver(self: Any) -> None:
        raise OSError("no driver\nwith a long story")

    monkeypatch.setattr(CartPoleEnv, "render", no_driver)
    watch(run, video=tmp_path / "a.gif", steps=3, **SMALL)
    expected = "no frames of the env: it cannot be rendered here: OSError: no driver\n"
    assert capsys.readouterr().err == expected
    monkeypatch.setattr(CartPoleEnv, "metadata", {"render_modes": []})
    watch(run, video=tmp_path / "b.gif", steps=3, size=(640, 400))
    assert capsys.readouterr().err == "no frames of the env: it has no render_mode rgb_array\n"
    with Image.open(tmp_path / "b.gif") as gif:
        assert gif.n_frames == 3  # type: ignore[attr-defined]


def test_keys_of_the_window_pause_step_and_change_the_speed(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame

    from tracerl.watch.window import Window

    captions: list[str] = []
    show = Window.show
    waiting = [
        [" "],
        ["+", "+", "-"],
        ["n"],
        ["n"],
        [" "],
        ["q"],
    ]  # keys before each frame; n shows one frame of a paused window

    def showing(self: Window, picture: Any) -> None:
        keys = waiting.pop(0) if waiting else []
        more = waiting.pop(0) + ["n"] if keys == [" "] and len(waiting) == 5 else []
        for letter in keys + more:
            pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=ord(letter), unicode=letter))
        show(self, picture)
        captions.append(pygame.display.get_caption()[0].rpartition("(")[2])

    monkeypatch.setattr(Window, "show", showing)
    record = watch(run, **SMALL)
    assert captions == ["2x, paused)", "2x, paused)", "2x, paused)", "2x)", "2x)"]
    assert record.step >= 5


def test_closing_the_window_ends_watching(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    import pygame

    from tracerl.watch.window import Window

    show = Window.show

    def showing(self: Window, picture: Any) -> None:
        pygame.event.post(pygame.event.Event(pygame.QUIT))
        show(self, picture)

    monkeypatch.setattr(Window, "show", showing)
    assert watch(run, **SMALL).step == 1
    assert not pygame.display.get_init()


def test_script_makes_the_readme_images(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = script("make_animation")
    monkeypatch.setitem(module.GIF, "steps", 2)
    monkeypatch.setattr(module, "RASTER_STEPS", 5)
    monkeypatch.setattr(sys, "argv", ["make_animation.py", "--run", str(run), "--into", str(tmp_path)])
    module.main()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cartpole.gif", "raster.png"]
