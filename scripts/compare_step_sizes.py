"""Compare step-size rules: learning, a long life, entropy, memory, speed; the tables and picture of docs/step-size.md.

python scripts/compare_step_sizes.py --write docs/step-size.md        # ten minutes on two cores
python scripts/compare_step_sizes.py --only acrobot --lives 5         # one table, printed
python scripts/compare_step_sizes.py --trials                         # the trial rules in the torch engine: an hour

Every row is one run in this process, with the default agent but for its settings; what it measured is kept in
``--out`` and not measured again. ``--write`` replaces what stands between a table's markers and draws the picture
beside the file. Seeds are 0 to lives - 1 unless ``--seed`` says otherwise.
"""

import argparse
import datetime
import json
import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import doc_tables
import matplotlib
import numpy as np
from step_size_lives import PARTS, Found, Row, live

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  after the backend is chosen

replace_between = partial(doc_tables.replace_between, "compare_step_sizes")


@dataclass(frozen=True)
class Table:
    """Rules in one env.

    Attributes:
        overrides: what all its rows share.
        lives: of each row.
        good: mean of the last 100 returns from which a life counts as good.
        rows: the rules.
    """

    overrides: str
    lives: int
    good: float
    rows: Sequence[Row]


# The floor a share of the running mean, not of its peak, and no floor under the magnitude of the signal.
RUNNING = "optimizer.policy.peak_decay=0 optimizer.value.peak_decay=0 optimizer.policy.signal_floor=0"
FLOORS = [
    Row(f"Intentional, running floor {floor}", f"{RUNNING} optimizer.policy.floor={floor}") for floor in (1, 0.3, 0)
]
RULES = [
    Row("Intentional (default)"),
    Row("Intentional, eta .02", "optimizer.policy.eta=0.02"),
    Row("Intentional, floor 1", "optimizer.policy.floor=1"),
    *FLOORS,
    Row("ObGD", "optimizer=obgd"),
    Row("AdaptiveObGD", "optimizer=adaptive_obgd"),
]
TRIALS = [
    Row("sampled norm, floor 1", f"{RUNNING} optimizer.policy.floor=1"),
    Row("expected norm, floor 1", f"{RUNNING} optimizer.policy.floor=1", {"expected": True}),
    Row("sampled norm, floor 0", f"{RUNNING} optimizer.policy.floor=0"),
    Row("expected norm, floor 0", f"{RUNNING} optimizer.policy.floor=0", {"expected": True}),
    Row("floor 0, KL .001 by variance", f"{RUNNING} optimizer.policy.floor=0", {"kl": 0.001}),
    Row("floor 0, KL .001 by range", f"{RUNNING} optimizer.policy.floor=0", {"kl": 0.001, "exact": True}),
    Row("floor 1, KL .001 by variance", f"{RUNNING} optimizer.policy.floor=1", {"kl": 0.001}),
]
TABLES = {
    "cartpole": Table("env=CartPole env.backend=compiled", 40, 450, RULES),
    "long": Table("env=CartPole env.backend=compiled steps=600000", 12, 450, RULES),
    "acrobot": Table("env=Acrobot env.backend=compiled", 20, -120, RULES),
    "bandit": Table("env=ContextualBandit steps=100000 threads=1", 20, 0.9, RULES),
    "trials": Table("env=CartPole env.vectorization=native engine=torch", 20, 450, TRIALS),
}


def measured(name: str, table: Table, row: Row, seed: int, out: Path) -> Found:
    """Return what a row measured, from an earlier run with the same settings where there was one."""
    asked = {"overrides": f"{table.overrides} {row.overrides}", "trial": row.trial, "lives": table.lives, "seed": seed}
    path = out / name / f"{re.sub(r'[^a-z0-9.]+', '-', row.label.lower()).strip('-')}.json"
    if path.exists() and (kept := json.loads(path.read_text()))["asked"] == asked:
        found: Found = kept
        return found
    found = {"asked": asked, **live(row, table.overrides, table.lives, seed)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))
    return found


def mean_by_part(found: Found) -> list[float]:
    """Return the mean over lives of their mean returns in each part."""
    means: list[float] = np.nanmean(np.array(found["returns"]), 0).tolist()
    return means


def reached(steps: Sequence[int | None]) -> str:
    """Say in how many lives a milestone was reached and, where in half of them, the median step."""
    middle = statistics.median_low([math.inf if step is None else step for step in steps])
    count = f"{sum(step is not None for step in steps)}/{len(steps)}"
    return count if middle == math.inf else f"{count}, {middle:,.0f}"


def number(value: float) -> str:
    """Write a return: two decimals where it is small, else none."""
    return f"{value:.2f}" if abs(value) < 2 else f"{value:.0f}"


def line(row: Row, found: Found, good: float) -> str:
    """Format a row: final returns, lives that are good, worst part, milestones, entropy at the start and at the end."""
    last, by_part = found["last100"], mean_by_part(found)
    second_half = np.array(found["returns"])[:, PARTS // 2 :]
    cells = [
        row.label,
        f"{number(statistics.mean(last))} ({number(min(last))})",
        f"{sum(value >= good for value in last)}/{len(last)}",
        number(float(np.nanmin(second_half))),
        " ".join(number(by_part[part]) for part in (0, 1, 3, 5, 7, 9, 11)),
        *(reached(steps) for steps in found["milestones"].values()),
        f"{found['entropy'][0]:.2f}, {found['entropy'][-1]:.3f}",
    ]
    return f"| {' | '.join(cells)} |"


def tabulate(name: str, table: Table, seed: int, out: Path) -> str:
    """Measure the rows of a table and return it in markdown, with where and when it was made."""
    lines: list[str] = []
    for row in table.rows:
        found = measured(name, table, row, seed, out)
        lines.append(line(row, found, table.good))
        print(f"{name}: {lines[-1]} {found['seconds']:.0f} s", flush=True)
    cells = ["rule", "last 100 (lowest)", f"{number(table.good)} or more", "worst part"]
    cells += ["return in parts 1, 2, 4, 6, 8, 10, 12", *found["milestones"], "entropy, first, last"]
    about = (
        f"{found['steps']:,} steps, `{table.overrides}`, seeds {seed}-{seed + table.lives - 1}; "
        f"{datetime.date.today()}, {doc_tables.made_on()}."
    )
    return "\n".join([f"| {' | '.join(cells)} |", "|---" * len(cells) + "|", *lines, "", about])


def speeds(rounds: int, lives: int = 8, steps: int = 20_000) -> str:
    """Time three rules in turn, in lives without an env of Gymnasium, and tell their speeds as ratios."""
    rows = {row.label: row for row in (RULES[0], RULES[-1], RULES[-2])}
    shared = f"env=CartPole env.backend=compiled threads=1 steps={steps}"
    timings: dict[str, list[Found]] = {label: [] for label in rows}
    for _ in range(rounds + 1):  # the first warms up
        for label, row in rows.items():
            timings[label].append(live(row, shared, lives, 0))
    seconds = {label: statistics.median(found["seconds"] for found in runs[1:]) for label, runs in timings.items()}
    lines = ["| rule | numbers kept per parameter | time per step, default = 1 |", "|---|---|---|"]
    first = seconds[RULES[0].label]
    for label, runs in timings.items():
        lines.append(f"| {label} | {runs[0]['state']:.2f} | {seconds[label] / first:.2f} |")
    where = f"{lives} lifetimes of {steps:,} steps of CartPole, compiled, H=128, one thread"
    about = f"{where}; median of {rounds} rounds, in turn."
    return "\n".join([*lines, "", about])


def draw(tables: dict[str, Table], picture: Path, seed: int, out: Path) -> None:
    """Draw returns in CartPole, the policy's entropy there, and returns in Acrobot."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    colours = ["#0b3c5d", "#328cc1", "#6a9a3b", "#d9a520", "#c0392b", "#7d3c98", "#7f8c8d", "#1c1c1c"]
    panels = [("cartpole", "returns", "mean return"), ("cartpole", "entropy", "entropy of the policy, nats")]
    for panel, (name, what, title) in zip(axes, [*panels, ("acrobot", "returns", "mean return")], strict=True):
        table = tables[name]
        for row, colour in zip(table.rows, colours, strict=True):
            found = measured(name, table, row, seed, out)
            values = mean_by_part(found) if what == "returns" else found["entropy"]
            middles = (np.arange(PARTS) + 0.5) * found["steps"] / PARTS / 1000
            panel.plot(middles, values, color=colour, linewidth=2, marker="o", markersize=3, label=row.label)
        panel.set(title=f"{name.replace('cartpole', 'CartPole').replace('acrobot', 'Acrobot')}: {title}")
        panel.set_xlabel("thousand env steps")
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    axes[1].set_ylim(bottom=0)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(picture, dpi=130)
    print(picture)


def resized(table: Table, arguments: argparse.Namespace) -> Table:
    """Return the table with the lives and steps that the command line asks for."""
    steps = "" if arguments.steps is None else f" steps={arguments.steps}"
    return replace(table, overrides=table.overrides + steps, lives=arguments.lives or table.lives)


def main() -> None:
    """Read the arguments, measure, print or write tables and picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[*TABLES, "speed"], action="append", help="one table (may be given again)")
    parser.add_argument("--trials", action="store_true", help="the table of the trial rules alone")
    parser.add_argument("--lives", type=int, help="of every row (default: the table's)")
    parser.add_argument("--steps", type=int, help="env steps of every life (default: the table's)")
    parser.add_argument("--seed", type=int, default=0, help="of the first life")
    parser.add_argument("--rounds", type=int, default=5, help="of the timings")
    parser.add_argument("--out", type=Path, default=Path("runs/step_sizes"), help="folder of what was measured")
    parser.add_argument("--write", type=Path, help="file to put the tables into")
    arguments = parser.parse_args()
    names = ["trials"] if arguments.trials else arguments.only or [*(n for n in TABLES if n != "trials"), "speed"]
    for name in names:
        if name == "speed":
            content = speeds(arguments.rounds)
        else:
            content = tabulate(name, resized(TABLES[name], arguments), arguments.seed, arguments.out)
        if arguments.write is None:
            print(f"\n{name}\n\n{content}")
        else:
            arguments.write.write_text(replace_between(arguments.write.read_text(), name, content))
    if arguments.write is not None and {"cartpole", "acrobot"} <= set(names):
        tables = {name: resized(TABLES[name], arguments) for name in ("cartpole", "acrobot")}
        draw(tables, arguments.write.with_suffix(".png"), arguments.seed, arguments.out)


if __name__ == "__main__":
    main()
