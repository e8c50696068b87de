"""Make the pictures of a learned CartPole that the README and docs/watch.md open with.

An agent learns for 120,000 env steps in the compiled env, then it is watched, frozen, in an env of another seed:

    python scripts/make_animation.py                # docs/cartpole.gif and docs/raster.png, about a minute

The same versions of all packages give the same pictures; the run's folder is temporary unless ``--run`` names one.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import tracerl
from tracerl.watch import watch

DOCS = Path(__file__).parents[1] / "docs"
SETTINGS = {"env": "CartPole", "env.backend": "compiled", "seed": 0, "steps": 120_000, "logger": "none"}
ENV_SEED = 1234
GIF: dict[str, Any] = {"size": (880, 500), "steps": 168, "span": 168, "fps": 25.0, "speed": 0.5}  # half the env's pace
RASTER_STEPS = 300


def main() -> None:
    """Train, watch, and print where the pictures are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="folder of a run of CartPole to watch (default: a new one)")
    parser.add_argument("--into", type=Path, default=DOCS, help="folder of the pictures (default: docs)")
    arguments = parser.parse_args()
    arguments.into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        run = arguments.run
        if run is None:
            run = Path(folder) / "run"
            tracerl.launch(SETTINGS, run)
        watch(run, video=arguments.into / "cartpole.gif", seed=ENV_SEED, **GIF)
        watch(run, raster=arguments.into / "raster.png", seed=ENV_SEED, steps=RASTER_STEPS)
    print(arguments.into / "cartpole.gif")
    print(arguments.into / "raster.png")


if __name__ == "__main__":
    main()
