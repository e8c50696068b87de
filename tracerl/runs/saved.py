"""What a run's folder tells of the run: its config, its command line and its summary, each checked as it is read.

The folder may come from anywhere, and a run may have been killed while it wrote there. Where ``config.yaml`` or
``overrides.yaml`` cannot be read, the newest checkpoint has a copy of both.
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
OVERRIDES = "overrides.yaml"  # the command line of a run, once its settings were accepted; Hydra's own is not
CHECKPOINTS = "checkpoints"
SUMMARY = "summary.json"
_HYDRAS = Path(".hydra", "overrides.yaml")
_MOST = 10**15  # env steps, episodes, seeds


def config(folder: Path) -> dict[str, Any] | None:
    """Return what ``config.yaml`` holds; None, with a warning, where it cannot be read."""
    found = _read(folder / CONFIG, lambda found: isinstance(found, dict) and bool(found), "a run's config")
    return found if found is None else dict(found)


def overrides(folder: Path) -> list[str] | None:
    """Return the command line of the run in a folder.

    That of ``overrides.yaml``; else that in the newest checkpoint; else Hydra's own, which tells what a run was started
    with that was killed before its settings were accepted; None where none of them can be read.
    """

    def is_command_line(found: Any) -> bool:
        return isinstance(found, list) and all(isinstance(line, (str, int, float)) for line in found)

    found = _read(folder / OVERRIDES, is_command_line, "a command line")
    if found is None:
        info = newest(folder)
        found = None if info is None else info.overrides
    if found is None:
        found = _read(folder / _HYDRAS, is_command_line, "a command line")
    return None if found is None else [str(line) for line in found]


def newest(folder: Path) -> "RunInfo | None":
    """Return what the newest sound checkpoint tells of the run; None where there is none."""
    from tracerl.runs.checkpoint import newest_good
    from tracerl.runs.run_info import RunInfo

    found, _ = newest_good(folder / CHECKPOINTS)
    return None if found is None else RunInfo.of(found)


def _read(path: Path, fits: Callable[[Any], bool], wanted: str) -> Any:
    """Return what a yaml file holds; None, with a warning, where it is there and cannot be read or does not fit."""
    try:
        found = read_yaml(path)
        if fits(found):
            return found
        problem = f"it holds {type(found).__name__}, not {wanted}"
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        problem = str(error)
    print(f"warning: cannot read {path}: {problem}", file=sys.stderr)
    return None


def summary(folder: Path) -> dict[str, Any]:
    """Return ``summary.json`` without those entries that are not of their kind; empty where it cannot be read."""
    found = read_json(folder / SUMMARY) or {}
    return {key: value for key, value in found.items() if fits(_ENTRIES.get(key, anything), value)}


def _spread(name: str, value: Any) -> Any:
    """Ask for numbers by name, with those of each lifetime in a list."""
    others = {key: part for key, part in mapping(name, value).items() if key != "per_life"}
    return each(_NUMBER)(name, others), several(_NUMBER)(name, value.get("per_life", []))


COUNT = whole(0, _MOST)
_NUMBER = optional(real)
_ENTRIES: Mapping[str, Check] = {
    **dict.fromkeys(("env", "agent", "status"), text),
    **dict.fromkeys(("seed", "lifetimes", "steps", "episodes"), COUNT),
    **dict.fromkeys(("steps_per_second", "wall_seconds", "peak_rss_mb"), _NUMBER),
    **dict.fromkeys(("return_last100", "reward_rate_last10000"), _spread),
    "milestones": each(several(optional(COUNT))),
    "diverged_lives": mapping,
}
