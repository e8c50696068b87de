"""The name of the machine that a run is on."""

import os
import platform
import re
from pathlib import Path


def machine() -> str:
    """Return the number of usable cores and the name of the processor, without a host's or a user's name."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{cores} core{'s' if cores > 1 else ''} of {processor()}"


def processor() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return named[1] if named else platform.machine()
