"""Statistics of a lifetime and over lifetimes."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tracerl.config.checks import ConfigError
from tracerl.lifetime.record import Marker, Milestone, Record, VectorStatistics, capture_records, restore_records
from tracerl.lifetime.statistics import bootstrap_interval, interquartile_mean
from tracerl.runs.summary import Outcome, closing_lines, summarize, write_json


def record_of(returns: list[float], milestones: tuple[str, ...] = ()) -> Record:
    record = Record([Milestone.parse(name) for name in milestones])
    for value in returns:
        record.add(value)
        record.end_episode()
    return record


def test_milestone_needs_its_whole_window() -> None:
    record = record_of([100.0] * 19, ("w20>=50", "w100>=50"))
    assert [m.reached_at for m in record.milestones] == [None, None]
    record.add(100.0)
    record.end_episode()
    assert [m.reached_at for m in record.milestones] == [20, None]


def test_milestone_keeps_the_first_step() -> None:
    record = record_of([0.0, 2.0, 2.0, -50.0, 2.0, 2.0], ("w2>=2",))
    assert record.milestones[0].reached_at == 3


@pytest.mark.parametrize("name", ["w20", "20>=5", "w0>=5", "w101>=5", "w20>5", "w20>=x", ""])
def test_invalid_milestones_raise_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match="milestones must look like"):
        Milestone.parse(name)


def test_number_of_stored_returns_is_bounded() -> None:
    record = record_of([float(i) for i in range(1000)])
    assert len(record.returns) == 100
    assert record.mean_return() == pytest.approx(np.mean(np.arange(900, 1000)))
    assert record.mean_return(10) == pytest.approx(np.mean(np.arange(990, 1000)))


def test_mean_of_no_returns_is_nan() -> None:
    assert math.isnan(Record().mean_return(partial=True))
    assert math.isnan(record_of([1.0]).mean_return())
    assert record_of([1.0]).mean_return(partial=True) == 1.0


def marked(rewards: np.ndarray, ends: int) -> Record:
    """Return the record of these rewards, marked as in a run, with an end of episode every ``ends`` steps."""
    record, marker = Record(), Marker()
    for step, reward in enumerate(rewards.tolist(), 1):
        record.add(reward)
        if step % ends == 0:
            record.end_episode()
        if step % marker.every == 0:
            marker.call([record], None)
    marker.call([record], None)
    return record


def test_reward_rate_is_over_the_last_10_000_steps() -> None:
    rewards = np.random.default_rng(0).normal(size=25_000)
    for ends in (100, 333, 10**9):
        assert marked(rewards, ends).reward_rate() == pytest.approx(rewards[-10_000:].mean())
    assert len(marked(rewards, 7).marks) == 11
    odd = marked(rewards[:12_345], 50)
    assert odd.reward_rate() == pytest.approx(rewards[odd.marks[0][0] : 12_345].mean())
    assert 9_000 <= 12_345 - odd.marks[0][0] <= 11_000


def test_reward_rate_of_a_short_lifetime_is_over_all_steps() -> None:
    assert math.isnan(Record().reward_rate())
    assert marked(np.array([1.0, 2.0, 6.0]), 2).reward_rate() == 3.0


@pytest.mark.parametrize(
    ("values", "expected"),
    [([5.0], 5.0), ([0.0, 1.0, 2.0, 99.0], 1.5), ([1.0, 2.0, 3.0], 2.0), ([0.0, 10.0, 20.0, 30.0, 1000.0], 20.0)],
)
def test_interquartile_mean_by_hand(values: list[float], expected: float) -> None:
    assert interquartile_mean(values) == pytest.approx(expected)


def test_interquartile_mean_cuts_a_quarter_at_each_end() -> None:
    values = np.random.default_rng(0).normal(size=400)
    assert interquartile_mean(list(values)) == pytest.approx(np.sort(values)[100:300].mean())


def test_bootstrap_interval_covers_the_mean_and_narrows_with_more_lifetimes() -> None:
    rng = np.random.default_rng(0)
    few, many = rng.normal(10, 1, 8), rng.normal(10, 1, 200)
    low, high = bootstrap_interval(list(many))
    assert low < 10 < high
    assert high - low < 0.6 * (bootstrap_interval(list(few))[1] - bootstrap_interval(list(few))[0])
    assert bootstrap_interval([3.0, 3.0]) == (3.0, 3.0)


def test_vector_statistics_equal_the_records_of_each_lifetime() -> None:
    rng = np.random.default_rng(0)
    alone, together = [Record(lifetime=i) for i in range(3)], [Record(lifetime=i) for i in range(3)]
    statistics = VectorStatistics(together)
    for _ in range(200):
        rewards, counted = rng.normal(size=3), rng.random(3) < 0.8
        ended = counted & (rng.random(3) < 0.1)
        statistics.add(rewards, counted, ended)
        for i in np.flatnonzero(counted):
            alone[i].add(rewards[i])
            if ended[i]:
                alone[i].end_episode()
    assert statistics.records() == alone
    assert statistics.step() == min(record.step for record in alone)


OUTCOME = Outcome("E", "a", "torch", "cpu", 0, 2.0, "finished")


def test_summary_of_one_lifetime_has_no_interval() -> None:
    summary = summarize(OUTCOME, [record_of([1.0, 3.0], ("w2>=2", "w2>=9"))])
    assert summary["return_last100"] == {"mean": 2.0, "iqm": 2.0, "ci_low": None, "ci_high": None, "per_life": [2.0]}
    assert summary["milestones"] == {"w2>=2": [2], "w2>=9": [None]}
    assert summary["steps_per_second"] == 1.0
    assert summary["peak_rss_mb"] > 10


def test_summary_of_many_lifetimes_and_its_text() -> None:
    returns = [[1.0, 3.0], [9.0, 9.0], [5.0, 7.0], [2.0, 2.0]]
    summary = summarize(OUTCOME, [record_of(values, ("w2>=2", "w2>=6", "w2>=99")) for values in returns])
    found = summary["return_last100"]
    assert (found["per_life"], found["mean"], found["iqm"]) == ([2.0, 9.0, 6.0, 2.0], 4.75, 4.0)
    assert 2.0 <= found["ci_low"] < 4.0 < found["ci_high"] <= 9.0
    assert summary["milestones"]["w2>=6"] == [None, 2, 2, None]
    assert (summary["lifetimes"], summary["steps"], summary["episodes"], summary["steps_per_second"]) == (4, 2, 8, 4.0)
    lines = closing_lines(summary, Path("runs/x"))
    assert lines[0] == "finished: E a seeds 0-3, 4 lifetimes of 2 steps, 8 episodes, 2.0 s (4 steps/s)"
    assert lines[1].startswith("mean return of the last 100 episodes: 4.00 (IQM over lifetimes; 95% interval 2.00 to ")
    assert lines[2:5] == [
        "w2>=2: reached by 4 of 4 lifetimes, median step 2",
        "w2>=6: reached by 2 of 4 lifetimes, median step 2",
        "w2>=99: reached by 0 of 4 lifetimes",
    ]


def test_summary_of_two_lifetimes_has_no_interval() -> None:
    summary = summarize(OUTCOME, [record_of([1.0, 3.0], ()), record_of([4.0, 4.0], ())])
    found = summary["return_last100"]
    assert (found["iqm"], found["ci_low"], found["ci_high"]) == (3.0, None, None)
    line = closing_lines(summary, Path("runs/x"))[1]
    assert line.endswith(": 3.00 (IQM over lifetimes; no interval: fewer than 3; lifetimes 2.00 to 4.00)")


def test_summary_is_written_completely_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "summary.json"
    write_json(path, {"steps": 1})

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tracerl.runs.disk.sync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_json(path, {"steps": 2})
    assert json.loads(path.read_text()) == {"steps": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_text_of_a_lifetime_without_episodes_has_its_reward_rate() -> None:
    lifetimes = [Record(), Record(lifetime=1)]
    for record, reward in zip(lifetimes, (-1.0, -3.0), strict=True):
        record.add(reward)
        record.add(0.0)
    summary = summarize(OUTCOME, lifetimes)
    assert summary["reward_rate_last10000"]["per_life"] == [-0.5, -1.5]
    line = closing_lines(summary, Path("runs/x"))[1]
    assert line.startswith(
        "mean return of the last 100 episodes: no episode ended; mean reward of the last 10,000 steps: -1.00000 (IQM"
    )
    alone = closing_lines(summarize(OUTCOME, lifetimes[:1]), Path("runs/x"))[1]
    assert alone.endswith("mean reward of the last 10,000 steps: -0.50000")
    assert closing_lines(summarize(OUTCOME, [Record()]), Path("runs/x"))[1].endswith("no episode ended")


def test_summary_of_a_lifetime_without_an_ended_episode() -> None:
    summary = summarize(OUTCOME, [Record()])
    assert summary["return_last100"] == {"mean": None, "iqm": None, "ci_low": None, "ci_high": None, "per_life": [None]}


def test_records_round_trip_bit_identically() -> None:
    def lifetimes() -> list[Record]:
        return [Record([Milestone.parse("w2>=1"), Milestone.parse("w1>=99")], lifetime) for lifetime in range(2)]

    records, rng = lifetimes(), np.random.default_rng(0)
    for step in range(2500):
        for record in records:
            record.add(float(rng.normal()) + record.lifetime)
            if rng.random() < 0.01:
                record.end_episode()
            if step % 1000 == 0:
                record.mark()
    restored = lifetimes()
    state = {name: array.copy() for name, array in capture_records(records).items()}
    restore_records(restored, state)
    for record, copied in zip(records, restored, strict=True):
        assert copied == record and type(copied.step) is int and type(copied.earned) is float
        for _ in range(3):
            for one in (record, copied):
                one.add(0.1)
                one.end_episode()
                one.mark()
        assert copied == record and copied.reward_rate() == record.reward_rate()
