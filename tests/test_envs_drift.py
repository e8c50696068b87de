"""Envs that change."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from tracerl.envs.drift import Drift
from tracerl.envs.never_reset import NeverReset

from tests.helpers import bare
from tests.test_envs_contract import spec_of
from tracerl.config.checks import ConfigError

POLE = {"length": [0.5, 2.0], "masspole": [0.5, 2.0], "force_mag": [0.5, 2.0]}


def run_steps(env: gym.Env, steps: int, seed: int = 3) -> list[tuple[np.ndarray, float, bool, int]]:
    """Run alternating actions: observations (also the first of an episode), rewards, ends and changes."""
    observation, info = env.reset(seed=seed)
    seen = [(observation, 0.0, False, info.get("drift", 0))]
    for step in range(steps):
        observation, reward, terminated, truncated, info = env.step(step % 2)
        seen.append((observation, float(reward), terminated, info.get("drift", 0)))
        if terminated or truncated:
            observation, info = env.reset()
            seen.append((observation, 0.0, False, info.get("drift", 0)))
    return seen


def pole_acceleration(state: np.ndarray, force: float, length: float, mass: float) -> tuple[float, float]:
    """Return the accelerations of pole (rad/s^2) and cart (m/s^2), Florian 2007, eq. 23 and 24 without friction."""
    _, _, angle, speed = state
    total, sine, cosine = mass + 1.0, math.sin(angle), math.cos(angle)
    push = (force + mass * length * speed**2 * sine) / total
    pole = (9.8 * sine - cosine * push) / (length * (4 / 3 - mass * cosine**2 / total))
    return pole, push - mass * length * pole * cosine / total


def test_changed_pole_follows_the_changed_physics() -> None:
    env = Drift(bare(), 5, POLE)
    env.reset(seed=0)
    unwrapped: Any = env.unwrapped
    lengths = set()
    for _ in range(30):
        before, factors = np.array([0.1, 0.2, 0.1, -0.5]), dict(env.factors)
        unwrapped.state = before.copy()
        env.step(1)
        length, mass = 0.5 * factors["length"], 0.1 * factors["masspole"]
        pole, cart = pole_acceleration(before, 10.0 * factors["force_mag"], length, mass)
        np.testing.assert_allclose(unwrapped.state[[3, 1]], [-0.5 + 0.02 * pole, 0.2 + 0.02 * cart], rtol=1e-12)
        lengths.add(length)
    assert len(lengths) == 6


def test_changes_come_every_n_steps_of_the_lifetime_whatever_the_episodes() -> None:
    seen = run_steps(Drift(bare(), 25, POLE), 100)
    ends = [i for i, (_, _, terminated, _) in enumerate(seen) if terminated]
    assert ends and all(end % 25 for end in ends)
    changes = [change for i, (*_, change) in enumerate(seen) if i and i - 1 not in ends]
    assert changes == [step // 25 for step in range(100)]


def test_change_on_the_last_step_of_an_episode_applies_at_the_next_reset() -> None:
    env = Drift(bare(max_episode_steps=4), 4, permute_observation=True)
    env.reset(seed=0)
    changes = [env.step(step % 2)[4]["drift"] for step in range(4)]
    assert changes == [0] * 4 and env.reset()[1]["drift"] == 1


def test_drift_applies_without_resets_inside_and_outside_the_wrapper() -> None:
    pendulum = bare("Pendulum-v1", max_episode_steps=-1)
    for env in (Drift(NeverReset(pendulum), 10, {"m": [0.5, 2]}), NeverReset(Drift(pendulum, 10, {"m": [0.5, 2]}))):
        env.reset(seed=0)
        changes = [env.step(np.zeros(1, np.float32))[4]["drift"] for _ in range(30)]
        assert changes == [0] * 10 + [1] * 10 + [2] * 10


def test_first_stage_is_the_original_env_with_its_own_random_numbers() -> None:
    ours, theirs = Drift(bare(), 1000, POLE, permute_observation=True, flip_reward=True), bare()
    for a, b in zip(run_steps(ours, 200), run_steps(theirs, 200), strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        assert a[1:] == b[1:]
    env, same = Drift(bare(max_episode_steps=3), 2, permute_observation=True), bare(max_episode_steps=3)
    starts = [row[0] for i, row in enumerate(run_steps(env, 30)) if i % 4 == 0]
    theirs_too = [row[0] for i, row in enumerate(run_steps(same, 30)) if i % 4 == 0]
    for a, b in zip(starts, theirs_too, strict=True):
        np.testing.assert_array_equal(np.sort(a), np.sort(b))


def test_seed_gives_one_sequence_of_changes_and_reset_with_it_restarts_it() -> None:
    env = Drift(bare(), 10, POLE, permute_observation=True)
    first, again, other = run_steps(env, 100, 3), run_steps(env, 100, 3), run_steps(env, 100, 4)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
    assert any(not np.array_equal(a[0], b[0]) for a, b in zip(first, other, strict=False))
    env.reset(seed=3)
    assert (env.steps, env.changes, env.unwrapped.length, env.unwrapped.total_mass) == (0, 0, 0.5, 1.1)


def test_factors_are_sampled_around_the_original() -> None:
    env = Drift(bare("Pendulum-v1", max_episode_steps=-1), 1, {"l": [0.25, 4.0]})
    env.reset(seed=0)
    logs = []
    for _ in range(2000):
        env.step(np.zeros(1, np.float32))
        logs.append(math.log2(env.unwrapped.l))
    assert -2 <= min(logs) < -1.9 and 1.9 < max(logs) <= 2
    assert abs(np.mean(logs)) < 0.1 and np.std(logs) == pytest.approx(4 / math.sqrt(12), rel=0.05)


class Parts(gym.Env[Any, Any]):
    """An env with parameters inside its parts."""

    observation_space = gym.spaces.Box(-1, 1, (1,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self) -> None:
        self.model = SimpleNamespace(friction=np.array([[1.0, 0.5], [2.0, 0.25]]), gains=[3.0, 4.0], mass=5.0)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        return np.zeros(1, np.float32), 0.0, False, False, {}


def test_paths_scale_arrays_rows_and_items_in_place() -> None:
    names = ("model.friction.1", "model.gains.0", "model.mass")
    env = Drift(Parts(), 1, {name: [0.5, 2.0] for name in names})
    model: Any = env.unwrapped.model
    friction = model.friction
    env.reset(seed=0)
    env.step(0)
    row, gain, mass = (env.factors[name] for name in names)
    assert len({row, gain, mass, 1.0}) == 4 and model.friction is friction
    np.testing.assert_array_equal(friction, [[1.0, 0.5], [2.0 * row, 0.25 * row]])
    assert (model.gains, model.mass) == ([3.0 * gain, 4.0], 5.0 * mass)
    env.reset(seed=0)
    np.testing.assert_array_equal(friction, [[1.0, 0.5], [2.0, 0.25]])
    whole = Drift(Parts(), 1, {"model": {"friction": [0.5, 2.0]}})
    whole.reset(seed=0)
    whole.step(0)
    factor = whole.factors["model.friction"]
    np.testing.assert_array_equal(whole.unwrapped.model.friction, np.array([[1.0, 0.5], [2.0, 0.25]]) * factor)


@pytest.mark.parametrize(("name", "path"), [("SlipperyAnt", "geom_friction"), ("HalfCheetahWeakened", "actuator_gear")])
def test_mujoco_model_changes_the_physics_after_a_change_only(
    name: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model that MuJoCo steps with has the drawn factors, and a new seed restores it."""
    pytest.importorskip("mujoco")
    monkeypatch.chdir(tmp_path)  # MuJoCo writes a log to the working folder
    spec = spec_of(name)
    (drift,) = spec.wrappers
    env, usual = drift.func(gym.make(spec.id), 20, drift.keywords["parameters"]), gym.make(spec.id)
    original = getattr(usual.unwrapped.model, path).copy()
    starts = [each.reset(seed=0)[0] for each in (env, usual)]
    np.testing.assert_array_equal(*starts)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(50)]
    pairs = [(env.step(action)[0], usual.step(action)[0]) for action in actions]
    same = [np.array_equal(*pair) for pair in pairs]
    assert all(same[:20]) and not same[-1]
    changed = (getattr(env.unwrapped.model, path) / np.where(original, original, 1))[original > 0]
    assert {*changed.round(12)} - {1.0} == {*np.round(list(env.factors.values()), 12)}
    env.reset(seed=0)
    np.testing.assert_array_equal(getattr(env.unwrapped.model, path), original)


def test_new_permutation_differs_from_the_previous_one_and_fits_the_space() -> None:
    env, whole = Drift(bare(), 1, permute_observation=True), bare()
    env.reset(seed=0), whole.reset(seed=0)
    for action in [0, 1] * 5:
        order = env.order
        ours, theirs = env.step(action)[0], whole.step(action)[0]
        np.testing.assert_array_equal(ours, theirs[order])
        assert env.observation_space.contains(ours)
        assert sorted(env.order) == [0, 1, 2, 3] and env.order.tolist() != order.tolist()


def test_reward_sign_alternates() -> None:
    env = Drift(bare(), 3, flip_reward=True)
    env.reset(seed=0)
    assert [env.step(i % 2)[1] for i in range(8)] == [1, 1, 1, -1, -1, -1, 1, 1]


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version")  # it is a wrapper
def test_gymnasium_checker_passes_and_the_spec_recreates_the_env() -> None:
    env = Drift(bare("Acrobot-v1"), 7, {"LINK_MASS_1": [0.5, 2]}, permute_observation=True)
    check_env(env, skip_render_check=True)
    again = gym.make(env.spec)
    assert isinstance(again, Drift) and (again.every, again.spans) == (7, env.spans)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parameters": POLE, "every": 0}, "every must be a whole number of 1 or above"),
        ({}, "parameters must not be empty"),
        ({"parameters": ["length"]}, "parameters must map attributes to factors"),
        ({"parameters": {"lenght": [1, 2]}}, "parameters.lenght must be a numeric attribute of CartPoleEnv, got None"),
        ({"parameters": {"kinematics_integrator": [1, 2]}}, "kinematics_integrator must be a numeric attribute"),
        (
            {"parameters": {"state.0": [1, 2]}},
            "parameters.state.0 must be a numeric attribute of CartPoleEnv, got None",
        ),
        ({"parameters": {"observation_space.low.4": [1, 2]}}, "observation_space.low.4 must be a numeric attribute"),
        ({"parameters": {"spec": {"id": [1, 2]}}}, "parameters.spec.id must be a numeric attribute of CartPoleEnv"),
        ({"parameters": {"spec": {}}}, "parameters.spec must be a factor above 0"),
        ({"parameters": {"length": [0, 2]}}, "parameters.length must be a factor above 0"),
        ({"parameters": {"length": [2, 1]}}, "parameters.length must be .* low first"),
        ({"permute_observation": 1}, "permute_observation must be true or false"),
    ],
)
def test_invalid_arguments_raise_an_error_naming_them(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Drift(bare(), **arguments)


def test_permuting_observations_without_an_axis_raises_an_error() -> None:
    with pytest.raises(ConfigError, match="permute_observation needs observations that are a Box of one axis"):
        Drift(bare("FrozenLake-v1"), permute_observation=True)
