"""The random streams against the published numbers of SplitMix64."""

import numpy as np
import pytest
import torch

from tracerl.lives import Lives
from tracerl.streams import _GAMMA, UniformStream, splitmix64


def test_splitmix64_gives_the_published_sequence() -> None:
    """Seed 1234567, as in the reference implementation's test vectors."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    counter = torch.tensor(1234567)
    found = []
    for _ in expected:
        counter = counter + _GAMMA
        found.append(int(splitmix64(counter)) % 2**64)
    assert found == expected


def test_numbers_are_uniform_and_each_life_has_its_own() -> None:
    together = UniformStream(Lives([5, 6]))
    alone = UniformStream(Lives(6))
    draws = torch.stack([together.draw() for _ in range(4000)])
    assert torch.equal(draws[:, 1], torch.stack([alone.draw() for _ in range(4000)]))
    assert 0 <= draws.min() and draws.max() < 1
    counts = np.histogram(draws.numpy(), bins=20, range=(0, 1))[0]
    assert abs(counts - 400).max() < 100  # five standard deviations
    assert abs(np.corrcoef(draws.T.numpy())[0, 1]) < 0.08


def test_a_restored_stream_goes_on_where_it_was() -> None:
    stream = UniformStream(Lives(3))
    stream.draw()
    saved = {name: value.clone() for name, value in stream.state_dict().items()}
    expected = [float(stream.draw()) for _ in range(3)]
    other = UniformStream(Lives(9))
    other.load_state_dict(saved)
    assert [float(other.draw()) for _ in range(3)] == expected


@pytest.mark.parametrize("seeds", [3, [3, 4]])
def test_many_numbers_at_once_are_those_of_single_draws(seeds: int | list[int]) -> None:
    one_by_one, at_once = UniformStream(Lives(seeds)), UniformStream(Lives(seeds))
    expected = torch.stack([one_by_one.draw() for _ in range(7)], -1)
    assert torch.equal(torch.cat([at_once.draw_many(4), at_once.draw_many(3)], -1), expected)
    assert torch.equal(at_once.draw(), one_by_one.draw())
