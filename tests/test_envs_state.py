"""A restored env goes on as the captured one does, to the bit; what does not fit is named."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import hydra
import numpy as np
import pytest
from gymnasium import spaces, wrappers
from tracerl.envs import state as states
from tracerl.envs.drift import Drift
from tracerl.envs.masked_observation import MaskedObservation
from tracerl.envs.observations import as_box
from tracerl.envs.spec import EnvSpec
from tracerl.envs.state.unsupported import REASONS
from tracerl.envs.state.wrappers import FIELDS, STATELESS

from tests.helpers import compose
from tests.test_envs_contract import NAMES, spec_of
from tracerl.checks import ConfigError

Make = Callable[[], gym.Env]

CANNOT = {"LunarLander": "Box2D", "LunarLanderContinuous": "Box2D"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MuJoCo writes a log to where it is run."""
    monkeypatch.chdir(tmp_path)


def stored(state: states.EnvState) -> states.EnvState:
    """What a state is after it has been written down and read again."""
    arrays, rest = states.split(state)
    for array in arrays.values():
        assert array.dtype.kind in "biuf" and array.flags.c_contiguous
    rest = json.loads(json.dumps(rest, allow_nan=False))
    return states.join({path: array.copy() for path, array in arrays.items()}, rest)


def same(ours: Any, theirs: Any) -> bool:
    """Equal to the bit, and of the same types."""
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, (list, tuple)):
        return len(ours) == len(theirs) and all(same(x, y) for x, y in zip(ours, theirs, strict=True))
    if ours is None or type(ours) in (int, str):
        return type(ours) is type(theirs) and bool(ours == theirs)
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    return ours.dtype == theirs.dtype and ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()


def resets_itself(env: gym.Env) -> bool:
    return isinstance(env, wrappers.Autoreset)


def lived(env: gym.Env, steps: int) -> list[Any]:
    """What an env hands out, over an end or at least one reset; its own space draws the actions."""
    seen: list[Any] = []
    for step in range(steps):
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        info.get("episode", {}).pop("t", None)  # seconds
        seen.append((observation, reward, terminated, truncated, info))
        if (terminated or truncated or step == steps // 2) and not resets_itself(env):
            seen.append(env.reset())
    return seen


def used(make: Make) -> gym.Env:
    """An env that has lived another life."""
    env = make()
    env.action_space.seed(7)
    env.reset(seed=7)
    lived(env, 3)
    return env


def assert_lives_go_on(make: Make, ages: tuple[int, ...] = (0, 1, 13, 40), steps: int = 40) -> None:
    env = make()
    env.action_space.seed(0)
    env.reset(seed=0)
    for age in ages:
        for _ in range(age):
            *_, terminated, truncated, _ = env.step(env.action_space.sample())
            if (terminated or truncated) and not resets_itself(env):
                env.reset()
        state = stored(states.capture(env))
        new, old = make(), used(make)
        states.restore(new, state)
        states.restore(old, state)
        assert same(states.capture(old), state) or "episode_start_time" in str(state)
        expected = lived(env, steps)
        assert same(lived(new, steps), expected), f"a new env, {age} steps on"
        assert same(lived(old, steps), expected), f"a used env, {age} steps on"
        new.close()
        old.close()
    env.close()


@pytest.mark.parametrize("name", NAMES)
def test_the_envs_of_the_yamls_go_on_as_they_would_have(name: str) -> None:
    spec = spec_of(name)
    try:
        env = spec.make()
    except ConfigError as error:
        if "pip install" not in str(error):
            raise
        pytest.skip(str(error))
    reason = states.obstacle(env)
    env.close()
    if name in CANNOT:
        assert reason is not None and CANNOT[name] in reason
        with pytest.raises(ValueError, match=CANNOT[name]):
            states.capture(env)
        with pytest.raises(ValueError, match=CANNOT[name]):
            states.restore(env, {})
        return
    assert reason is None
    assert_lives_go_on(spec.make)


def test_atari_goes_on_where_a_wrapper_repeats_the_actions() -> None:
    """The emulator's own repeated action cannot be read; Gymnasium's wrapper around the bare env does the same."""
    pytest.importorskip("ale_py")
    pytest.importorskip("cv2")
    config = compose("env=Atari", "env.kwargs.repeat_action_probability=0.0")
    sticky = {"_target_": "gymnasium.wrappers.StickyAction", "_partial_": True, "repeat_action_probability": 0.25}
    spec: EnvSpec = hydra.utils.instantiate({**config.env, "wrappers": [sticky, *config.env.wrappers]}, _convert_="all")
    assert_lives_go_on(spec.make, ages=(0, 1, 25), steps=24)


OTHERS = {
    "Acrobot drawn": lambda: gym.make("Acrobot-v1", render_mode="rgb_array"),
    "Taxi": lambda: gym.make("Taxi-v3" if "Taxi-v3" in gym.registry else "Taxi-v4"),
    "FrozenLake": lambda: gym.make("FrozenLake-v1"),
    "CliffWalking": lambda: gym.make("CliffWalking-v1" if "CliffWalking-v1" in gym.registry else "CliffWalking-v0"),
    "Blackjack": lambda: as_box(gym.make("Blackjack-v1")),
    **{
        name: lambda name=name: gym.make(f"{name}-v5", disable_env_checker=True)
        for name in ("Pusher", "Reacher", "InvertedDoublePendulum", "HumanoidStandup")
    },
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.filterwarnings("ignore:.*is out of date")
def test_other_envs_of_gymnasium_go_on_as_they_would_have(name: str) -> None:
    try:
        assert_lives_go_on(OTHERS[name], steps=20)
    except gym.error.DependencyNotInstalled as error:
        pytest.skip(str(error))


def pole(**options: Any) -> gym.Env:
    return gym.make("CartPole-v1", **options)


def swing() -> gym.Env:
    return gym.make("Pendulum-v1", max_episode_steps=17)


def pictures() -> gym.Env:
    return wrappers.AddRenderObservation(pole(render_mode="rgb_array"))


WRAPPED: dict[str, Make] = {
    "TimeLimit": lambda: wrappers.TimeLimit(pole(), 5),
    "Autoreset": lambda: wrappers.Autoreset(pole()),
    "OrderEnforcing": lambda: wrappers.OrderEnforcing(pole()),
    "PassiveEnvChecker": lambda: wrappers.PassiveEnvChecker(pole(disable_env_checker=True)),
    "RecordEpisodeStatistics": lambda: wrappers.RecordEpisodeStatistics(pole(), buffer_length=3),
    "TimeAwareObservation": lambda: wrappers.TimeAwareObservation(pole(), flatten=False),
    "FrameStackObservation": lambda: wrappers.FrameStackObservation(wrappers.TimeAwareObservation(pole(), False), 3),
    "FrameStackObservation of zeros": lambda: wrappers.FrameStackObservation(pole(), 3, padding_type="zero"),
    "DelayObservation": lambda: wrappers.DelayObservation(pole(), 3),
    "MaxAndSkipObservation": lambda: wrappers.MaxAndSkipObservation(pole(), 3),
    "NormalizeObservation": lambda: wrappers.NormalizeObservation(pole()),
    "NormalizeReward": lambda: wrappers.NormalizeReward(swing()),
    "StickyAction": lambda: wrappers.StickyAction(pole(), 0.5, (1, 3)),
    "StickyAction of a Box": lambda: wrappers.StickyAction(swing(), 0.5),
    "RescaleAction": lambda: wrappers.RescaleAction(swing(), np.float32(-1), np.float32(1)),
    "ClipAction": lambda: wrappers.ClipAction(swing()),
    "ClipReward": lambda: wrappers.ClipReward(swing(), -1, 0),
    "FilterObservation": lambda: wrappers.FilterObservation(wrappers.TimeAwareObservation(pole(), False), ["obs"]),
    "DtypeObservation": lambda: wrappers.DtypeObservation(pole(), np.float64),
    "ReshapeObservation": lambda: wrappers.ReshapeObservation(pole(), (2, 2)),
    "RescaleObservation": lambda: wrappers.RescaleObservation(swing(), np.float32(0), np.float32(1)),
    "AddRenderObservation": pictures,
    "AddWhiteNoise": lambda: wrappers.AddRenderObservation(
        wrappers.AddWhiteNoise(pole(render_mode="rgb_array"), probability_of_noise_per_pixel=0.5)
    ),
    "Drift, MaskedObservation": lambda: MaskedObservation(
        Drift(pole(), 5, {"length": (0.5, 2)}, permute_observation=True, flip_reward=True), [0]
    ),
}


@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.filterwarnings("ignore:.*A Box observation space (minimum|maximum) value is -?infinity")
def test_wrappers_go_on_as_they_would_have(name: str) -> None:
    drawn = "Render" in name or "Noise" in name
    assert_lives_go_on(WRAPPED[name], *(((0, 1, 9), 6) if drawn else ((0, *[1] * 20), 40)))


@pytest.mark.parametrize("wrap", [wrappers.NormalizeObservation, wrappers.NormalizeReward])
@pytest.mark.filterwarnings("ignore:.*A Box observation space (minimum|maximum) value is -?infinity")
def test_statistics_that_stand_still_do_so_after_a_restore(wrap: Any) -> None:
    env, other = wrap(pole()), wrap(pole())
    env.reset(seed=0)
    env.update_running_mean = False
    states.restore(other, stored(states.capture(env)))
    assert other.update_running_mean is False


def test_every_wrapper_of_gymnasium_is_stateless_known_or_refused_with_a_reason() -> None:
    """A new version of Gymnasium brings new ones; whoever raises the version puts them into one of the three."""
    refused = {name for package, name in REASONS if package == "gymnasium.wrappers"}
    assert not STATELESS & FIELDS.keys() and not (STATELESS | FIELDS.keys()) & refused
    assert set(wrappers.__all__) - {"vector"} <= STATELESS | FIELDS.keys() | refused


def test_every_wrapper_with_a_state_is_tried_here() -> None:
    assert {name for name in FIELDS if name != "AtariPreprocessing"} <= set(WRAPPED)


def test_statistics_and_their_clock_go_on() -> None:
    env, other = WRAPPED["RecordEpisodeStatistics"](), WRAPPED["RecordEpisodeStatistics"]()
    env.action_space.seed(0)
    env.reset(seed=0)
    lived(env, 200)
    env.episode_start_time -= 1000  # seconds
    states.restore(other, stored(states.capture(env)))
    for name in ("return_queue", "length_queue", "time_queue"):
        assert list(getattr(other, name)) == list(getattr(env, name)) and getattr(other, name).maxlen == 3
    assert other.episode_count == env.episode_count > 3
    assert abs(other.episode_start_time - env.episode_start_time) < 10


def test_capture_leaves_the_env_alone_and_shares_nothing_with_it() -> None:
    make = WRAPPED["FrameStackObservation"]
    env, twin = make(), make()
    for each in (env, twin):
        each.action_space.seed(0)
        each.reset(seed=0)
    state = states.capture(env)
    before = stored(state)
    assert same(lived(env, 20), lived(twin, 20))
    assert same(state, before)
    states.restore(twin, state)
    lived(twin, 20)
    assert same(state, before)


@pytest.mark.parametrize("name", ["Pendulum", "Taxi", "PoissonClicks", "MinAtarBreakout", "Reacher"])
@pytest.mark.filterwarnings("ignore:.*is out of date")
def test_a_state_from_before_the_first_reset_has_no_generator_and_asks_for_a_reset(name: str) -> None:
    make = OTHERS[name] if name in OTHERS else spec_of(name).make
    try:
        new, env = make(), make()
    except (ConfigError, gym.error.DependencyNotInstalled) as error:
        pytest.skip(str(error))
    state = stored(states.capture(new))
    env.reset(seed=0)
    states.restore(env, state)
    assert env.unwrapped._np_random is None
    with pytest.raises(gym.error.ResetNeeded):
        env.step(env.action_space.sample())
    env.action_space._np_random = None
    assert same(states.capture(env), state)


@pytest.mark.parametrize("kind", [np.random.MT19937, np.random.Philox, np.random.SFC64, np.random.PCG64DXSM])
def test_any_generator_of_numpys_goes_on(kind: Any) -> None:
    env, other = pole(), pole()
    env.reset(seed=0)
    env.unwrapped.np_random = np.random.Generator(kind(5))
    env.np_random.integers(7, dtype=np.int32)  # leaves half of a draw over
    states.restore(other, stored(states.capture(env)))
    assert same(other.np_random.integers(7, size=9, dtype=np.int32), env.np_random.integers(7, size=9, dtype=np.int32))


def test_spaces_within_spaces_go_on_drawing() -> None:
    class Shown(gym.Env):
        def __init__(self) -> None:
            self.observation_space = spaces.Discrete(2)
            inner = spaces.Tuple([spaces.Discrete(50), spaces.Sequence(spaces.Box(0, 1))])
            self.action_space = spaces.Dict(a=inner, b=spaces.MultiBinary(40))

        def state_dict(self) -> dict[str, Any]:
            return {}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            assert state == {}

    env, other = Shown(), Shown()
    env.action_space.seed(3)
    states.restore(other, stored(states.capture(env)))
    assert same([other.action_space.sample() for _ in range(9)], [env.action_space.sample() for _ in range(9)])


def test_no_package_of_an_env_is_loaded_before_such_an_env_is_there() -> None:
    heavy = ("mujoco", "Box2D", "ale_py", "minatar", "cv2", "sklearn", "pygame", "jax", "torch")
    code = (
        "import sys, gymnasium; from tracerl.envs import state; env = gymnasium.make('CartPole-v1'); env.reset();"
        f" state.restore(env, state.capture(env)); print([name for name in {heavy} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
