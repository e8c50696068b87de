"""Videos written frame by frame into ffmpeg, in constant memory.

Whatever ffmpeg fails in raises an OSError with its own words.
"""

import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np

from tracerl.recording.images import Picture

_H264 = ["-c:v", "libx264", "-crf", "18", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
_LOSSLESS = ["-c:v", "libx264rgb", "-qp", "0", "-preset", "ultrafast"]


class Video:
    """An mp4 (H.264, as every player has it), or a gif that repeats for ever.

    A gif has one palette, which depends on all frames: until ``close`` they are in a lossless file beside it.

    Attributes:
        frames: written so far.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float) -> None:
        """Start ffmpeg, which comes with imageio-ffmpeg.

        Args:
            path: of the file, .mp4 or .gif, which is overwritten.
            size: width and height of all frames, both even.
            fps: frames per second; the times of a gif are rounded to hundredths of a second.
        """
        from imageio_ffmpeg import get_ffmpeg_exe

        rate = str(Fraction(fps).limit_denominator(1000))
        taken = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", rate, "-i", "-"]
        self.frames, self._path, self._is_gif = 0, path, path.suffix.lower() == ".gif"
        self._frames_at = path.with_name(f"{path.name}.mp4") if self._is_gif else path
        self._exe, self._said = get_ffmpeg_exe(), tempfile.TemporaryFile()
        self._ffmpeg = self._start(*taken, *(_LOSSLESS if self._is_gif else _H264), f"file:{self._frames_at}")

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
        """Finish the file; a second call does nothing. Of a gif that is not kept, no file is made."""
        if self._said.closed:
            return
        with self._said:
            try:
                self._finish(self._ffmpeg)
                if self._is_gif and self.frames and keep:
                    self._convert()
            finally:
                if self._is_gif:
                    self._frames_at.unlink(missing_ok=True)

    def _convert(self) -> None:
        """Make the gif of the lossless file."""
        palette, frames = self._path.with_name(f"{self._path.name}.png"), f"file:{self._frames_at}"
        try:
            self._finish(self._start("-i", frames, "-vf", "palettegen", f"file:{palette}"))
            mapped = ["-i", frames, "-i", f"file:{palette}", "-lavfi", "paletteuse=dither=none"]
            self._finish(self._start(*mapped, "-loop", "0", f"file:{self._path}"))
        finally:
            palette.unlink(missing_ok=True)

    def _start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start ffmpeg in a session of its own, so that Ctrl-C does not reach it."""
        command, pipe = [self._exe, "-v", "error", "-y", *arguments], subprocess.PIPE
        return subprocess.Popen(
            command, stdin=pipe, stdout=subprocess.DEVNULL, stderr=self._said, start_new_session=True
        )

    def _finish(self, ffmpeg: "subprocess.Popen[bytes]") -> None:
        try:
            ffmpeg.communicate()
        except BrokenPipeError:
            ffmpeg.wait()
        if ffmpeg.returncode:
            self._said.seek(0)
            words = self._said.read().decode(errors="replace").strip().splitlines()
            raise OSError(f"ffmpeg could not write the video: {words[-1] if words else 'it gave no reason'}")
