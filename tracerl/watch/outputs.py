"""The output files of watching: videos, and one picture of the whole recording."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tracerl.recording import images
from tracerl.recording.images import Picture
from tracerl.watch.video import PendingFile, Video


class Files:
    """The output files, opened before watching and finished after it, also after an error."""

    def __init__(self, videos: Sequence[Path], raster: Path | None, size: tuple[int, int], fps: float) -> None:
        self._fps = fps
        self.videos: list[Video] = []
        self._raster: PendingFile | None = None
        try:
            for path in videos:
                self.videos.append(Video(path, size, fps))
            self._raster = None if raster is None else PendingFile("raster", raster)
        except BaseException:
            self.drop()
            raise

    def add(self, picture: Picture) -> None:
        """Write a frame into all videos.

        Raises:
            OSError: a video could not be written. It is removed.
        """
        for video in list(self.videos):
            try:
                video.add(picture)
            except OSError as error:
                self.videos.remove(video)
                _drop(video)
                raise OSError(f"{video.file.path}: {error}") from error

    def finish(self, recording: Picture | None) -> tuple[list[str], OSError | None]:
        """Finish all files and rename them to their final names.

        Returns:
            A line about each finished file, and the error of a file that failed.
        """
        lines: list[str] = []
        failed: OSError | None = None
        for video in self.videos:
            try:
                video.close()
                if video.frames:
                    lines.append(f"{video.file.path} ({video.frames:,} frames, {video.frames / self._fps:.1f} s)")
            except OSError as error:
                failed = OSError(f"{video.file.path}: {error}")
        if self._raster is not None and recording is not None:
            try:
                self._raster.temporary.write_bytes(images.png(recording))
                self._raster.keep()
                lines.append(f"{self._raster.path} ({recording.shape[1]}x{recording.shape[0]})")
            except OSError as error:
                failed = OSError(f"{self._raster.path}: {error.strerror or error}")
        self.drop()
        return lines, failed

    def drop(self) -> None:
        """Remove unfinished files."""
        for video in self.videos:
            _drop(video)
        if self._raster is not None:
            self._raster.drop()


def _drop(video: Video) -> None:
    with suppress(OSError):
        video.close(keep=False)
