"""Write TensorBoard event files, with all tags of a point in one event."""

import io
import itertools
import math
import os
import socket
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar
from tensorboard.plugins.histogram import metadata as histograms
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.image import metadata as images
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

from tracerl.runs.files import create_to_append, open_regular, open_to_append
from tracerl.runs.logging.custom_scalars import Chart

Array = np.ndarray[Any, Any]
BUCKETS = 30  # buckets of a histogram, as in TensorBoard


class EventWriter:
    """One event stream in a folder.

    Every event is in the file before the call returns, so that a killed run keeps its log. ``torch.utils.tensorboard``
    is not used, because it writes one event per scalar.
    """

    def __init__(self, folder: Path, offset: tuple[str, int] | None = None) -> None:
        """Create the event file, or append to an earlier one.

        Args:
            folder: folder of the run.
            offset: name of the earlier file and its length in bytes; later bytes are dropped.

        Raises:
            OSError: the folder cannot be written, or the earlier file is missing or not a regular file.
            ValueError: the earlier file is shorter or has invalid records.
        """
        if offset:
            self.path = folder / offset[0]
            with open(open_regular(self.path), "rb") as file:
                if not offset[1] or not are_records(file, offset[1]):
                    raise ValueError(f"{self.path} does not hold {offset[1]:,} bytes of events")
            self._file, self._end = open_to_append(self.path, offset[1]), offset[1]
            return
        (self.path, self._file), self._end = _new(folder), 0
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def offset(self) -> tuple[str, int]:
        """Return the name of the file and its length in bytes, to resume from."""
        return self.path.name, self._end

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write numbers by tag in one event."""
        self._add([Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()], step)

    def histograms(self, values: Mapping[str, Array], step: int) -> None:
        """Write histograms of arrays of any shape, by tag in one event; see ``histogram``."""
        metadata = histograms.create_summary_metadata(None, None)
        self._add([_value(tag, metadata, histogram(numbers)) for tag, numbers in values.items()], step)

    def images(self, pngs: Mapping[str, tuple[bytes, int, int]], step: int) -> None:
        """Write images by tag in one event. Each is a PNG file with its width and height in pixels."""
        metadata = images.create_summary_metadata(None, None)
        parts = {tag: [str(width).encode(), str(height).encode(), png] for tag, (png, width, height) in pngs.items()}
        self._add([_value(tag, metadata, three) for tag, three in parts.items()], step)

    def text(self, tag: str, content: str) -> None:
        """Write a markdown text."""
        self._add(text_pb(tag, content).value)

    def layout(self, categories: Mapping[str, Sequence[Chart]], step: int) -> None:
        """Declare the charts of TensorBoard's Custom Scalars page. A new declaration replaces the previous one."""
        parts = [layout_pb2.Category(title=title, chart=map(_chart, charts)) for title, charts in categories.items()]
        layout, metadata = layout_pb2.Layout(category=parts), custom_scalar.create_summary_metadata()
        self._add([_value(custom_scalar.CONFIG_SUMMARY_TAG, metadata, layout.SerializeToString())], step)

    def hyperparameters(self, settings: Mapping[str, Any]) -> None:
        """Write the settings of the run for TensorBoard's HParams page.

        The experiment summary, which names the columns, is left out. TensorBoard would use the summary of one run for
        all runs. Without it TensorBoard compares the runs and shows differing settings first.
        """
        session = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
        for name, value in settings.items():
            slot = session.hparams[name]
            if isinstance(value, bool):
                slot.bool_value = value
            elif isinstance(value, (int, float)) and math.isfinite(value):  # TensorBoard sends them as JSON
                slot.number_value = value
            else:
                slot.string_value = str(value)
        self._session(hparams.SESSION_START_INFO_TAG, session_start_info=session)

    def end_session(self, success: bool) -> None:
        """Mark the run's HParams session as ended."""
        status = api_pb2.STATUS_SUCCESS if success else api_pb2.STATUS_FAILURE
        end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
        self._session(hparams.SESSION_END_INFO_TAG, session_end_info=end)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _session(self, tag: str, **content: Any) -> None:
        metadata = hparams.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**content))
        self._add([Summary.Value(tag=tag, metadata=metadata, tensor=hparams.NULL_TENSOR)])

    def _add(self, values: Sequence[Summary.Value], step: int = 0) -> None:
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def _write(self, event: Event) -> None:
        """Append an event, as a whole or not at all: a full disk costs this event and none of the later ones."""
        record = io.BytesIO()
        RecordWriter(record).write(event.SerializeToString())
        file = self._file.fileno()
        try:
            rest = record.getbuffer()
            while rest:
                rest = rest[os.write(file, rest) :]  # a write may take a part only
        except OSError:
            with suppress(OSError):
                os.ftruncate(file, self._end)
            raise
        self._end += record.tell()


def are_records(file: BinaryIO, size: int) -> bool:
    """Return whether the first ``size`` bytes are complete TFRecords, by their lengths and checksums of lengths."""
    at = 0
    while at < size:
        file.seek(at)
        header = file.read(12)  # 8 bytes of length, masked CRC of the length; then data and its masked CRC
        if len(header) < 12 or header[8:] != struct.pack("<I", masked_crc32c(header[:8])):
            return False
        at += 16 + int(struct.unpack("<Q", header[:8])[0])
    return at == size and file.seek(0, os.SEEK_END) >= size


def open_events(folder: Path, offset: tuple[str, int] | None) -> tuple[EventWriter, bool]:
    """Return the event stream of a run and whether it is resumed. A lost earlier stream is a warning."""
    if offset is not None:
        try:
            return EventWriter(folder, offset), True
        except (OSError, ValueError) as error:
            print(f"warning: the log so far is lost: {error}; it continues in a new file", file=sys.stderr)
    return EventWriter(folder), False


def _new(folder: Path) -> tuple[Path, BinaryIO]:
    """Create an event file with an unused name."""
    start = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
    for number in itertools.count():
        with suppress(FileExistsError):
            path = folder / f"{start}.{number}"
            return path, create_to_append(path)
    raise AssertionError


def histogram(values: Array, buckets: int = BUCKETS) -> Array:
    """Count the finite numbers in buckets of equal width between the smallest and the largest.

    Returns:
        Left end, right end and count of each, float64, [buckets, 3].
    """
    finite = values[np.isfinite(values)].astype(np.float64)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if high - low <= 1e-9 * abs(low) or high == low:  # one number: a visible width around it
        low, high = low - max(0.5, abs(low) / 2), low + max(0.5, abs(low) / 2)
    places = ((finite - low) * (buckets / (high - low))).astype(np.intp).clip(0, buckets - 1)
    edges = np.linspace(low, high, buckets + 1)
    return np.stack([edges[:-1], edges[1:], np.bincount(places, minlength=buckets)], -1)


def _value(tag: str, metadata: SummaryMetadata, content: Any) -> Summary.Value:
    """Return a value for a TensorBoard plugin: a tensor and its metadata."""
    return Summary.Value(tag=tag, metadata=metadata, tensor=make_tensor_proto(content))


def _chart(chart: Chart) -> layout_pb2.Chart:
    if chart.band is None:
        return layout_pb2.Chart(title=chart.title, multiline=layout_pb2.MultilineChartContent(tag=[chart.tags]))
    value, lower, upper = chart.band
    series = layout_pb2.MarginChartContent.Series(value=value, lower=lower, upper=upper)
    return layout_pb2.Chart(title=chart.title, margin=layout_pb2.MarginChartContent(series=[series]))
