"""A wrapper that changes the task every so many env steps of a lifetime."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
_STREAM = 1  # index of the child seed of the wrapper; the env uses the seed itself


class Drift(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Change the task after every ``every`` env steps of the lifetime, also within an episode.

    The first ``every`` steps have the original task; step ``every`` + 1 is the first of another task. The change is at
    the same step in every lifetime, so that curves can be averaged, and it is not observed. It does not need the end of
    an episode, so ``NeverReset`` can be on either side of this wrapper. At each change one episode and its traces
    extend over two tasks.

    The changes, in any combination:

    - ``parameters``: each attribute is its original value times a factor sampled log-uniformly from [low, high].
      Factors do not accumulate.
    - ``permute_observation``: the numbers of the observation are permuted.
    - ``flip_reward``: the sign of the reward alternates.

    The wrapper has its own generator, seeded by the seed of ``reset``, and does not change the random numbers of the
    env. A reset with a seed starts a new lifetime with the original task. ``info["drift"]`` counts the changes before
    the step. Gradual drift and recurring tasks are left out.

    Attributes:
        steps: env steps of the lifetime.
        changes: number of changes so far.
        factors: current factors of the parameters by name; 1 before the first change.
        order: source index of each position of the observation, int64, [n]; None without a permutation.
        sign: sign of the reward, 1 or -1.
        generator: random generator of the changes.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        every: int = 50_000,
        parameters: Mapping[str, Any] | None = None,
        permute_observation: bool = False,
        flip_reward: bool = False,
    ) -> None:
        """Wrap an env and store its original task.

        Args:
            env: env with a changing task.
            every: env steps between changes.
            parameters: factors [low, high], both above 0, by name of an attribute of ``env.unwrapped`` that is a number
                or an array of floats, all of which are multiplied by one factor. A name can be a path with attributes
                and indices, such as ``model.actuator_gear.3`` of a MuJoCo env, or a mapping of such names can stand at
                a part of the path: ``{"model": {"geom_friction": [0.02, 2.0]}}``. Derived attributes are updated for
                CartPole only, and constants that MuJoCo derives from the model are not.
            permute_observation: permute observations, which must be a Box of one axis with two or more numbers.
            flip_reward: alternate the sign of the reward.

        Raises:
            ConfigError: naming the invalid argument, or if nothing would change.
        """
        parameters = {} if parameters is None else parameters
        checks.whole("every", every, 1)
        checks.flag("permute_observation", permute_observation)
        checks.flag("flip_reward", flip_reward)
        if not isinstance(parameters, Mapping):
            raise ConfigError("parameters", f"must map attributes to factors [low, high], got {parameters!r}")
        if not (parameters or permute_observation or flip_reward):
            raise ConfigError("parameters", "must not be empty without permute_observation and flip_reward")
        parameters = dict(_paths(parameters))
        given: dict[str, Any] = {"every": every, "parameters": parameters}
        given |= {"permute_observation": permute_observation, "flip_reward": flip_reward}
        gym.utils.RecordConstructorArgs.__init__(self, **given)
        gym.Wrapper.__init__(self, env)
        self.every, self.flip_reward = every, flip_reward
        factor: Any = {"expected": "a factor above 0", "low": 0.0, "high": math.inf, "closed": "()"}
        self.spans = {name: checks.span(f"parameters.{name}", ends, **factor) for name, ends in parameters.items()}
        self.parameters = {name: _parameter(env, name) for name in parameters}
        self._n = self._permutable() if permute_observation else 0
        self._restart(None)

    def _permutable(self) -> int:
        """Set a space that contains the observation in any order, and return its number of elements."""
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
        """Start an episode with the current task or, with a seed, a lifetime with the original task."""
        if seed is not None:
            self._restart(seed)
        observation, info = super().reset(seed=seed, options=options)
        return self._shown(observation), {**info, "drift": self.changes}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step in the current task, and change it after every ``every`` steps."""
        observation, reward, terminated, truncated, info = super().step(action)
        observation, info = self._shown(observation), {**info, "drift": self.changes}
        reward = self.sign * float(reward) if self.flip_reward else reward
        self.steps += 1
        if self.steps % self.every == 0:
            self._change()
        return observation, reward, terminated, truncated, info

    def state_dict(self) -> dict[str, Any]:
        """Return the current task, the step and the generator; see ``lifetime.env_state``."""
        return {**fields.read(self, self._fields()), "generator": generators.read(self.generator)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state and task of ``state_dict``.

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
        """Return the fields that change during a lifetime, without the generator."""
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
        """Sample a new task."""
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
        for name, parameter in self.parameters.items():
            parameter.scale(self.factors[name])
        if self.parameters:
            derive(self.unwrapped)


@dataclass(frozen=True)
class _Parameter:
    """A number or an array of an env that is scaled."""

    holder: Any  # object or sequence that has it
    key: str | int  # attribute or index there
    original: float | Array

    def scale(self, factor: float) -> None:
        """Set it to a multiple of its original value; an array keeps its identity."""
        if isinstance(self.original, np.ndarray):
            _part(self.holder, self.key)[...] = self.original * factor
        elif isinstance(self.key, str):
            setattr(self.holder, self.key, self.original * factor)
        else:
            self.holder[self.key] = self.original * factor


def derive(env: Any) -> None:
    """Update the attributes that an env derives from its parameters at construction.

    In Gymnasium's classic control only CartPole has such attributes: total mass and moment of the pole.
    """
    if isinstance(env, CartPoleEnv):
        env.total_mass = env.masspole + env.masscart
        env.polemass_length = env.masspole * env.length


def _paths(parameters: Mapping[Any, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and the factors of each parameter."""
    for name, part in parameters.items():
        if isinstance(part, Mapping) and part:
            yield from _paths(part, f"{before}{name}.")
        else:
            yield f"{before}{name}", part


def _part(holder: Any, key: str | int) -> Any:
    """Return an attribute, or an item by its index."""
    return getattr(holder, key) if isinstance(key, str) else holder[key]


def _parameter(env: gym.Env[Any, Any], name: str) -> _Parameter:
    """Return the parameter of the bare env at a path."""
    value: Any = env.unwrapped
    for part in name.split("."):
        holder, key = value, int(part) if part.isdigit() else part
        try:
            value = _part(holder, key)
        except (AttributeError, TypeError, IndexError, KeyError):
            value = None
            break
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return _Parameter(holder, key, value.copy())
    if not isinstance(value, Real) or isinstance(value, bool):
        kind = type(env.unwrapped).__name__
        raise ConfigError(f"parameters.{name}", f"must be a numeric attribute of {kind}, got {value!r} there")
    return _Parameter(holder, key, float(value))
