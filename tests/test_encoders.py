"""What enters the network."""

import numpy as np
import pytest
import torch

from tracerl.checks import ConfigError
from tracerl.encoders import Contrast, Raw
from tracerl.lives import Lives


def test_raw_without_normalisation_is_the_observation_in_the_agents_dtype() -> None:
    encoder = Raw(normalize=False, clip=10.0).build(3, Lives(0, torch.float32))
    observation = torch.tensor([1.0, -2.0, 1e5], dtype=torch.float64)
    assert encoder.n_out == 3
    assert encoder(observation).dtype == torch.float32
    assert encoder(observation).tolist() == [1.0, -2.0, 1e5]


def test_contrast_by_hand() -> None:
    encoder = Contrast(normalize=False, clip=10.0, trace_decay=0.75).build(1, Lives(0, torch.float64))
    assert encoder.n_out == 2
    found = [
        encoder(torch.tensor([value], dtype=torch.float64), first=i in (0, 3)).tolist()
        for i, value in enumerate([4.0, 8.0, 8.0, 100.0, 101.0])
    ]
    assert found == [[4.0, 0.0], [8.0, 4.0], [8.0, 3.0], [100.0, 0.0], [101.0, 1.0]]


def test_contrast_starts_anew_only_in_the_lives_that_begin() -> None:
    encoder = Contrast(normalize=False, clip=10.0, trace_decay=0.5).build(1, Lives([0, 1], torch.float64))
    encoder(torch.tensor([[1.0], [2.0]], dtype=torch.float64), first=True)
    found = encoder(torch.tensor([[5.0], [9.0]], dtype=torch.float64), first=torch.tensor([True, False]))
    assert found.tolist() == [[5.0, 0.0], [9.0, 7.0]]


def test_contrast_standardises_both_halves() -> None:
    rng = np.random.default_rng(0)
    encoder = Contrast(normalize=True, clip=10.0, trace_decay=0.5).build(1, Lives(0, torch.float64))
    walk = np.cumsum(rng.normal(size=3000)) * 100
    codes = torch.stack([encoder(torch.tensor([o], dtype=torch.float64), first=i == 0) for i, o in enumerate(walk)])
    assert 0.5 < codes[500:, 1].std() < 2.0


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (dict(normalize=1, clip=10.0, trace_decay=0.5), "normalize"),
        (dict(normalize=True, clip=0.0, trace_decay=0.5), "clip"),
        (dict(normalize=True, clip=10.0, trace_decay=1.0), "trace_decay"),
    ],
)
def test_bad_settings_name_their_key(settings: dict, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{key} must be"):
        Contrast(**settings)
