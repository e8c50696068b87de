"""One job: what Hydra hands over, brought to a run and back."""

import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from tracerl.checks import ConfigError
from tracerl.launching import Origin, RunEnded, launch
from tracerl.resume import InUse


def job(cfg: DictConfig) -> float | None:
    """Live as the config says; one job of a sweep.

    A job of a sweep that fails leaves its traceback in its folder and returns None, so that the others go on.

    Returns:
        What a sweeper maximises: the mean return of the last 100 episodes or, of many lives, its interquartile mean; of
        lives without an end of an episode, their reward per step. None where there is neither.

    Raises:
        ConfigError: a setting cannot be used.
        RunEnded: the env failed or a number diverged.
        KeyboardInterrupt: the life was interrupted; its summary is written.
    """
    from tracerl.experiment import keep_traceback

    hydra = HydraConfig.get()
    in_sweep, folder = hydra.mode == RunMode.MULTIRUN, Path(hydra.runtime.output_dir)
    key = "hydra.sweep.dir" if in_sweep else "hydra.run.dir"
    try:
        if not in_sweep and hydra.sweeper.get("params"):
            raise ConfigError("hydra.sweeper.params", "is given, so this is a sweep: python -m tracerl.run -m ...")
        origin = Origin(folder, key, hydra.runtime.choices["agent"], list(hydra.overrides.task))
        return _objective(launch(cfg, origin))
    except Exception as error:
        if not in_sweep:
            raise
        if not isinstance(error, (RunEnded, InUse)):  # of the one it is there already, of the other somebody else's
            keep_traceback(folder, error)
        print(f"error in {folder}: {error}", file=sys.stderr, flush=True)
        return None


def _objective(summary: dict[str, Any]) -> float | None:
    returns, rates = (summary.get(name, {}).get("iqm") for name in ("return_last100", "reward_rate_last10000"))
    found = rates if returns is None else returns
    return None if found is None else float(found)
