"""A wrapper that makes a lifetime one endless episode."""

from typing import Any

import gymnasium as gym

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.config.forms import whole
from tracerl.lifetime.env_state import fields


class NeverReset(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Turn an episodic task into a continuing one: the env is reset at the end of an episode without ending it.

    The last step returns the first observation after the reset with the reward of the last step, and neither terminates
    nor truncates. An agent keeps its membranes and traces and bootstraps across. The final state is not observed. Ends
    are then ordinary transitions (Sutton and Barto 2018, sections 3.3, 10.3).

    The reward of the env is kept, because an end can be a failure (CartPole) or the goal (Acrobot). ``penalty`` is for
    envs whose reward does not include the failure. The continuing reward of pole balancing in the book is "-1 on each
    failure and zero at all other times" (example 3.4): CartPole with ``sutton_barto_reward: true`` and no penalty, as
    in ``configs/env/CartPoleForever.yaml``. CartPole's usual reward of 1 per step with a penalty is this reward plus 1
    in every step, which only shifts all values by 1/(1 - discount) (Naik et al. 2024,
    https://arxiv.org/abs/2405.09999).

    No episode ends, so there are no returns and no milestones: the performance is the reward per env step
    (``reward_rate_last10000`` in ``summary.json``). ``info["starts"]`` counts the starts of the lifetime.

    Time limits are left out, because their clock is not observed. An env with one raises a ConfigError. An env that
    truncates without a time limit is reset without a penalty.

    Attributes:
        starts: number of resets since and including the last call of ``reset``.
    """

    def __init__(self, env: gym.Env[Any, Any], penalty: float = 0.0) -> None:
        """Wrap an env without a time limit.

        Args:
            env: env without a time limit, made with ``max_episode_steps: -1`` if needed.
            penalty: amount subtracted from the reward of a terminating step, 0 or above.

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
        """Start the only episode."""
        observation, info = super().reset(seed=seed, options=options)
        self.starts = 1
        return observation, {**info, "starts": self.starts}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step; at the end of an episode of the env, return the first observation of the next one."""
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
        """Restore the state of ``state_dict``.

        Raises:
            ValueError: naming what does not fit.
        """
        fields.write(self, state, {"starts": whole(0)})
