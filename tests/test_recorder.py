"""A recording holds only the newest steps, in order."""

import numpy as np
import pytest

import tracerl
from tracerl.config.checks import ConfigError
from tracerl.nn.views import View, view
from tracerl.recording.recorder import Recorder

NOTHING = View((), None, None, None, None, None)


def test_recorder_keeps_the_newest_steps() -> None:
    env = tracerl.make_env("CartPole")
    agent = tracerl.make_agent(env, settings={"network.hidden": [8], "agent.critic": None, "engine": "torch"})
    recorder, rewards, spikes, ended = Recorder(30), [], [], []
    for step in tracerl.live(agent, env, 50):
        recorder.add(view(agent), step)
        rewards.append(step.reward)
        ended.append(step.last)
        spikes.append(agent.policy.network.layers[0].spikes.numpy().copy())
    found = recorder.recording()
    assert len(found) == len(recorder) == 30
    assert [layer.name for layer in found.layers] == ["policy_0", "value_0"]
    np.testing.assert_array_equal(found.layers[0].spikes, spikes[-30:])
    assert found.layers[0].membrane.shape == found.layers[0].threshold.shape == (30, 8)
    assert found.layers[0].rate.shape == (8,)
    np.testing.assert_array_equal(found.reward, rewards[-30:])
    np.testing.assert_array_equal(found.ended, ended[-30:])
    assert found.probabilities is not None and found.value is not None and found.td_error is not None
    np.testing.assert_allclose(found.probabilities.sum(-1), 1, rtol=1e-5)
    assert found.value.shape == found.td_error.shape == (30,)


def test_restored_views_are_in_order() -> None:
    env = tracerl.make_env("CartPole")
    agent = tracerl.make_agent(
        env, settings={"network.hidden": [8] * 11, "engine": "torch"}
    )  # policy_10 after policy_9
    recorder, other = Recorder(5), Recorder(5)
    for _ in tracerl.live(agent, env, 6):
        recorder.add(view(agent))
    other.restore(dict(sorted(recorder.capture().items())))
    one, same = recorder.recording(), other.recording()
    assert [layer.name for layer in same.layers] == [layer.name for layer in one.layers]
    for mine, theirs in zip(one.layers, same.layers, strict=True):
        np.testing.assert_array_equal(theirs.membrane, mine.membrane)
        np.testing.assert_array_equal(theirs.rate, mine.rate)
    np.testing.assert_array_equal(same.value, one.value)
    np.testing.assert_array_equal(same.probabilities, one.probabilities)
    other.restore({})
    assert len(other) == 0


def test_views_that_were_not_recorded_are_none() -> None:
    recorder = Recorder(2)
    recorder.add(NOTHING)
    found = recorder.recording()
    assert (found.layers, found.value, found.reward, found.ended, len(found)) == ([], None, None, None, 0)


def test_empty_recorder_and_invalid_length_raise_an_error() -> None:
    recorder = Recorder(1)
    recorder.add(NOTHING)
    recorder.clear()
    with pytest.raises(ValueError, match="nothing was recorded"):
        recorder.recording()
    with pytest.raises(ConfigError, match="length must be"):
        Recorder(0)
