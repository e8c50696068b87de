"""Draw learning curves: one line per life of every run under a folder, their median in bold. Needs ``tracerl[plots]``.

python -m tracerl.run env=CartPole lifetimes=40 env.backend=compiled hydra.run.dir=runs/forty
python scripts/plot_learning.py runs/forty -o docs/cartpole.png --title "CartPole-v1, 40 lives"
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  after the backend is chosen

from tracerl.sweep.jobs import read_jobs  # noqa: E402
from tracerl.sweep.plot import curves  # noqa: E402


def main() -> None:
    """Find the runs under a folder, read their curves, draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="searched for runs")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--title", default="")
    arguments = parser.parse_args()
    lives = curves(read_jobs(arguments.folder))
    if not lives:
        raise SystemExit(f"no run with an episode under {arguments.folder}")
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for steps, values in lives:
        axes.plot(steps, values, color="#7aa6c2", linewidth=0.8, alpha=0.8)
    grid = np.linspace(max(life[0][0] for life in lives), min(life[0][-1] for life in lives), 400)
    median = np.median([np.interp(grid, steps, values) for steps, values in lives], axis=0)
    axes.plot(grid, median, color="#0b3c5d", linewidth=2.2, label=f"median of {len(lives)} lives")
    axes.set(title=arguments.title, xlabel="env steps", ylabel="mean return, last 100 episodes")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:,.0f}k")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(arguments.output, dpi=150)
    print(arguments.output)


if __name__ == "__main__":
    main()
