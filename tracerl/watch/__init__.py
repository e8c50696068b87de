"""Watch a run's agent live: the env beside spikes, membranes, action probabilities, value and td error."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracerl.lifetime.record import Record


def watch(
    run: str | Path, *, video: str | Path | Sequence[str | Path] = (), raster: str | Path | None = None, **options: Any
) -> "Record":
    """Watch a run, as ``python -m tracerl.watch`` does: in a window, or into files.

    Args:
        run: folder of the run, or of one of its checkpoints.
        video: files to write, each .mp4 or .gif.
        raster: picture of the whole recording to write, .png.
        options: what else ``tracerl.watch.options.Options`` has: ``life``, ``checkpoint``, ``window``, ``episodes``,
            ``steps``, ``greedy``, ``learn``, ``fps``, ``speed``, ``seed``, ``span``, ``size``, ``trust``.

    Returns:
        What the agent earned while it was watched.

    Raises:
        ConfigError: naming the option.
        EnvFailed: the env raised; files are finished.
        Diverged: a number is not finite; files are finished.
        OSError: a file could not be written.
        KeyboardInterrupt: it was interrupted; files are finished.
    """
    from tracerl.runs.signals import DeferredInterrupt
    from tracerl.watch.options import Options
    from tracerl.watch.playing import play, to_stderr

    videos = [video] if isinstance(video, (str, Path)) else list(video)
    asked = Options(
        Path(run), videos=[Path(file) for file in videos], raster=None if raster is None else Path(raster), **options
    )
    with DeferredInterrupt() as interrupted:
        record, _ = play(asked, to_stderr, interrupted)
    if interrupted():
        raise KeyboardInterrupt
    return record
