"""What can be asked of ``python -m tracerl.watch``, checked before anything is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tracerl.config import checks
from tracerl.config.checks import ConfigError

VIDEOS = (".mp4", ".gif")
KEYS = "In a window space pauses, n shows one step, + and - make it faster and slower, q or Esc quits."
STEPS = 500  # env steps that files show where nobody says how many
GIF_FPS = 50  # viewers slow down what is faster
LEAST_SIZE, LARGEST_SIZE = (640, 400), (3840, 2160)


@dataclass(frozen=True)
class Options:
    """How a run is watched."""

    run: Path  # its folder, or one of its checkpoints
    life: int = 0  # number among the run's lifetimes
    checkpoint: str | None = None  # which one, a folder in ``checkpoints``; None: the newest that is sound
    window: bool | None = None  # show a window; None: where neither a video nor a picture is asked for
    videos: Sequence[Path] = ()  # files to write, each .mp4 or .gif.
    raster: Path | None = None  # picture of the whole recording to write, .png; None: none.
    episodes: int | None = None  # to watch; None: no bound
    # env steps to watch; None: no bound in a window, ``STEPS`` in files where ``episodes`` is None too
    steps: int | None = None
    greedy: bool = False  # take the likeliest action in place of a sample
    learn: bool = False  # go on learning; nothing is written back into the run
    fps: float = 30.0  # frames per second, at most: fewer where the env takes fewer steps
    speed: float = 1.0  # env time per time watched; 2: twice as fast
    seed: int | None = None  # of the env's first reset; None: that of the lifetime
    span: int | None = None  # env steps that the panels show; None: as many as are four pixels wide each
    size: tuple[int, int] = (960, 540)  # of a frame, width and height in pixels
    trust: bool = False  # run what the run names, of any package; see ``tracerl.load``.

    def __post_init__(self) -> None:
        checks.whole("life", self.life, 0)
        for name, low in (("episodes", 1), ("steps", 1), ("seed", 0), ("span", 10)):
            if getattr(self, name) is not None:
                checks.whole(name, getattr(self, name), low, 2**32 - 1 if name == "seed" else None)
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
        within = all(
            low <= length <= high for low, length, high in zip(LEAST_SIZE, self.size, LARGEST_SIZE, strict=True)
        )
        if not within:
            span = " to ".join(f"{width}x{height}" for width, height in (LEAST_SIZE, LARGEST_SIZE))
            raise ConfigError("size", f"must be from {span}, got {self.size[0]}x{self.size[1]}")
        if self.size[0] % 2 or self.size[1] % 2:
            raise ConfigError("size", f"must be even, which videos need, got {self.size[0]}x{self.size[1]}")

    @property
    def wants_window(self) -> bool:
        """Whether a window is to be shown."""
        return not (self.videos or self.raster) if self.window is None else self.window

    @property
    def last_step(self) -> int | None:
        """The env step at which watching ends; None: no bound."""
        if self.steps is None and self.episodes is None and not self.wants_window:
            return STEPS
        return self.steps
