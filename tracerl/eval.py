"""The command line: ``python -m tracerl.eval RUN...``."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.lifetime.statistics import counted
from tracerl.runs.command_line import Parser, add_checkpoint_options, errors_in_one_line, failures_in_one_line, path_of
from tracerl.runs.files import check_output, write_named
from tracerl.runs.signals import DeferredInterrupt

if TYPE_CHECKING:
    import gymnasium as gym

    from tracerl.lifetime.evaluation import Evaluation
    from tracerl.lifetime.record import Record
    from tracerl.runs.saved_run import SavedRun

ALL = "all"
_SECONDS = 10.0  # between two lines of progress


class _Progress:
    """A callback that prints the number of episodes so far, every ten seconds."""

    every = 100

    def __init__(self, name: str, episodes: int) -> None:
        self._name, self._episodes, self._shown_at = name, episodes, time.perf_counter()

    def call(self, records: Sequence["Record"], agent: object) -> None:
        """Print a line if one is due; see ``Callback.call``."""
        if time.perf_counter() - self._shown_at > _SECONDS:
            self._shown_at = time.perf_counter()
            done = f"{records[0].episodes} of {counted(self._episodes, 'episode')}, {records[0].step:,} steps"
            print(f"{self._name}: {done}", file=sys.stderr)

    def call_at_end(self, records: Sequence["Record"], agent: object) -> None:
        """Print nothing."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    about = "Evaluate runs: returns of frozen copies of their agents over whole episodes. No run is changed."
    found = Parser(prog="python -m tracerl.eval", description=about, allow_abbrev=False)
    add = found.add_argument
    add("runs", nargs="+", type=path_of, metavar="RUN", help="folder of a run or of one of its checkpoints")
    add("--episodes", type=int, default=100, metavar="N", help="number of episodes (default: 100)")
    add(
        "--steps", type=int, metavar="N", help="end after N env steps, with the episodes until then (default: no limit)"
    )
    add("--greedy", action="store_true", help="take the most probable action (default: sample, as in the run)")
    add_checkpoint_options(found)
    lifetime = "index of the lifetime, or all of them (default: 0)"
    add("--lifetime", default="0", metavar="I|all", help=lifetime)
    add("--life", default=argparse.SUPPRESS, dest="lifetime", help=argparse.SUPPRESS)  # the previous name
    add("--env", metavar="NAME", help="another env with the same spaces (default: that of the run)")
    seed = "seed of the episodes (default: 1,000,000 and the seed of the lifetime)"
    add("--seed", type=int, metavar="S", help=seed)
    add("--weight-bits", type=int, metavar="N", help="round the policy's weights first, as the export does")
    add("--engine", default="auto", metavar="E", help="auto, torch or fused (default: auto)")
    at_once = "largest number of episodes at once; results do not depend on it (default: 8)"
    add("--at-once", type=int, default=8, metavar="N", help=at_once)
    add("--json", type=path_of, metavar="FILE", help="write all numbers")
    return found


def main() -> None:
    """Evaluate; exit with 0, 1 (failed env, diverged number or file), 2 (bad input) or 128 + signal."""
    arguments = parser().parse_args()
    with errors_in_one_line(options=vars(arguments)):
        code = _evaluate(arguments)
    sys.exit(code)


def _evaluate(arguments: argparse.Namespace) -> int:
    """Evaluate all runs, print a line about each, and return the exit code."""
    _check(arguments)
    from tracerl.runs.saved_run import load  # imports torch, which is slow

    saved = [load(path, arguments.checkpoint, trust=arguments.trust) for path in arguments.runs]
    lifetimes = [_lifetimes(arguments.lifetime, run) for run in saved]
    found = list[dict[str, Any]]()
    with DeferredInterrupt() as interrupted, failures_in_one_line():
        try:
            for run, lifetime in ((run, i) for run, chosen in zip(saved, lifetimes, strict=True) for i in chosen):
                if interrupted():
                    break
                numbers, lines = _of_lifetime(arguments, run, lifetime, interrupted)
                found.append(numbers)
                print(*lines, sep="\n", flush=True)
        finally:  # also if stdout is closed or a later evaluation fails
            if arguments.json is not None and found:
                write_named(arguments.json, json.dumps(found, indent=1).encode())
    return 128 + interrupted.signal if interrupted.signal is not None else 0


def _check(arguments: argparse.Namespace) -> None:
    """Check the options before any run is read."""
    checks.whole("--episodes", arguments.episodes, 1)
    checks.whole("--at-once", arguments.at_once, 1)
    if arguments.steps is not None:
        checks.whole("--steps", arguments.steps, 1)
    if arguments.seed is not None:
        checks.whole("--seed", arguments.seed, 0, 2**32 - 1)
    if arguments.lifetime != ALL and not arguments.lifetime.isdecimal():
        raise ConfigError("--lifetime", f"must be the index of a lifetime or {ALL}, got {arguments.lifetime!r}")
    if arguments.weight_bits is not None:
        checks.weight_bits("--weight-bits", arguments.weight_bits)
    checks.choice("--engine", arguments.engine, ("auto", "torch", "fused"))
    if arguments.env == "":
        raise ConfigError("--env", "must be the name of an env, got ''")
    if arguments.json is not None:
        check_output("--json", arguments.json)


def _lifetimes(asked_for: str, run: "SavedRun") -> list[int]:
    """Return the lifetimes of a run that are evaluated."""
    if asked_for == ALL:
        return list(range(run.lifetimes))
    return [checks.whole("--lifetime", int(asked_for), 0, run.lifetimes - 1)]


def _of_lifetime(
    arguments: argparse.Namespace, run: "SavedRun", lifetime: int, interrupted: Any
) -> tuple[dict[str, Any], list[str]]:
    """Evaluate one lifetime, and return its numbers and the lines about it."""
    from tracerl.lifetime.evaluation import SEED, evaluate
    from tracerl.lifetime.runners import compile_steps
    from tracerl.nn.exportable import part_of
    from tracerl.nn.rounding import round_weights
    from tracerl.runs.api import checked_maker, env_spec

    agent = run.agent(lifetime, arguments.engine)
    if arguments.weight_bits is not None:
        round_weights(part_of(agent, "policy"), arguments.weight_bits, "--weight-bits")
    compile_steps(agent)
    new_env: Callable[[], gym.Env[Any, Any]] = partial(run.env_of, lifetime)
    if arguments.env:
        try:
            new_env = checked_maker(env_spec(arguments.env))
            _check_spaces(run, new_env)
        except ConfigError as error:
            raise ConfigError("--env" if error.key == "env.id" else error.key, error.problem) from error
    name = str(run.folder) + (f" lifetime {lifetime}" if run.lifetimes > 1 else "")
    seed = (SEED + int(run.config.seed) + lifetime) % 2**32 if arguments.seed is None else arguments.seed
    options = {"greedy": arguments.greedy, "at_once": arguments.at_once, "steps": arguments.steps}
    progress = [_Progress(name, arguments.episodes)]
    result = evaluate(
        agent, new_env, arguments.episodes, seed=seed, callbacks=progress, interrupted=interrupted, **options
    )
    lines = [f"{name}, {run.step:,} steps old: {in_words(result)}", *cost_in_words(result)]
    about = {"run": str(run.folder), "step": run.step, "lifetime": lifetime, "seed": seed}
    about["weight_bits"] = arguments.weight_bits
    return {**about, "env": arguments.env or str(run.config.env.name), **result.as_dict()}, lines


def _check_spaces(run: "SavedRun", new_env: "Callable[[], gym.Env[Any, Any]]") -> None:
    """Check that another env has the spaces of the run's."""
    from tracerl.lifetime.env_closing import closing_env
    from tracerl.nn.spaces import spaces_of

    with closing_env(run.env()) as of_run, closing_env(new_env()) as env:
        for kind, mine, theirs in zip(("observations", "actions"), spaces_of(of_run), spaces_of(env), strict=True):
            if mine != theirs:
                raise ConfigError("--env", f"must have the run's space of {kind}, {mine}, got {theirs}")


def in_words(result: "Evaluation") -> str:
    """Return the numbers of an evaluation in one line."""
    n, steps = len(result.returns), f"{result.steps:,} steps"
    if not n:
        return f"no episode ended in {steps}"
    if n == 1:
        return f"1 episode, return {result.mean:,.4g}, {steps}"
    low, high = result.interval()
    mean = f"mean {result.mean:,.4g} [{low:,.4g}, {high:,.4g}], IQM {result.iqm:,.4g}"
    return f"{n} episodes, {mean}, {min(result.returns):,.4g} to {max(result.returns):,.4g}, {steps}"


def cost_in_words(result: "Evaluation") -> list[str]:
    """Return the cost of a decision, a line for each network of spiking layers."""
    lines = []
    for name, cost in result.operations.items():
        counts = f"{cost.spikes:,.4g} spikes, {cost.synaptic_operations:,.4g} synaptic operations"
        macs = f"{cost.multiply_accumulates:,.0f} multiply-accumulates; {cost.dense:,.0f} without spikes"
        lines.append(f"  {name}, per decision: {counts}, {macs}")
    return lines


if __name__ == "__main__":
    main()
