"""Draw learning curves: one line per life of every run under a folder, their median in bold. Needs ``tracerl[plots]``.

python -m tracerl.run env=CartPole lifetimes=40 env.backend=compiled hydra.run.dir=runs/forty
python scripts/plot_learning.py runs/forty -o docs/cartpole.png --title "CartPole-v1, 40 lives"
"""

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  after the backend is chosen

WINDOW = 100  # episodes
Curve = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]  # env steps, mean return of the last 100 episodes


def read_curves(path: Path) -> list[Curve]:
    """Return the curve of every life in a ``returns.npz``."""
    with np.load(path) as found:
        episodes = {name: found[name] for name in ("life", "step", "return")}
    lives = (episodes["life"] == life for life in np.unique(episodes["life"]))
    return [(episodes["step"][mine], rolling_mean(episodes["return"][mine])) for mine in lives]


def rolling_mean(returns: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Average each return with the 99 before it, or with all before it where they are fewer."""
    sums = np.concatenate([[0.0], np.cumsum(returns)])
    last = np.arange(1, len(sums))
    first = np.maximum(last - WINDOW, 0)
    means: np.ndarray[Any, Any] = (sums[last] - sums[first]) / (last - first)
    return means


def main() -> None:
    """Find the runs under a folder, read their curves, draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="searched for runs")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--title", default="")
    arguments = parser.parse_args()
    curves = [curve for path in sorted(arguments.folder.rglob("returns.npz")) for curve in read_curves(path)]
    if not curves:
        raise SystemExit(f"no episodes in a returns.npz under {arguments.folder}")
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
