"""The command line: ``python -m tracerl.search SETTING... SWEEP...``.

torch and Optuna are imported inside the functions, so that ``--help`` and the error of a mistyped option are quick.
"""

import argparse
import math
import os
import re
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.runs.command_line import Parser, errors_in_one_line, failures_in_one_line, path_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from tracerl.search.space import Space
    from tracerl.search.study import Plan

OBJECTIVES, SAMPLERS, PRUNERS = ("return", "area", "reward"), ("tpe", "random"), ("median", "hyperband", "none")
_ABOUT = """\
Search for settings with Optuna. Each trial is a run with settings from a space. A trial whose reports are below those
of the others is pruned.

  python -m tracerl.search env=CartPole steps=20000 lifetimes=4 space=default
  python -m tracerl.search env=CartPole "agent.entropy=tag(log,interval(0.01,0.2))" "network.hidden=choice([64],[128])"
"""
_SETTINGS = "settings of the runs; space=NAME (configs/space) or sweeps in the grammar of Hydra are the space"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    usage = "python -m tracerl.search [options] KEY=VALUE... KEY=SWEEP..."
    found = Parser(usage=usage, description=_ABOUT, formatter_class=raw, allow_abbrev=False)
    add = found.add_argument
    add("settings", nargs="*", metavar="KEY=VALUE", help=_SETTINGS)
    add("--trials", type=int, default=30, metavar="N", help="number of new trials (default: 30)")
    workers = "number of processes, each with one trial at a time (default: 1); with several, a run has one thread"
    add("--workers", type=int, default=1, metavar="N", help=workers)
    study = "SQLite file of the study; the runs are in the folder PATH (default: runs/searches/<time>-<id>.db)"
    add("--study", type=path_of, metavar="PATH.db", help=study)
    name = "name of the study in the file; a study that exists is continued (default: name of the env)"
    add("--name", metavar="NAME", help=name)
    objective = (
        "what is maximised, a mean over lifetimes. return: mean return of the last 100 episodes. area: mean of the "
        "reports of that return. reward: mean reward per env step of the last 10,000 (default: return)"
    )
    add("--objective", choices=OBJECTIVES, default="return", metavar="WHAT", help=objective)
    add("--reports", type=int, default=10, metavar="N", help="number of reports of a trial to the pruner (default: 10)")
    add("--sampler", choices=SAMPLERS, default="tpe", metavar="NAME", help="tpe or random (default: tpe)")
    pruner = "median, hyperband or none (default: median)"
    add("--pruner", choices=PRUNERS, default="median", metavar="NAME", help=pruner)
    add("--seed", type=int, metavar="S", help="seed of the sampler (default: a new one); seed=S is that of the runs")
    add("--timeout", type=float, metavar="S", help="begin no trial after S seconds (default: no limit)")
    add("--config-dir", type=path_of, metavar="DIR", help="folder with configs of your own, space/ among them")
    return found


def main() -> None:
    """Search; exit with 0, 1 (no trial was completed, or a worker died), 2 (bad input) or 128 + the signal."""
    arguments = parser().parse_intermixed_args()
    with errors_in_one_line(ConfigError):
        code = _search(arguments)
    sys.exit(code)


def _search(arguments: argparse.Namespace) -> int:
    """Check everything, run the trials, write the table and print the best; return the exit code."""
    _check(arguments)
    from tracerl.search import results, study
    from tracerl.search.space import read

    space = read(arguments.settings, arguments.config_dir)
    plan, given = _plan(arguments, space)
    before = study.prepare(plan)
    there = f", which has {results.counts(before)}" if before else ""
    print(f"study {plan.name!r} in {plan.study}{there}", flush=True)
    ended_by, problems = 0, list[str]()  # signal; 0: none
    try:
        problems = study.run(plan, arguments.trials, arguments.workers, None if before else given)
    except KeyboardInterrupt as end:
        ended_by = end.signal if isinstance(end, study.Interrupted) else signal.SIGINT
    complete = _report(plan, given, study.trials_of(plan), arguments.config_dir)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 128 + ended_by if ended_by else 1 if problems or not complete else 0


def _check(arguments: argparse.Namespace) -> None:
    """Check the options before the settings are composed."""
    for name, most in (("trials", 2**63 - 1), ("workers", None), ("reports", None)):
        checks.whole(f"--{name}", getattr(arguments, name), 1, most)
    if arguments.seed is not None:
        checks.whole("--seed", arguments.seed, 0, 2**32 - 1)
    if arguments.timeout is not None:
        checks.positive("--timeout", arguments.timeout)
    path = arguments.study
    if path is not None and (
        path.suffix != ".db" or os.path.isdir(path) or re.search(r"[?#%{}]", str(path.absolute()))
    ):
        problem = f"must be a file that ends with .db, without any of ?#%{{}} in its path, got {str(path)!r}"
        raise ConfigError("--study", problem)
    if arguments.name is not None and ("/" in arguments.name or arguments.name in ("", ".", "..")):
        raise ConfigError("--name", f"must be a name, not a path, got {arguments.name!r}")
    checks.packages("tracerl.search", "search", "optuna")


def _plan(arguments: argparse.Namespace, space: "Space") -> tuple["Plan", dict[str, Any] | None]:
    """Build the parts of runs at the corners of the space; return the search and the command line's own settings."""
    from tracerl.runs.launch import check_run
    from tracerl.search.study import Plan

    with failures_in_one_line():
        for chosen in space.corners():
            cfg, choices = space.compose(chosen)
            check_run(cfg, choices["agent"])
        cfg, choices = space.compose()
        cfg = check_run(cfg, choices["agent"])
    name = arguments.name or re.sub(r"[^\w.-]+", "-", str(cfg.env.name))
    started = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{uuid.uuid4().hex[:6]}"
    plan = Plan(
        space=space,
        study=(arguments.study or Path("runs/searches") / f"{started}.db").absolute(),
        name=name,
        objective=arguments.objective,
        steps=int(cfg.steps),
        reports=arguments.reports,
        sampler=arguments.sampler,
        pruner=arguments.pruner,
        seed=arguments.seed,
        deadline=math.inf if arguments.timeout is None else time.monotonic() + arguments.timeout,
    )
    return plan, space.given(cfg, choices)


def _report(plan: "Plan", given: dict[str, Any] | None, found: "list[FrozenTrial]", config_dir: Path | None) -> bool:
    """Write ``trials.csv`` and print the best trial; return whether a trial was completed."""
    from tracerl.runs.files import write_atomic
    from tracerl.search import results

    table = plan.folder / "trials.csv"
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        write_atomic(table, results.table(found, [axis.name for axis in plan.space.axes]))
    except OSError as error:
        print(f"warning: cannot write {table}: {error}", file=sys.stderr)
    print(f"{results.counts(found)}: {table}")
    best = results.best_of(found)
    as_given = next((trial for trial in found if trial.params == given), None)
    if as_given is not None:
        print(f"as given: {results.line(as_given)}")
    if best is None:
        print("no trial was completed; errors are in trials.csv and in the folders of the trials", file=sys.stderr)
        return False
    if best is as_given:
        print("best: no trial is better than the settings as given")
    else:
        print(f"best: {results.line(best)}")
    print(results.command_line(plan.space, best, None if config_dir is None else str(config_dir)))
    return True


if __name__ == "__main__":
    main()
