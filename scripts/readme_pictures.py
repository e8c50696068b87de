"""Draw the learning curves at the top of the README, docs/learning.png, from the numbers in docs/data/learning.csv.

python scripts/readme_pictures.py                                     # draws; needs no run
python scripts/readme_pictures.py runs/study/agents/{reflect,stream_ac,eprop,random}/CartPole runs/baselines

takes the numbers from runs first, those of CartPole-v1, 120,000 env steps, from seed 0 on, that these commands make;
agents without a run there keep the numbers that they have:

python scripts/study.py agents --tasks CartPole
python scripts/bench_baselines.py ppo --seeds 0-7
python scripts/bench_baselines.py a2c --seeds 0-4

The csv is what ``python -m tracerl.plot RUN... -o FILE.csv`` writes, with the names of the agents for labels.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tracerl.plot import Band, choose, draw_curves, save
from tracerl.plot.series import bands_as_csv, bands_of, read_bands, renamed
from tracerl.runs.files import write_atomic

DOCS = Path(__file__).parents[1] / "docs"
NAMES = {  # by agent, in the order of the colours
    "reflect": "reflect, spiking",
    "stream_ac": "Stream AC",
    "ppo": "PPO",
    "eprop": "e-prop, spiking",
    "a2c": "A2C",
    "random": "random actions",
}


def taken_from(folders: Sequence[Path]) -> list[Band]:
    """Return the curves of runs, in the order of ``NAMES``; a ConfigError if there are none."""
    chosen = choose(folders)
    agents = [found.jobs[0].agent for found in chosen.groups]
    found = dict(zip(agents, bands_of(chosen.groups, agents), strict=True))
    return [found[agent] for agent in NAMES if agent in found]


def merged(kept: Sequence[Band], new: Sequence[Band]) -> list[Band]:
    """Return the curves of every agent, the new ones where there are both, in the order of ``NAMES``."""
    by_agent = {found.label: found for found in (*kept, *new)}
    return [by_agent[agent] for agent in NAMES if agent in by_agent]


def main() -> None:
    """Take the numbers from runs where a folder of them is given, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, help="folders of runs")
    parser.add_argument("--data", type=Path, default=DOCS / "data" / "learning.csv", help="numbers of the curves")
    parser.add_argument("-o", "--output", type=Path, default=DOCS / "learning.png", help="(default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.runs:
        arguments.data.parent.mkdir(parents=True, exist_ok=True)
        kept = read_bands(arguments.data) if arguments.data.exists() else []
        write_atomic(arguments.data, bands_as_csv(merged(kept, taken_from(arguments.runs))).encode())
    bands = read_bands(arguments.data)
    labelled = renamed(bands, [NAMES[found.label] for found in bands])
    figure = draw_curves(labelled, title="CartPole-v1", width=7.2, height=3.9, ends=True)
    save(figure, arguments.output)
    print(arguments.output)


if __name__ == "__main__":
    main()
