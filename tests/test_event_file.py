"""Records of event files have TensorBoard's framing, and partial ones are detected."""

import errno
import io
import os
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.summary.writer.record_writer import RecordWriter

from tracerl.runs.logging.event_file import EventWriter, are_records


def test_record_has_the_framing_of_tensorboard(tmp_path: Path) -> None:
    events = EventWriter(tmp_path)
    start = events.offset()[1]
    events.text("a", "b" * 5000)
    written = events.path.read_bytes()[start:]  # before the file is closed
    events.close()
    length, data = written[:8], written[12:-4]
    assert int.from_bytes(length, "little") == len(data) == len(written) - 16 > 5000
    assert int.from_bytes(written[8:12], "little") == masked_crc32c(length)
    assert int.from_bytes(written[-4:], "little") == masked_crc32c(data)


def test_a_full_disk_costs_only_the_event_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events, write, full = EventWriter(tmp_path), os.write, True

    def write_until_full(file: int, data: memoryview) -> int:
        if full and len(data) < 9000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data[:3000])

    monkeypatch.setattr(os, "write", write_until_full)
    with pytest.raises(OSError, match="No space"):
        events.text("a", "b" * 10_000)  # of which the first 3,000 bytes fit
    full = False
    events.scalars({"x": 2.0}, 7)
    name, size = events.offset()
    events.close()
    with (tmp_path / name).open("rb") as file:
        assert are_records(file, size)
    found = EventAccumulator(str(tmp_path)).Reload()
    assert [(point.step, point.value) for point in found.Scalars("x")] == [(7, 2.0)]
    again = EventWriter(tmp_path, (name, size))
    again.close()


def test_complete_records_are_separated_from_others() -> None:
    file = io.BytesIO()
    for size in (0, 3, 5000):
        RecordWriter(file).write(os.urandom(size))
    data = file.getvalue()
    ends = [16, 35, 5051]
    assert [size for size in range(1, len(data) + 2) if are_records(io.BytesIO(data), size)] == ends
    assert not are_records(io.BytesIO(data[:-1]), len(data))
    assert not are_records(io.BytesIO(b"\xff" * 99), 99)
