"""The output files of watching: videos, and one picture of the whole recording."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tracerl.config.checks import ConfigError
from tracerl.recording import images
from tracerl.recording.images import Picture
from tracerl.watch.files import PendingFile
from tracerl.watch.video import Video


class Files:
    """The output files, opened before watching and finished after it, also after an error."""

    def __init__(self, videos: Sequence[Path], raster: Path | None, size: tuple[int, int], fps: float) -> None:
        self._fps = fps
        self._videos: list[tuple[PendingFile, Video]] = []
        self._raster: PendingFile | None = None
        try:
            for path in videos:
                part = PendingFile("video", path)
                try:
                    self._videos.append((part, _video(part.temporary, size, fps)))
                except BaseException:
                    part.drop()
                    raise
            self._raster = None if raster is None else PendingFile("raster", raster)
        except BaseException:
            self.drop()
            raise

    @property
    def has_videos(self) -> bool:
        """Whether there are videos."""
        return bool(self._videos)

    def add(self, picture: Picture) -> None:
        """Write a frame into all videos.

        Raises:
            OSError: a video could not be written. It is removed.
        """
        for video in list(self._videos):
            part, writer = video
            try:
                writer.add(picture)
            except OSError as error:
                self._videos.remove(video)
                _drop(part, writer)
                raise OSError(f"{part.path}: {error}") from error

    def finish(self, recording: Picture | None) -> tuple[list[str], OSError | None]:
        """Finish all files and rename them to their final names.

        Returns:
            A line about each finished file, and the error of a file that failed.
        """
        lines: list[str] = []
        failed: OSError | None = None
        for part, writer in self._videos:
            try:
                writer.close()
                if writer.frames:
                    part.keep()
                    lines.append(f"{part.path} ({writer.frames:,} frames, {writer.frames / self._fps:.1f} s)")
            except OSError as error:
                failed = OSError(f"{part.path}: {error}")
        if self._raster is not None and recording is not None:
            try:
                self._raster.temporary.write_bytes(images.png(recording))
                self._raster.keep()
                lines.append(f"{self._raster.path} ({recording.shape[1]}x{recording.shape[0]})")
            except OSError as error:
                failed = error
        self.drop()
        return lines, failed

    def drop(self) -> None:
        """Remove unfinished files."""
        for part, writer in self._videos:
            _drop(part, writer)
        if self._raster is not None:
            self._raster.drop()


def _drop(part: PendingFile, writer: Video) -> None:
    with suppress(OSError):
        writer.close(keep=False)
    part.drop()


def _video(path: Path, size: tuple[int, int], fps: float) -> Video:
    try:
        return Video(path, size, fps)
    except ModuleNotFoundError as error:
        raise ConfigError("video", 'needs packages that are not installed: pip install "tracerl[watch]"') from error
