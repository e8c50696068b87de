"""An mp4 (H.264) written frame by frame into ffmpeg, in constant memory."""

import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np

from tracerl.recording.images import Picture


class Mp4:
    """A video.

    Attributes:
        frames: written so far.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float) -> None:
        """Start ffmpeg, which comes with imageio-ffmpeg, in a session of its own: Ctrl-C is not for it.

        Args:
            path: of the file, which is overwritten.
            size: width and height of all frames, both even.
            fps: frames per second.

        Raises:
            ModuleNotFoundError: imageio-ffmpeg is not installed.
        """
        from imageio_ffmpeg import get_ffmpeg_exe

        rate = str(Fraction(fps).limit_denominator(1000))
        taken = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", rate, "-i", "-"]
        made = ["-c:v", "libx264", "-crf", "18", "-preset", "veryfast", "-pix_fmt", "yuv420p"]  # what every player has
        command = [get_ffmpeg_exe(), "-v", "error", "-y", *taken, *made, "-movflags", "+faststart", f"file:{path}"]
        self.frames = 0
        self._said = tempfile.TemporaryFile()
        self._ffmpeg = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._said, start_new_session=True
        )

    def add(self, picture: Picture) -> None:
        """Write a frame.

        Raises:
            OSError: ffmpeg gave up.
        """
        assert self._ffmpeg.stdin is not None
        try:
            self._ffmpeg.stdin.write(np.ascontiguousarray(picture).tobytes())
        except OSError:
            self.close()
            raise OSError("ffmpeg ended early") from None
        self.frames += 1

    def close(self) -> None:
        """Let ffmpeg finish the file and wait for it.

        Raises:
            OSError: it could not; with its own words.
        """
        if self._said.closed:
            return
        try:
            self._ffmpeg.communicate()
        except BrokenPipeError:
            self._ffmpeg.wait()
        self._said.seek(0)
        words = self._said.read().decode(errors="replace").strip().splitlines()
        self._said.close()
        if self._ffmpeg.returncode:
            raise OSError(f"ffmpeg could not write the video: {words[-1] if words else 'it did not say why'}")
