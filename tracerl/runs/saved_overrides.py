"""Read and check the command line of a saved run: which overrides are accepted and which classes they may name."""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from tracerl.config import trust
from tracerl.config.checks import ConfigError
from tracerl.config.hydra_compat import compose
from tracerl.config.overrides import text_of
from tracerl.config.search_path import parsed, search_path
from tracerl.runs.build import expanded, with_input
from tracerl.runs.by_input import KINDS
from tracerl.runs.resume import distance, flat


def accepted(
    lines: Sequence[object],
    arguments: Sequence[str],
    earlier: Mapping[str, Any],
    defaults: Mapping[str, float | bool | str | None],
    source: Path,
    trusted: bool,
) -> list[str]:
    """Return the overrides of a saved run that a new command uses, with those of defaults that have changed since.

    Settings of Hydra and flags are left out, trusted or not: only the user chooses a callback, a launcher or a folder
    of configs. The config of the other overrides is checked before Hydra starts.

    Args:
        lines: lines of the saved run's file of overrides, without those that the command replaces.
        arguments: arguments of the command, given by the user.
        earlier: the run's settings by dotted name.
        defaults: its values of settings that may have had another default, by dotted name.
        source: path of the file, for messages.
        trusted: whether the user trusts the saved run.

    Raises:
        ConfigError: a line is no override, has a path outside the configs, or names a class that is not trusted.
        HydraException: the settings cannot be composed.
    """
    kept = [str(line) for line in lines if _is_accepted(line, source, trusted)]
    own = [text for text in arguments if "=" in text and not text.startswith("-")]
    cfg = compose([*kept, *_plain(own), *search_path(arguments)])
    trust.check(expanded(OmegaConf.to_container(cfg, resolve=False)), "", source, own, trusted)

    def from_earlier(settings: DictConfig) -> tuple[int, int]:
        plain: Any = OmegaConf.to_container(settings)
        return distance(earlier, flat(plain))

    of_kinds = [with_input(cfg, kind) for kind in KINDS]
    distances = [from_earlier(settings) for settings in of_kinds]
    least, all_keys = min(distances)
    alike = least if all_keys > least else None  # kinds that only changed defaults tell apart
    possible = [here for here, d in zip(of_kinds, distances, strict=True) if d == (least, all_keys) or d[0] == alike]
    groups = {key: OmegaConf.select(cfg, key.rpartition(".")[0]) for key in defaults}
    there = {key: value for key, value in defaults.items() if OmegaConf.is_dict(groups[key])}
    changed = {k: value for k, value in there.items() if any(OmegaConf.select(here, k) != value for here in possible)}
    return [*kept, *(f"{key}={text_of(value)}" for key, value in changed.items())]


def _is_accepted(line: object, source: Path, trusted: bool) -> bool:
    """Return whether a line is a setting of the run; warn if it is not."""
    override = None if str(line).startswith("-") else parsed(str(line))
    if override is None and not str(line).startswith("-"):
        raise ConfigError("resume", f"must be of a run whose overrides can be read, got {line!r} ({source})")
    if override is None or _is_of_hydra(override):
        print(f"warning: {line!r} of {source} is left out: it is none of the run's settings", file=sys.stderr)
        return False
    value = str(line).partition("=")[2]
    chooses = override.package is not None or "." not in override.key_or_group  # possibly a choice of a group
    if chooses and (".." in value or "\\" in value):
        raise ConfigError("resume", f"must be of a run whose choices are names, got {line!r} ({source})")
    if chooses and "$" in value and not trusted:
        raise ConfigError("resume", f"needs --trust for an interpolated choice, such as {line!r} ({source})")
    return True


def _is_of_hydra(override: Override) -> bool:
    return "hydra" in re.split(r"[./]", f"{override.key_or_group}.{override.package}")


def _plain(own: Sequence[str]) -> list[str]:
    """Return the user's settings with one value. Those of a sweep are not composed here."""
    overrides = [(text, parsed(text)) for text in own]
    return [text for text, found in overrides if found and not (_is_of_hydra(found) or found.is_sweep_override())]
