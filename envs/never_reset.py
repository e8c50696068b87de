"""A wrapper that makes a lifetime one endless episode."""

from typing import Any

import gymnasium as gym

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.config.forms import whole
from tracerl.lifetime.env_state import fields


class NeverReset(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Turn an episodic task into a continuing one: the end of an episode resets the env instead.

    The step of the end leads straight to the first observation of the next start, with the reward of the end, and
    neither terminates nor truncates: an agent keeps its membranes and traces, and bootstraps across. The final state
    itself is not seen. So ends are transitions like any other (Sutton and Barto 2018, sections 3.3, 10.3).

    The env's own reward is kept, for only the env knows whether an end is a failure (CartPole) or the goal (Acrobot).
    ``penalty`` adds to it where it says nothing of the failure. Of pole balancing the book says what a continuing
    reward is, "-1 on each failure and zero at all other times" (example 3.4): that is CartPole with
    ``sutton_barto_reward: true`` and no penalty, as ``configs/env/CartPoleForever.yaml`` has it. CartPole's usual
    reward of 1 per step plus a penalty is that reward plus 1 in every step, which only shifts all values by
    1/(1 - discount) (Naik et al. 2024, https://arxiv.org/abs/2405.09999).

    No episode ends, so there are no returns and no milestones: the performance is the reward per env step
    (``reward_rate_last10000`` in ``summary.json``). ``info["starts"]`` counts the starts of the lifetime.

    Left out: time limits, which reset the env by a clock that is not observed; an env with one raises a ConfigError.
    An env that truncates by itself is reset without a penalty.

    Attributes:
        starts: how often the env has been reset since the last reset from outside, that one included.
    """

    def __init__(self, env: gym.Env[Any, Any], penalty: float = 0.0) -> None:
        """Wrap an env without a time limit.

        Args:
            env: made with ``max_episode_steps: -1`` where Gymnasium would add a time limit.
            penalty: taken from the reward in the step in which the env terminates, 0 or above.

        Raises:
            ConfigError: the penalty is negative, or the env has a time limit.
        """
        checks.non_negative("penalty", penalty)
        inner: Any = env
        while isinstance(inner, gym.Wrapper):
            if isinstance(inner, gym.wrappers.TimeLimit):
                raise ConfigError("NeverReset", "needs an env without a time limit: env.kwargs.max_episode_steps=-1")
            inner = inner.env
        gym.utils.RecordConstructorArgs.__init__(self, penalty=penalty)
        gym.Wrapper.__init__(self, env)
        self.penalty, self.starts = float(penalty), 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin the one episode."""
        observation, info = super().reset(seed=seed, options=options)
        self.starts = 1
        return observation, {**info, "starts": self.starts}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step; where the env's episode ends, return the first observation of its next one."""
        observation, reward, terminated, truncated, info = super().step(action)
        if terminated:
            reward = float(reward) - self.penalty
        if terminated or truncated:
            observation, info = super().reset()
            self.starts += 1
        return observation, reward, False, False, {**info, "starts": self.starts}

    def state_dict(self) -> dict[str, Any]:
        """Return the number of starts; see ``tracerl.lifetime.env_state``."""
        return {"starts": self.starts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned.

        Raises:
            ValueError: naming what does not fit.
        """
        fields.write(self, state, {"starts": whole(0)})
