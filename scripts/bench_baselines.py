"""Train PPO, A2C, DQN and SAC of Stable-Baselines3 with its default settings; write runs that can be plotted.

pip install "tracerl[bench]"
python scripts/bench_baselines.py ppo --env CartPole-v1 --seeds 0-9 --out runs/baselines
python scripts/bench_baselines.py ppo --env SlipperyAnt --normalize --steps 1000000 env.wrappers.0.every=200000
python scripts/bench_baselines.py dqn --env MinAtarBreakout --steps 1000000 --seeds 0
python -m tracerl.plot runs/baselines -o baselines.png

An env is a yaml of configs/env or a Gymnasium id, with settings as on the command line of a run. Each seed is one agent
in one env. Every env step and every episode counts from the first on, as in a run of tracerl. A seed whose folder has a
summary is not run again. Images of floats are seen by 16 convolutions of 3 x 3 and 128 units, the network of Young and
Tian 2019 (arXiv 1903.03176).
"""

import argparse
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from seeds import parse_seeds

from tracerl.config.hydra_compat import compose
from tracerl.config.instantiate import build
from tracerl.lifetime.record import Marker, Milestone, Record
from tracerl.runs.logging.episodes import EpisodeLog
from tracerl.runs.summary import Outcome, summarize, write_json

MILESTONES = {
    "CartPole-v1": ("w20>=195", "w20>=475", "w100>=475"),
    "Acrobot-v1": ("w20>=-100", "w100>=-100"),
    "Pendulum-v1": ("w20>=-300", "w100>=-200"),
}
ALGORITHMS = ("ppo", "a2c", "dqn", "sac")
_CHANNELS, _KERNEL, _HIDDEN = 16, 3, 128  # of the network for images


class Counted(gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper that records steps and episodes, up to a number of steps."""

    def __init__(self, env: gym.Env[Any, Any], record: Record, steps: int) -> None:
        super().__init__(env)
        self.record, self.steps, self.marker = record, steps, Marker()

    def step(self, action: Any) -> Any:
        """Take a step and record it."""
        found = self.env.step(action)
        if self.record.step < self.steps:
            self.record.add(float(found[1]))
            if found[2] or found[3]:
                self.record.end_episode()
            if self.record.step % self.marker.every == 0:
                self.marker.call([self.record], None)
        return found


def check_installed() -> None:
    """End the script with a message if Stable-Baselines3 is not installed."""
    if find_spec("stable_baselines3") is None:
        raise SystemExit('error: the baselines need packages that are missing: pip install "tracerl[bench]"')


def check_actions(algorithm: str, space: gym.Space[Any]) -> None:
    """End the script with a message if an algorithm does not act in a space."""
    needed = {"dqn": gym.spaces.Discrete, "sac": gym.spaces.Box}.get(algorithm)
    if needed is not None and not isinstance(space, needed):
        raise SystemExit(f"error: {algorithm} needs actions of a {needed.__name__}, got {space}")


def policy_arguments(space: gym.Space[Any]) -> dict[str, Any]:
    """Return ``policy_kwargs`` for a space of observations: the network for images of floats, else none."""
    if not isinstance(space, gym.spaces.Box) or len(space.shape) != 3 or space.dtype == np.uint8:
        return {}
    import torch
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
    from torch import nn

    class Convolutional(BaseFeaturesExtractor):
        """16 convolutions of 3 x 3 and 128 units, for images [batch, height, width, channels]."""

        def __init__(self, observation_space: gym.spaces.Box) -> None:
            super().__init__(observation_space, _HIDDEN)
            height, width, channels = observation_space.shape
            n = _CHANNELS * (height - _KERNEL + 1) * (width - _KERNEL + 1)
            convolution = nn.Sequential(nn.Conv2d(channels, _CHANNELS, _KERNEL), nn.ReLU(), nn.Flatten())
            self.layers = nn.Sequential(convolution, nn.Linear(n, _HIDDEN), nn.ReLU())

        def forward(self, observations: torch.Tensor) -> torch.Tensor:
            return torch.as_tensor(self.layers(observations.movedim(-1, 1)))

    return {"features_extractor_class": Convolutional, "net_arch": []}


def train(
    algorithm: str, env: Sequence[str], steps: int, seed: int, folder: Path, normalize: bool = False
) -> dict[str, Any]:
    """Train one of ``ALGORITHMS`` with one seed, and write its episodes and its summary into a new folder.

    ``steps`` env steps are recorded. The agent can take more to fill its last rollout. With ``normalize``, observations
    are standardised and rewards divided by the running standard deviation of their discounted sum (``VecNormalize``).
    ``env`` are overrides of ``tracerl.run``, such as ``env=SlipperyAnt`` and ``env.wrappers.0.every=200000``.
    """
    import stable_baselines3
    import torch
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    torch.set_num_threads(1)
    spec = build(compose(env), "env")
    made = spec.make()
    check_actions(algorithm, made.action_space)
    folder.mkdir(parents=True, exist_ok=True)
    name = spec.name.rpartition("-v")[0] or spec.name
    settings = (f"env={name}", f"agent={algorithm}", f"seed={seed}", *env[1:])
    (folder / "overrides.yaml").write_text("".join(f"- {setting}\n" for setting in settings), encoding="utf-8")
    record = Record([Milestone.parse(m) for m in MILESTONES.get(spec.id, spec.milestones)])
    episodes = EpisodeLog(folder)
    record.keep = episodes.keep
    counted = Counted(made, record, steps)
    given = VecNormalize(DummyVecEnv([lambda: counted])) if normalize else counted
    network = policy_arguments(counted.observation_space)
    make = getattr(stable_baselines3, algorithm.upper())
    agent = make("MlpPolicy", given, seed=seed, device="cpu", policy_kwargs=network)
    started = time.perf_counter()
    agent.learn(steps)
    seconds = time.perf_counter() - started
    counted.close()
    episodes.close()
    outcome = Outcome(name, algorithm, None, "cpu", seed, seconds, "finished")
    summary = {**summarize(outcome, [record]), "version": f"stable-baselines3 {stable_baselines3.__version__}"}
    write_json(folder / "summary.json", summary)
    return summary


def main() -> None:
    """Train the missing seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("algorithm", choices=ALGORITHMS)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="settings of the env")
    parser.add_argument("--env", default="CartPole-v1", help="of configs/env, or a Gymnasium id (default: %(default)s)")
    parser.add_argument("--normalize", action="store_true", help="observations and rewards, by VecNormalize")
    parser.add_argument("--seeds", type=parse_seeds, default="0-9", help="such as 0-9 or 0,3,7 (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=120_000, help="env steps per seed (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/baselines"), help="folder of all algorithms and seeds")
    arguments = parser.parse_intermixed_args()  # settings may follow options
    check_installed()
    for seed in arguments.seeds:
        folder = arguments.out / arguments.algorithm / str(seed)
        if not (folder / "summary.json").exists():
            env = (f"env={arguments.env}", *arguments.settings)
            summary = train(arguments.algorithm, env, arguments.steps, seed, folder, arguments.normalize)
            print(f"{folder}: {summary['return_last100']['mean']}, {summary['wall_seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
