"""The random streams against the published numbers of SplitMix64."""

import numpy as np
import torch

from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.random import _GAMMA, UniformStream, splitmix64


def test_splitmix64_gives_the_published_sequence() -> None:
    """Seed 1234567, as in the reference implementation's test vectors."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    counter = torch.tensor(1234567)
    found = []
    for _ in expected:
        counter = counter + _GAMMA
        found.append(int(splitmix64(counter)) % 2**64)
    assert found == expected


def test_numbers_are_uniform_and_differ_between_lifetimes() -> None:
    together = UniformStream(Lifetimes([5, 6]))
    alone = UniformStream(Lifetimes(6))
    draws = torch.stack([together.draw() for _ in range(4000)])
    assert torch.equal(draws[:, 1], torch.stack([alone.draw() for _ in range(4000)]))
    assert 0 <= draws.min() and draws.max() < 1
    counts = np.histogram(draws.numpy(), bins=20, range=(0, 1))[0]
    assert abs(counts - 400).max() < 100  # five standard deviations
    assert abs(np.corrcoef(draws.T.numpy())[0, 1]) < 0.08


def test_restored_stream_continues_identically() -> None:
    stream = UniformStream(Lifetimes(3))
    stream.draw()
    saved = {name: value.clone() for name, value in stream.state_dict().items()}
    expected = [float(stream.draw()) for _ in range(3)]
    other = UniformStream(Lifetimes(9))
    other.load_state_dict(saved)
    assert [float(other.draw()) for _ in range(3)] == expected


def test_many_draws_equal_single_draws() -> None:
    for seeds in (3, [3, 4]):
        one, other = UniformStream(Lifetimes(seeds)), UniformStream(Lifetimes(seeds))
        many = one.draw_many(5)
        assert torch.equal(many, torch.stack([other.draw() for _ in range(5)], -1))
        assert torch.equal(one.counter, other.counter)
        assert torch.equal(one.draw(), other.draw())


def test_purpose_0_gives_the_stream_without_a_purpose() -> None:
    """The first numbers of seed 3, as in versions without purposes."""
    start = splitmix64(torch.tensor(3) + _GAMMA)
    assert torch.equal(UniformStream(Lifetimes(3)).counter, start)
    assert torch.equal(UniformStream(Lifetimes(3), 0).counter, start)


def test_streams_of_other_purposes_and_seeds_are_uncorrelated() -> None:
    seeds = list(range(30))
    draws = torch.cat([UniformStream(Lifetimes(seeds), purpose).draw_many(2000) for purpose in range(4)])
    assert len(draws.unique()) == draws.numel()
    correlations = np.corrcoef(draws.numpy())[np.triu_indices(len(draws), 1)]
    assert abs(correlations).max() < 5 / np.sqrt(2000)  # of 7,140 pairs, five standard deviations
