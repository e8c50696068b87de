"""Hostile checkpoints raise an error with a message; nothing is executed, imported or unpickled."""

import json
import os
import pickle
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.checkpoints import forge, put, quick  # noqa: F401  quick is a fixture
from tracerl.runs.checkpoint.read import BadCheckpoint, read
from tracerl.runs.checkpoint.store import write


@pytest.fixture
def good(tmp_path: Path) -> Path:
    parts = {"agent": {"a": torch.arange(3.0), "b": torch.tensor([True])}, "world": {"x": torch.tensor(1)}}
    return write(tmp_path, 5, parts, {"rate": 1e-05, "name": "é"})


def file_entry(**changes: Any) -> dict[str, Any]:
    return {"agent.safetensors": {"bytes": 0, "sha256": "", **changes}}


def of_manifest(data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / "manifest.json").write_bytes(data) and None


def in_place_of(make: Callable[[Path], Any], name: str = "agent.safetensors") -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).rename(folder.parent / "moved")
        make(folder / name)

    return change


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(path.parent)  # the path of a socket must be short
        server.bind(path.name)
        os.chdir(here)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


def sparse_and_listed(folder: Path) -> None:
    sparse(folder / "agent.safetensors")
    forge(folder, files=file_entry(bytes=2**40))


NAMES = ["../x", "/x", "a\\x", "a\0x", "a/x", ".x", "", "x" * 65, "X", "é", "x\n"]
HOSTILE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "manifest.json is missing"),
    "no part": (lambda f: (f / "world.safetensors").unlink(), "world.safetensors is missing"),
    "extra file": (lambda f: (f / "x.safetensors").touch(), r"'x.safetensors' is not in the manifest"),
    "extra hidden file": (lambda f: (f / ".x").touch(), "'.x' is not in the manifest"),
    "escape codes": (lambda f: (f / "\x1b[2J").touch(), r"'\\x1b\[2J' is not in the manifest"),
    "extra folder": (lambda f: (f / "x").mkdir(), "'x' is not in the manifest"),
    "many files": (lambda f: [(f / str(i)).touch() for i in range(2000)], "is not in the manifest|is missing"),
    "link": (in_place_of(lambda p: p.symlink_to(p.parent.parent / "moved")), "agent.safetensors is a symbolic link"),
    "link to nowhere": (in_place_of(lambda p: p.symlink_to("/nowhere")), "agent.safetensors is a symbolic link"),
    "linked manifest": (
        in_place_of(lambda p: p.symlink_to(p.parent.parent / "moved"), "manifest.json"),
        "manifest.json is a symbolic link, not a plain file",
    ),
    "pipe": (in_place_of(os.mkfifo), "agent.safetensors is a named pipe"),
    "pipe as manifest": (in_place_of(os.mkfifo, "manifest.json"), "manifest.json is a named pipe"),
    "socket": (in_place_of(listen), "agent.safetensors is a socket"),
    "folder": (in_place_of(os.mkdir), "agent.safetensors is a folder"),
    "large manifest": (in_place_of(sparse, "manifest.json"), r"manifest.json has 1,099,511,627,776 bytes, more than"),
    "large file": (in_place_of(sparse), r"agent.safetensors has 1,099,511,627,776 bytes, the manifest says"),
    "large file that is listed": (
        sparse_and_listed,
        "manifest.json has an invalid entry: .files.agent.safetensors.bytes must be a whole number from 0 to 17179",
    ),
    "many large files": (
        lambda f: forge(f, files={f"{i}.safetensors": {"bytes": 2**33, "sha256": ""} for i in range(3)}),
        "manifest.json lists more than 17,179,869,184 bytes",
    ),
    "newer": (lambda f: forge(f, format=2), r"written by a newer tracerl \(format 2\); this one reads 1"),
    "older": (lambda f: forge(f, format=0), r"written by an older tracerl \(format 0\); this one reads 1"),
    "no format": (of_manifest(b"{}"), "manifest.json has no format"),
    "true format": (lambda f: forge(f, format=True), "manifest.json has no format"),
    "newer and of other keys": (of_manifest(b'{"format": 7, "sections": []}'), r"a newer tracerl \(format 7\)"),
    "extra key": (lambda f: forge(f, more=1), "manifest.json must have the keys"),
    "list": (of_manifest(b"[]"), "manifest.json is not a dict"),
    "empty": (of_manifest(b" "), "manifest.json is not valid JSON"),
    "deep": (of_manifest(b"[" * 10**6), "manifest.json is nested too deeply"),
    "deep dicts": (of_manifest(b'{"a":' * 10**6), "manifest.json is nested too deeply"),
    "huge number": (
        of_manifest(b'{"format": 1' + b"0" * 5000 + b"}"),
        "manifest.json is not valid JSON: .*4300 digits",
    ),
    "large number": (of_manifest(b'{"format": 1' + b"0" * 4000 + b"}"), r"newer tracerl \(format 10{19}\)"),
    "infinite number": (
        of_manifest(b'{"format":1,"step":1e999,"created":0,"versions":0,"files":0,"info":0,"digest":0}'),
        "JSON",
    ),
    "NaN": (of_manifest(b'{"format": NaN}'), "NaN is no number of JSON"),
    "key twice": (of_manifest(b'{"format": 1, "format": 1}'), "a key is there twice"),
    "not UTF-8": (of_manifest(b'{"format": "\xff"}'), "manifest.json is not valid JSON: .*utf-8"),
    "half a pair": (
        of_manifest(b'{"format":1,"step":"\\ud800","created":0,"versions":0,"files":0,"info":0,"digest":0}'),
        "JSON",
    ),
    "other step": (lambda f: forge(f, step=6), "manifest.json is of step 6, not of the one in the folder's name"),
    "negative step": (lambda f: forge(f, step=-1), "manifest.json has an invalid entry: .step must be a whole number"),
    "step of text": (lambda f: forge(f, step="5"), "manifest.json has an invalid entry: .step must be a whole number"),
    "info of text": (lambda f: forge(f, info="x"), "manifest.json has an invalid entry: .info must be a dict"),
    "versions": (
        lambda f: forge(f, versions={"torch": 2}),
        "manifest.json has an invalid entry: .versions.torch must be a string",
    ),
    "files": (lambda f: forge(f, files=[]), "manifest.json has an invalid entry: .files must be a dict"),
    "file entry": (
        lambda f: forge(f, files={"a.safetensors": 1}),
        "manifest.json has an invalid entry: .files.a.safetensors must be a dict of bytes, sha256",
    ),
    "size of text": (
        lambda f: forge(f, files=file_entry(bytes="9")),
        "manifest.json has an invalid entry: .files.agent.safetensors.bytes must be a whole number",
    ),
    "negative size": (
        lambda f: forge(f, files=file_entry(bytes=-1)),
        "manifest.json has an invalid entry: .files.agent.safetensors.bytes must be a whole number",
    ),
    "other hash": (
        lambda f: forge(f, files={**json.loads((f / "manifest.json").read_text())["files"], **file_entry(bytes=104)}),
        "agent.safetensors (has|does not match)",
    ),
    "other ending": (
        lambda f: put(f, b"", "agent.pkl"),
        "manifest.json lists a file that no part can have: 'agent.pkl'",
    ),
    **{
        f"name {name!r}": (
            lambda f, name=name: forge(f, files={f"{name}.safetensors": {"bytes": 1, "sha256": ""}}),
            "manifest.json lists a file that no part can have",
        )
        for name in NAMES
    },
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_folder_raises_an_error_with_a_message(good: Path, case: str) -> None:
    change, message = HOSTILE[case]
    change(good)
    with pytest.raises(BadCheckpoint, match=f"^step-000000000005 cannot be used: .*{message}") as error:
        read(good)
    assert len(str(error.value)) < 400 and str(error.value).isprintable()


def entry(dtype: str, shape: list[int], *offsets: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def tensor_file(header: Any, body: bytes = b"", size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + body


BYTE = b'"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
HEADERS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "is not a safetensors file|ends within its header|has a header"),
    "short": (b"\1\0\0", "ends within its header"),
    "long": (tensor_file({}, size=2**63), "has a header of 9,223,372,036,854,775,808 bytes"),
    "longest": (tensor_file({}, size=2**64 - 1), "has a header of 18,446,744,073,709,551,615 bytes"),
    "17 MiB of spaces": (tensor_file(b"{}" + b" " * 17 * 2**20), "has a header of .* more than 16,777,216"),
    "past the end": (tensor_file({}, size=100), "ends within its header"),
    "name twice": (tensor_file(b"{" + BYTE + b"," + BYTE + b"}"), "a key is there twice"),
    "deep": (tensor_file(b"[" * 10**6), "has a header that is nested too deeply"),
    "metadata": (tensor_file({"__metadata__": {"a": "b"}}), "has a header that does not describe tensors"),
    "more told": (tensor_file({"a": {**entry("U8", [0], 0, 0), "x": 1}}), "does not describe tensors"),
    "other dtype": (tensor_file({"a": entry("F4", [2], 0, 1)}, b"x"), "does not describe tensors"),
    "dtype of lists": (tensor_file({"a": {**entry("U8", [0], 0, 0), "dtype": []}}), "does not describe tensors"),
    "dimensions": (tensor_file({"a": entry("U8", [1] * 65, 0, 1)}, b"x"), "does not describe tensors"),
    "list": (tensor_file([]), "does not describe tensors"),
    "overlap": (tensor_file({"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 1, 3)}, b"xyz"), "invalid offset"),
    "shared": (tensor_file({"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 0, 1)}, b"x"), "invalid offset"),
    "hole": (tensor_file({"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 2, 3)}, b"xyz"), "invalid offset"),
    "beyond the end": (tensor_file({"a": entry("U8", [9], 0, 9)}, b"x"), "is not a safetensors file"),
    "bytes left": (tensor_file({"a": entry("U8", [1], 0, 1)}, b"xyz"), "is not a safetensors file"),
    "negative offset": (tensor_file({"a": entry("U8", [1], -1, 0)}, b"x"), "is not a safetensors file"),
    "negative shape": (tensor_file({"a": entry("U8", [-1], 0, 0)}), "is not a safetensors file"),
    "shape of text": (tensor_file({"a": entry("U8", ["1"], 0, 1)}, b"x"), "is not a safetensors file"),
    "wrong shape": (tensor_file({"a": entry("F64", [2], 0, 8)}, b"x" * 8), "is not a safetensors file"),
    "shape beyond numbers": (tensor_file({"a": entry("U8", [2**32, 2**32, 0], 0, 0)}), "is not a safetensors file"),
    "empty beyond strides": (tensor_file({"a": entry("U8", [0, 2**62, 4], 0, 0)}), "is not a safetensors file"),
    "a boolean of 2": (tensor_file({"a": entry("BOOL", [1], 0, 1)}, b"\2"), "has booleans that are neither 0 nor 1"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_hostile_tensor_file_raises_an_error_with_a_message(good: Path, case: str) -> None:
    data, message = HEADERS[case]
    put(good, data)
    with pytest.raises(BadCheckpoint, match=f"^{good.name} cannot be used: agent.safetensors .*({message})"):
        read(good)


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.marker}'",)


WATCHED = """
import sys
from pathlib import Path
from tracerl.runs.checkpoint.read import BadCheckpoint, newest_good, read
inside, seen, watching = Path(sys.argv[1]), [], False
wrong = ("exec", "compile", "import", "pickle.", "marshal.", "subprocess.", "os.system", "os.exec", "os.posix_spawn",
    "os.fork", "code.", "ctypes.", "socket.", "os.remove", "os.rename", "os.mkdir", "shutil.", "tempfile.")
def hook(event, arguments):
    if watching and (event.startswith(wrong) or event == "open" and arguments[1] not in ("r", "rb", None)):
        seen.append((event, str(arguments)[:200]))
sys.addaudithook(hook)
watching = True
found = {}
for path in sorted(inside.iterdir()):
    try:
        found[path.name] = str(read(path).info)
    except BadCheckpoint as error:
        found[path.name] = str(error)
newest_good(inside)
print(len(found), seen)
import colorsys
watching = False
print(*(event for event, _ in seen))
for line in found.values():
    print(line)
"""


def test_reading_a_checkpoint_executes_imports_and_unpickles_nothing(good: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    payload = pickle.dumps(Payload(marker))
    saved = tmp_path / "saved.pt"
    torch.save({"a": Payload(marker)}, saved)
    target = {"_target_": "os.system", "_args_": [f"touch '{marker}'"], "__reduce__": ["os.system"], "py/object": "x.Y"}
    cases: list[Callable[[Path], Any]] = [
        lambda f: put(f, payload),
        lambda f: put(f, saved.read_bytes()),
        lambda f: put(f, tensor_file({"a": entry("U8", [len(payload)], 0, len(payload))}, payload)),
        lambda f: put(f, payload, "agent.pkl"),
        lambda f: put(f, tensor_file(target)),
        of_manifest(payload),
        lambda f: forge(f, info=target, versions={"os.system": "x"}),
        lambda f: forge(f, _target_="os.system"),
        *(lambda f, data=data: put(f, data) for data, _ in HEADERS.values()),
        *(change for change, _ in HOSTILE.values()),
    ]
    inside = tmp_path / "inside"
    inside.mkdir()
    for number, change in enumerate(cases):
        (inside / str(number)).mkdir()
        folder = inside / str(number) / good.name
        folder.mkdir()
        for path in good.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        change(folder)
        folder.rename(inside / f"case-{number}")
        (inside / str(number)).rename(tmp_path / str(number))
    result = subprocess.run([sys.executable, "-c", WATCHED, str(inside)], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == f"{len(cases)} []"
    assert "import" in lines[1]  # the audit hook is active: it reported its own test
    # The payload as numbers, the target as a dict; and another step than the folder's name, which is here none.
    assert sum("cannot be used" not in line for line in lines[2:]) == 3
    assert not marker.exists()
