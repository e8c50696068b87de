"""Versions of the packages with which a run was written. Other versions can give other numbers and transitions."""

from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from tracerl.runs.checkpoint import manifest


def of_envs() -> dict[str, str]:
    """Return the versions of the installed packages of envs, by name."""
    found = {}
    for name in ("ale-py", "box2d", "MinAtar", "mujoco", "scikit-learn"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def changed(before: Mapping[str, str]) -> list[str]:
    """Return, in words, which of the installed packages have another version than they had before."""
    now = {**manifest.versions(), **of_envs()}
    return [f"{name} {before[name]}, now {now[name]}" for name in now if before.get(name, now[name]) != now[name]]
