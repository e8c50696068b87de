"""The helpers of the tests."""

import hydra
import pytest
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
def test_values_set_on_a_copy_equal_what_hydra_composes(line: tuple[str, ...]) -> None:
    with hydra_compat.configs("tracerl.configs"):
        expected = hydra.compose("run", open_keys(list(line)))
    assert OmegaConf.to_yaml(compose(*line)) == OmegaConf.to_yaml(expected)


def test_composed_config_is_a_copy_and_an_unknown_key_raises_an_error() -> None:
    compose("network.hidden=[9]").network.hidden = [3]
    assert compose("network.hidden=[9]").network.hidden == [9]
    with pytest.raises(HydraException, match="hiden"):
        compose("network.hiden=[9]")
