"""Checkpoints on disk: a folder of safetensors and JSON, written whole or not at all, verified before it is used."""

from tracerl.checkpoint.read import BadCheckpoint as BadCheckpoint
from tracerl.checkpoint.read import Checkpoint as Checkpoint
from tracerl.checkpoint.read import newest_good as newest_good
from tracerl.checkpoint.read import read as read
from tracerl.checkpoint.retention import best as best
from tracerl.checkpoint.retention import prune as prune
from tracerl.checkpoint.store import write as write
