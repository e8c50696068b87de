"""The data of one frame of a watched lifetime."""

from dataclasses import dataclass
from typing import Any

from tracerl.lifetime.record import Record
from tracerl.recording.images import Picture
from tracerl.recording.recorder import Recording


@dataclass(frozen=True)
class Scene:
    """The data of one frame, after an env step or at the end of an episode before the next reset."""

    frame: Picture | None  # rendered image of the env; None if it cannot be rendered
    recording: Recording | None  # recording of the newest steps; None before the first
    step: int  # number of the newest recorded env step, from 1
    episode: int  # number of the current episode, from 1
    length: int  # env steps of the current episode
    earned: float  # return of the current episode so far
    # number, mean and last of the returns of up to 100 last episodes; None before an episode ends
    returns: tuple[int, float, float] | None
    action: Any  # next action or, at the end of an episode, its last action; as given to the env
    verdict: str | None = None  # how the episode ended; None before its end


def scene(
    frame: Picture | None, recording: Recording | None, record: Record, action: Any, verdict: str | None
) -> Scene:
    """Return the scene within an episode or, with a verdict, at its end before the last step is recorded."""
    ended = verdict is not None
    returns = (len(record.returns), record.mean_return(partial=True), record.returns[-1]) if record.returns else None
    length, earned = record.episode_length, record.episode_return
    if ended:
        length, earned = record.lengths[-1], record.returns[-1]
    step, episode = record.step - ended, record.episodes + (not ended)
    return Scene(frame, recording, step, episode, length, earned, returns, action, verdict)
