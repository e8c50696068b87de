"""Progress of a run: a bar on a terminal, plain lines elsewhere; a warning if the run takes over a day."""

import math
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cached_property

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column

from tracerl.lifetime.loop import ScheduledCallback
from tracerl.lifetime.protocol import Agent, ManyAgents
from tracerl.lifetime.record import Record, steps_of_all
from tracerl.lifetime.statistics import average

_LINES = 10  # plain lines per lifetime
_SHORTEST, _LONGEST = 8, 40  # characters of the bar; also the shortest description
_WIDE = 1000  # characters of a line without a limit
_MEASURED = 1000  # env steps per lifetime of which the duration is measured
_DAY = 86400.0  # seconds


class ProgressBar(ScheduledCallback):
    """Steps done, mean return, steps per second and time left; a context manager."""

    def __init__(self, title: str, steps: int, records: Sequence[Record] = ()) -> None:
        """Begin to measure.

        Args:
            title: what runs.
            steps: env steps per lifetime at the end.
            records: the lifetimes' own, whose steps so far are not counted as this process's; none: they are new.
        """
        self._console = Console(stderr=True, highlight=False)
        # A terminal without cursor movements cannot redraw a line. Workers that share one would overwrite each other's.
        redraws = self._console.is_terminal and not self._console.is_dumb_terminal
        self._is_bar = redraws and multiprocessing.current_process().name == "MainProcess"
        self.every = max(1, steps // (500 if self._is_bar else _LINES))
        self._title, self._steps = title, steps
        self._started = self._shown_at = time.perf_counter()
        self._first = steps_of_all(records) if records else 0
        self._shown_steps = sum(record.step for record in records)
        self._bar = _FittedProgress(console=self._console, transient=True) if self._is_bar else None

    def __enter__(self) -> "ProgressBar":
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(
                self._title, total=self._steps, completed=self._first, earned="return -", speed="-"
            )
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def call(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Update the bar, or print a line."""
        step, steps = steps_of_all(records), sum(record.step for record in records)
        if steps == self._shown_steps:
            return
        now = time.perf_counter()
        speed = f"{(steps - self._shown_steps) / (now - self._shown_at):,.0f}"
        self._shown_at, self._shown_steps = now, steps
        shown = _performance(records)
        if self._bar is not None:
            self._bar.update(self._task, completed=step, earned=shown, speed=speed)
            return
        left = (now - self._started) / max(step - self._first, 1) * (self._steps - step)
        done = f"{step:,}/{self._steps:,} steps"
        line = f"{self._title}: {done}, {shown}, {speed} steps/s, {left:,.0f} s left"
        self._console.print(line, soft_wrap=True)


class _FittedProgress(Progress):
    """Progress in one line that fits the terminal.

    Its numbers are never cut. On a narrow terminal the bar is shorter or left out, then the description, then the
    speed, the time left and the return.
    """

    def get_renderables(self) -> Iterator[RenderableType]:
        """Yield the line, for the width that the terminal has now."""
        if self.tasks:  # none while ``Progress`` is built
            self.columns = self._fitting(self.console.width)
            yield self.make_tasks_table(self.tasks)

    @cached_property
    def _numbers(self) -> list[tuple[ProgressColumn, ...]]:
        """The columns of numbers, and fewer and fewer of them."""
        steps, earned = TextColumn("{task.completed:,.0f}/{task.total:,.0f} steps"), TextColumn("{task.fields[earned]}")
        speed, left = TextColumn("{task.fields[speed]} steps/s"), TimeRemainingColumn()
        return [(steps, earned, speed, left), (steps, earned, left), (steps, earned), (steps,)]

    def _fitting(self, width: int) -> tuple[ProgressColumn, ...]:
        """Return the columns that fit a width in characters."""
        numbers = next((one for one in self._numbers if self._width(one) <= width), self._numbers[-1])
        description = TextColumn("{task.description}")
        space = width - self._width(numbers) - 1
        beside_bar = space - self._width((description,)) - 1
        if beside_bar >= _SHORTEST:
            return description, BarColumn(min(beside_bar, _LONGEST)), *numbers
        if space < _SHORTEST:
            return numbers
        return TextColumn("{task.description}", table_column=Column(no_wrap=True, max_width=space)), *numbers

    def _width(self, columns: tuple[ProgressColumn, ...]) -> int:
        """Return the width of columns on a terminal wide enough for them."""
        self.columns = columns
        table = self.make_tasks_table(self.tasks)
        return Measurement.get(self.console, self.console.options.update(max_width=_WIDE), table).maximum


class LongRunWarning(ScheduledCallback):
    """A line, once, that tells how long a run takes if that is over a day."""

    def __init__(self, steps: int) -> None:
        self.every, self._steps = min(_MEASURED, steps), steps
        self._measured_from: tuple[int, int, float] | None = None

    def call(self, records: Sequence[Record], agent: Agent | ManyAgents) -> None:
        """Begin to measure at the first call, and print the line at the second."""
        step, steps, now = steps_of_all(records), sum(record.step for record in records), time.perf_counter()
        if self._measured_from is None:
            self._measured_from = step, steps, now
            return
        first_step, first_steps, since = self._measured_from
        self.every = self._steps  # no third call before the last step
        if step == first_step or step == self._steps:
            return
        days = (now - since) / (step - first_step) * (self._steps - step) / _DAY
        if days > 1:
            speed = (steps - first_steps) / (now - since)
            line = f"this run is expected to take {days:,.1f} days ({speed:,.0f} steps/s)"
            print(f"warning: {line}; steps=... or network=... reduces it", file=sys.stderr)


def _performance(records: Sequence[Record]) -> str:
    """Return the mean return or, before an episode ends, the mean reward per env step."""
    mean = average(record.mean_return(partial=True) for record in records)
    if not math.isnan(mean):
        return f"return {mean:,.1f}"
    return f"reward {average(record.reward_rate() for record in records):,.4f} a step"
