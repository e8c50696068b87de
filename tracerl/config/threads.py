"""The number of available threads."""

import os
import re


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_cores() -> int:
    """Return the number of usable cores, or ``OMP_NUM_THREADS`` if it is smaller.

    joblib and Ray set the variable for their workers, which share the cores.
    """
    cores = usable_cores()
    asked_for = re.match(r"[1-9]\d*", os.environ.get("OMP_NUM_THREADS", ""))  # 4, or 4,2 for nested teams
    return min(cores, int(asked_for[0])) if asked_for else cores
