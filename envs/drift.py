"""A wrapper that changes the task every so many env steps of a lifetime."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

from tracerl.config import checks, forms
from tracerl.config.checks import ConfigError
from tracerl.config.forms import real, whole
from tracerl.lifetime.env_state import fields, generators

from .masked_observation import feature_box

Array = np.ndarray[Any, Any]
_STREAM = 1  # of the seed: the wrapper draws from its child of this number, the env from the seed itself


class Drift(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Change the task after every ``every`` env steps of the lifetime, within an episode too.

    The first ``every`` steps are those of the env as it is; step ``every`` + 1 is the first of another task. The change
    is at the same step of every lifetime and is not observed, so that the curves of many can be averaged. It happens
    too where no episode ends (``NeverReset``, on either side of this wrapper). One episode and one trace per change
    belong to two tasks.

    What changes, in any combination:

    - ``parameters``: each attribute becomes its original value times a factor drawn log-uniformly from [low, high], so
      that half and double are equally far. The factors do not accumulate: each is of the original.
    - ``permute_observation``: the numbers of the observation are put in another order.
    - ``flip_reward``: the reward changes its sign, and back at the next change.

    The draws come from a generator of this wrapper's own, seeded by the seed given to ``reset``: the env draws what it
    would draw without it. A reset with a seed begins a new lifetime, with the original task. ``info["drift"]`` counts
    the changes before the step. Left out: gradual drift, and tasks that recur.

    Attributes:
        steps: env steps of the lifetime.
        changes: how many changes there have been.
        factors: of the parameters now, by name; 1 before the first change.
        order: index of the env's number at each position of the observation, int64, [n]; None where none is permuted.
        sign: of the reward, 1 or -1.
        generator: of the draws.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        every: int = 50_000,
        parameters: Mapping[str, Sequence[float]] | None = None,
        permute_observation: bool = False,
        flip_reward: bool = False,
    ) -> None:
        """Keep the original task.

        Args:
            env: whose task changes.
            every: env steps between changes.
            parameters: by name of a numeric attribute of ``env.unwrapped``, the factors [low, high], both above 0. Of
                attributes that an env computes from others when it is made, only CartPole's follow.
            permute_observation: needs observations that are a Box of one axis, of two numbers or more.
            flip_reward: the sign alternates.

        Raises:
            ConfigError: naming the argument; also where nothing would change.
        """
        parameters = {} if parameters is None else parameters
        checks.whole("every", every, 1)
        checks.flag("permute_observation", permute_observation)
        checks.flag("flip_reward", flip_reward)
        if not isinstance(parameters, Mapping):
            raise ConfigError("parameters", f"must map attributes to factors [low, high], got {parameters!r}")
        if not (parameters or permute_observation or flip_reward):
            raise ConfigError("parameters", "must name what changes where neither observation nor reward does")
        gym.utils.RecordConstructorArgs.__init__(
            self,
            every=every,
            parameters=dict(parameters),
            permute_observation=permute_observation,
            flip_reward=flip_reward,
        )
        gym.Wrapper.__init__(self, env)
        self.every, self.flip_reward = every, flip_reward
        self.spans = {name: _span(name, ends) for name, ends in parameters.items()}
        self.originals = {name: _number(env, name) for name in parameters}
        self._n = self._permutable() if permute_observation else 0
        self._restart(None)

    def _permutable(self) -> int:
        """Make the space one that holds the observation in any order, and return how many numbers it has."""
        space = feature_box(self.env, "permute_observation")
        n = space.shape[0]
        if n < 2:
            raise ConfigError("permute_observation", f"needs observations of two numbers or more, got {space}")
        self.observation_space = spaces.Box(space.low.min(), space.high.max(), space.shape, space.dtype.type)
        return n

    def _restart(self, seed: int | None) -> None:
        """Restore the original task."""
        self.generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STREAM,)))
        self.steps, self.changes, self.sign = 0, 0, 1.0
        self.order: Array | None = np.arange(self._n) if self._n else None
        self.factors = dict.fromkeys(self.spans, 1.0)
        self._set_parameters()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode of the present task; with a seed, a lifetime with the original one."""
        if seed is not None:
            self._restart(seed)
        observation, info = super().reset(seed=seed, options=options)
        return self._shown(observation), {**info, "drift": self.changes}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step in the present task, and change it after every ``every`` steps."""
        observation, reward, terminated, truncated, info = super().step(action)
        observation, info = self._shown(observation), {**info, "drift": self.changes}
        reward = self.sign * float(reward) if self.flip_reward else reward
        self.steps += 1
        if self.steps % self.every == 0:
            self._change()
        return observation, reward, terminated, truncated, info

    def state_dict(self) -> dict[str, Any]:
        """Return the present task, the time and the generator of the next tasks; see ``lifetime.env_state``."""
        return {**fields.read(self, self._fields()), "generator": generators.read(self.generator)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what ``state_dict`` returned, with that task.

        Raises:
            ValueError: naming what does not fit.
        """
        values = fields.checked(self, state, {**self._fields(), "generator": forms.anything})
        if self._n and not np.array_equal(np.sort(values["order"]), np.arange(self._n)):
            raise ValueError(f"Drift.order must have each of 0 to {self._n - 1} once, got {values['order'].tolist()}")
        self.generator = generators.write(values.pop("generator"), None)
        for name, value in values.items():
            setattr(self, name, value)
        self._set_parameters()

    def _fields(self) -> fields.Fields:
        """Return what changes during a lifetime, without the generator."""
        return {
            "steps": whole(0),
            "changes": whole(0),
            "factors": forms.of_dict(dict.fromkeys(self.spans, real)),
            "order": forms.array((self._n,), "i") if self._n else forms.nothing,
            "sign": real,
        }

    def _shown(self, observation: Any) -> Any:
        return observation if self.order is None else observation[self.order]

    def _change(self) -> None:
        """Draw another task."""
        self.changes += 1
        for name, (low, high) in self.spans.items():
            self.factors[name] = math.exp(self.generator.uniform(math.log(low), math.log(high)))
        self._set_parameters()
        if self.order is not None:
            before = self.order
            while np.array_equal(self.order, before):
                self.order = self.generator.permutation(self._n)
        self.sign = -self.sign

    def _set_parameters(self) -> None:
        env: Any = self.unwrapped
        for name, original in self.originals.items():
            setattr(env, name, original * self.factors[name])
        if self.originals:
            derive(env)


def derive(env: Any) -> None:
    """Compute what an env computed from its parameters when it was made; an env with such attributes belongs here.

    Of Gymnasium's classic control only CartPole has them: its equations use the total mass and the pole's moment.
    """
    if isinstance(env, CartPoleEnv):
        env.total_mass = env.masspole + env.masscart
        env.polemass_length = env.masspole * env.length


def _span(name: str, ends: Any) -> tuple[float, float]:
    return checks.span(f"parameters.{name}", ends, "a factor above 0", 0.0, math.inf, closed="()")


def _number(env: gym.Env[Any, Any], name: str) -> float:
    """Return the value of an attribute of the bare env."""
    value = getattr(env.unwrapped, name, None)
    if not isinstance(value, Real) or isinstance(value, bool):
        kind = type(env.unwrapped).__name__
        raise ConfigError(f"parameters.{name}", f"must be a numeric attribute of {kind}, got {value!r} there")
    return float(value)
