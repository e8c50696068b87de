"""Checkpoints on disk: folders of safetensors and JSON, written atomically and verified before use."""

from tracerl.runs.checkpoint.read import BadCheckpoint as BadCheckpoint
from tracerl.runs.checkpoint.read import Checkpoint as Checkpoint
from tracerl.runs.checkpoint.read import newest_good as newest_good
from tracerl.runs.checkpoint.read import read as read
from tracerl.runs.checkpoint.retention import best as best
from tracerl.runs.checkpoint.retention import prune as prune
from tracerl.runs.checkpoint.store import write as write
