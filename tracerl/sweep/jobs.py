"""The number of jobs of a sweep."""

from math import prod
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from tracerl.runs.files import read_yaml


def jobs_asked_for(folder: Path) -> int | None:
    """Return the number of jobs of a grid from ``multirun.yaml``, which Hydra writes first; None if unknown."""
    try:
        settings = read_yaml(folder / "multirun.yaml")["hydra"]
        if not settings["sweeper"].get("_target_", "BasicSweeper").endswith("BasicSweeper"):
            return None
        params = [f"{key}={value}" for key, value in (settings["sweeper"].get("params") or {}).items()]
        overrides = OverridesParser.create().parse_overrides([*params, *settings["overrides"]["task"]])
        latest = {override.key_or_group: override for override in overrides}  # which replace those of the params
        return prod(len(list(o.sweep_string_iterator())) for o in latest.values() if o.is_sweep_override())
    except Exception:  # another sweeper or Hydra's grammar can cause any error; the number is optional
        return None
