"""Small envs for tests: probes that each need one ability, and envs that fail. Importing registers them."""

import itertools
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces

Step = tuple[np.ndarray, float, bool, bool, dict[str, Any]]


class ToyEnv(gym.Env):
    """Base of the probes: float32 observations of ``size`` numbers, ``actions`` actions."""

    def __init__(self, size: int = 1, actions: int = 2) -> None:
        self.observation_space = spaces.Box(-10, 10, (size,), np.float32)
        self.action_space = spaces.Discrete(actions)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        return self.begin(), {}

    def begin(self) -> np.ndarray:
        return np.zeros(self.observation_space.shape, np.float32)


class Null(ToyEnv):
    """Takes almost no time: a constant observation and reward, an end every 100 steps."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        self.count, self.nothing = 0, np.zeros(self.observation_space.shape, np.float32)
        return self.nothing, {}

    def step(self, action: int) -> Step:
        self.count += 1
        return self.nothing, 1.0, self.count == 100, False, {}


class ConstantReward(ToyEnv):
    """Every step has reward 1 and ends the episode: there is only a value to learn."""

    def step(self, action: int) -> Step:
        return self.begin(), 1.0, True, False, {}


class Bandit(ToyEnv):
    """One step; the reward of action 1 is 1, that of action 0 is 0."""

    def step(self, action: int) -> Step:
        return self.begin(), float(action), True, False, {}


class ContextualBandit(ToyEnv):
    """One step; the reward is 1 for the action that the observation names, else -1: needs the observation."""

    def begin(self) -> np.ndarray:
        self.context = int(self.np_random.integers(2))
        return np.array([2.0 * self.context - 1.0], np.float32)

    def step(self, action: int) -> Step:
        return np.zeros(1, np.float32), 1.0 if action == self.context else -1.0, True, False, {}


class DelayedReward(ToyEnv):
    """Two steps; the reward of the second depends only on the action of the first: needs credit over time."""

    def __init__(self) -> None:
        super().__init__(size=2)

    def begin(self) -> np.ndarray:
        self.chosen: int | None = None
        return np.array([1.0, 0.0], np.float32)

    def step(self, action: int) -> Step:
        if self.chosen is None:
            self.chosen = action
            return np.array([0.0, 1.0], np.float32), 0.0, False, False, {}
        return np.zeros(2, np.float32), float(self.chosen), True, False, {}


class OneStepMemory(ToyEnv):
    """A cue, then a constant go signal; the reward is for naming the cue: needs memory."""

    def __init__(self) -> None:
        super().__init__(size=2)

    def begin(self) -> np.ndarray:
        self.cue, self.shown = int(self.np_random.integers(2)), True
        return np.array([2.0 * self.cue - 1.0, 0.0], np.float32)

    def step(self, action: int) -> Step:
        if self.shown:
            self.shown = False
            return np.array([0.0, 1.0], np.float32), 0.0, False, False, {}
        return np.zeros(2, np.float32), 1.0 if action == self.cue else -1.0, True, False, {}


class Image(ToyEnv):
    """One step; a bright square on one side of a noisy image; the reward is 1 for naming the side, else -1."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = spaces.Box(-10, 10, (6, 6, 2), np.float32)

    def begin(self) -> np.ndarray:
        self.side = int(self.np_random.integers(2))
        row, column = int(self.np_random.integers(4)), 3 * self.side
        image = self.np_random.normal(0.0, 0.1, (6, 6, 2)).astype(np.float32)
        image[row : row + 3, column : column + 3, 0] += 1.0
        return image

    def step(self, action: int) -> Step:
        nothing = np.zeros(self.observation_space.shape, np.float32)
        return nothing, 1.0 if action == self.side else -1.0, True, False, {}


class Broken(ToyEnv):
    """Fails at its 50th step in the given way; episodes last ten steps, so the 50th ends one.

    Args:
        how: the way. In the 50th step: ``raise``, ``observation`` (NaN), ``shape``, ``list``, ``reward`` (NaN),
            ``infinity``, ``none``, ``two`` (rewards), ``flag`` (no truth value), ``tuple`` (of four), ``text``,
            ``objects``, ``complex`` (observations), ``reward_text``, ``flag_text``, ``undefined`` (NaN as terminated),
            ``imaginary`` (reward), ``hang``, ``stubborn`` (catches the first interrupt), ``deaf`` (computes in C
            without an end). In the reset after it: ``reset`` (raises), ``first`` (NaN), ``stall`` (hangs).
            ``close``: raises when closed; ``well``: never, with numpy's types; ``tensors``: with torch's, in every
            step; ``exit``, ``exit_in_reset``, ``exit_in_close``, ``exit_at_once`` (in the constructor): calls
            ``sys.exit(0)``.
    """

    def __init__(self, how: str = "raise") -> None:
        super().__init__()
        self.how, self.count = how, 0
        self.exit_in("exit_at_once")

    def exit_in(self, how: str) -> None:
        if self.how == how:
            sys.exit(0)

    def begin(self) -> np.ndarray:
        if self.count == 50 and self.how == "reset":
            raise RuntimeError("the simulator failed")
        if self.count == 50 and self.how == "stall":
            time.sleep(60)
        if self.count == 50:
            self.exit_in("exit_in_reset")
        first = np.full(1, np.nan if self.count == 50 and self.how == "first" else 0.0, np.float32)
        return torch.from_numpy(first) if self.how == "tensors" else first

    def step(self, action: int) -> Any:
        self.count += 1
        how = self.how if self.count == 50 or self.how == "tensors" else "well"
        if how in ("hang", "stubborn", "deaf"):
            self._hang(how)
        if how == "raise":
            raise RuntimeError("the simulator failed")
        if self.count == 50:
            self.exit_in("exit")
        seen = np.array([self.count % 3], np.float32)
        observations = {"observation": seen + np.nan, "shape": np.zeros(3, np.float32), "list": [0.0]}
        observations |= {"text": np.array(["0.5"]), "objects": np.array([None]), "complex": seen + 1j}
        observations |= {"tensors": torch.from_numpy(seen).requires_grad_()}
        rewards = {"reward": np.nan, "infinity": np.inf, "none": None, "two": np.ones(2), "reward_text": "1.0"}
        rewards |= {"imaginary": np.complex64(1 + 1j), "tensors": torch.tensor(1.0)}
        last = self.count % 10 == 0
        ends = {"flag": np.ones(2, bool), "flag_text": "False", "undefined": np.nan, "tensors": torch.tensor(last)}
        step = (
            observations.get(how, seen),
            rewards.get(how, np.float32(1.0)),
            ends.get(how, np.array(last)),
            np.bool_(False),
            {},
        )
        return step[:4] if how == "tuple" else step

    def _hang(self, how: str) -> None:
        if how == "deaf":
            sum(itertools.repeat(1, 10**12))
        try:
            time.sleep(60)
        except BaseException:
            if how == "hang":
                raise
        time.sleep(60)

    def close(self) -> None:
        if self.how == "close":
            raise RuntimeError("the simulator cannot be closed")
        self.exit_in("exit_in_close")


class Saved(ToyEnv):
    """Has a state of its own. Ends an episode every 40 steps.

    Args:
        how: what its methods do: ``well``; ``raise``, ``list``, ``function`` (as an entry): in ``state_dict``; ``lack``
            (of an entry): in ``load_state_dict``.
    """

    def __init__(self, how: str = "well") -> None:
        super().__init__()
        self.how = how

    def begin(self) -> np.ndarray:
        self.count = 0
        return super().begin()

    def step(self, action: int) -> Step:
        self.count += 1
        return np.ones(1, np.float32), 1.0, self.count == 40, False, {}

    def state_dict(self) -> Any:
        if self.how == "raise":
            raise RuntimeError("the simulator failed\nin line 3")
        state = {"function": {"count": self.count, "more": [print]}, "list": [self.count]}
        return state.get(self.how, {"count": self.count})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["counted" if self.how == "lack" else "count"]


class Second(ToyEnv):
    """Returns NaN from its 5th step on, in the lifetime of seed 1 alone."""

    def __init__(self) -> None:
        super().__init__()
        self.count, self.is_second = 0, False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        if seed is not None:
            self.is_second = seed == 1
        return super().reset(seed=seed, options=options)

    def begin(self) -> np.ndarray:
        return np.zeros(1, np.float32)

    def step(self, action: int) -> Any:
        self.count += 1
        seen = np.full(1, np.nan if self.is_second and self.count >= 5 else 0.5, np.float32)
        return seen, 1.0, self.count % 10 == 0, False, {}


class Killing(ToyEnv):
    """Kills its own process in its 50th step, unless a file exists, which it creates before.

    Args:
        once: path of the file; a job that must not be killed has none.
    """

    def __init__(self, once: str | None = None) -> None:
        super().__init__()
        self.once, self.count = None if once is None else Path(once), 0

    def step(self, action: int) -> Step:
        self.count += 1
        if self.count == 50 and self.once is not None and not self.once.exists():
            self.once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.begin(), 1.0, self.count % 10 == 0, False, {}


class Shown(ToyEnv):
    """Returns a constant observation of any space."""

    def __init__(self, space: gym.Space, shown: Any) -> None:
        super().__init__()
        self.observation_space, self.shown = space, shown

    def begin(self) -> Any:
        return self.shown

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.shown, 1.0, False, False, {}


class Words(Shown):
    """Text observations, which cannot be converted to numbers."""

    def __init__(self) -> None:
        super().__init__(spaces.Dict({"text": spaces.Text(5)}), {"text": "hello"})


class Space(gym.Env):
    """Only spaces, for agents that are stepped by hand."""

    def __init__(self, size: int | tuple[int, ...], actions: int | gym.Space) -> None:
        shape = (size,) if isinstance(size, int) else size
        self.observation_space = spaces.Box(-np.inf, np.inf, shape, np.float32)
        self.action_space = spaces.Discrete(actions) if isinstance(actions, int) else actions


class Bare(gym.Env):
    """An env that forgot its spaces."""


class Nothing(ToyEnv):
    """Observations without a number."""

    def __init__(self) -> None:
        super().__init__(size=0)

    def step(self, action: int) -> Step:
        return self.begin(), float(action), True, False, {}


for _env in (
    Bare,
    Nothing,
    Null,
    ConstantReward,
    Bandit,
    ContextualBandit,
    DelayedReward,
    OneStepMemory,
    Image,
    Broken,
    Killing,
    Saved,
    Second,
    Words,
):
    gym.register(f"{_env.__name__}-v0", _env)


class Quitter(gym.Wrapper):
    """A wrapper that calls ``sys.exit(0)`` in its constructor."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        sys.exit(0)


class StatelessAgent:
    """An agent of three methods, with nothing to keep in a checkpoint."""

    def __init__(self, observation_space: spaces.Space, action_space: spaces.Space, lifetimes: Any) -> None: ...

    def start(self, observation: np.ndarray) -> int:
        return 0

    def step(self, reward: float, observation: np.ndarray) -> int:
        return 0

    def end(self, reward: float, observation: np.ndarray, terminated: bool) -> None: ...

    def diagnostics(self) -> dict[str, float]:
        return {}


class Remembering(StatelessAgent):
    """An agent whose state begins to exist in its first step: the seed of its lifetime and a count."""

    def __init__(self, *arguments: Any, lifetimes: Any, **spaces: Any) -> None:
        self.seed = lifetimes.seeds[0]

    def start(self, observation: np.ndarray) -> int:
        self.state = torch.tensor([self.seed, 1])
        return 0

    def capture(self) -> dict[str, torch.Tensor]:
        return {"state": self.state}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        self.state = state["state"].clone()

    def reset_episode(self) -> None: ...


class Quitting(StatelessAgent):
    """An agent that calls ``sys.exit(0)`` after some steps or, ``at_once``, in its constructor."""

    def __init__(self, *arguments: Any, at_once: bool = False, **spaces: Any) -> None:
        self.count = 0
        if at_once:
            sys.exit(0)

    def step(self, reward: float, observation: np.ndarray) -> int:
        self.count += 1
        if self.count == 30:
            sys.exit(0)
        return 0
