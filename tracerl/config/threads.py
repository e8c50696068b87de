"""The number of available threads."""

import os
import re


def available_cores() -> int:
    """Return the number of cores of this process, or ``OMP_NUM_THREADS`` if it is smaller.

    joblib and Ray set the variable for their workers, which share the cores.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked_for = re.match(r"[1-9]\d*", os.environ.get("OMP_NUM_THREADS", ""))  # 4, or 4,2 for nested teams
    return min(cores, int(asked_for[0])) if asked_for else cores
