"""The encoder of contrasts and memory traces, by hand."""

import numpy as np
import torch

from tests.encoders import PLAIN, build, encode
from tracerl.nn.encoders import Contrast


def test_contrast_by_hand() -> None:
    encoder = build(Contrast(**PLAIN, trace_decay=0.75), 1)
    assert encoder.n_out == 2
    found = [encode(encoder, o, first=i in (0, 3)).tolist() for i, o in enumerate([4.0, 8.0, 8.0, 100.0, 101.0])]
    assert found == [[4.0, 0.0], [8.0, 4.0], [8.0, 3.0], [100.0, 0.0], [101.0, 1.0]]


def test_contrasts_of_several_traces_are_concatenated() -> None:
    encoder = build(Contrast(**PLAIN, trace_decay=[0.75, 0.0]), 2)
    assert encoder.n_out == 6
    assert encode(encoder, 4.0, 1.0, first=True).tolist() == [4.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert encode(encoder, 8.0, 1.0).tolist() == [8.0, 1.0, 4.0, 0.0, 4.0, 0.0]
    assert encode(encoder, 8.0, 2.0).tolist() == [8.0, 2.0, 3.0, 1.0, 0.0, 1.0]
    one, other = (build(Contrast(**PLAIN, trace_decay=decay), 1) for decay in (0.75, [0.75]))
    for observation in (3.0, -1.0, 2.5):
        assert torch.equal(encode(one, observation), encode(other, observation))


def test_memory_by_hand() -> None:
    encoder = build(Contrast(**PLAIN, trace_decay=0.0, memory_decay=[0.75, 0.5]), 1)
    found = [encode(encoder, o, first=i in (0, 2)).tolist() for i, o in enumerate([4.0, 8.0, 16.0])]
    assert found == [[4.0, 0.0, 1.0, 2.0], [8.0, 4.0, 2.75, 5.0], [16.0, 0.0, 4.0, 8.0]]
    alone = build(Contrast(**PLAIN, trace_decay=[], memory_decay=0.5), 1)
    assert [encode(alone, o, first=o == 4.0).tolist() for o in (4.0, 8.0)] == [[4.0, 2.0], [8.0, 5.0]]


def test_contrasts_and_memories_are_scaled_and_the_input_is_not() -> None:
    traces = dict(trace_decay=[0.0, 0.75], memory_decay=0.5)
    scaled, plain = (build(Contrast(**PLAIN, **traces, trace_scale=scale), 1) for scale in (0.25, 1.0))
    for i, observation in enumerate([4.0, 8.0, 16.0]):
        codes = encode(scaled, observation, first=i == 0), encode(plain, observation, first=i == 0)
        assert torch.equal(codes[0], codes[1] * torch.tensor([1.0, 0.25, 0.25, 0.25], dtype=codes[1].dtype))
    standardised = [build(Contrast(normalize=True, clip=1.0, **traces, trace_scale=scale), 1) for scale in (0.25, 1.0)]
    for observation in (0.0, 1.0, -2.0, 50.0):
        codes = encode(standardised[0], observation), encode(standardised[1], observation)
        torch.testing.assert_close(codes[0][1:], 0.25 * codes[1][1:], rtol=1e-6, atol=0)
    assert codes[0].abs().max() == 1 and codes[0][1:].abs().max() == 0.25  # the clip comes first


def test_slow_memory_is_scaled_to_the_size_of_its_input() -> None:
    """One step in fifty is not zero; at the last one it has decayed to .01 * .99^49 and its sign is kept."""
    rng = np.random.default_rng(0)
    encoder = build(Contrast(normalize=True, clip=10.0, trace_decay=0.0, memory_decay=0.99), 1)
    for _ in range(100):
        cue = rng.choice((-1.0, 1.0))
        codes = [encode(encoder, cue if step == 0 else 0.0, first=step == 0).tolist() for step in range(50)]
    assert 0.5 < codes[-1][2] * cue < 2.0 and abs(codes[-1][0]) < 0.1


def test_traces_reset_only_in_lifetimes_at_a_first_step() -> None:
    encoder = build(Contrast(**PLAIN, trace_decay=0.5, memory_decay=0.5), 1, seed=[0, 1])
    encode(encoder, [1.0], [2.0], first=True)
    found = encoder(torch.tensor([[5.0], [9.0]], dtype=torch.float64), first=torch.tensor([True, False]))
    assert found.tolist() == [[5.0, 0.0, 2.5], [9.0, 7.0, 5.0]]


def test_contrast_standardises_both_halves() -> None:
    rng = np.random.default_rng(0)
    encoder = build(Contrast(normalize=True, clip=10.0, trace_decay=0.5), 1)
    walk = np.cumsum(rng.normal(size=3000)) * 100
    codes = torch.stack([encode(encoder, o, first=i == 0) for i, o in enumerate(walk)])
    assert 0.5 < codes[500:, 1].std() < 2.0
