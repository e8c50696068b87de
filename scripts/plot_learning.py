"""Draw the learning curves of several runs: one line per run, their median in bold. Needs ``tracerl[plots]``.

python scripts/plot_learning.py runs/bench/CartPole -o docs/cartpole.png --title "CartPole-v1, 10 lives"
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  after the backend is chosen

TAG = "rollout/ep_rew_mean"


def read_curve(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return env steps and mean return of the last 100 episodes of one run."""
    points = EventAccumulator(str(folder)).Reload().Scalars(TAG)
    return np.array([point.step for point in points]), np.array([point.value for point in points])


def main() -> None:
    """Find the runs under a folder, read their curves, draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="searched for runs")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--title", default="")
    arguments = parser.parse_args()
    runs = sorted({path.parent for path in arguments.folder.rglob("events.out.tfevents.*")})
    if not runs:
        raise SystemExit(f"no event files under {arguments.folder}")
    curves = [read_curve(run) for run in runs]
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for steps, values in curves:
        axes.plot(steps, values, color="#7aa6c2", linewidth=0.8, alpha=0.8)
    grid = np.linspace(max(c[0][0] for c in curves), min(c[0][-1] for c in curves), 400)
    median = np.median([np.interp(grid, steps, values) for steps, values in curves], axis=0)
    axes.plot(grid, median, color="#0b3c5d", linewidth=2.2, label=f"median of {len(curves)} lives")
    axes.set(title=arguments.title, xlabel="env steps", ylabel="mean return, last 100 episodes")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:,.0f}k")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(arguments.output, dpi=150)
    print(arguments.output)


if __name__ == "__main__":
    main()
