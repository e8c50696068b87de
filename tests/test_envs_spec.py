"""Making envs: install commands for missing packages, and vector envs by module and id."""

import subprocess
import sys
import tomllib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.error import DependencyNotInstalled
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from tracerl.envs.spec import EnvSpec

from tests.test_envs_contract import NAMES, spec_of
from tracerl.config.checks import ConfigError

EXTRAS: dict[str, list[str]] = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]
WITHOUT = """
import sys
for name in ("Box2D", "mujoco", "minatar", "ale_py", "sklearn", "popgym"):
    sys.modules[name] = None  # importing it fails
import hydra
from tracerl.config import hydra_compat
with hydra_compat.configs("tracerl.configs"):
    for name in sys.argv[1:]:
        spec = hydra_compat.instantiate(hydra.compose("run", [f"env={name}"]).env, _convert_="all")
        try:
            spec.make()
        except ValueError as error:
            print(name, error)
"""


def with_an_extra() -> list[str]:
    return [name for name in NAMES if spec_of(name).extra]


def line(name: str) -> str:
    spec = spec_of(name)
    return f'id {spec.id} needs packages that are not installed: pip install "tracerl[{spec.extra}]"'


def test_missing_package_raises_an_error_with_the_install_command() -> None:
    """The error is the same from the env, Gymnasium or Python, for every env of an extra."""
    names = with_an_extra()
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT, *names]
    found = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == [f"{name} {line(name)}" for name in names]


def test_missing_package_of_a_wrapper_raises_an_error_with_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ale_py")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ConfigError) as caught:
        spec_of("Atari").make()
    assert str(caught.value) == line("Atari")


def test_missing_package_of_a_wrapper_of_an_env_without_an_extra_names_the_wrapper() -> None:
    def wrap(env: Any) -> Any:
        raise DependencyNotInstalled("moviepy is not installed")

    spec = replace(spec_of("CartPole"), wrappers=[lambda env: env, wrap])
    with pytest.raises(ConfigError) as caught:
        spec.make()
    assert str(caught.value) == "wrappers.1 needs packages that are not installed: moviepy is not installed"


def test_every_extra_exists_and_is_in_the_extra_envs() -> None:
    (everything,) = EXTRAS["envs"]
    assert "tracerl[envs]" in EXTRAS["test"]
    for name in with_an_extra():
        extra = spec_of(name).extra
        assert extra in EXTRAS and extra in everything.removeprefix("tracerl[").removesuffix("]").split(",")


class Dots(VectorEnv):
    """A vector env with image observations; its module registers it."""

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.single_observation_space = spaces.Box(0, 255, (2, 2), np.uint8)
        self.single_action_space = spaces.Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        return np.full((self.num_envs, 2, 2), 255, np.uint8), {}


def test_vector_env_is_found_by_module_and_id_and_has_box_observations(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    register = "gym.register('Dots-v0', 'tests.test_envs_spec:Dots', vector_entry_point='tests.test_envs_spec:Dots')"
    (tmp_path / "dots.py").write_text(f"import gymnasium as gym\n\n{register}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(gym.envs.registration, "registry", dict(gym.envs.registration.registry))
    envs = EnvSpec("Dots", "dots:Dots-v0", {}, 1, [], vectorization="native").make_many(3)
    assert envs.single_observation_space == spaces.Box(0, 1, (2, 2), np.float32)
    np.testing.assert_array_equal(envs.reset()[0], np.ones((3, 2, 2)))


class Fails(gym.Env):
    """Raises an error in its constructor."""

    def __init__(self, error: BaseException | None = None, **kwargs: Any) -> None:
        raise AssertionError if error is None else error


gym.register("Fails-v0", Fails)


def test_error_in_the_constructor_of_an_env_is_named_with_its_class() -> None:
    def problem(**settings: Any) -> str:
        with pytest.raises(ConfigError) as caught:
            EnvSpec("fails", **{"id": "Fails-v0", "kwargs": {}, "steps": 5, "milestones": [], **settings}).make()
        return str(caught.value)

    def fail(error: Exception, env: gym.Env) -> gym.Env:
        raise error

    assert problem() == "id could not be made: Fails-v0 raised AssertionError"
    error = KeyError("a file")
    assert problem(kwargs={"error": error}).endswith("}: KeyError: 'a file'")
    assert problem(kwargs={"error": error}).startswith("kwargs must suit Fails-v0, got {'error': KeyError")
    wrapped = {"id": "CartPole-v1", "wrappers": [partial(fail, AssertionError())]}
    assert problem(**wrapped) == "wrappers.0 must suit CartPole-v1: AssertionError"
    wrapped = {"id": "CartPole-v1", "wrappers": [partial(fail, ConfigError("It", "needs this"))]}
    assert problem(**wrapped) == "wrappers.0 must suit CartPole-v1: It needs this"
