"""How many jobs a sweep shall have."""

from math import prod
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from tracerl.runs.files import read_yaml


def jobs_asked_for(folder: Path) -> int | None:
    """Return how many jobs a grid has, by the ``multirun.yaml`` that Hydra writes first; None where it is not known."""
    try:
        settings = read_yaml(folder / "multirun.yaml")["hydra"]
        if not settings["sweeper"].get("_target_", "BasicSweeper").endswith("BasicSweeper"):
            return None
        params = [f"{key}={value}" for key, value in (settings["sweeper"].get("params") or {}).items()]
        overrides = OverridesParser.create().parse_overrides([*params, *settings["overrides"]["task"]])
        return prod(len(list(o.sweep_string_iterator())) for o in overrides if o.is_sweep_override())
    except Exception:  # of whatever sweeper, and of Hydra's own grammar: the table does without
        return None
