"""Records of event files are framed as TensorBoard reads them, and whole ones are told from others."""

import io
import os
from pathlib import Path

from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.summary.writer.record_writer import RecordWriter

from tracerl.runs.logging.event_file import EventWriter, are_records


def test_a_record_is_framed_as_tensorboard_reads_it(tmp_path: Path) -> None:
    events = EventWriter(tmp_path)
    start = events.place()[1]
    events.text("a", "b" * 5000)
    written = events.path.read_bytes()[start:]  # before the file is closed
    events.close()
    length, data = written[:8], written[12:-4]
    assert int.from_bytes(length, "little") == len(data) == len(written) - 16 > 5000
    assert int.from_bytes(written[8:12], "little") == masked_crc32c(length)
    assert int.from_bytes(written[-4:], "little") == masked_crc32c(data)


def test_whole_records_are_told_from_others() -> None:
    file = io.BytesIO()
    for size in (0, 3, 5000):
        RecordWriter(file).write(os.urandom(size))
    data = file.getvalue()
    ends = [16, 35, 5051]
    assert [size for size in range(1, len(data) + 2) if are_records(io.BytesIO(data), size)] == ends
    assert not are_records(io.BytesIO(data[:-1]), len(data))
    assert not are_records(io.BytesIO(b"\xff" * 99), 99)
