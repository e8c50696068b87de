"""Watch a run's agent live: the env beside spikes, membranes, action probabilities, value and td error."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracerl.config.moved import keep_arguments

if TYPE_CHECKING:
    from tracerl.lifetime.record import Record


@keep_arguments(life="lifetime")
def watch(
    run: str | Path, *, video: str | Path | Sequence[str | Path] = (), raster: str | Path | None = None, **options: Any
) -> "Record":
    """Watch a run in a window or write it to files, as ``python -m tracerl.watch`` does.

    Args:
        run: folder of the run or of one of its checkpoints.
        video: video files to write, each .mp4 or .gif.
        raster: file for a picture of the whole recording, .png.
        options: other fields of ``tracerl.watch.options.Options``: ``lifetime``, ``checkpoint``, ``window``,
            ``episodes``, ``steps``, ``greedy``, ``learn``, ``fps``, ``speed``, ``seed``, ``span``, ``size``, ``trust``.

    Returns:
        The record of the returns of the watched agent.

    Raises:
        ConfigError: naming the option.
        EnvFailed: the env raised an error. The files are finished.
        Diverged: a number is not finite. The files are finished.
        OSError: a file could not be written.
        KeyboardInterrupt: the run was interrupted. The files are finished.
    """
    from tracerl.runs.signals import DeferredInterrupt
    from tracerl.watch.options import Options
    from tracerl.watch.playing import play, to_stderr

    videos = [Path(file) for file in ([video] if isinstance(video, (str, Path)) else video)]
    checked = Options(Path(run), videos=videos, raster=None if raster is None else Path(raster), **options)
    with DeferredInterrupt() as interrupted:
        record, _ = play(checked, to_stderr, interrupted)
    if interrupted():
        raise KeyboardInterrupt
    return record
