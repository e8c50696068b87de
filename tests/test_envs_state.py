"""A restored env continues bit-identically."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from tracerl.envs.spec import EnvSpec

from tests.helpers import compose
from tests.states import WRAPPED, assert_restored_envs_continue, identical, pole, round_trip, step_through
from tests.test_envs_contract import NAMES, spec_of
from tracerl.config import hydra_compat
from tracerl.config.checks import ConfigError
from tracerl.lifetime import env_state as states
from tracerl.lifetime.observations import as_box

CANNOT = {"LunarLander": "Box2D", "LunarLanderContinuous": "Box2D", "BipedalWalker": "Box2D"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MuJoCo writes a log to the working folder."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_restored_envs_of_the_yamls_continue_identically(name: str) -> None:
    spec = spec_of(name)
    try:
        env = spec.make()
    except ConfigError as error:
        if "pip install" not in str(error):
            raise
        pytest.skip(str(error))
    reason = states.unsupported_reason(env)
    env.close()
    if name in CANNOT:
        assert reason is not None and CANNOT[name] in reason
        with pytest.raises(ValueError, match=CANNOT[name]):
            states.capture(env)
        with pytest.raises(ValueError, match=CANNOT[name]):
            states.restore(env, {})
        return
    assert reason is None
    assert_restored_envs_continue(spec.make)


def test_restored_atari_continues_identically_with_a_sticky_action_wrapper() -> None:
    """The repeated action inside the emulator cannot be read; Gymnasium's wrapper replaces it."""
    pytest.importorskip("ale_py")
    pytest.importorskip("cv2")
    config = compose("env=Atari", "env.kwargs.repeat_action_probability=0.0")
    sticky = {"_target_": "gymnasium.wrappers.StickyAction", "_partial_": True, "repeat_action_probability": 0.25}
    spec: EnvSpec = hydra_compat.instantiate(
        {**config.env, "wrappers": [sticky, *config.env.wrappers]}, _convert_="all"
    )
    assert_restored_envs_continue(spec.make, ages=(0, 1, 25), steps=24)


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
def test_restored_envs_of_gymnasium_continue_identically(name: str) -> None:
    try:
        assert_restored_envs_continue(OTHERS[name], steps=20)
    except gym.error.DependencyNotInstalled as error:
        pytest.skip(str(error))


def test_captured_state_is_a_copy_and_capturing_does_not_change_the_env() -> None:
    make = WRAPPED["FrameStackObservation"]
    env, untouched = make(), make()
    for each in (env, untouched):
        each.action_space.seed(0)
        each.reset(seed=0)
    state = states.capture(env)
    before = round_trip(state)
    assert identical(step_through(env, 20), step_through(untouched, 20))
    assert identical(state, before)
    states.restore(untouched, state)
    step_through(untouched, 20)
    assert identical(state, before)


@pytest.mark.parametrize("name", ["Pendulum", "Taxi", "PoissonClicks", "MinAtarBreakout", "Reacher"])
@pytest.mark.filterwarnings("ignore:.*is out of date")
def test_state_before_the_first_reset_has_no_generator_and_requires_a_reset(name: str) -> None:
    make = OTHERS[name] if name in OTHERS else spec_of(name).make
    try:
        new, env = make(), make()
    except (ConfigError, gym.error.DependencyNotInstalled) as error:
        pytest.skip(str(error))
    state = round_trip(states.capture(new))
    env.reset(seed=0)
    states.restore(env, state)
    assert env.unwrapped._np_random is None
    with pytest.raises(gym.error.ResetNeeded):
        env.step(env.action_space.sample())
    env.action_space._np_random = None
    assert identical(states.capture(env), state)


@pytest.mark.parametrize("kind", [np.random.MT19937, np.random.Philox, np.random.SFC64, np.random.PCG64DXSM])
def test_any_restored_numpy_generator_continues_identically(kind: Any) -> None:
    env, other = pole(), pole()
    env.reset(seed=0)
    env.unwrapped.np_random = np.random.Generator(kind(5))
    env.np_random.integers(7, dtype=np.int32)  # one half of the 64 random bits is left
    states.restore(other, round_trip(states.capture(env)))
    assert identical(
        other.np_random.integers(7, size=9, dtype=np.int32), env.np_random.integers(7, size=9, dtype=np.int32)
    )


def test_restored_nested_spaces_sample_identically() -> None:
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
    states.restore(other, round_trip(states.capture(env)))
    assert identical([other.action_space.sample() for _ in range(9)], [env.action_space.sample() for _ in range(9)])


def test_no_package_of_an_env_is_imported_before_such_an_env_is_made() -> None:
    heavy = ("mujoco", "Box2D", "ale_py", "minatar", "cv2", "sklearn", "pygame", "jax", "torch")
    code = (
        "import sys, gymnasium; from tracerl.lifetime import env_state as state;"
        " env = gymnasium.make('CartPole-v1'); env.reset();"
        f" state.restore(env, state.capture(env)); print([name for name in {heavy} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
