"""The cache of machine code: damaged files are recompiled, and a failed write does not end a run."""

import errno
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import pytest

from tracerl.kernels import cache as caching
from tracerl.kernels import jit as compiling
from tracerl.kernels.jit import _folder

KERNELS = """
from tracerl.kernels.jit import entry

@entry
def doubled(x):
    return 2 * x
"""
Load = Callable[[], Any]


@pytest.fixture
def load(tmp_path: Path, kernel_cache: None, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return the kernel as in a new process: not compiled, with the cache on disk."""
    (tmp_path / "cached_kernels.py").write_text(KERNELS)
    monkeypatch.syspath_prepend(tmp_path)

    def reload() -> Any:
        sys.modules.pop("cached_kernels", None)
        return importlib.import_module("cached_kernels").doubled

    return reload


def hits(kernel: Any) -> int:
    return sum(kernel.stats.cache_hits.values())


DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "empty index": ("*.nbi", lambda content: b""),
    "garbage index": ("*.nbi", lambda content: b"\xff garbage"),
    "truncated index": ("*.nbi", lambda content: content[: len(content) // 2]),
    "empty code": ("*.nbc", lambda content: b""),
    "truncated code": ("*.nbc", lambda content: content[:-100]),
    "one bit of the code": ("*.nbc", lambda content: content[:-500] + bytes([content[-500] ^ 1]) + content[-499:]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_reported_once_removed_and_recompiled(
    load: Load, tmp_path: Path, capfd: pytest.CaptureFixture[str], damage: str
) -> None:
    assert load()(1.0) == 2.0
    assert hits(kernel := load()) == 0 and kernel(1.0) == 2.0 and hits(kernel) == 1
    signature = tuple(kernel.nopython_signatures[0].args)
    pattern, change = DAMAGES[damage]
    (path,) = (tmp_path / "cache").rglob(pattern)
    path.write_bytes(change(path.read_bytes()))
    kernel = load()
    assert not kernel._cache.holds(signature, kernel.targetctx)
    assert kernel(1.0) == 2.0 and hits(kernel) == 0
    output = capfd.readouterr().err
    assert output.startswith("warning: damaged kernel cache") and "doubled is recompiled" in output
    assert len(output.splitlines()) == 1
    kernel = load()
    assert kernel._cache.holds(signature, kernel.targetctx) and kernel(1.0) == 2.0 and hits(kernel) == 1
    assert capfd.readouterr().err == ""


def test_removed_code_is_recompiled(load: Load, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load()(1.0)
    next((tmp_path / "cache").rglob("*.nbc")).unlink()
    assert load()(1.0) == 2.0 and hits(kernel := load()) == 0
    assert kernel(1.0) == 2.0 and hits(kernel) == 1 and capfd.readouterr().err == ""


def test_read_only_cache_folder_is_replaced_for_this_process(
    load: Load, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").write_text("no folder")
    kernel = load()
    output = capfd.readouterr().err
    assert (
        output.startswith(f"warning: cannot write the kernel cache {tmp_path / 'cache'}: ")
        and "NUMBA_CACHE_DIR" in output
    )
    assert kernel(1.0) == 2.0 and hits(again := load()) == 0
    assert again(1.0) == 2.0 and hits(again) == 1 and capfd.readouterr().err == ""
    assert _folder() != str(tmp_path / "cache") and kernel._cache.cache_path.startswith(_folder())


def test_kernels_are_compiled_in_memory_without_a_cache_folder(load: Load, tmp_path: Path, monkeypatch: Any) -> None:
    def unavailable(*arguments: Any) -> None:
        raise RuntimeError("no locator available")

    monkeypatch.setattr(compiling, "KernelCache", unavailable)
    assert load()(1.0) == 2.0 and not (tmp_path / "cache").exists() or not list((tmp_path / "cache").iterdir())


def test_full_disk_prints_one_line(
    load: Load, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(caching._Files, "_save_data", full)
    kernel = load()
    assert kernel(1.0) == 2.0 and kernel(1) == 2
    (output,) = capfd.readouterr().err.splitlines()
    assert "No space left on device; every run recompiles its kernels" in output


TWO = """
import sys
sys.path.insert(0, sys.argv[1])
import cached_kernels
cached_kernels.doubled._cache._cache_file._load_index = lambda: {}  # read before the other process wrote
cached_kernels.doubled(eval(sys.argv[2]))
"""


def test_folder_of_the_user_has_one_folder_for_each_version_of_the_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numba knows the file of the outermost kernel only, and would load machine code of the version before."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    for version in ("first", "second"):
        monkeypatch.setattr(compiling, "_digest", lambda version=version: version)
        assert _folder() == str(tmp_path / version)


def test_two_processes_compile_at_once_without_conflict(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "_cache_folder", lambda: str(tmp_path / "cache" / compiling._digest()))
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    for argument in ("1.0", "1"):
        subprocess.run([sys.executable, "-c", TWO, str(tmp_path), argument], env=environment, check=True)
    assert len({path.name for path in (tmp_path / "cache").rglob("*.nbc")}) == 2
    assert load()(3.5) == 7.0 and load()(3) == 6
