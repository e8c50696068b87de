"""Files are written completely or not at all, and only regular files are read."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checkpoints import Disk, Killed
from tracerl.runs import disk
from tracerl.runs.files import LIMIT, read_bytes, read_json, read_yaml, write_atomic, write_named


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))  # the path of a socket must be short


KINDS: dict[str, Callable[[Path], object]] = {
    "a named pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a symbolic link": lambda path: path.symlink_to(__file__),
    "a socket": listen,
}


def test_a_file_that_a_user_names_is_written_through_links_and_into_pipes(tmp_path: Path) -> None:
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    target.write_text("old")
    link.symlink_to(target)
    write_named(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_named(pipe, b"new")
    assert os.read(reader, 9) == b"new" and pipe.is_fifo()
    os.close(reader)
    with pytest.raises(OSError, match="No space left"):
        write_named(Path("/dev/full"), "x")
    write_named(tmp_path / "file", "x")
    assert (tmp_path / "file").read_text() == "x"
    write_named(tmp_path / "file", "x\xe9\udcff")  # as a name that is not UTF-8 has
    assert (tmp_path / "file").read_text("utf-8") == "x\xe9\\udcff"


@pytest.mark.parametrize("kind", ["killed before", "killed within", "fails once", "full from then on"])
def test_interrupted_write_leaves_the_old_or_the_new_file(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, stopped = tmp_path / "config.yaml", True
    at = 0
    while stopped:
        at += 1
        write_atomic(path, "old")
        with monkeypatch.context() as patch:
            failing = Disk(patch, kind, at)
            try:
                write_atomic(path, "new" * 9)
            except (Killed, OSError) as error:
                assert isinstance(error, Killed) or str(path) in str(error)
            stopped = failing.made >= at
        assert path.read_text() in ("old", "new" * 9), at
        write_atomic(path, "next")
        assert path.read_text() == "next" and os.listdir(tmp_path) == ["config.yaml"]
    assert at > 6


def test_file_is_synced_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("sync", "rename"):
        real = getattr(disk, name)
        monkeypatch.setattr(disk, name, lambda *to, name=name, real=real: calls.append(name) or real(*to))
    write_atomic(tmp_path / "a", b"1")
    assert calls == ["sync", "rename", "sync"]


def test_file_that_a_run_does_without_is_not_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "sync", lambda file: pytest.fail("it waits for the disk"))
    write_atomic(tmp_path / "a", "1", sync=False)
    write_atomic(tmp_path / "a", "2", sync=False)
    assert (tmp_path / "a").read_text() == "2" and os.listdir(tmp_path) == ["a"]


def test_links_are_replaced_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "thesis.tex"
    outside.write_text("my work")
    for name in ("config.yaml", "config.yaml.part"):
        (tmp_path / name).symlink_to(outside)
    write_atomic(tmp_path / "config.yaml", "a: 1")
    assert outside.read_text() == "my work" and not (tmp_path / "config.yaml").is_symlink()
    assert read_yaml(tmp_path / "config.yaml") == {"a": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_only_regular_files_are_read(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "summary.json"
    KINDS[kind](path)
    with pytest.raises(OSError, match=f"it is {kind}, not a regular file.*summary.json"):
        read_bytes(path)
    assert read_json(path) is None


def test_large_files_and_yaml_with_aliases_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("wb") as file:
        file.truncate(LIMIT + 1)
    with pytest.raises(OSError, match=r"more than 16,777,216 bytes"):
        read_bytes(path)
    for text in ("a: &x [1]\nb: *x", "&x {a: *x}", "{" * 5000, "a: [", "\x00"):
        path.write_text(text)
        with pytest.raises(ValueError, match="it has aliases|it is not yaml"):
            read_yaml(path)
    path.write_text("[" * 100_000)
    assert read_json(path) is None
    path.write_text("a: 2 * 3")
    assert read_yaml(path) == {"a": "2 * 3"}
