"""Former place of ``tracerl.files.read_json``."""

from tracerl.files import read_json as read_json
