"""The name of the machine that a run is on."""

import platform
import re
from pathlib import Path

from tracerl.config.threads import usable_cores
from tracerl.lifetime.statistics import counted


def machine() -> str:
    """Return the number of usable cores and the name of the processor, without a host's or a user's name."""
    return f"{counted(usable_cores(), 'core')} of {processor()}"


def processor() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return named[1] if named else platform.machine()
