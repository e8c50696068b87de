"""Event files, read back by TensorBoard's own reader."""

from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar
from tensorboard.plugins.hparams import metadata, plugin_data_pb2

from tracerl.layout import SPREAD
from tracerl.lifetime import Diverged
from tracerl.logger import LoggedRun, Silent, TensorBoard
from tracerl.stats import Record


class Numbers:
    """An agent with one number to show."""

    def __init__(self, value: float = 1.5) -> None:
        self.value = value

    def diagnostics(self) -> dict[str, float]:
        return {"learn/td_error": self.value}


def log_two_points(folder: Path) -> None:
    log = TensorBoard(every=10).open(
        LoggedRun(folder, {"agent.discount": 0.99, "agent.on": True, "net": [3, 4]}, "steps: 3\n")
    )
    record = Record()
    for _ in range(2):
        for _ in range(10):
            record.add(1.0)
        record.end_episode()
        log.look([record], Numbers())
        log.look([record], Numbers())  # the end of a life may fall on the schedule
    log.close(success=True)


def test_curves_read_back_by_tensorboard(tmp_path: Path) -> None:
    log_two_points(tmp_path)
    events = EventAccumulator(str(tmp_path)).Reload()
    tags = {"learn/td_error", "rollout/ep_rew_mean", "rollout/ep_len_mean", "rollout/reward_rate", "time/fps"}
    assert set(events.Tags()["scalars"]) == tags
    points = events.Scalars("rollout/ep_rew_mean")
    assert [(point.step, point.value) for point in points] == [(10, 10.0), (20, 10.0)]
    assert [point.value for point in events.Scalars("rollout/reward_rate")] == [1.0, 1.0]
    assert "steps: 3" in events.Tensors("config")[0].tensor_proto.string_val[0].decode()
    assert len(list(tmp_path.iterdir())) == 1


def test_hyperparameters_stand_in_the_same_run(tmp_path: Path) -> None:
    log_two_points(tmp_path)
    content = EventAccumulator(str(tmp_path)).Reload().summary_metadata
    start = plugin_data_pb2.HParamsPluginData.FromString(
        content[metadata.SESSION_START_INFO_TAG].plugin_data.content
    ).session_start_info
    assert start.hparams["agent.discount"].number_value == 0.99
    assert start.hparams["agent.on"].bool_value is True
    assert start.hparams["net"].string_value == "[3, 4]"
    assert metadata.SESSION_END_INFO_TAG in content


def test_events_are_on_disk_before_the_run_ends(tmp_path: Path) -> None:
    log = TensorBoard(every=1).open(LoggedRun(tmp_path))
    record = Record()
    record.add(1.0)
    log.look([record], Numbers())
    assert EventAccumulator(str(tmp_path)).Reload().Scalars("learn/td_error")[0].value == 1.5
    log.close(success=True)


def test_a_full_disk_costs_one_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = TensorBoard(every=1).open(LoggedRun(tmp_path))
    log._events._file.close()
    log._events._file = open("/dev/full", "wb")  # noqa: SIM115
    record = Record()
    for _ in range(3):
        record.add(1.0)
        log.look([record], Numbers())
    log.close(success=True)
    warnings = capsys.readouterr().err
    assert warnings.count("warning: cannot write") == 1
    assert "the life goes on" in warnings


def test_a_number_that_is_not_finite_stops_the_life(tmp_path: Path) -> None:
    log = TensorBoard(every=1).open(LoggedRun(tmp_path))
    record = Record()
    record.add(1.0)
    with pytest.raises(Diverged, match="learn/td_error is nan after 1 steps"):
        log.look([record], Numbers(float("nan")))
    log.close(success=False)


def test_many_lives_are_a_band_around_their_interquartile_mean(tmp_path: Path) -> None:
    log = TensorBoard(every=10).open(LoggedRun(tmp_path, lifetimes=5))
    records = [Record(life=life) for life in range(5)]
    log.look(records, Numbers())  # nothing lived yet: nothing to write
    for record in records:
        record.add(float(record.life))
    log.look(records, Numbers())  # no episode has ended
    for record in records:
        record.end_episode()
        record.add(0.0)
    log.look(records, Numbers())
    log.close(success=True)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [point.step for point in events.Scalars("time/fps")] == [1, 2]
    found = {tag: events.Scalars(f"lives/return_{tag}")[0].value for tag in ("iqm", "ci_low", "ci_high")}
    assert found["iqm"] == 2.0
    assert 0 <= found["ci_low"] < 2.0 < found["ci_high"] <= 4.0
    assert events.Scalars("rollout/ep_rew_mean")[0].value == 2.0
    layout = layout_pb2.Layout.FromString(
        events.Tensors(custom_scalar.CONFIG_SUMMARY_TAG)[-1].tensor_proto.string_val[0]
    )
    (series,) = layout.category[0].chart[0].margin.series
    assert (series.value, series.lower, series.upper) == SPREAD


def test_silence_writes_nothing(tmp_path: Path) -> None:
    assert Silent().open(LoggedRun(tmp_path)) is None
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_goes_on_drops_what_came_after_its_checkpoint_and_is_one_curve(tmp_path: Path) -> None:
    settings, records = TensorBoard(every=10), [Record()]

    def on(log: Any, steps: range) -> None:
        for _ in steps:
            for _ in range(10):
                records[0].add(1.0)
            records[0].end_episode()
            log.look(records, Numbers(float(records[0].step)))

    log = settings.open(LoggedRun(tmp_path, {"agent.discount": 0.99}, "steps: 3\n"))
    on(log, range(2))
    place, step = log.place(), records[0].step
    on(log, range(3))
    log.close(success=False)
    records = [Record()]
    for _ in range(step):
        records[0].add(1.0)
    second = settings.open(LoggedRun(tmp_path, {"agent.discount": 0.99}, "steps: 3\n", place=place))
    second.look(records, Numbers(-1.0))  # that step was logged
    on(second, range(2))
    second.close(success=True)
    assert len(list(tmp_path.glob("events*"))) == 1
    found = EventAccumulator(str(tmp_path)).Reload()
    points = found.Scalars("learn/td_error")
    assert [(point.step, point.value) for point in points] == [(10, 10.0), (20, 20.0), (30, 30.0), (40, 40.0)]
    assert len(found.summary_metadata) == len(set(found.summary_metadata))


def test_a_checkpoint_made_before_the_last_event_leaves_it_to_be_logged(tmp_path: Path) -> None:
    """At the end of a run the checkpoint comes first; one that is killed in between logs its last step after all."""
    settings, record = TensorBoard(every=10), Record()
    log = settings.open(LoggedRun(tmp_path))
    for _ in range(13):
        record.add(1.0)
        if record.step == 10:
            log.look([record], Numbers(1.0))
    place = log.place()
    second = settings.open(LoggedRun(tmp_path, place=place))
    second.look([record], Numbers(2.0))
    log.close(success=False)
    second.close(success=True)
    points = EventAccumulator(str(tmp_path)).Reload().Scalars("learn/td_error")
    assert [(point.step, point.value) for point in points][:2] == [(10, 1.0), (13, 2.0)]
