"""Write videos frame by frame with ffmpeg, in constant memory.

A failure of ffmpeg raises an OSError with its message.
"""

import os
import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.recording.images import Picture

_H264 = ["-c:v", "libx264", "-crf", "18", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
_LOSSLESS = ["-c:v", "libx264rgb", "-qp", "0", "-preset", "ultrafast"]


class PendingFile:
    """A file that is written under a temporary name and renamed when it is complete.

    ffmpeg writes it as a stream and knows the format by the end of its name. ``runs.files.write_atomic`` has all bytes
    at once, and another temporary name.
    """

    def __init__(self, key: str, path: Path) -> None:
        self.path = path.absolute()
        self.temporary = self.path.with_name(f".{self.path.stem}.{os.getpid()}.part{self.path.suffix}")
        if self.path.is_dir():
            raise ConfigError(key, f"must be a file, and '{path}' is a folder")
        try:
            self.temporary.open("wb").close()
        except OSError as error:
            raise ConfigError(key, f"must be a file that can be written: '{path}': {error.strerror}") from error

    def keep(self) -> None:
        """Rename the file to its final name."""
        self.temporary.replace(self.path)

    def drop(self) -> None:
        """Remove the temporary file."""
        self.temporary.unlink(missing_ok=True)


class Video:
    """An mp4 (H.264) or a gif that repeats.

    A gif has one palette for all frames. Until ``close`` the frames are in a temporary lossless file.

    Attributes:
        file: file with a temporary name until ``close``.
        frames: number of frames written so far.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float) -> None:
        """Start the ffmpeg of imageio-ffmpeg.

        Args:
            path: path of the file, .mp4 or .gif. An existing file is overwritten.
            size: width and height of all frames, both even.
            fps: frames per second. The times of a gif are rounded to hundredths of a second.
        """
        checks.packages("video", "watch", "imageio_ffmpeg")
        from imageio_ffmpeg import get_ffmpeg_exe

        self._exe = get_ffmpeg_exe()
        rate = str(Fraction(fps).limit_denominator(1000))
        taken = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", rate, "-i", "-"]
        self.frames, self.file, self._is_gif = 0, PendingFile("video", path), path.suffix.lower() == ".gif"
        self._path = self.file.temporary
        self._frames_at = self._path.with_name(f"{self._path.name}.mp4") if self._is_gif else self._path
        self._messages = tempfile.TemporaryFile()
        try:
            self._ffmpeg = self._start(*taken, *(_LOSSLESS if self._is_gif else _H264), f"file:{self._frames_at}")
        except OSError:
            self._messages.close()
            self.file.drop()
            raise

    def add(self, picture: Picture) -> None:
        """Write a frame."""
        assert self._ffmpeg.stdin is not None
        try:
            self._ffmpeg.stdin.write(np.ascontiguousarray(picture).tobytes())
        except OSError:
            self.close(keep=False)
            raise OSError("ffmpeg ended early") from None
        self.frames += 1

    def close(self, keep: bool = True) -> None:
        """Finish the file, and remove it if it has no frames or not ``keep``. A second call has no effect."""
        if self._messages.closed:
            return
        with self._messages:
            try:
                self._finish(self._ffmpeg)
                if self.frames and keep:
                    if self._is_gif:
                        self._convert()
                    self.file.keep()
            finally:
                self._frames_at.unlink(missing_ok=True)
                self.file.drop()

    def _convert(self) -> None:
        """Convert the lossless file to the gif."""
        palette, frames = self._path.with_name(f"{self._path.name}.png"), f"file:{self._frames_at}"
        try:
            self._finish(self._start("-i", frames, "-vf", "palettegen", f"file:{palette}"))
            mapped = ["-i", frames, "-i", f"file:{palette}", "-lavfi", "paletteuse=dither=none"]
            self._finish(self._start(*mapped, "-loop", "0", f"file:{self._path}"))
        finally:
            palette.unlink(missing_ok=True)

    def _start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start ffmpeg in a new session, so that Ctrl-C does not end it."""
        command = [self._exe, "-v", "error", "-y", *arguments]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": self._messages}
        return subprocess.Popen(command, start_new_session=True, **pipes)

    def _finish(self, ffmpeg: "subprocess.Popen[bytes]") -> None:
        try:
            ffmpeg.communicate()
        except BrokenPipeError:
            ffmpeg.wait()
        if ffmpeg.returncode:
            self._messages.seek(0)
            words = self._messages.read().decode(errors="replace").strip().splitlines()
            raise OSError(f"ffmpeg could not write the video: {words[-1] if words else 'it gave no reason'}")
