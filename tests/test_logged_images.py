"""Images are of the same env steps after a resume, and logging does not change the lifetime."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tracerl.envs.spec import EnvSpec

import tracerl
from tests.helpers import make_agent
from tests.kills import same_bits
from tracerl.lifetime.record import Record
from tracerl.nn.views import constants
from tracerl.runs.logging.csv_file import Csv
from tracerl.runs.logging.images import NEVER, Snapshots
from tracerl.runs.logging.loggers import Loggers
from tracerl.runs.logging.tensorboard import EventStream, LoggedRun, TensorBoard

EVERY, LENGTH = 20, 6


def call_steps(snapshots: Snapshots, steps: int) -> list[int]:
    found, step = [], 0
    while (step := snapshots.next_call(step)) <= steps:
        found.append(step)
    return found


def test_callback_is_called_at_the_first_steps_and_before_every_image() -> None:
    expected = [*range(1, 7), *range(15, 21), *range(35, 41), *range(55, 61)]
    assert call_steps(Snapshots(EVERY, LENGTH, {}), 60) == expected
    assert call_steps(Snapshots(4, 100, {}), 9) == list(
        range(1, 10)
    )  # an image is not longer than the interval of images


class RestoringCallback:
    """A callback whose snapshots are saved and restored after every call."""

    every = 10**9

    def __init__(self, restart: bool) -> None:
        self.snapshots, self.restart = Snapshots(EVERY, LENGTH, None), restart
        self.pictures: list[tuple[int, str, bytes]] = []
        self.initial: Any = None

    def next_call(self, step: int) -> int:
        return self.snapshots.next_call(step)

    def call(self, records: Any, agent: Any) -> None:
        step = records[0].step
        self.initial = constants(agent) if self.initial is None else self.initial
        found = self.snapshots.call(step, records, agent)
        self.pictures += [(step, tag, picture.tobytes()) for tag, picture in found.items()]
        if self.restart:
            kept = {name: np.asarray(array) for name, array in sorted(self.snapshots.capture().items())}
            self.snapshots = Snapshots(EVERY, LENGTH, self.initial, kept)

    def call_at_end(self, records: Any, agent: Any) -> None: ...


def test_image_is_identical_after_a_kill() -> None:
    found = []
    for restart in (False, True):
        env = tracerl.make_env("CartPole")
        settings = {"network.hidden": [4, 3], "engine": "torch", "network.learn_membrane_decay": True}
        callback = RestoringCallback(restart)
        tracerl.live(tracerl.make_agent(env, settings=settings), env, 60, callbacks=[callback]).finish()
        found.append(callback.pictures)
    assert [(step, tag) for step, tag, _ in found[0]] == [
        (step, f"pictures/{kind}") for step in (6, 20, 40, 60) for kind in ("raster", "decays")
    ]
    assert found[0] == found[1]


def test_unchanged_decays_have_one_image_and_agents_without_views_none() -> None:
    env = tracerl.make_env("CartPole")
    callback, settings = RestoringCallback(False), {"network.hidden": [4], "engine": "torch"}
    tracerl.live(tracerl.make_agent(env, settings=settings), env, 40, callbacks=[callback]).finish()
    assert [step for step, tag, _ in callback.pictures if tag == "pictures/decays"] == [6]
    empty = Snapshots(EVERY, LENGTH, None)
    assert empty.call(1, [Record()], object()) == {}  # type: ignore[arg-type]
    assert empty.next_call(1) == NEVER and empty.capture() == {}


@pytest.mark.parametrize(
    ("engine", "backend", "lifetimes"),
    [("torch", "gymnasium", 1), ("fused", "gymnasium", 1), ("fused", "gymnasium", 3), ("fused", "compiled", 3)],
)
def test_lifetime_with_logged_images_is_bit_identical(
    tmp_path: Path, engine: str, backend: str, lifetimes: int
) -> None:
    found, steps = [], 150 if engine == "torch" else 600
    drawn = {"histograms_every": 30, "pictures_every": 70, "picture_steps": 25}
    several = Loggers(100, **drawn, tensorboard=EventStream(), csv=Csv())
    for number, logger in enumerate([TensorBoard(100), TensorBoard(100, **drawn), several, Loggers(100)]):
        spec = EnvSpec("CartPole-v1", "CartPole-v1", {}, steps, [], backend=backend, vectorization="sync")
        seeds = list(range(lifetimes))
        runner = spec.open(seeds)
        agent = make_agent(runner, f"engine={engine}", "network.hidden=[8]", seed=seeds if lifetimes > 1 else 0)
        records = [Record(lifetime=lifetime) for lifetime in seeds]
        runner.prepare(agent)
        folder = tmp_path / str(number)
        folder.mkdir()
        log = logger.open(LoggedRun(folder, steps=steps, lifetimes=lifetimes))
        runner.run(agent, steps, records, [] if log is None else [log], lambda: False)
        if log is not None:
            log.close(success=True)
        runner.close()
        found.append((agent.capture(), [list(record.returns) for record in records]))
    (plain, returns), *others = found
    for logged, returns_logged in others:
        assert returns == returns_logged
        for name, tensor in plain.items():
            unread = logged is others[-1][0] and name in ("sums", "counts")  # of the diagnostics since the last point
            assert unread or same_bits(tensor, logged[name]), name
    sizes = [sum(path.stat().st_size for path in (tmp_path / str(i)).iterdir()) for i in range(2)]
    assert sizes[1] > 2 * sizes[0]
