"""TensorBoard event files, written directly: all tags of a look in one event."""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.summary.writer.record_writer import RecordWriter


class EventWriter:
    """One event stream in a folder.

    Every event reaches the file before the call returns, so that a killed run keeps what it logged. Left out:
    torch.utils.tensorboard, which writes one event per scalar.
    """

    def __init__(self, folder: Path, place: tuple[str, int] | None = None) -> None:
        """Create the event file, or go on with an earlier one.

        Args:
            folder: of the run.
            place: name of the earlier file and how many bytes of it count; whatever follows them is dropped.

        Raises:
            OSError: the folder cannot be written, or the earlier file is gone.
        """
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.0"
        self.path = folder / (place[0] if place else name)
        if place:
            os.truncate(self.path, min(place[1], self.path.stat().st_size))
        self._file = self.path.open("ab")
        self._records = RecordWriter(self._file)
        if place:
            return
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def place(self) -> tuple[str, int]:
        """Return the file's name and its size in bytes: where to go on from."""
        return self.path.name, self._file.tell()

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write numbers by tag in one event."""
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._write(Event(wall_time=time.time(), step=step, summary=summary))

    def text(self, tag: str, content: str) -> None:
        """Write a markdown text."""
        plugin = SummaryMetadata.PluginData(plugin_name="text")
        tensor = TensorProto(dtype=DT_STRING, string_val=[content.encode()])
        tensor.tensor_shape.dim.add(size=1)
        value = Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin), tensor=tensor)
        self._write(Event(wall_time=time.time(), summary=Summary(value=[value])))

    def band(self, title: str, value: str, lower: str, upper: str) -> None:
        """Declare a chart of one tag between two others, for TensorBoard's Custom Scalars page."""
        series = layout_pb2.MarginChartContent.Series(value=value, lower=lower, upper=upper)
        chart = layout_pb2.Chart(title=title, margin=layout_pb2.MarginChartContent(series=[series]))
        layout = layout_pb2.Layout(category=[layout_pb2.Category(title="lives", chart=[chart])])
        plugin = SummaryMetadata.PluginData(plugin_name=custom_scalar.PLUGIN_NAME)
        value_ = Summary.Value(tag=custom_scalar.CONFIG_SUMMARY_TAG, metadata=SummaryMetadata(plugin_data=plugin))
        value_.tensor.CopyFrom(TensorProto(dtype=DT_STRING, string_val=[layout.SerializeToString()]))
        self._write(Event(wall_time=time.time(), summary=Summary(value=[value_])))

    def hyperparameters(self, settings: Mapping[str, Any], metrics: list[str]) -> None:
        """Declare the run's settings and the tags they are compared by, in TensorBoard's HParams form."""
        experiment = api_pb2.Experiment(
            hparam_infos=[api_pb2.HParamInfo(name=name) for name in settings],
            metric_infos=[api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in metrics],
        )
        session = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
        for name, value in settings.items():
            slot = session.hparams[name]
            if isinstance(value, bool):
                slot.bool_value = value
            elif isinstance(value, (int, float)):
                slot.number_value = value
            else:
                slot.string_value = str(value)
        self._hparams(metadata.EXPERIMENT_TAG, plugin_data_pb2.HParamsPluginData(experiment=experiment, version=0))
        self._hparams(
            metadata.SESSION_START_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_start_info=session, version=0)
        )

    def end_session(self, success: bool) -> None:
        """Mark the run's HParams session as ended."""
        status = api_pb2.STATUS_SUCCESS if success else api_pb2.STATUS_FAILURE
        end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
        self._hparams(metadata.SESSION_END_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_end_info=end, version=0))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _hparams(self, tag: str, content: plugin_data_pb2.HParamsPluginData) -> None:
        plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME, content=content.SerializeToString())
        value = Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin), tensor=metadata.NULL_TENSOR)
        self._write(Event(wall_time=time.time(), summary=Summary(value=[value])))

    def _write(self, event: Event) -> None:
        self._records.write(event.SerializeToString())
        self._file.flush()
