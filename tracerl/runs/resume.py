"""Check a folder that already holds a run: it is an error, a finished run, or a run to resume.

Every problem raises a ConfigError that names the setting, the file or the folder.
"""

import os
import stat
import sys
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tracerl.config import floats
from tracerl.config.checks import ConfigError
from tracerl.config.forms import either, fits, flag, optional, real, word
from tracerl.config.moved import CHANGED, current_settings, previous_defaults
from tracerl.config.overrides import key_and_value, with_groups
from tracerl.runs import saved
from tracerl.runs.files import kind
from tracerl.runs.saved import CHECKPOINTS, CONFIG, SUMMARY
from tracerl.runs.saved import OVERRIDES as OVERRIDES


class InUse(ConfigError):
    """A folder that belongs to another run."""


class HasRun(InUse):
    """A folder that holds an earlier run, which has ended."""


# Files that a run writes and that a restart removes. Files of Hydra and of other programs are not among them.
_OUTPUTS = (
    *("events.out.tfevents.*", "returns.part", "returns.npz", "returns.npz.part"),
    *("evaluations.csv", "metrics.csv", "wandb.json", "mlflow.json", "summary.json", "error.txt"),
)
# Paths that a run writes or reads: regular files and folders.
_FILES = (*_OUTPUTS, CONFIG, OVERRIDES, "running.json", "*.part", "multirun.yaml")
_FOLDERS = (CHECKPOINTS, "diverged", "wandb", ".wandb", ".hydra")
# Settings without effect on the results of a run so far.
_FREE = ("callbacks", "checkpoint", "deploy", "env.timeout", "eval", "logger", "resume", "steps", "threads")
_ROUNDING = ("deploy.rounding", "deploy.weight_bits")  # two of ``deploy`` that have an effect on learning, if it rounds


def finished_run(
    folder: Path, possible: Iterable[Mapping[str, Any]], resume: bool, key: str, steps: int
) -> dict[str, Any] | None:
    """Check the run in a folder and return its summary if it has run for ``steps``; None if steps are left.

    ``possible`` are the flat settings of this run for each kind of observation, since the env does not exist yet.
    """
    if not any(os.path.lexists(folder / name) for name in (CONFIG, CHECKPOINTS, SUMMARY)):
        return None
    if not resume:
        raise HasRun(key, f"already holds a run, which resume=true continues: {folder}")
    if (there := _earlier_settings(folder)) is not None:
        here = min(possible, key=lambda here: distance(there, here))
        check_same_settings(there, here, folder)
    else:
        print(f"warning: {folder} has no settings of the earlier run: they are not compared", file=sys.stderr)
    summary = _finished_summary(folder)
    return summary if summary is not None and summary["steps"] >= steps else None


def _earlier_settings(folder: Path, warn: bool = True) -> Mapping[str, Any] | None:
    """Return the flat settings of the run in a folder, from its config or its newest checkpoint; None without both."""
    if (config := saved.config(folder, warn)) is not None:
        return flat(config)
    info = saved.newest(folder)
    return None if info is None else info.settings


def _finished_summary(folder: Path) -> dict[str, Any] | None:
    """Return the summary of the run in a folder, if it has finished."""
    summary = saved.summary(folder)
    if summary.get("status") != "finished":
        return None
    if "steps" not in summary:
        problem = "must have the steps of a finished run as a whole number; without that file the run resumes"
        raise ConfigError(str(folder / SUMMARY), f"{problem} from its newest checkpoint")
    return summary


def clear(folder: Path, steps: int, key: str) -> None:
    """Remove the files of an unfinished run, if there is one, to start it again, and print that it begins at step 0.

    Raises:
        ConfigError: the run has finished, or the files are not of a run, which writes its config before them.
    """
    summary = _finished_summary(folder)
    if summary is not None:
        problem = f"must be {summary['steps']} or below: {folder} has no checkpoint to resume from, got {steps}"
        raise ConfigError("steps", problem)
    outputs = [path for pattern in _OUTPUTS for path in folder.glob(pattern)]
    foreign = [path.name for path in outputs if path.name != "error.txt"]  # a run that could not start leaves that one
    if foreign and not any(os.path.lexists(folder / name) for name in (CONFIG, OVERRIDES, CHECKPOINTS)):
        problem = f"must be a folder in which no other program has a file {min(foreign)!r}, got {folder}"
        raise ConfigError(key, f"{problem}: name another folder, or move or remove the file")
    for path in outputs:
        path.unlink()
    if (folder / CONFIG).is_file():
        print(f"no checkpoint in {folder}: the run begins at step 0", flush=True)


def check_same_settings(there: Mapping[str, Any], here: Mapping[str, Any], where: Path) -> None:
    """Compare the flat settings of an earlier part of a run with those of the resumed run.

    Raises:
        ConfigError: naming a setting that differs, and the values of all others that do.
    """
    there = current_settings(there, here)
    if differing := _differing(there, here):
        key, *others = differing
        wanted = f"must be {_shown(there, key)}, as in the run to resume ({where}), got {_shown(here, key)}"
        beside = ", ".join(f"{other} must be {_shown(there, other)}" for other in others)
        raise ConfigError(key, wanted + (f"; {beside}" if beside else ""))


def _shown(settings: Mapping[str, Any], key: str) -> str:
    return repr(settings[key]) if key in settings else "absent"


def distance(there: Mapping[str, Any], here: Mapping[str, Any]) -> tuple[int, int]:
    """Return in how many flat settings an earlier run differs, first without those whose default has changed since.

    For the kind of observation that the run had, the first number is the least.
    """
    differing = set(_differing(current_settings(there, here), here))
    return len(differing - set(CHANGED)), len(differing)


def _differing(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return the keys of settings that differ, without those that may and those that are compared in another group."""
    parts, found = {".".join(key.split(".")[:2]) for key in here}, []
    rounds = "learning" in (there.get("deploy.rounding"), here.get("deploy.rounding"))
    for key in sorted(there.keys() | here.keys()):
        if {key, key.split(".")[0]} & set(_FREE) and not (rounds and key in _ROUNDING):
            continue
        # Settings that the agent refers to, such as agent.network.hidden, are compared in their own groups.
        elsewhere = key.startswith("agent.") and ".".join(key.split(".")[:2]) not in parts
        if not elsewhere and floats.encode(there.get(key)) != floats.encode(here.get(key)):
            found.append(key)
    return found


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted name."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found


def command_line(arguments: list[str], trusted: bool = False) -> list[str]:
    """Replace ``resume=PATH`` by the command line and folder of the run at the path.

    Arguments of this command replace the run's overrides of the same keys. A setting that neither of them names, and
    whose default has changed since, keeps its value. With ``trusted`` the run may name classes that
    ``tracerl.config.trust`` does not allow.
    """
    # These modules import Hydra, which is slow and not needed to read run folders.
    from tracerl.config.instantiate import open_keys
    from tracerl.runs.saved_overrides import accepted

    paths = [argument.partition("=")[2] for argument in arguments if argument.startswith("resume=")]
    if not paths or paths[-1].lower() in ("true", "false", "auto"):
        return arguments
    path = Path(os.path.abspath(paths[-1].strip("'\"")))
    folder = path.parent.parent if path.parent.name == CHECKPOINTS and not _is_run(path) else path
    check_folder(folder, "resume")
    before = saved.overrides(folder)
    if before is None:
        problem = f"must be true, false, auto, or the folder of a run or of one of its checkpoints, got {paths[-1]!r}"
        if _is_run(folder):
            problem = f"names a run without {OVERRIDES}, such as one that was killed before its first step"
            problem += f": start it with its own command and hydra.run.dir='{folder}' resume=auto"
        raise ConfigError("resume", problem)
    given = {key_and_value(argument)[0] for argument in arguments} | {"resume"}
    kept = [text for text in open_keys(before) if key_and_value(text)[0] not in given]
    others = [argument for argument in arguments if not argument.startswith("resume=")]
    earlier = _earlier_settings(folder, warn=False) or {}
    not_given = {key: value for key, value in previous_defaults(earlier).items() if not given & with_groups(key)}
    simple = optional(either(either(real, flag), word))
    defaults = {key: value for key, value in not_given.items() if fits(simple, value)}
    kept = accepted(kept, others, earlier, defaults, folder / OVERRIDES, trusted)
    settings = [text for text in others if text.startswith("~") or ("=" in text and not text.startswith("-"))]
    flags = [text for text in others if text not in settings]  # Hydra requires adjacent settings
    return [*flags, *kept, *settings, f"resume='{path}'", f"hydra.run.dir='{folder}'"]


def _is_run(folder: Path) -> bool:
    return any(os.path.lexists(folder / name) for name in (CONFIG, OVERRIDES, CHECKPOINTS, ".hydra"))


def check_folders(arguments: list[str]) -> None:
    """Check the folders of a command line before Hydra writes into them."""
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key not in ("hydra.run.dir", "hydra.sweep.dir"):
            continue
        name = value.strip("'\"")
        if not name:
            raise ConfigError(key, "must be the path of a folder, got ''")
        folder = Path(name)
        if folder.is_dir():
            check_folder(folder, key)
            for job in folder.iterdir() if key == "hydra.sweep.dir" else ():
                if job.is_symlink() and not job.resolve().is_relative_to(folder.resolve()):
                    raise _not_its_own(key, job, stat.S_IFLNK, "a folder")
                check_folder(job, key)


def check_folder(folder: Path, key: str) -> None:
    """Raise a ConfigError if a path that a run reads or writes is a link, a pipe or of another wrong kind."""
    for path in [*_listed(folder), *_listed(folder / ".hydra")]:
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:  # removed by an active run
            continue
        if path.name in _FOLDERS and not stat.S_ISDIR(mode):
            raise _not_its_own(key, path, mode, "a folder")
        written = path.parent.name == ".hydra" or any(fnmatch(path.name, pattern) for pattern in _FILES)
        if written and not stat.S_ISREG(mode):
            raise _not_its_own(key, path, mode, "a regular file")


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _not_its_own(key: str, path: Path, mode: int, wanted: str) -> ConfigError:
    return ConfigError(key, f"must be a folder whose files are its own: {path} must be {wanted}, it is {kind(mode)}")
