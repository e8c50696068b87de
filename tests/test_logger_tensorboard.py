"""Event files, read by TensorBoard's reader."""

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from google.protobuf import json_format
from PIL import Image
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar
from tensorboard.plugins.hparams import backend_context, metadata, plugin_data_pb2
from tensorboard.util.tensor_util import make_ndarray

import tracerl
from tracerl.config.checks import ConfigError
from tracerl.lifetime.record import Milestone, Record
from tracerl.runs.logging.custom_scalars import SPREAD
from tracerl.runs.logging.tensorboard import LoggedRun, Silent, TensorBoard


class Numbers:
    """An agent with one diagnostic."""

    def __init__(self, value: float = 1.5) -> None:
        self.value = value

    def diagnostics(self) -> dict[str, float]:
        return {"learn/td_error": self.value}


def log_two_points(folder: Path) -> None:
    log = TensorBoard(every=10).open(
        LoggedRun(folder, {"agent.discount": 0.99, "agent.on": True, "net": [3, 4], "most": math.inf}, "steps: 3\n")
    )
    record = Record()
    for _ in range(2):
        for _ in range(10):
            record.add(1.0)
        record.end_episode()
        log.call([record], Numbers())
        log.call([record], Numbers())  # the end of a lifetime may be on the schedule
    log.close(success=True)


def test_curves_are_read_by_tensorboard(tmp_path: Path) -> None:
    log_two_points(tmp_path)
    events = EventAccumulator(str(tmp_path)).Reload()
    tags = {"learn/td_error", "rollout/ep_rew_mean", "rollout/ep_len_mean", "rollout/reward_rate", "time/fps"}
    assert set(events.Tags()["scalars"]) == tags
    points = events.Scalars("rollout/ep_rew_mean")
    assert [(point.step, point.value) for point in points] == [(10, 10.0), (20, 10.0)]
    assert [point.value for point in events.Scalars("rollout/reward_rate")] == [1.0, 1.0]
    assert "steps: 3" in events.Tensors("config")[0].tensor_proto.string_val[0].decode()
    assert len(list(tmp_path.iterdir())) == 1


def test_hyperparameters_are_in_the_same_run(tmp_path: Path) -> None:
    log_two_points(tmp_path)
    content = EventAccumulator(str(tmp_path)).Reload().summary_metadata
    start = plugin_data_pb2.HParamsPluginData.FromString(
        content[metadata.SESSION_START_INFO_TAG].plugin_data.content
    ).session_start_info
    assert start.hparams["agent.discount"].number_value == 0.99
    assert start.hparams["agent.on"].bool_value is True
    assert start.hparams["net"].string_value == "[3, 4]"
    assert "inf" in json_format.MessageToJson(start.hparams["most"])  # which TensorBoard sends to the page
    assert metadata.SESSION_END_INFO_TAG in content


def test_events_are_on_disk_before_the_run_ends(tmp_path: Path) -> None:
    log = TensorBoard(every=1).open(LoggedRun(tmp_path))
    record = Record()
    record.add(1.0)
    log.call([record], Numbers())
    assert EventAccumulator(str(tmp_path)).Reload().Scalars("learn/td_error")[0].value == 1.5
    log.close(success=True)


def test_full_disk_raises_one_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = TensorBoard(every=1).open(LoggedRun(tmp_path))
    events = log._writers.by_name["tensorboard"]._events
    events._file.close()
    events._file = open("/dev/full", "wb")  # noqa: SIM115
    record = Record()
    for _ in range(3):
        record.add(1.0)
        log.call([record], Numbers())
    log.close(success=True)
    warnings = capsys.readouterr().err
    assert warnings.count("warning: cannot write") == 1
    assert "the run continues" in warnings


def test_non_finite_numbers_are_written_unchanged_with_one_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = TensorBoard(every=1).open(LoggedRun(tmp_path))
    record = Record()
    for value in (1.0, np.nan, -np.inf, 2.0):
        record.add(1.0)
        log.call([record], Numbers(value))
    log.close(success=True)
    assert capsys.readouterr().err == "warning: the agent's learn/td_error is nan after 2 steps; the run continues\n"
    values = [point.value for point in EventAccumulator(str(tmp_path)).Reload().Scalars("learn/td_error")]
    np.testing.assert_array_equal(values, [1.0, np.nan, -np.inf, 2.0])


def test_many_lifetimes_are_an_interval_around_their_interquartile_mean(tmp_path: Path) -> None:
    log = TensorBoard(every=10).open(LoggedRun(tmp_path, lifetimes=5))
    records = [Record(lifetime=lifetime) for lifetime in range(5)]
    log.call(records, Numbers())  # no step: nothing to write
    for record in records:
        record.add(float(record.lifetime))
    log.call(records, Numbers())  # no episode has ended
    for record in records:
        record.end_episode()
        record.add(0.0)
    log.call(records, Numbers())
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


def test_two_lifetimes_have_no_interval(tmp_path: Path) -> None:
    log = TensorBoard(every=10).open(LoggedRun(tmp_path, lifetimes=2))
    records = [Record(lifetime=lifetime) for lifetime in range(2)]
    for record in records:
        record.add(float(record.lifetime))
        record.end_episode()
    log.call(records, Numbers())
    log.close(success=True)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Scalars(SPREAD[0])[0].value == 0.5 and not set(SPREAD[1:]) & set(events.Tags()["scalars"])


class Neurons(Numbers):
    """An agent with distributions, as ``view.Distributed``."""

    def distributions(self) -> dict[str, torch.Tensor]:
        return {"weights/policy_0": torch.tensor([-1.0, 0.0, 0.0, 5.0, torch.nan]), "decays/k": torch.tensor([0.5])}


def test_histograms_count_every_number_in_the_buckets_of_tensorboard(tmp_path: Path) -> None:
    log = TensorBoard(every=10, histograms_every=0.25).open(LoggedRun(tmp_path, steps=20))
    record, step = Record(), 0
    while (due := log.next_call(step)) <= 20:
        for _ in range(due - step):
            record.add(1.0)
        step = due
        log.call([record], Neurons())
    log.close(success=True)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.summary_metadata["weights/policy_0"].plugin_data.plugin_name == "histograms"
    points = events.Tensors("weights/policy_0")
    assert [point.step for point in points] == [1, 5, 10, 15, 20]
    rows = make_ndarray(points[0].tensor_proto)
    assert rows.shape == (30, 3) and rows.dtype == np.float64
    assert (rows[0, 0], rows[-1, 1], rows[:, 2].sum()) == (-1.0, 5.0, 4.0)
    np.testing.assert_allclose(rows[1:, 0], rows[:-1, 1])
    assert rows[0, 2] == rows[-1, 2] == 1 and rows[5, 2] == 2  # 0 begins the sixth
    same = make_ndarray(events.Tensors("decays/k")[0].tensor_proto)
    assert same[0, 0] < 0.5 < same[-1, 1] and same[:, 2].sum() == 1
    assert [point.step for point in events.Scalars("learn/td_error")] == [10, 20]


def test_images_are_png_files_of_the_declared_size(tmp_path: Path) -> None:
    env = tracerl.make_env("CartPole")
    agent = tracerl.make_agent(env, settings={"network.hidden": [4], "engine": "torch"})
    log = TensorBoard(every=100, pictures_every=20, picture_steps=10).open(LoggedRun(tmp_path))
    tracerl.live(agent, env, 45, callbacks=[log]).finish()
    log.close(success=True)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [point.step for point in events.Tensors("pictures/raster")] == [10, 20, 40]
    assert events.summary_metadata["pictures/raster"].plugin_data.plugin_name == "images"
    width, height, png = events.Tensors("pictures/raster")[0].tensor_proto.string_val
    with Image.open(io.BytesIO(png)) as image:
        assert image.size == (int(width), int(height))
    assert [point.step for point in events.Scalars("learn/td_error")] == [45]  # the last point, on any schedule


def test_last_point_is_written_when_an_image_ends_with_the_lifetime(tmp_path: Path) -> None:
    env = tracerl.make_env("CartPole")
    agent = tracerl.make_agent(env, settings={"network.hidden": [4], "engine": "torch"})
    log = TensorBoard(every=100, pictures_every=20).open(LoggedRun(tmp_path))
    tracerl.live(agent, env, 40, callbacks=[log]).finish()
    log.close(success=True)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [point.step for point in events.Scalars("learn/td_error")] == [40]
    assert [point.step for point in events.Tensors("pictures/raster")] == [20, 40]


def test_charts_are_declared_with_their_first_tag(tmp_path: Path) -> None:
    settings, record = TensorBoard(every=10), Record()
    log = settings.open(LoggedRun(tmp_path))
    for ends in (False, False, True, True):
        for _ in range(10):
            record.add(1.0)
        if ends:
            record.end_episode()
        log.call([record], Numbers())
    place = log.resume_offset()
    log.close(success=False)
    log = settings.open(LoggedRun(tmp_path, resume_offset=json.loads(json.dumps(place))))
    record.add(1.0)
    log.call_at_end([record], Numbers())
    log.close(success=True)
    events = EventAccumulator(str(tmp_path)).Reload()
    found = events.Tensors(custom_scalar.CONFIG_SUMMARY_TAG)
    assert [point.step for point in found] == [10, 30]
    first, last = (layout_pb2.Layout.FromString(point.tensor_proto.string_val[0]) for point in found)
    assert [category.title for category in first.category] == ["returns", "learning"]
    assert [len(layout.category[0].chart) for layout in (first, last)] == [1, 3]


def test_milestones_of_many_lifetimes_are_a_median_and_a_share(tmp_path: Path) -> None:
    names = ["w1>=3", "w1>=9"]
    log = TensorBoard(every=10).open(LoggedRun(tmp_path, lifetimes=3))
    records = [Record([Milestone.parse(name) for name in names], lifetime) for lifetime in range(3)]
    for record in records:
        for _ in range(record.lifetime + 2):
            record.add(1.0)
        record.end_episode()
    log.call(records, Numbers())
    log.close(success=True)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert "milestones/w1>=9" not in events.Tags()["scalars"]
    assert (
        events.Scalars("milestones/w1>=3")[0].value == 4.0
    )  # of the second lifetime, of 3 and 4; one did not reach it
    assert events.Scalars("milestones/w1>=3_lives")[0].value == pytest.approx(2 / 3)
    assert events.Scalars("milestones/w1>=9_lives")[0].value == 0.0


def test_settings_that_differ_come_first_in_the_hparams_page(tmp_path: Path) -> None:
    same = {f"agent.a{i}": i for i in range(8)}
    for name, entropy in (("first", 0.1), ("second", 0.2)):
        (tmp_path / name).mkdir()
        log = TensorBoard(every=10).open(LoggedRun(tmp_path / name, {**same, "network.entropy": entropy}))
        record = Record()
        record.add(1.0)
        log.call([record], Numbers())
        log.close(success=True)
    experiment = hparams_page(tmp_path)
    assert [info.name for info in experiment.hparam_infos[:2]] == ["network.entropy", "agent.a0"]
    assert [info.differs for info in experiment.hparam_infos] == [True] + [False] * 8
    assert "rollout/reward_rate" in [info.name.tag for info in experiment.metric_infos]


def hparams_page(folder: Path) -> Any:
    """Return the columns that TensorBoard's server gives to the HParams page."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
    provider = MultiplexerDataProvider(multiplexer, str(folder))
    context = backend_context.Context(TBContext(data_provider=provider, logdir=str(folder)))
    metadata_of_runs = context.hparams_metadata(RequestContext(), "0")
    return context.experiment_from_metadata(RequestContext(), "0", True, metadata_of_runs, [])


def test_only_learned_decays_have_histograms(tmp_path: Path) -> None:
    env = tracerl.make_env("CartPole")
    settings = {"network.hidden": [4], "engine": "torch", "network.learn_membrane_decay": True}
    for i, learns in enumerate((False, True)):
        made = tracerl.make_agent(env, settings={**settings, "network.learn_membrane_decay": learns})
        (tmp_path / str(i)).mkdir()
        log = TensorBoard(every=10, histograms_every=10).open(LoggedRun(tmp_path / str(i)))
        tracerl.live(made, env, 20, callbacks=[log]).finish()
        log.close(success=True)
        tags = set(EventAccumulator(str(tmp_path / str(i))).Reload().Tags()["tensors"])
        assert tags >= {"weights/policy_0", "traces/policy_0"}
        shown = {tag for tag in tags if tag.startswith(("decays/", "thresholds/"))}
        assert shown == ({"decays/policy_0_membrane", "decays/value_0_membrane"} if learns else set())


def test_invalid_schedules_raise_an_error_naming_the_key() -> None:
    for wrong in (0, -1, 1.5, True, "often", 0.0):
        for name in ("histograms_every", "pictures_every"):
            with pytest.raises(ConfigError, match=f"{name} must be env steps"):
                TensorBoard(every=1, **{name: wrong})
    with pytest.raises(ConfigError, match="picture_steps must be"):
        TensorBoard(every=1, picture_steps=0)


def test_text_page_explains_the_other_pages(tmp_path: Path) -> None:
    TensorBoard(every=1).open(LoggedRun(tmp_path)).close(success=True)
    text = EventAccumulator(str(tmp_path)).Reload().Tensors("about_these_pages")[0].tensor_proto.string_val[0].decode()
    assert "`pictures/raster`" in text


def test_logger_none_writes_nothing(tmp_path: Path) -> None:
    assert Silent().open(LoggedRun(tmp_path)) is None
    assert list(tmp_path.iterdir()) == []


def test_resumed_log_drops_events_after_its_checkpoint_and_is_one_curve(tmp_path: Path) -> None:
    settings, records = TensorBoard(every=10), [Record()]

    def on(log: Any, steps: range) -> None:
        for _ in steps:
            for _ in range(10):
                records[0].add(1.0)
            records[0].end_episode()
            log.call(records, Numbers(float(records[0].step)))

    log = settings.open(LoggedRun(tmp_path, {"agent.discount": 0.99}, "steps: 3\n"))
    on(log, range(2))
    place, step = log.resume_offset(), records[0].step
    on(log, range(3))
    log.close(success=False)
    records = [Record()]
    for _ in range(step):
        records[0].add(1.0)
    second = settings.open(LoggedRun(tmp_path, {"agent.discount": 0.99}, "steps: 3\n", resume_offset=place))
    second.call(records, Numbers(-1.0))  # that step was logged
    on(second, range(2))
    second.close(success=True)
    assert len(list(tmp_path.glob("events*"))) == 1
    found = EventAccumulator(str(tmp_path)).Reload()
    points = found.Scalars("learn/td_error")
    assert [(point.step, point.value) for point in points] == [(10, 10.0), (20, 20.0), (30, 30.0), (40, 40.0)]
    assert len(found.summary_metadata) == len(set(found.summary_metadata))


def test_last_event_after_the_checkpoint_is_logged_by_the_resumed_run(tmp_path: Path) -> None:
    """At the end of a run the checkpoint comes first; a run killed in between logs its last step when resumed."""
    settings, record = TensorBoard(every=10), Record()
    log = settings.open(LoggedRun(tmp_path))
    for _ in range(13):
        record.add(1.0)
        if record.step == 10:
            log.call([record], Numbers(1.0))
    place = log.resume_offset()
    second = settings.open(LoggedRun(tmp_path, resume_offset=place))
    second.call([record], Numbers(2.0))
    log.close(success=False)
    second.close(success=True)
    points = EventAccumulator(str(tmp_path)).Reload().Scalars("learn/td_error")
    assert [(point.step, point.value) for point in points][:2] == [(10, 1.0), (13, 2.0)]


def test_unreadable_partial_image_raises_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = TensorBoard(every=10, pictures_every=10)
    for kept in ({"other": np.zeros(2)}, {"ended": np.zeros(()), "episodes": np.zeros(3)}):
        settings.open(LoggedRun(tmp_path, kept=kept)).close(success=True)
        assert capsys.readouterr().err.count("warning: the unfinished picture is lost") == 1
