"""The helpers of the tests."""

import pytest
from hydra._internal import config_loader_impl
from hydra._internal.config_repository import ConfigRepository
from hydra.errors import HydraException
from omegaconf import OmegaConf

from tests.helpers import compose
from tracerl.config import hydra_compat
from tracerl.config.instantiate import open_keys

LINES = [
    (),
    ("engine=torch", "network.hidden=[9]", "optimizer=obgd"),
    ("agent=eprop", "network.hidden=[3]", "network.feedback=adaptive"),
    ("env=gymnasium", "env.id=CartPole-v1", "env.kwargs.length=3", "agent.critic={hidden:[9,7]}"),
    ("optimizer=torch", "optimizer.policy.name=SGD", "+optimizer.policy.kwargs.momentum=0.9"),
    ("env=Hopper", "env.wrappers=[]", "lifetimes=3", "logger=none"),
]


@pytest.mark.parametrize("line", LINES, ids=str)
def test_choices_composed_before_give_what_hydra_composes(
    line: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = [word for word in line if "." not in word.split("=")[0]]
    compose(*choices)
    found = [hydra_compat.compose(open_keys(list(line)), return_hydra_config=True) for _ in range(2)]
    for where, name in (
        (config_loader_impl, "create_defaults_list"),
        (config_loader_impl.ConfigLoaderImpl, "_compose_config_from_defaults_list"),
        (ConfigRepository, "load_config"),
    ):
        monkeypatch.setattr(where, name, getattr(where, name).__wrapped__)
    expected = hydra_compat.compose(open_keys(list(line)), return_hydra_config=True)
    assert [OmegaConf.to_yaml(config) for config in found] == [OmegaConf.to_yaml(expected)] * 2


def test_composed_config_is_a_copy_and_an_unknown_key_raises_an_error() -> None:
    compose("network.hidden=[9]").network.hidden = [3]
    assert compose("network.hidden=[9]").network.hidden == [9]
    with pytest.raises(HydraException, match="hiden"):
        compose("network.hiden=[9]")
