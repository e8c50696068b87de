"""Read and check the config, command line and summary in the folder of a run.

The folder is untrusted, and the run may have been killed during a write. If ``config.yaml`` or ``overrides.yaml``
cannot be read, the newest checkpoint has a copy of both.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracerl.config.forms import Check, anything, each, fits, mapping, optional, real, several, text, whole
from tracerl.runs.files import read_json, read_yaml

if TYPE_CHECKING:
    from tracerl.runs.run_info import RunInfo

CONFIG = "config.yaml"
OVERRIDES = "overrides.yaml"  # command line of a run, written after its settings are accepted; Hydra's file is earlier
CHECKPOINTS = "checkpoints"
SUMMARY = "summary.json"
_HYDRAS = Path(".hydra", "overrides.yaml")
_MOST = 10**15  # largest number of env steps or episodes, and largest seed


def config(folder: Path, warn: bool = True) -> dict[str, Any] | None:
    """Return the contents of ``config.yaml``; None, with a warning, if it cannot be read."""
    found = _read(folder / CONFIG, lambda found: isinstance(found, dict) and bool(found), "a run's config", warn)
    return found if found is None else dict(found)


def command_line(path: Path, warn: bool = True) -> list[str] | None:
    """Return the command line in a file; None, with a warning, if it cannot be read."""

    def is_command_line(found: Any) -> bool:
        return isinstance(found, list) and all(isinstance(line, (str, int, float)) for line in found)

    found = _read(path, is_command_line, "a command line", warn)
    return None if found is None else [str(line) for line in found]


def overrides(folder: Path) -> list[str] | None:
    """Return the command line of the run in a folder.

    The sources in their order are ``overrides.yaml``, the newest checkpoint and Hydra's own file. Only the last one
    exists after a kill before the settings were accepted. None if no source can be read.
    """
    found = command_line(folder / OVERRIDES)
    if found is None and (info := newest(folder)) is not None:
        found = info.overrides
    return command_line(folder / _HYDRAS) if found is None else found


def newest(folder: Path) -> "RunInfo | None":
    """Return the info of the newest valid checkpoint; None without one."""
    from tracerl.runs.checkpoint import newest_good
    from tracerl.runs.run_info import RunInfo

    found, _ = newest_good(folder / CHECKPOINTS)
    return None if found is None else RunInfo.of(found)


def _read(path: Path, fits: Callable[[Any], bool], wanted: str, warn: bool) -> Any:
    """Return the contents of a yaml file; None if it is missing or, with a warning, if it cannot be used."""
    try:
        found = read_yaml(path)
        if fits(found):
            return found
        problem = f"it holds {type(found).__name__}, not {wanted}"
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        problem = str(error)
    if warn:
        print(f"warning: cannot read {path}: {problem}", file=sys.stderr)
    return None


def summary(folder: Path) -> dict[str, Any]:
    """Return ``summary.json`` without entries of a wrong type; empty if it cannot be read."""
    found = read_json(folder / SUMMARY) or {}
    return {key: value for key, value in found.items() if fits(_ENTRIES.get(key, anything), value)}


def _spread(name: str, value: Any) -> Any:
    """Check numbers by name, with the numbers of each lifetime in a list."""
    others = {key: part for key, part in mapping(name, value).items() if key != "per_life"}
    return each(_NUMBER)(name, others), several(_NUMBER)(name, value.get("per_life", []))


COUNT = whole(0, _MOST)
_NUMBER = optional(real)
_ENTRIES: Mapping[str, Check] = {
    **dict.fromkeys(("env", "agent", "status", "version", "machine", "ended"), text),
    **dict.fromkeys(("seed", "lifetimes", "steps", "episodes"), COUNT),
    **dict.fromkeys(("steps_per_second", "wall_seconds", "peak_rss_mb"), _NUMBER),
    **dict.fromkeys(("return_last100", "reward_rate_last10000"), _spread),
    "milestones": each(several(optional(COUNT))),
    "diverged_lives": mapping,
}
