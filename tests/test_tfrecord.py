"""Checksums of event files are those of RFC 3720 and of TensorBoard's own reader."""

import io
import os

import pytest
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import crc32c as theirs
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from tracerl.runs.logging.tfrecord import are_records, crc32c, write_record


@pytest.mark.parametrize(
    ("data", "checksum"),
    [(bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E), (b"123456789", 0xE3069283)],
)
def test_the_vectors_of_rfc_3720(data: bytes, checksum: int) -> None:
    assert crc32c(data) == checksum


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 4159, 4160, 20_011])
def test_long_data_has_the_same_checksum_as_byte_by_byte(size: int) -> None:
    data = os.urandom(size)
    assert crc32c(data) == theirs(data)


def test_a_record_is_framed_as_tensorboard_reads_it() -> None:
    file, data = io.BytesIO(), os.urandom(5000)
    write_record(file, data)
    written, length = file.getvalue(), (5000).to_bytes(8, "little")
    assert written[:8] == length and written[12:5012] == data and len(written) == 5016
    assert int.from_bytes(written[8:12], "little") == masked_crc32c(length)
    assert int.from_bytes(written[5012:], "little") == masked_crc32c(data)


def test_whole_records_are_told_from_others() -> None:
    file = io.BytesIO()
    for size in (0, 3, 5000):
        write_record(file, os.urandom(size))
    data = file.getvalue()
    ends = [16, 35, 5051]
    assert [size for size in range(1, len(data) + 2) if are_records(io.BytesIO(data), size)] == ends
    assert not are_records(io.BytesIO(data[:-1]), len(data))
    assert not are_records(io.BytesIO(b"\xff" * 99), 99)
