"""What is to be seen at one moment of a watched lifetime."""

from dataclasses import dataclass
from typing import Any

from tracerl.lifetime.record import Record
from tracerl.recording.images import Picture
from tracerl.recording.recorder import Recording


@dataclass(frozen=True)
class Scene:
    """A moment: after an env step, or at the end of an episode, before the next one begins."""

    frame: Picture | None  # of the env; None where it draws none
    recording: Recording | None  # of the newest steps; None before the first
    step: int  # number of the newest recorded env step, from 1
    episode: int  # number of the running one, from 1
    length: int  # its env steps
    earned: float  # its return so far
    # number, mean and newest of the returns of the last episodes, up to 100; None before the first ended
    returns: tuple[int, float, float] | None
    action: Any  # that is to be taken next or, at the end of an episode, that ended it; as the env has it
    verdict: str | None = None  # how the episode ended; None while it goes on


def scene(
    frame: Picture | None, recording: Recording | None, record: Record, action: Any, verdict: str | None
) -> Scene:
    """Return the scene within an episode or, with a verdict, at its end: it is closed, its last step not recorded."""
    ended = verdict is not None
    returns = (len(record.returns), record.mean_return(partial=True), record.returns[-1]) if record.returns else None
    length, earned = record.episode_length, record.episode_return
    if ended:
        length, earned = record.lengths[-1], record.returns[-1]
    step, episode = record.step - ended, record.episodes + (not ended)
    return Scene(frame, recording, step, episode, length, earned, returns, action, verdict)
