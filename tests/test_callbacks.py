"""Callbacks by event: their order, errors, state and cost, in every kind of run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tracerl
from tests.helpers import command
from tests.kills import same_bits
from tests.test_loggers import rows
from tracerl.config.checks import ConfigError
from tracerl.lifetime.callbacks import named
from tracerl.lifetime.record import Record
from tracerl.runs.launch import RunEnded

SMALL: dict[str, Any] = {"network.hidden": [4], "logger": "none", "steps": 60, "checkpoint.every": 25}
KINDS: dict[str, dict[str, Any]] = {
    "torch": {"engine": "torch"},
    "fused": {"engine": "fused"},
    "many": {"engine": "fused", "lifetimes": 2},
    "compiled": {"env.backend": "compiled", "lifetimes": 2},
}


class Recorded(tracerl.Callback):
    """Records all events but those of env steps."""

    def __init__(self, fail: str | None = None, stop: int | None = None) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self.fail, self.stop = fail, stop

    def note(self, run: tracerl.RunState, event: str, *values: Any) -> None:
        self.seen.append((event, run.step, *values))
        if event == self.fail:
            raise KeyError("no such thing")

    def on_start(self, run: tracerl.RunState) -> None:
        self.note(run, "start", run.steps)

    def on_episode_end(self, run: tracerl.RunState, episode: tracerl.Episode) -> None:
        assert run.records[episode.lifetime].episodes > 0
        if self.stop is not None and run.step >= self.stop:
            run.stop()
        self.note(run, "episode", *episode)

    def on_new_best(self, run: tracerl.RunState, mean_return: float) -> None:
        self.note(run, "best", mean_return)

    def on_checkpoint(self, run: tracerl.RunState, path: Path) -> None:
        assert (path / "manifest.json").is_file()
        self.note(run, "checkpoint", path.name)

    def on_end(self, run: tracerl.RunState, status: str) -> None:
        self.note(run, "end", status)

    def events(self, name: str) -> list[tuple[Any, ...]]:
        return [event[1:] for event in self.seen if event[0] == name]


class Stepping(Recorded):
    """Records the env steps too."""

    def on_step(self, run: tracerl.RunState) -> None:
        self.note(run, "step")


class Misspelt(Recorded):
    """Its event does not exist."""

    on_gpu = True  # no method

    def on_setp(self, run: tracerl.RunState) -> None: ...


class Waiting(tracerl.Callback):
    async def on_step(self, run: tracerl.RunState) -> None: ...


class Unset(tracerl.Callback):
    on_step = None  # type: ignore[assignment]


class Counting(tracerl.Callback):
    """Counts episodes, over all parts of a run."""

    def __init__(self, wrong: str | None = None) -> None:
        self.episodes, self.wrong = 0, wrong

    def on_episode_end(self, run: tracerl.RunState, episode: tracerl.Episode) -> None:
        self.episodes += 1
        run.log({"mine/episodes": self.episodes})

    def state_dict(self) -> Any:
        return {"episodes": {1, 2} if self.wrong == "set" else self.episodes}

    def load_state_dict(self, state: Any) -> None:
        self.episodes = state["episode" if self.wrong == "key" else "episodes"]


@pytest.mark.parametrize("kind", KINDS)
def test_events_come_in_order(kind: str, tmp_path: Path) -> None:
    callback = Stepping()
    summary = tracerl.launch({**SMALL, **KINDS[kind]}, tmp_path, callbacks=[callback])
    assert callback.seen[0] == ("start", 0, 60) and callback.seen[-1] == ("end", 60, "finished")
    assert [step for (step,) in callback.events("step")] == list(range(1, 61))
    assert callback.events("checkpoint") == [(step, f"step-{step:012}") for step in (25, 50, 60)]
    episodes = callback.events("episode")
    assert len(episodes) == summary["episodes"] > 1 and all(when == at for when, _, at, *_ in episodes)
    best = [mean for _, mean in callback.events("best")]
    assert best[0] == episodes[0][3] and best == sorted(set(best))
    order = ["start", "step", "episode", "best", "checkpoint", "end"]
    places = [(step, order.index(event)) for event, step, *_ in callback.seen]
    assert places == sorted(places)


@pytest.mark.parametrize("kind", ["many", "compiled"])
def test_episodes_are_told_once_without_stopping_at_every_step(kind: str, tmp_path: Path) -> None:
    callback, stepping = Recorded(), Stepping()
    for i, each in enumerate((callback, stepping)):
        tracerl.launch({**SMALL, **KINDS[kind], "checkpoint.every": 60}, tmp_path / str(i), callbacks=[each])
    ended = [sorted(values[1:] for values in each.events("episode")) for each in (callback, stepping)]
    assert ended[0] == ended[1]
    if kind == "compiled":  # with the step of the callback that is due next, and their own
        assert all(when >= at for when, _, at, *_ in callback.events("episode"))


@pytest.mark.parametrize("kind", KINDS)
def test_run_with_callbacks_is_bit_identical(kind: str, tmp_path: Path) -> None:
    states = []
    for i, callbacks in enumerate(([], [Stepping(), tracerl.Every(7, lambda record, agent: None)])):
        tracerl.launch({**SMALL, **KINDS[kind]}, tmp_path / str(i), callbacks=callbacks)
        states.append(tracerl.load(tmp_path / str(i)).checkpoint.parts["agent"])
    assert all(same_bits(tensor, states[1][name]) for name, tensor in states[0].items())


@pytest.mark.parametrize("kind", ["torch", "compiled"])
@pytest.mark.parametrize("event", ["start", "step", "episode", "best", "checkpoint", "end"])
def test_error_names_the_callback_after_a_checkpoint(
    event: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, failing = Recorded(), Stepping(fail=event)
    with pytest.raises(
        RunEnded, match=r"^failed: the callback Stepping\.on_\w+ \(callbacks\.Stepping\) after "
    ) as raised:
        tracerl.launch({**SMALL, **KINDS[kind]}, tmp_path, callbacks=[other, failing])
    assert "failed: KeyError: 'no such thing' (traceback in" in str(raised.value)
    summary = json.loads((tmp_path / "summary.json").read_text())
    step = {"start": 0, "step": 1, "checkpoint": 25, "end": 60}.get(event, summary["steps"])
    assert (summary["status"], summary["steps"]) == ("failed", step)
    assert "KeyError" in (tmp_path / "error.txt").read_text()
    assert failing.seen[-1][0] == event
    assert other.events("end") == [(step, "finished" if event == "end" else "failed")]
    if event != "start":
        assert tracerl.load(tmp_path).step == step


def test_run_that_a_callback_stopped_continues(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, first, second = Recorded(), Recorded(stop=20), Recorded()
    settings = {**SMALL, **KINDS["torch"]}
    tracerl.launch(settings, tmp_path / "whole", callbacks=[whole])
    summary = tracerl.launch(settings, tmp_path / "run", callbacks=[first])
    at = summary["steps"]
    assert summary["status"] == "finished" and 20 <= at < 60
    assert f"stopped by callbacks.Recorded after {at} steps" in capsys.readouterr().err
    tracerl.launch({**settings, "resume": True}, tmp_path / "run", callbacks=[second])
    assert second.seen[0] == ("start", at, 60)
    for event in ("episode", "best"):  # a best of the first part is none of the second
        assert first.events(event) + second.events(event) == whole.events(event)


def test_callback_of_a_yaml_keeps_its_state_and_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["engine=torch", "network.hidden=[4]", "logger=csv", "hydra.run.dir=run"]
    target = "callbacks.count._target_=tests.test_callbacks.Counting"
    assert command([*run, target, "steps=60"], monkeypatch, tmp_path) == 0
    assert command(["resume=run", "steps=90"], monkeypatch, tmp_path) == 2
    assert "callbacks.count._target_ is 'tests.test_callbacks.Counting': it comes from" in capsys.readouterr().err
    assert command(["resume=run", "steps=90", "--trust"], monkeypatch, tmp_path) == 0
    counted = [value for _, tag, value in rows(tmp_path / "run") if tag == "mine/episodes"]
    episodes = json.loads((tmp_path / "run" / "summary.json").read_text())["episodes"]
    assert counted == list(range(1, episodes + 1))


def test_wrong_state_is_named(tmp_path: Path) -> None:
    settings = {**SMALL, **KINDS["torch"]}
    with pytest.raises(RunEnded, match=r"Counting\.state_dict \(callbacks\.Counting\).* failed: TypeError"):
        tracerl.launch(settings, tmp_path / "set", callbacks=[Counting("set")])
    assert tracerl.load(tmp_path / "set").step == 25
    tracerl.launch(settings, tmp_path / "key", callbacks=[Counting()])
    with pytest.raises(ConfigError, match=r"^callbacks\.Counting does not take its state .*KeyError: 'episode'"):
        tracerl.launch({**settings, "steps": 70, "resume": True}, tmp_path / "key", callbacks=[Counting("key")])


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (3, "log must get numbers by tag, got 3"),
        ({"a": "b"}, "log must have a number for the tag 'a', got 'b'"),
        ({"a": np.zeros(2)}, "log must have a number for the tag 'a', got array"),
        ({"": 1}, "log must have tags of one line of text, got ''"),
        ({"a\nb": 1}, "log must have tags of one line of text, got 'a"),
    ],
)
def test_what_is_logged_must_be_numbers_by_tag(values: Any, problem: str) -> None:
    run = tracerl.RunState(None, [Record([])], 5, None)
    with pytest.raises(ConfigError, match=f"^{problem}"):
        run.log(values)
    run.log({"a": np.float32(1), "b": True, "c": torch.tensor(2.0)})


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("callbacks=3", "callbacks must be a mapping of names to callbacks, got 3"),
        ("callbacks.a=3", "callbacks.a must have a _target_, the class, got 3"),
        ("callbacks.a._target_=collections.Counter", "callbacks.a must be tracerl.Callback, tracerl.Every("),
        ("callbacks.a._target_=tests.test_callbacks.Nothing", "callbacks.a._target_ must name a class"),
        (
            "callbacks.a._target_=tests.test_callbacks.Misspelt",
            "callbacks.a must have no method on_setp, which is no event: on_start, on_step, on_episode_end, ",
        ),
        ("callbacks.a._target_=tests.test_callbacks.Waiting", "callbacks.a must have no async method on_step: nothing"),
        ("callbacks.a._target_=tests.test_callbacks.Unset", "callbacks.a must have a method on_step or none, got None"),
        ("callbacks.a={_target_:tests.test_callbacks.Recorded,x:1}", "callbacks.a.x does not exist. Keys of"),
    ],
)
def test_wrong_callback_is_named(
    line: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command([line, "engine=torch", "steps=20", "hydra.run.dir=run"], monkeypatch, tmp_path) == 2
    assert f"error: {problem}" in capsys.readouterr().err
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_live_tells_the_same_events(tmp_path: Path) -> None:
    run, live = Stepping(), Stepping()
    tracerl.launch({**SMALL, **KINDS["torch"], "seed": 3}, tmp_path, callbacks=[run])
    env = tracerl.make_env("CartPole")
    agent = tracerl.make_agent(env, settings={"network.hidden": [4], "engine": "torch"}, seed=3)
    tracerl.live(agent, env, 60, seed=3, callbacks=[live]).finish()
    assert live.seen == [event for event in run.seen if event[0] != "checkpoint"]


def test_live_continues_after_an_error_and_after_a_stop() -> None:
    env = tracerl.make_env("CartPole")
    agent = tracerl.make_agent(env, settings={"network.hidden": [4], "engine": "torch"})
    failing, stopping = Recorded(fail="episode"), Recorded(stop=30)
    lifetime = tracerl.live(agent, env, 60, callbacks=[failing])
    with pytest.raises(
        tracerl.CallbackFailed, match=r"the callback Recorded\.on_episode_end \(callbacks\.Recorded\)"
    ) as e:
        lifetime.finish()
    assert isinstance(e.value.__cause__, KeyError)
    at, failing.fail = lifetime.record.step, None
    assert 0 < at < 60 and lifetime.go_on(10).finish().step == 70
    assert failing.events("start") == [(0, 60), (at, 70)]
    stopped = tracerl.live(agent, env, 60, callbacks=[stopping])
    assert 30 <= stopped.finish().step < 60 and stopping.seen[-1][0::2] == ("end", "finished")
    with pytest.raises(tracerl.CallbackFailed, match=r"Every\.call \(callbacks\.Every\) after 5 steps"):
        tracerl.live(agent, env, 60, callbacks=[tracerl.Every(5, lambda record, agent: {}["x"])]).finish()


def test_interrupted_lifetime_ends_its_callbacks() -> None:
    env, callback = tracerl.make_env("CartPole"), Recorded()
    agent = tracerl.make_agent(env, settings={"network.hidden": [4], "engine": "torch"})
    lifetime = tracerl.live(agent, env, 60, callbacks=[callback])
    next(lifetime)
    lifetime.go_on(1).finish()
    assert callback.events("end") == [(1, "interrupted"), (61, "finished")]


def test_best_by_evaluation_is_told_after_the_evaluation(tmp_path: Path) -> None:
    callback = Recorded()
    settings = {**SMALL, **KINDS["torch"], "eval.every": 20, "eval.episodes": 1, "checkpoint.best_by": "evaluation"}
    tracerl.launch(settings, tmp_path, callbacks=[callback])
    lines = (tmp_path / "evaluations.csv").read_text().splitlines()[1:]
    means = {int(line.split(",")[0]): float(line.split(",")[3]) for line in lines}
    best = callback.events("best")
    assert best[0] == (20, means[20]) and all(means[step] == mean for step, mean in best)
    assert len(best) == len({max(list(means.values())[: i + 1]) for i in range(len(means))})


def test_callbacks_of_any_class_have_names_of_their_own() -> None:
    class Stop(tracerl.Callback):
        pass

    class Stop2(Stop):
        pass

    assert list(named([Stop(), Stop(), Stop2()])) == ["Stop", "Stop2", "Stop22"]
    assert list(named([Stop2(), Stop(), Stop()])) == ["Stop2", "Stop", "Stop3"]


def test_callback_of_the_settings_and_of_python_have_different_names(tmp_path: Path) -> None:
    settings = {"callbacks.Stepping._target_": "tests.test_callbacks.Stepping", "steps": 20}
    with pytest.raises(tracerl.ConfigError, match="^callbacks.Stepping must have another name than the callbacks"):
        tracerl.launch(settings, tmp_path, callbacks=[Stepping()])
