"""A run or a sweep as one HTML page that can be mailed: ``python -m tracerl.report RUN``. Needs the extra ``plots``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tracerl.config.moved import keep_arguments


@keep_arguments(life="lifetime")
def page_of(runs: Sequence[str | Path], **options: Any) -> str:
    """Return the page of a run, or the comparison of several, as ``python -m tracerl.report`` writes it.

    Args:
        runs: folders of runs or sweeps, or folders that contain them.
        options: fields of ``tracerl.report.one_run.Options``: ``title``, ``lifetime``, ``checkpoint``, ``steps`` and
            ``trust``.

    Raises:
        ConfigError: a folder is missing or has no run, or an option needs one run.
    """
    from tracerl.config import checks
    from tracerl.plot.choice import choose
    from tracerl.report.comparison import comparison
    from tracerl.report.one_run import Options, one_run

    checked, chosen = Options(**options), choose(runs)
    jobs = [job for group in chosen.groups for job in group.jobs]
    if len(jobs) == 1:
        checks.whole("--lifetime", checked.lifetime, 0, max(len(chosen.groups[0].lifetimes), 1) - 1)
        return one_run(chosen, checked)
    defaults = Options()
    for name in ("lifetime", "checkpoint", "steps"):
        if getattr(checked, name) != getattr(defaults, name):
            raise checks.ConfigError(f"--{name}", f"needs one run, got {len(jobs)}")
    return comparison(chosen, [Path(run) for run in runs], checked)
