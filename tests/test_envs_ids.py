"""Ids of Gymnasium envs: packages that register theirs on demand, and outdated versions."""

import subprocess
import sys

import gymnasium as gym
import pytest
from tracerl.envs.ids import find

from tracerl.config.checks import ConfigError, ConfigWarning


@pytest.mark.parametrize(("package", "env_id"), [("ale_py", "ALE/Pong-v5"), ("minatar", "MinAtar/Asterix-v1")])
def test_package_registers_its_envs_when_one_is_made(package: str, env_id: str) -> None:
    pytest.importorskip(package)
    code = f"import tracerl; print(tracerl.make_env({env_id!r}).spec.id)"
    found = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split()[-1] == env_id


def test_missing_package_raises_an_error_with_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for env_id in [env_id for env_id in gym.registry if env_id.startswith("MinAtar/")]:
        monkeypatch.delitem(gym.registry, env_id)
    monkeypatch.setitem(sys.modules, "minatar.gym", None)
    with pytest.raises(ConfigError, match=r'MinAtar/Asterix-v1 needs .*: pip install "tracerl\[minatar\]"$'):
        find("MinAtar/Asterix-v1")


def test_removed_env_version_raises_an_error_and_an_outdated_one_warns() -> None:
    with pytest.raises(ConfigError, match="Taxi-v3 was removed, its successor is Taxi-v4$"):
        find("Taxi-v3")
    with pytest.warns(ConfigWarning, match="^env.id=CartPole-v0 is out of date, its successor is CartPole-v1$"):
        found = find("CartPole-v0")
    assert isinstance(found, gym.envs.registration.EnvSpec) and found.id == "CartPole-v0"
