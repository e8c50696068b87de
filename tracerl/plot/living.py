"""Continue a run from its checkpoint and record neurons, traces and env frames."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.lifetime.api import live
from tracerl.lifetime.env_closing import closing_env
from tracerl.lifetime.loop import EnvFailed
from tracerl.nn.views import view
from tracerl.plot.memory import network_name, traces_of
from tracerl.plot.style import MOST_STEPS
from tracerl.recording.display import mujoco_environment, pygame_environment
from tracerl.recording.images import FRAMES_NEED
from tracerl.recording.recorder import Recorder, Recording
from tracerl.runs.saved_run import SavedRun

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class RecordedSteps:
    """The recorded env steps."""

    first: int  # env step of the lifetime before the first recorded one
    recording: Recording  # recording of every step
    traces: dict[str, Array]  # eligibility traces by network, float32, [steps, n]
    # images of the env by env step of the lifetime, [height, width, 3]
    frames: dict[int, Array]


def live_on(saved: SavedRun, steps: int, lifetime: int = 0, frames: int = 0) -> RecordedSteps:
    """Continue a lifetime from its checkpoint in a new episode, with learning; its folder does not change.

    Raises:
        ConfigError: naming the option, or the env renders no picture.
        EnvFailed: the env raised an exception.
        Diverged: a number is not finite.
    """
    checks.whole("--steps", steps, 1, MOST_STEPS)
    agent = saved.agent(lifetime)
    env = saved.env_of(lifetime, **({"render_mode": "rgb_array"} if frames else {}))
    recorder, first = Recorder(steps), saved.step
    traces = {network_name(name): tensor for name, tensor in traces_of(agent.capture()).items()}
    kept = {name: np.empty((steps, tensor.numel()), np.float32) for name, tensor in traces.items()}
    due, taken = set(np.linspace(1, steps, frames).round().astype(int).tolist()), {}
    with pygame_environment(), closing_env(env):
        for i, step in enumerate(live(agent, env, steps, seed=int(saved.config.seed) + lifetime)):
            recorder.add(view(agent), step)
            for name, tensor in traces.items():
                kept[name][i] = tensor.detach().cpu().numpy().ravel()
            if i + 1 in due:
                taken[first + i + 1] = _rendered(env, saved, i + 1)
    return RecordedSteps(first, recorder.recording(), kept, taken)


def _rendered(env: Any, saved: SavedRun, step: int) -> Array:
    try:
        with mujoco_environment():
            frame = env.render()
    except DependencyNotInstalled as error:
        raise ConfigError("RUN", f"has an env that {FRAMES_NEED} ({error})") from error
    except Exception as error:
        raise EnvFailed(f"the env failed in render after {step:,} steps") from error
    if not isinstance(frame, np.ndarray) or frame.ndim != 3:
        raise ConfigError("RUN", f"has an env that renders no picture: {saved.config.env.id} in {saved.folder}")
    return frame.copy()
