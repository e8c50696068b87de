"""The trials of a study in words, in a table, and the command line of the best."""

import csv
import io
import shlex
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from tracerl.lifetime.statistics import counted
from tracerl.search.space import Space

ERROR = "error"  # user attribute of a trial: why it failed


def best_of(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """Return the complete trial with the highest value, the earliest of equal ones; None without one."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return max(complete, key=lambda trial: (trial.values[0], -trial.number), default=None)


def line(trial: FrozenTrial) -> str:
    """Return state, value and settings of a trial in one line."""
    settings = " ".join(f"{name}={_short(value)}" for name, value in trial.params.items())
    return f"trial {trial.number}: {_outcome(trial)}; {settings}"


def _outcome(trial: FrozenTrial) -> str:
    if trial.state == TrialState.COMPLETE:
        return f"{trial.values[0]:,.5g}"
    if trial.state == TrialState.PRUNED and trial.last_step is not None:
        return f"pruned at step {trial.last_step:,}, {trial.intermediate_values[trial.last_step]:,.5g}"
    if trial.state == TrialState.RUNNING:  # in another process, or its end could not be stored
        return "running"
    return f"failed, {(_error(trial) or 'killed').splitlines()[0]}"


def _error(trial: FrozenTrial) -> str:
    return str(trial.user_attrs.get(ERROR, ""))


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table(trials: Sequence[FrozenTrial], names: Sequence[str]) -> str:
    """Return the trials as csv, a row each: number, state, value, last report, duration, settings and error."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["trial", "state", "value", "step", "reported", "seconds", *names, ERROR])
    for trial in trials:
        value = trial.values[0] if trial.state == TrialState.COMPLETE else None
        reported = None if trial.last_step is None else trial.intermediate_values[trial.last_step]
        seconds = None if trial.duration is None else f"{trial.duration.total_seconds():.2f}"
        settings = [trial.params.get(name) for name in names]
        state = trial.state.name.lower()
        rows.writerow([trial.number, state, value, trial.last_step, reported, seconds, *settings, _error(trial)])
    return text.getvalue()


def command_line(space: Space, trial: FrozenTrial, config_dir: str | None) -> str:
    """Return the command that runs a trial again."""
    chosen = [axis.override(trial.params[axis.name]) for axis in space.axes]
    folder = [] if config_dir is None else ["--config-dir", config_dir]
    return shlex.join(["python", "-m", "tracerl.run", *folder, *space.fixed, *chosen])


def counts(trials: Sequence[FrozenTrial]) -> str:
    """Return the number of trials, and of each state, in words."""
    states = [trial.state.name.lower().replace("fail", "failed") for trial in trials]
    found = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)))
    return counted(len(states), "trial") + (f" ({found})" if found else "")
