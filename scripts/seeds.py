"""Parse and format seeds of a command line or report: ``0-9`` or ``0,3,7``."""

import re
from collections.abc import Sequence


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read ``0-9`` or ``0,3,7``; a ValueError if it is neither, or names no seed or one seed twice."""
    span = re.fullmatch(r"(\d+)-(\d+)", text)
    if span is None and re.fullmatch(r"\d+(,\d+)*", text) is None:
        raise ValueError(f"seeds must look like 0-9 or 0,3,7, got {text!r}")
    seeds = tuple(range(int(span[1]), int(span[2]) + 1)) if span else tuple(int(part) for part in text.split(","))
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be one or more, each named once, got {text!r}")
    return seeds


def consecutive(seeds: Sequence[int]) -> bool:
    """Return whether the seeds are consecutive."""
    return tuple(seeds) == tuple(range(seeds[0], seeds[-1] + 1))


def format_seeds(seeds: Sequence[int]) -> str:
    """Return seeds in the form of ``parse_seeds``."""
    if len(seeds) > 1 and consecutive(seeds):
        return f"{seeds[0]}-{seeds[-1]}"
    return ",".join(str(seed) for seed in seeds)
