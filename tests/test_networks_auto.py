"""The network that is chosen by the shape of the observations."""

from typing import Any

import pytest
from tracerl.agents.reflect import ReflectAgent

from tests.helpers import make_agent
from tests.toy_envs import Space
from tracerl.config.hydra_compat import NotBuilt
from tracerl.nn.layers import ConvolutionalSynapses

AUTO = "network=auto"


def synapses(agent: ReflectAgent) -> list[Any]:
    return [layer.synapses for layer in agent.policy.network.layers]


@pytest.mark.parametrize(
    ("shape", "kernels", "n_in", "choice"),
    [
        (4, [], 4, "dense 128 (no image, network=auto)"),
        ((3, 12), [], 36, "dense 128 (no image, network=auto)"),
        ((10, 10, 4), [3], 16 * 8 * 8, "16 of 3x3, dense 128 (images of 10x10, network=auto)"),
        ((9, 8), [3], 16 * 7 * 6, "16 of 3x3, dense 128 (images of 9x8, network=auto)"),
        (
            (4, 84, 84),
            [8, 4, 3],
            64 * 2 * 2,
            "32 of 8x8, 64 of 4x4, 64 of 3x3, dense 256 (images of 84x84, network=auto)",
        ),
    ],
)
def test_images_have_convolutions(shape: Any, kernels: list[int], n_in: int, choice: str) -> None:
    agent = make_agent(Space(shape, 3), AUTO, "encoder=raw")
    *convolutions, dense = synapses(agent)
    assert [part.kernel for part in convolutions] == kernels
    assert dense.n_in == n_in and not isinstance(dense, ConvolutionalSynapses)
    assert agent.network_choice == choice


def test_vectors_have_the_default_network() -> None:
    auto, default = (make_agent(Space(4, 3), network) for network in (AUTO, "network=normalized"))
    assert (auto.policy.network.flat == default.policy.network.flat).all()
    assert type(auto.policy.network.credit) is type(default.policy.network.credit)
    assert default.network_choice is None


def test_features_of_an_image_are_further_channels() -> None:
    first = synapses(make_agent(Space((10, 10, 4), 3), AUTO, "encoder=contrast"))[0]
    assert first.in_shape == (12, 10, 10) and first.codes == 3


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("network.large=1", "large must be settings"),
        ("+network.large.width=3", "large.width does not exist"),
        ("network.large.channels=[0]", "large.channels must be"),
        ("network.hidden=[]", "hidden must be a list of layer widths"),
    ],
)
def test_invalid_settings_raise_an_error_naming_the_key(override: str, problem: str) -> None:
    with pytest.raises(NotBuilt, match=problem):
        make_agent(Space(4, 3), AUTO, override)
