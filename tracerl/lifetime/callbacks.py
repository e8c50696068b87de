"""Callbacks by event: code of the user's that a lifetime or a run calls."""

import inspect
import itertools
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tracerl.config.checks import ConfigError, described, whole
from tracerl.lifetime.loop import NOT_FAILURES, ScheduledCallback, next_call, next_multiple
from tracerl.lifetime.protocol import Agent, ManyAgents
from tracerl.lifetime.record import Record, steps_of_all
from tracerl.lifetime.statistics import average

_NEVER = sys.maxsize  # env step of an event that never happens


class Episode(NamedTuple):
    """An ended episode.

    Attributes:
        lifetime: index of the lifetime.
        step: env step of that lifetime at which the episode ended.
        episode_return: undiscounted sum of its rewards.
        length: env steps.
    """

    lifetime: int
    step: int
    episode_return: float
    length: int


class RunState:
    """What a callback sees of a lifetime or a run.

    Attributes:
        agent: the agent of all lifetimes, which learns. A callback that changes it changes the run.
        records: statistics so far, one per lifetime (``tracerl.Record``).
        steps: env steps per lifetime at which the run ends.
        folder: folder of the run; None for ``tracerl.live``.
        stopped: name of the callback that has stopped the run; None if none has.
    """

    def __init__(self, agent: Any, records: Sequence[Record], steps: int, folder: Path | None = None) -> None:
        self.agent, self.records, self.steps, self.folder = agent, records, steps, folder
        self.stopped: str | None = None
        self._log: Callable[[Mapping[str, float], int], None] | None = None
        self._calling = ""  # name of the callback that is called now

    @property
    def record(self) -> Record:
        """The record of the first lifetime."""
        return self.records[0]

    @property
    def step(self) -> int:
        """Env steps that all lifetimes have taken."""
        return steps_of_all(self.records)

    def log(self, values: Mapping[str, float]) -> None:
        """Log numbers by tag at the current env step, with every logger of the run; nothing without one.

        Raises:
            ConfigError: naming a tag that is no text of a line, or its value that is no number.
        """
        found = _numbers(values)
        if self._log is not None:
            self._log(found, self.step)

    def stop(self) -> None:
        """End the run after this env step, in ``on_start`` after the first, as finished.

        It has a checkpoint, from which it can be continued.
        """
        self.stopped = self.stopped or self._calling


def _numbers(values: Any) -> dict[str, float]:
    """Check numbers by tag."""
    if not isinstance(values, Mapping):
        raise ConfigError("log", f"must get numbers by tag, got {values!r:.80}")
    found = {}
    for tag, value in values.items():
        name = str(tag)
        if not name.strip() or not name.isprintable():
            raise ConfigError("log", f"must have tags of one line of text, got {tag!r:.80}")
        try:
            found[name] = float(value)
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise ConfigError("log", f"must have a number for the tag {name!r:.80}, got {value!r:.80}") from error
    return found


class Callback:
    """A callback by event: a subclass overrides the events it is for.

    ``on_start`` comes first and ``on_end`` last. Within one env step ``on_step`` comes first, then ``on_episode_end``
    of each episode, ``on_new_best`` and ``on_checkpoint``. The state of a callback with ``state_dict()``, plain data,
    and ``load_state_dict(state)`` is part of checkpoints.

    Lifetimes of compiled envs advance together in the kernel between two scheduled calls. Episodes that end there are
    reported at the next one, with their own env step. Only ``on_step`` makes a run slower: it stops the kernel at every
    env step.

    An error in a callback ends the run, after a checkpoint and the summary are written; see ``CallbackFailed``.
    """

    def on_start(self, run: RunState) -> None:
        """The lifetimes begin, or are continued; no env step of this part was taken."""

    def on_step(self, run: RunState) -> None:
        """Every lifetime has taken one env step and learned from it."""

    def on_episode_end(self, run: RunState, episode: Episode) -> None:
        """An episode has ended. With many lifetimes those of one env step come in the order of the lifetimes."""

    def on_new_best(self, run: RunState, mean_return: float) -> None:
        """The mean return of the last 100 episodes, or of all if fewer, is higher than ever, over all lifetimes.

        With ``checkpoint.best_by=evaluation`` it is the mean return of an evaluation.
        """

    def on_checkpoint(self, run: RunState, path: Path) -> None:
        """A checkpoint was written into a folder."""

    def on_end(self, run: RunState, status: str) -> None:
        """The last env step was taken: ``finished``, ``interrupted``, ``diverged`` or ``failed``."""


class CallbackFailed(RuntimeError):
    """A callback raised an exception, which is this error's ``__cause__``. The message names its class and the event.

    Attributes:
        name: of the callback.
    """

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class _CheckedCallback:
    """A callback on a schedule (``tracerl.Every``, ``loop.ScheduledCallback``) whose errors are those of a callback.

    A true attribute ``stopped`` of the callback ends the run after the call, as ``RunState.stop`` does.
    """

    def __init__(self, callback: ScheduledCallback, events: "Events") -> None:
        self._callback, self._events = callback, events
        self.every = callback.every

    def next_call(self, step: int) -> int:
        """Return the next env step at which the callback is due; see ``loop.next_call``."""
        return next_call(self._callback, step)

    def call(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Call the callback."""
        self._events.call_checked(self._callback, "call", lambda: self._callback.call(records, agent))
        if getattr(self._callback, "stopped", False):
            self._events.run.stop()

    def call_at_end(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Call the callback at the end."""
        method = getattr(self._callback, "call_at_end", self._callback.call)
        self._events.call_checked(self._callback, "call_at_end", lambda: method(records, agent))

    def call_after_reset(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Call a callback with this method: an episode has begun without an env step."""
        if (method := getattr(self._callback, "call_after_reset", None)) is not None:
            self._events.call_checked(self._callback, "call_after_reset", lambda: method(records, agent))


class Events:
    """Calls the callbacks of a lifetime or a run; to the loop it is one callback on a schedule.

    Attributes:
        run: what the callbacks see.
        failure: the first error of a callback. The loop then ends, and only ``on_end`` of the others is called.
        every: not used; see ``next_call``.
        by_episode: whether a callback needs the ends of episodes.
    """

    every = _NEVER

    def __init__(self, run: RunState, callbacks: Mapping[str, Any]) -> None:
        """Take the callbacks by name.

        Raises:
            ConfigError: one is no callback.
        """
        self.run = run
        self.failure: CallbackFailed | None = None
        self._callbacks = {name: callback for name, callback in callbacks.items() if isinstance(callback, Callback)}
        others = [callback for name, callback in callbacks.items() if name not in self._callbacks]
        self.scheduled = [_CheckedCallback(callback, self) for callback in others]
        self._names = {id(callback): name for name, callback in callbacks.items()}
        self.by_episode = bool(self._listeners("on_episode_end") or self._listeners("on_new_best"))
        self._by_step = bool(self._listeners("on_step"))
        self._ended: list[Episode] = []
        self._best, self._newest, self._began = -math.inf, -1, False
        self._evaluations: Any = None

    def by_evaluation(self, evaluations: Any) -> None:
        """Take the best by evaluations, with ``every`` and ``score(step)``, not by returns."""
        self._evaluations = evaluations if self._listeners("on_new_best") else None

    def log_with(self, log: Callable[[Mapping[str, float], int], None]) -> None:
        """Take the function that logs numbers by tag at an env step."""
        self.run._log = log

    @property
    def stopping(self) -> bool:
        """Whether the loop is to end: a callback has failed or stopped the run."""
        return self.failure is not None or self.run.stopped is not None

    def _listeners(self, event: str) -> list[tuple[str, Callback]]:
        """Return the callbacks that override an event, by name."""
        own = getattr(Callback, event)
        return [(name, each) for name, each in self._callbacks.items() if getattr(type(each), event) is not own]

    def keep(self, lifetime: int, step: int, episode_return: float, length: int) -> None:
        """Store an ended episode until the env step is complete; see ``Record.keep``."""
        if self.by_episode:
            self._ended.append(Episode(lifetime, step, episode_return, length))

    def next_call(self, step: int) -> int:
        """Return the next env step at which something is to be reported; see ``loop.ScheduledCallback``."""
        if self._by_step:
            return step + 1
        return _NEVER if self._evaluations is None else next_multiple(step, self._evaluations.every)

    def call(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Report what has happened up to this env step, once."""
        self.run.records, self.run.agent = records, agent
        step = self.run.step
        if self._by_step and step > self._newest:
            self._report("on_step")
        self._newest = step
        ended, self._ended = self._ended, []
        for episode in ended:
            self._report("on_episode_end", episode)
        score = self._score(step, bool(ended))
        if score > self._best:
            self._best = score
            self._report("on_new_best", score)

    call_after_episodes = call

    def call_at_end(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Report what has happened since the last call; ``on_end`` comes from ``end``."""
        self.call(records, agent)

    def _score(self, step: int, ended: bool) -> float:
        """Return what may be a new best at this step; minus infinity for nothing new."""
        if self._evaluations is not None:
            return float(self._evaluations.score(step))
        mean = average(record.mean_return(partial=True) for record in self.run.records) if ended else math.nan
        return -math.inf if math.isnan(mean) else mean

    def start(self) -> None:
        """Report that the lifetimes begin."""
        self._newest, self._began = self.run.step, True
        self._report("on_start")

    def checkpoint(self, path: Path) -> None:
        """Report that a checkpoint was written."""
        self._report("on_checkpoint", path)

    def end(self, status: str) -> None:
        """Report, once, that the lifetimes have ended: after an error to the callbacks that did not raise it."""
        if not self._began:
            return
        self._began = False
        failed = None if self.failure is None else self.failure.name
        for name, callback in self._listeners("on_end"):
            if name != failed:
                self._call(name, callback, "on_end", partial(callback.on_end, self.run, status))

    def _report(self, event: str, *values: Any) -> None:
        for name, callback in self._listeners(event):
            if self.failure is None:
                self._call(name, callback, event, partial(getattr(callback, event), self.run, *values))

    def call_checked(self, callback: object, event: str, call: Callable[[], Any]) -> None:
        """Call a callback on a schedule, unless one has failed."""
        if self.failure is None:
            self._call(self._names[id(callback)], callback, event, call)

    def _call(self, name: str, callback: object, event: str, call: Callable[[], Any]) -> Any:
        """Call a callback. The first error is kept, because an env step must be completed and saved before it ends."""
        self.run._calling = name
        try:
            return call()
        except NOT_FAILURES:
            raise
        except BaseException as error:
            where = f"{type(callback).__name__}.{event} (callbacks.{name}) after {self.run.step:,} steps"
            failure = CallbackFailed(f"the callback {where} failed", name)
            failure.__cause__ = error
            if self.failure is None:
                self.failure = failure
            else:
                print(f"warning: {failure}: {described(error)}", file=sys.stderr)
            return None

    def capture(self) -> dict[str, Any]:
        """Return the best so far and the states of the callbacks, as JSON data: part of a checkpoint."""
        states = {}
        for name, callback in self._callbacks.items():
            if (method := getattr(callback, "state_dict", None)) is not None and self.failure is None:
                states[name] = self._call(name, callback, "state_dict", partial(_plain_state, method))
        return {"best": self._best if math.isfinite(self._best) else None, "states": states}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what ``capture`` returned; states of callbacks that are not there any more are left out.

        Raises:
            ConfigError: a callback does not take its state.
        """
        best, states = state.get("best"), state.get("states")
        self._best = float(best) if isinstance(best, int | float) else -math.inf
        for name, found in (states if isinstance(states, dict) else {}).items():
            callback = self._callbacks.get(name)
            if (method := getattr(callback, "load_state_dict", None)) is not None and found is not None:
                self._call(name, callback, "load_state_dict", partial(method, found))
        if (failure := self.failure) is not None:
            why = described(failure.__cause__ or failure)
            raise ConfigError(f"callbacks.{failure.name}", f"does not take its state of the checkpoint: {why}")


def _plain_state(method: Callable[[], Any]) -> Any:
    """Return a state as JSON has it; a TypeError or ValueError if it has no form there."""
    return json.loads(json.dumps(method(), allow_nan=False))


def _check_events(key: str, kind: type[Callback]) -> None:
    """Raise a ConfigError for a method that is named as an event and is none, such as ``on_setp``."""
    for part in kind.__mro__:
        for method, value in vars(part).items():
            if method.startswith("on_") and callable(value) and method not in vars(Callback):
                events = ", ".join(event for event in vars(Callback) if event.startswith("on_"))
                raise ConfigError(key, f"must have no method {method}, which is no event: {events}")
            if method in vars(Callback) and part is not Callback and method.startswith("on_"):
                if not callable(value):
                    raise ConfigError(key, f"must have a method {method} or none, got {value!r:.80}")
                if inspect.iscoroutinefunction(value):
                    raise ConfigError(key, f"must have no async method {method}: nothing would wait for it")


def named(callbacks: Sequence[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """Return callbacks by name: the name of the class, with a number for the second of a class.

    Raises:
        ConfigError: one is no callback, or has a method ``on_...`` of no event.
    """
    if isinstance(callbacks, Mapping):
        found = dict(callbacks)
    elif not isinstance(callbacks, Sequence) or isinstance(callbacks, str):
        raise ConfigError("callbacks", f"must be a list or a mapping of callbacks, got {callbacks!r:.200}")
    else:
        found = {}
        for callback in callbacks:
            kind = type(callback).__name__
            names = itertools.chain([kind], (f"{kind}{number}" for number in itertools.count(2)))
            found[next(name for name in names if name not in found)] = callback
    for name, callback in found.items():
        if not isinstance(callback, Callback) and not callable(getattr(callback, "call", None)):
            wanted = "tracerl.Callback, tracerl.Every(steps, function), or an object with every and call"
            one = isinstance(callbacks, Mapping)
            place, must = (f"callbacks.{name}", "must be") if one else ("callbacks", "must each be")
            raise ConfigError(place, f"{must} {wanted}(records, agent), got {callback!r:.200}")
        if isinstance(callback, Callback):
            _check_events(f"callbacks.{name}", type(callback))
        if not isinstance(callback, Callback) and not callable(getattr(callback, "next_call", None)):
            whole(f"callbacks.{name}.every", getattr(callback, "every", None), 1)
    return found
