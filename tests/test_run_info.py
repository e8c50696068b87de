"""The run info of a checkpoint is checked entry by entry."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tracerl.config import floats
from tracerl.config.checks import ConfigError
from tracerl.runs.checkpoint import Checkpoint
from tracerl.runs.resume import check_same_settings
from tracerl.runs.run_info import RunInfo

OLD = ["events.out.tfevents.1.host.2.0", 100, 10, ["returns"]]  # of TensorBoard alone
LOG = {"steps": 10, "offsets": {"tensorboard": [OLD[0], 100, ["returns"]], "csv": 80, "wandb": None}}
GOOD = {
    "settings": {"seed": 0},
    "world": {"env": None},
    "seconds": 1,
    "episodes": 3,
    "log": LOG,
    "resumed": [{"step": 5, "new_episode": False}],
    "score": None,
}


def of(info: dict[str, Any]) -> RunInfo:
    return RunInfo.of(Checkpoint(5, {}, info, {}))


def test_written_run_info_round_trips() -> None:
    found = of({**GOOD, "env_packages": {}, "config": "a: 1", "overrides": ["seed=0"]})
    assert (found.seconds, found.log, found.overrides, found.config) == (1.0, LOG, ["seed=0"], "a: 1")
    older = of({**GOOD, "log": OLD})
    assert older.log == {"steps": 10, "offsets": {"tensorboard": [OLD[0], 100, ["returns"]]}}
    assert of({**GOOD, "log": OLD[:3]}).log == {"steps": 10, "offsets": {"tensorboard": OLD[:2]}}
    assert older.config is None and older.overrides is None
    assert of({**GOOD, "log": None}).log is None


def test_settings_that_are_not_finite_round_trip_as_json() -> None:
    settings = {
        "env.kwargs.range": [0.5, math.inf],
        "low": -math.inf,
        "env.wrappers": [{"x": math.nan}],
        "env.kwargs": {},
    }
    stored = json.loads(json.dumps(floats.encode(settings), allow_nan=False))
    found = of({**GOOD, "settings": stored}).settings
    assert repr(found) == repr(settings)
    check_same_settings(found, settings, Path("run"))
    with pytest.raises(ConfigError, match=r"^low must be -inf, as in the run to resume \(run\), got inf"):
        check_same_settings(found, {**settings, "low": math.inf}, Path("run"))


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("value", ["text", True, -1, 10**400, 1.5, [7], [{}], {"a": 1}, None, ...])
def test_missing_or_invalid_entry_raises_an_error_naming_it(name: str, value: Any) -> None:
    if (name, type(value)) in {
        ("settings", dict),
        ("world", dict),
        ("seconds", float),
        ("log", type(None)),
        ("score", type(None)),
        ("score", float),
        ("score", int),
    }:
        return
    info = {**GOOD, name: value}
    if value is ...:
        del info[name]
    with pytest.raises(ConfigError, match=rf"^checkpoint at step 5 cannot .*: info\.{name}.* (must be|is missing)"):
        of(info)


@pytest.mark.parametrize(
    "file",
    [
        "../home/thesis.tex",
        "/etc/passwd",
        "thesis.tex",
        "events.out.tfevents.",
        "events.out.tfevents./../../thesis.tex",
        "../events.out.tfevents.1",
        "events.out.tfevents.1\0",
        "events.out.tfevents.1\\x",
        7,
        None,
    ],
)
def test_log_must_be_a_file_name_without_a_folder(file: Any) -> None:
    with pytest.raises(ConfigError, match=r"info\.log\.0 must be the bare name of an event file"):
        of({**GOOD, "log": [file, *OLD[1:]]})
