"""The options of ``python -m tracerl.watch``, checked before anything is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tracerl.config import checks
from tracerl.config.checks import ConfigError

VIDEOS = (".mp4", ".gif")
KEYS = "Keys in a window: space pauses, n shows one step, + and - change the speed, q or Esc quits."
STEPS = 500  # default number of env steps in files
GIF_FPS = 50  # viewers slow down faster gifs
MOST_SPAN = 10_000  # largest number of env steps in the panels
LEAST_SIZE, LARGEST_SIZE = (640, 400), (3840, 2160)


@dataclass(frozen=True)
class Options:
    """Options for watching a run."""

    run: Path  # folder of the run or of one of its checkpoints
    lifetime: int = 0  # index of the lifetime
    checkpoint: str | None = None  # name of a folder in ``checkpoints``; None: the newest valid one
    window: bool | None = None  # show a window; None: show it if no file is written
    videos: Sequence[Path] = ()  # video files to write, each .mp4 or .gif
    raster: Path | None = None  # file for a picture of the whole recording, .png; None: no picture
    episodes: int | None = None  # episodes to watch; None: no limit
    # env steps to watch; None: no limit in a window, ``STEPS`` for files if ``episodes`` is None too
    steps: int | None = None
    greedy: bool = False  # take the most probable action instead of a sample
    learn: bool = False  # keep learning; the folder of the run does not change
    fps: float = 30.0  # maximum of frames per second; there are fewer if the env has fewer steps per second
    speed: float = 1.0  # env time per watched time; 2: twice as fast
    seed: int | None = None  # seed of the first reset; None: seed of the lifetime
    span: int | None = None  # env steps in the panels; None: four pixels per step
    size: tuple[int, int] = (960, 540)  # width and height of a frame in pixels
    trust: bool = False  # allow classes of any package; see ``tracerl.load``

    def __post_init__(self) -> None:
        checks.whole("lifetime", self.lifetime, 0)
        limits = (("episodes", 1, None), ("steps", 1, None), ("seed", 0, 2**32 - 1), ("span", 10, MOST_SPAN))
        for name, low, high in limits:
            if getattr(self, name) is not None:
                checks.whole(name, getattr(self, name), low, high)
        checks.number("fps", self.fps, "a number from 1 to 120", 1.0, 120.0)
        checks.number("speed", self.speed, "a number from 0.01 to 1000", 0.01, 1000.0)
        self._check_size()
        for path in self.videos:
            if path.suffix.lower() not in VIDEOS:
                raise ConfigError("video", f"must be a file whose name ends in {' or '.join(VIDEOS)}, got '{path}'")
            if path.suffix.lower() == ".gif" and self.fps > GIF_FPS:
                raise ConfigError("fps", f"must be at most {GIF_FPS} for a gif, got {self.fps:g}")
        if self.raster is not None and self.raster.suffix.lower() != ".png":
            raise ConfigError("raster", f"must be a file whose name ends in .png, got '{self.raster}'")
        if len({path.absolute() for path in self.videos}) < len(self.videos):
            raise ConfigError("video", "must name each file once")

    def _check_size(self) -> None:
        if not isinstance(self.size, tuple) or [type(length) for length in self.size] != [int, int]:
            raise ConfigError("size", f"must be a width and a height in pixels, got {self.size!r}")
        if any(not low <= n <= high for low, n, high in zip(LEAST_SIZE, self.size, LARGEST_SIZE, strict=True)):
            span = " to ".join(f"{width}x{height}" for width, height in (LEAST_SIZE, LARGEST_SIZE))
            raise ConfigError("size", f"must be from {span}, got {self.size[0]}x{self.size[1]}")
        if self.size[0] % 2 or self.size[1] % 2:
            raise ConfigError("size", f"must be even, as videos require, got {self.size[0]}x{self.size[1]}")

    @property
    def wants_window(self) -> bool:
        """Whether a window is shown."""
        return not (self.videos or self.raster) if self.window is None else self.window

    @property
    def last_step(self) -> int | None:
        """The last env step; None: no limit."""
        if self.steps is None and self.episodes is None and not self.wants_window:
            return STEPS
        return self.steps
