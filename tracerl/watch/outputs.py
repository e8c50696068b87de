"""Where the pictures go: a window, videos, and one picture of the whole recording."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tracerl.config.checks import ConfigError
from tracerl.recording import images
from tracerl.recording.images import Picture
from tracerl.watch.files import Part
from tracerl.watch.video import Video


class Files:
    """The files of one watching: opened before it, finished after it, whatever ended it."""

    def __init__(self, videos: Sequence[Path], raster: Path | None, size: tuple[int, int], fps: float) -> None:
        self._fps = fps
        self._videos: list[tuple[Part, Video]] = []
        self._raster: Part | None = None
        try:
            for path in videos:
                part = Part("video", path)
                try:
                    self._videos.append((part, _video(part.aside, size, fps)))
                except BaseException:
                    part.drop()
                    raise
            self._raster = None if raster is None else Part("raster", raster)
        except BaseException:
            self.drop()
            raise

    @property
    def has_videos(self) -> bool:
        """Whether frames are wanted."""
        return bool(self._videos)

    def add(self, picture: Picture) -> None:
        """Write a frame into all videos.

        Raises:
            OSError: one could not take it; that one is dropped.
        """
        for video in list(self._videos):
            part, writer = video
            try:
                writer.add(picture)
            except OSError as error:
                self._videos.remove(video)
                _drop(part, writer)
                raise OSError(f"{part.path}: {error}") from error

    def finish(self, stretch: Picture | None) -> tuple[list[str], OSError | None]:
        """Finish all files and put them in their places.

        Returns:
            A line about each that is in its place, and why one is not: a video could not be finished.
        """
        said: list[str] = []
        failed: OSError | None = None
        for part, writer in self._videos:
            try:
                writer.close()
                if writer.frames:
                    part.keep()
                    said.append(f"{part.path} ({writer.frames:,} frames, {writer.frames / self._fps:.1f} s)")
            except OSError as error:
                failed = OSError(f"{part.path}: {error}")
        if self._raster is not None and stretch is not None:
            try:
                self._raster.aside.write_bytes(images.png(stretch))
                self._raster.keep()
                said.append(f"{self._raster.path} ({stretch.shape[1]}x{stretch.shape[0]})")
            except OSError as error:
                failed = error
        self.drop()
        return said, failed

    def drop(self) -> None:
        """Remove what is not in its place."""
        for part, writer in self._videos:
            _drop(part, writer)
        if self._raster is not None:
            self._raster.drop()


def _drop(part: Part, writer: Video) -> None:
    with suppress(OSError):
        writer.close(keep=False)
    part.drop()


def _video(path: Path, size: tuple[int, int], fps: float) -> Video:
    try:
        return Video(path, size, fps)
    except ModuleNotFoundError as error:
        raise ConfigError("video", 'needs packages that are not installed: pip install "tracerl[watch]"') from error
