"""Reading checkpoints: complete, or an error that names the file; and which checkpoint is used."""

from pathlib import Path

import pytest
import torch

from tests.checkpoints import forge, quick  # noqa: F401  quick is a fixture
from tracerl.config.checks import ConfigError
from tracerl.runs.checkpoint.read import BadCheckpoint, newest, newest_good, read, read_manifest
from tracerl.runs.checkpoint.store import write


@pytest.fixture
def good(tmp_path: Path) -> Path:
    parts = {"agent": {"a": torch.arange(3.0), "b": torch.tensor([True])}, "world": {"x": torch.tensor(1)}}
    return write(tmp_path, 5, parts, {"rate": 1e-05, "name": "é"})


def test_any_flipped_bit_raises_an_error_naming_the_file(good: Path) -> None:
    for path in sorted(good.iterdir()):
        data = path.read_bytes()
        for position in range(0, len(data), 3):  # 3 and 8 have no common divisor: all bits of a byte
            changed = bytearray(data)
            changed[position] ^= 1 << position % 8
            path.write_bytes(changed)
            with pytest.raises(BadCheckpoint, match="^step-000000000005 cannot be used: ") as error:
                read(good)
            assert error.value.file == path.name and path.name in str(error.value)
        path.write_bytes(data)
    read(good)


def test_any_truncated_or_extended_file_raises_an_error_naming_it(good: Path) -> None:
    for path in sorted(good.iterdir()):
        data = path.read_bytes()
        for changed in [data[:length] for length in range(0, len(data), 3)] + [data + b"\n", data + data]:
            path.write_bytes(changed)
            with pytest.raises(BadCheckpoint, match=f"^{good.name} cannot be used: {path.name} ") as error:
                read(good)
            assert error.value.file == path.name
            if path.suffix == ".safetensors":
                problem = f"{path.name} has {len(changed):,} bytes, the manifest says {len(data):,}"
                assert str(error.value) == f"{good.name} cannot be used: {problem}"
                with pytest.raises(BadCheckpoint, match="the manifest says"):
                    read_manifest(good)
        path.write_bytes(data)


def test_equal_manifest_in_another_serialisation_raises_an_error(good: Path) -> None:
    path = good / "manifest.json"
    text = path.read_text()
    for old, new in [("1e-05", "1E-05"), ("1e-05", "0.00001"), ("é", "\\u00e9"), ('": 5', '":  5'), ("\n}\n", "\n}")]:
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(BadCheckpoint, match="manifest.json does not match its digest"):
            read(good)


def test_folder_without_a_checkpoint_raises_an_error_with_a_message(good: Path) -> None:
    (good.parent / "link").symlink_to(good)
    (good.parent / "file").touch()
    for name, problem in [("link", "is a symbolic link"), ("file", "is a file, not a folder"), ("none", "is missing")]:
        with pytest.raises(BadCheckpoint, match=f"^{name} cannot be used: it {problem}") as error:
            read(good.parent / name)
        assert error.value.file is None and isinstance(error.value, ConfigError)
    assert read(good.rename(good.parent / "mine")).step == 5  # another folder name has no step


def test_newest_valid_checkpoint_is_used_and_each_skipped_one_is_reported(tmp_path: Path) -> None:
    assert newest(tmp_path / "none") is None and newest_good(tmp_path / "none") == (None, [])
    for step in (2, 10, 10**12):
        write(tmp_path, step, {"agent": {"w": torch.ones(4)}}, {})
    for name in ("step-5", "step-9999999999999999", "step-0000000000099", "step-000000000099x", ".step-000000000099"):
        (tmp_path / name).mkdir()  # names of other folders
    assert newest(tmp_path) == tmp_path / "step-1000000000000"
    torn = tmp_path / "step-1000000000000" / "agent.safetensors"
    size = torn.stat().st_size
    torn.write_bytes(b"x" * 50)
    forge(tmp_path / "step-000000000010", format=2)
    found, messages = newest_good(tmp_path)
    assert found is not None and found.step == 2
    assert messages == [
        f"step-1000000000000 cannot be used: agent.safetensors has 50 bytes, the manifest says {size};"
        " using step-000000000002",
        "step-000000000010 cannot be used: manifest.json was written by a newer tracerl (format 2); this one reads 1;"
        " using step-000000000002",
    ]
    (tmp_path / "step-000000000002" / "manifest.json").unlink()
    found, messages = newest_good(tmp_path)
    assert found is None and messages[2].endswith("manifest.json is missing; there is no other to use")
