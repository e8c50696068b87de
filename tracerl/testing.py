"""What every env and every agent keeps to, as checks for a test of your own.

    from tracerl.testing import check_agent, check_env

    def test_corridor():
        check_env("corridor:Corridor-v0")

A check that fails raises an AssertionError with a sentence; no test framework is needed. An env that passes gives the
same run for the same seed, and an agent that passes is the same agent after a checkpoint, alone and among others.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env as check_env_of_gymnasium

from tracerl.config import checks
from tracerl.config.checks import described
from tracerl.lifetime.diagnostics import diagnostics_of, problem_of
from tracerl.lifetime.env_outputs import reward_of
from tracerl.lifetime.independent_agents import take_step
from tracerl.lifetime.protocol import STATE_METHODS, Stateful, StepType, is_stateful, missing_methods
from tracerl.nn.lifetimes import Lifetimes

MakeEnv = Callable[[], gym.Env[Any, Any]]
MakeAgent = Callable[[spaces.Space[Any], spaces.Space[Any], Lifetimes], Any]
BuildAgent = Callable[[Any], Any]  # of a seed or, for many lifetimes, a list of them

OBSERVATIONS = spaces.Box(-np.inf, np.inf, (4,), np.float32)
ACTIONS = spaces.Discrete(3)
_ADVICE = (  # what Gymnasium's checker says of sound envs: about bounds, and that it was given a wrapped one
    ".*A Box (observation|action) space (minimum|maximum) value is -?infinity",
    ".*we recommend using a symmetric and normalized space",
    ".*is different from the unwrapped version",
)


def check_env(env: MakeEnv | str | Any, steps: int = 1000) -> None:
    """Check what a run needs of an env; an AssertionError says what differs.

    Gymnasium's own checker passes. A seed decides everything, in a new env and in a used one. Observations, rewards
    and ends of random steps are what the spaces and Gymnasium's API say, and a time limit cuts off exactly then.

    Args:
        env: a function that makes a new env, an id for ``gym.make``, or settings with a method ``make``, such as an
            ``EnvSpec``.
        steps: number of random steps, at least 1.
    """
    checks.whole("steps", steps, 1)
    make: MakeEnv = (lambda: gym.make(env)) if isinstance(env, str) else getattr(env, "make", env)
    with _assertions("the env"):
        _check_finite(make, min(steps, 300))
    check_gymnasium(make)
    with _assertions("the env"):
        check_seeds(make, steps=min(steps, 300))
        check_steps(make, steps)


def check_agent(
    make: MakeAgent,
    observation_space: spaces.Space[Any] = OBSERVATIONS,
    action_space: spaces.Space[Any] = ACTIONS,
    steps: int = 80,
) -> None:
    """Check what a run needs of an agent, on random observations and rewards; an AssertionError says what differs.

    Its actions are in the action space. The seed decides them. Diagnostics are finite numbers. With ``capture`` and
    ``restore``, a second agent continues bit-identically within an episode, and a state of other names raises a
    ValueError. With ``advance``, several lifetimes at once equal the lifetimes alone.

    Args:
        make: called as ``make(observation_space, action_space, lifetimes)``, such as the agent's class in a
            ``functools.partial`` with its settings.
        observation_space: a Box.
        action_space: any space that the agent supports.
        steps: number of env steps, at least 1.
    """
    checks.whole("steps", steps, 1)

    def build(seeds: int | list[int], dtype: torch.dtype = torch.float32) -> Any:
        with _assertions("the agent's maker"):
            return make(observation_space, action_space, Lifetimes(seeds, dtype))

    with _assertions("the agent"):
        check_actions(build, observation_space, action_space, steps)
        stateful = _is_stateful(build(0))
        if stateful:
            check_state(build, observation_space, None, steps)
        if hasattr(build(0), "advance"):
            check_lifetimes(partial(build, dtype=torch.float64), observation_space, steps)
            if stateful:
                check_state(build, observation_space, 3, steps)


@contextmanager
def _assertions(what: str) -> Iterator[None]:
    """A context in which every exception of an env or an agent is an AssertionError that says whose it is."""
    try:
        yield
    except Exception as error:
        if isinstance(error, AssertionError) and str(error):
            raise
        raise AssertionError(f"{what} raises {described(error)}") from error


def _is_stateful(agent: Any) -> bool:
    """Return whether an agent has checkpoints; an AssertionError if it has some of the methods for them and not all."""
    if is_stateful(agent):
        return True
    missing = missing_methods(agent)
    said = f"an agent with checkpoints must have capture, restore and reset_episode, {type(agent).__name__} has no"
    assert len(missing) == len(STATE_METHODS), f"{said} {' and no '.join(missing)}"
    return False


def _check_finite(make: MakeEnv, steps: int) -> None:
    """Check that the numbers of random steps are finite, which Gymnasium's checker takes for a difference of seeds.

    What an env of another API raises here is left to that checker.
    """
    try:
        env = make()
        env.action_space.seed(0)
        seen: list[tuple[Any, Any]] = [(env.reset(seed=0)[0], 0.0)]
        for _ in range(steps):
            observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            seen.append((observation, reward))
            if terminated or truncated:
                break
    except Exception:
        return
    for observation, reward in seen:
        assert _is_finite(observation), f"observations must be finite, got {observation!r}"
        _check_reward(reward)


def check_gymnasium(make: MakeEnv) -> None:
    """Check an env with Gymnasium's own checker, without its advice about bounds."""
    try:
        env = make()
    except Exception as error:
        raise AssertionError(f"the env cannot be made: {type(error).__name__}: {error}") from error
    with warnings.catch_warnings():
        for message in _ADVICE:
            warnings.filterwarnings("ignore", message)
        try:
            check_env_of_gymnasium(env, skip_render_check=True)
        except AssertionError:
            raise
        except Exception as error:
            kind = "" if isinstance(error, gym.error.Error) else f"{type(error).__name__}: "
            raise AssertionError(f"Gymnasium's checker raises: {kind}{error}") from error
    env.close()


def check_seeds(make: MakeEnv, steps: int = 300, stochastic: bool = False, again: bool = True) -> None:
    """Check that two envs do the same after one seed.

    Args:
        make: returns a new env.
        steps: env steps to compare.
        stochastic: whether another seed must make a difference.
        again: whether an env that was used must do the same again after the seed.
    """
    first, second = make(), make()
    once = _run_of(first, 5, steps)
    assert _same(once, _run_of(second, 5, steps)), "two envs reset with one seed must do the same"
    assert not again or _same(once, _run_of(first, 5, steps)), "an env reset with a seed again must do what it did"
    assert not stochastic or not _same(once, _run_of(second, 6, steps)), "another seed must make a difference"
    first.close()
    second.close()


def check_steps(make: MakeEnv, steps: int = 1000) -> None:
    """Take random steps and check what comes of each; ends of episodes, too."""
    env = make()
    limit = None if env.spec is None else env.spec.max_episode_steps
    env.action_space.seed(0)
    observation, _ = env.reset(seed=0)
    elapsed = 0
    for _ in range(steps):
        _check_observation(observation, env.observation_space)
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        elapsed += 1
        _check_reward(reward)
        for name, end in (("terminated", terminated), ("truncated", truncated)):
            assert isinstance(end, (bool, np.bool_)), f"{name} must be a bool, got {end!r}"
        if limit is not None:
            said = f"an episode must be truncated at its limit of {limit} steps and not before"
            assert truncated == (elapsed == limit), f"{said}, got {truncated} after {elapsed}"
        if terminated or truncated:
            _check_observation(observation, env.observation_space)
            observation, _ = env.reset()
            elapsed = 0
    env.close()


def _check_observation(observation: Any, space: spaces.Space[Any]) -> None:
    dtype = getattr(observation, "dtype", space.dtype)
    assert dtype == space.dtype, f"observations must be of dtype {space.dtype}, got {dtype}"
    assert _is_finite(observation), f"observations must be finite, got {observation!r}"
    assert space.contains(observation), f"observations must be of {space}, got {observation!r}"


def _check_reward(reward: Any) -> None:
    try:
        number = reward_of(reward)
    except TypeError as error:
        raise AssertionError(f"rewards must be numbers, got {reward!r}") from error
    assert np.isfinite(number), f"rewards must be finite, got {reward}"


def _is_finite(observation: Any) -> bool:
    """Return whether no number of an observation, or of its parts, is NaN or infinite."""
    if isinstance(observation, (Mapping, list, tuple)):
        parts = observation.values() if isinstance(observation, Mapping) else observation
        return all(map(_is_finite, parts))
    numbers = np.asarray(observation)
    return numbers.dtype.kind not in "fc" or bool(np.isfinite(numbers).all())


def _run_of(env: gym.Env[Any, Any], seed: int, steps: int) -> list[Any]:
    """Return what comes of a seed, over an end of an episode or a reset half way."""
    env.action_space.seed(0)
    seen: list[Any] = [env.reset(seed=seed)[0]]
    ended = False
    for step in range(steps):
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        seen += [observation, reward, terminated, truncated]
        if terminated or truncated or (step == steps // 2 and not ended):
            ended = True
            seen.append(env.reset()[0])
    return seen


def _same(ours: Any, theirs: Any) -> bool:
    """Return whether observations, actions or sequences and mappings of them are the same; NaN is the same as NaN."""
    if isinstance(ours, Mapping):
        return ours.keys() == theirs.keys() and all(_same(part, theirs[name]) for name, part in ours.items())
    if isinstance(ours, (list, tuple)):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    x, y = np.asarray(ours), np.asarray(theirs)
    return np.array_equal(x, y, equal_nan=x.dtype.kind == y.dtype.kind == "f")


class Transition(NamedTuple):
    """One step of one lifetime or of many."""

    step_types: np.ndarray[Any, Any]  # int8, [lifetimes]; see ``StepType``
    rewards: np.ndarray[Any, Any]  # float64, [lifetimes]
    observations: np.ndarray[Any, Any]  # [lifetimes, ...]


def random_transitions(space: spaces.Space[Any], steps: int, lifetimes: int = 1) -> list[Transition]:
    """Draw episodes of about ten steps, the same ones each time; of many lifetimes some are skipped in each step."""
    rng = np.random.default_rng(0)
    due, found = np.full(lifetimes, StepType.FIRST), []
    skipped = 0.1 if lifetimes > 1 else 0.0
    for _ in range(steps):
        step_types = np.where(rng.random(lifetimes) < skipped, StepType.SKIP, due)
        observations = rng.normal(size=(lifetimes, *(space.shape or ()))).astype(space.dtype)
        found.append(Transition(step_types.astype(np.int8), rng.normal(size=lifetimes), observations))
        after = rng.choice([StepType.MID, StepType.TERMINATED, StepType.TRUNCATED], lifetimes, p=[0.9, 0.05, 0.05])
        after[step_types >= StepType.TERMINATED] = StepType.FIRST
        due = np.where(step_types == StepType.SKIP, due, after)
    return found


def play(agent: Any, transitions: Sequence[Transition], together: bool = False) -> list[Any]:
    """Pass transitions to an agent and return its actions; with ``together``, to one of many lifetimes."""
    actions: list[Any] = []
    for step_types, rewards, observations in transitions:
        if together:
            acted = np.copy(agent.advance(step_types, rewards, observations))
            said = f"advance must return an action for each of {len(step_types)} lifetimes"
            assert acted.shape[:1] == step_types.shape, f"{said}, got {acted!r:.200}"
            actions.append(acted)
            continue
        action = take_step(agent, int(step_types[0]), float(rewards[0]), observations[0], None)
        if step_types[0] in (StepType.FIRST, StepType.MID):
            actions.append(action)
    return actions


def check_actions(
    build: BuildAgent, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], steps: int = 80
) -> None:
    """Check that the agent of a seed acts within its space, that its seed decides its actions, and its diagnostics."""
    transitions = random_transitions(observation_space, steps)
    agent = build(0)
    missing = [name for name in ("start", "step", "end") if not callable(getattr(agent, name, None))]
    assert not missing, (
        f"an agent must have the methods start, step and end, {type(agent).__name__} has no {missing[0]}"
    )
    actions = play(agent, transitions)
    for action in actions:
        assert action_space.contains(action), f"actions must be of {action_space}, got {action!r}"
    assert _same(actions, play(build(0), transitions)), "two agents built with one seed must act alike"
    found = diagnostics_of(agent)
    assert problem_of(found) is None, problem_of(found)
    for tag, number in found.items():
        assert np.isfinite(number), f"diagnostics must be finite, got {number} for {tag}"


def check_state(
    build: BuildAgent, observation_space: spaces.Space[Any], lifetimes: int | None, steps: int = 80
) -> None:
    """Check that an agent continues bit-identically from a state that ``capture`` returned within an episode.

    ``lifetimes`` is their number with ``advance``; None: one lifetime, with the three methods.
    """
    seeds: int | list[int] = 3 if lifetimes is None else [3 + i for i in range(lifetimes)]
    transitions, half = random_transitions(observation_space, steps, lifetimes or 1), max(steps // 2 - 3, 0)
    together = lifetimes is not None
    whole, first, second = (build(seeds) for _ in range(3))
    expected = play(whole, transitions, together)
    play(first, transitions[:half], together)
    state = _copied(first)
    second.restore(state)
    _check_same_state(state, _copied(second), "an agent must capture what it was restored from")
    rest = play(second, transitions[half:], together)
    assert _same(rest, expected[len(expected) - len(rest) :]), "a restored agent must act as one that was never stopped"
    _check_same_state(_copied(whole), _copied(second), "a restored agent must become what one does that never stopped")
    assert diagnostics_of(second) == diagnostics_of(whole), "a restored agent must return the same diagnostics"
    _check_raises(second, {**state, "of another agent": next(iter(state.values()))}, "an unknown name")
    _check_raises(second, dict(list(state.items())[1:]), f"no {next(iter(state))}")


def check_lifetimes(build: BuildAgent, observation_space: spaces.Space[Any], steps: int = 80) -> None:
    """Check that each of three lifetimes, some of which are skipped in a step, acts as it does alone."""
    transitions = random_transitions(observation_space, steps, 3)
    together = np.array(play(build([0, 1, 2]), transitions, together=True))
    for i in range(3):
        taken = [each for each in transitions if each.step_types[i] != StepType.SKIP]
        own = [Transition(*(part[i : i + 1] for part in each)) for each in taken]
        acted = [each.step_types[i] in (StepType.FIRST, StepType.MID) for each in transitions]
        alone = np.array(play(build(i), own))
        said = f"lifetime {i} of three must act as the agent of its seed does alone"
        ours = together[acted, i]
        assert ours.shape == alone.shape and np.allclose(ours, alone, rtol=1e-4, atol=1e-5), said


def _copied(agent: Stateful) -> dict[str, Any]:
    state: Any = agent.capture()
    assert isinstance(state, Mapping), f"capture must return tensors by name, got {state!r:.200}"
    for name, tensor in state.items():
        assert isinstance(tensor, torch.Tensor), f"capture must return tensors by name, got {tensor!r:.200} for {name}"
    assert state, "capture must return tensors by name, got none"
    return {name: tensor.clone() for name, tensor in state.items()}


def _check_same_state(ours: Mapping[str, Any], theirs: Mapping[str, Any], said: str) -> None:
    assert ours.keys() == theirs.keys(), f"{said}: {sorted(ours.keys() ^ theirs.keys())} differ"
    for name, tensor in ours.items():
        same = tensor.dtype == theirs[name].dtype and tensor.equal(theirs[name])
        assert same, f"{said}: {name} differs"


def _check_raises(agent: Stateful, state: Mapping[str, Any], flaw: str) -> None:
    try:
        agent.restore(state)
    except ValueError:
        return
    except Exception as error:
        raise AssertionError(
            f"restore must raise a ValueError for a state with {flaw}, raised {described(error)}"
        ) from error
    raise AssertionError(f"restore must raise a ValueError for a state with {flaw}")
