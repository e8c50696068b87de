"""The space of a search: settings with distributions, in the grammar of Hydra's sweeps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from tracerl.config import hydra_compat
from tracerl.config.checks import ConfigError
from tracerl.config.error_messages import check_choices, explain
from tracerl.config.instantiate import open_keys

# Settings with one value per search: trials of several envs, seeds or lengths cannot be compared.
_FIXED = ("env", "env.id", "env.name", "steps", "seed", "lifetimes", "threads", "resume")
_MOST = 1000  # values in a range or choice


@dataclass(frozen=True)
class Axis:
    """A setting that is searched."""

    key: str  # as on the command line, ++ included
    sweep: str  # its values in Hydra's grammar, as the user wrote them
    distribution: BaseDistribution

    @property
    def name(self) -> str:
        """Name of the parameter in the study."""
        return self.key.lstrip("+")

    def override(self, value: Any) -> str:
        """Return the override that sets a value. Choices are texts in Hydra's grammar."""
        return f"{self.key}={value if isinstance(value, str) else repr(value)}"

    def suggest(self, trial: Trial) -> Any:
        """Return the value that Optuna suggests."""
        found, name = self.distribution, self.name
        if isinstance(found, FloatDistribution):
            return trial.suggest_float(name, found.low, found.high, step=found.step, log=found.log)
        if isinstance(found, IntDistribution):
            return trial.suggest_int(name, found.low, found.high, step=found.step, log=found.log)
        assert isinstance(found, CategoricalDistribution)
        return trial.suggest_categorical(name, found.choices)

    def ends(self) -> Sequence[Any]:
        """Return the lowest and the highest value, or all choices."""
        found: Any = self.distribution
        ends: Sequence[Any] = found.choices if isinstance(found, CategoricalDistribution) else (found.low, found.high)
        return ends

    def value_of(self, setting: Any) -> Any:
        """Return a setting as a value of the axis; None if it has no such value."""
        if isinstance(self.distribution, CategoricalDistribution):
            return next((text for text in self.distribution.choices if _parsed(f"x={text}").value() == setting), None)
        found: Any = self.distribution
        if not isinstance(setting, (int, float)) or isinstance(setting, bool) or not found.low <= setting <= found.high:
            return None
        steps = (setting - found.low) / found.step if found.step else 0.0
        return setting if math.isclose(steps, round(steps), abs_tol=1e-9) else None


@dataclass(frozen=True)
class Space:
    """The settings of a search.

    Attributes:
        fixed: overrides that all trials have, as the user wrote them.
        axes: settings that are searched.
        search_path: overrides that add the user's folder of configs, if there is one.
    """

    fixed: tuple[str, ...]
    axes: tuple[Axis, ...]
    search_path: tuple[str, ...]

    def overrides(self, chosen: Sequence[str] = ()) -> list[str]:
        """Return the overrides of a run with chosen values of the axes."""
        return open_keys([*self.fixed, *chosen])

    def compose(self, chosen: Sequence[str] = ()) -> tuple[DictConfig, Mapping[str, str]]:
        """Return the config of a run with chosen values of the axes, and the choice of every group.

        Raises:
            ConfigError: a key or a choice does not exist.
        """
        return _compose("run", [*self.overrides(chosen), *self.search_path])

    def corners(self) -> list[list[str]]:
        """Return points of the space that have every choice, and the lowest and highest of every other value."""
        most = max(len(axis.ends()) for axis in self.axes)
        return [[axis.override(axis.ends()[min(i, len(axis.ends()) - 1)]) for axis in self.axes] for i in range(most)]

    def given(self, cfg: DictConfig, choices: Mapping[str, str]) -> dict[str, Any] | None:
        """Return the point of the space that the command line has without a search; None if it is outside."""
        point = {}
        for axis in self.axes:
            setting = choices.get(axis.name) or OmegaConf.select(cfg, axis.name)
            plain = OmegaConf.to_container(setting) if OmegaConf.is_config(setting) else setting
            point[axis.name] = axis.value_of(plain)
        return None if None in point.values() else point


def read(arguments: Sequence[str], config_dir: Path | None) -> Space:
    """Return the space of a command line.

    Args:
        arguments: overrides. ``space=NAME`` names a file in ``configs/space``, a sweep such as ``KEY=interval(0,1)``
            adds a setting to it, and another override of the same key removes it.
        config_dir: folder with configs of the user, searched too.

    Raises:
        ConfigError: a key or a choice does not exist, or values cannot be searched.
    """
    parsed = [_parsed(argument) for argument in arguments]
    for override in parsed:
        _check_key(override)
    fixed = [override for override in parsed if not override.is_sweep_override()]
    path = () if config_dir is None else (_search_path(config_dir),)
    cfg, _ = _compose("search", [*open_keys([str(override.input_line) for override in fixed]), *path])
    set_already = {override.key_or_group for override in fixed}
    named = [_of_space(key, text) for key, text in (cfg.get("space") or {}).items()]
    axes = {override.key_or_group: override for override in named if override.key_or_group not in set_already}
    axes |= {override.key_or_group: override for override in parsed if override.is_sweep_override()}
    if not axes:
        raise ConfigError("space", 'must be given: space=default, or "KEY=interval(LOW,HIGH)", "KEY=choice(A,B)"')
    lines = tuple(str(override.input_line) for override in fixed if override.key_or_group != "space")
    return Space(lines, tuple(_axis(override) for override in axes.values()), path)


def _compose(name: str, overrides: list[str]) -> tuple[DictConfig, Mapping[str, str]]:
    check_choices(overrides)
    try:
        cfg = hydra_compat.compose(overrides, name, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError("settings", f"cannot be used: {explain(error, overrides)}") from error
    choices = {str(group): str(choice) for group, choice in cfg.hydra.runtime.choices.items()}
    with open_dict(cfg):
        del cfg.hydra
    return cfg, choices


def _parsed(text: str) -> Override:
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise ConfigError(text, f"must be KEY=VALUE or KEY=SWEEP: {str(error).splitlines()[0]}") from error


def _check_key(override: Override) -> None:
    key = override.key_or_group
    if override.is_hydra_override() or key == "resume":
        raise ConfigError(key, "must not be set: each trial has a folder of its own, and --help lists the options")


def _of_space(key: Any, text: Any) -> Override:
    """Return an entry of a space as an override."""
    override = _parsed(f"{key}={text}") if isinstance(text, str) else None
    if override is None or not override.is_sweep_override():
        raise ConfigError(f"space: {key}", f"must be a sweep, such as interval(0.1,1) or choice(1,2), got {text!r}")
    return override


def _axis(override: Override) -> Axis:
    key = override.key_or_group
    if key in _FIXED:
        raise ConfigError(key, "must have one value in a search, because the values of its trials are compared")
    try:
        found = _distribution(override)
    except (ValueError, HydraException) as error:
        raise ConfigError(key, f"cannot be searched: {error}") from error
    return Axis(override.get_key_element(), str(override.input_line).partition("=")[2], found)


def _distribution(override: Override) -> BaseDistribution:
    """Return the distribution of a sweep; a ValueError for a sweep without one."""
    sweep = override.value()
    tags = sweep.tags if isinstance(sweep, (IntervalSweep, RangeSweep, ChoiceSweep)) else set()
    allowed = {"int", "log"} if isinstance(sweep, IntervalSweep) else set()
    if not tags <= allowed:
        raise ValueError(f"tags must be int or log, and of an interval, got {', '.join(sorted(tags))}")
    if isinstance(sweep, IntervalSweep):
        low, high, log = sweep.start, sweep.end, "log" in tags
        assert low is not None and high is not None
        if "int" in tags or isinstance(low, int) and isinstance(high, int):
            return IntDistribution(int(low), int(high), log=log)
        return FloatDistribution(low, high, log=log)
    if isinstance(sweep, RangeSweep):
        values: list[Any] = list(islice(override.sweep_iterator(), _MOST + 1))
        if not 0 < len(values) <= _MOST:
            raise ValueError(f"a range must have 1 to {_MOST} values")
        low, high = min(values), max(values)
        whole = all(isinstance(value, int) for value in values)
        step: Any = abs(sweep.step)
        return IntDistribution(low, high, step=step) if whole else FloatDistribution(low, high, step=float(step))
    if isinstance(sweep, ChoiceSweep):
        return CategoricalDistribution(list(dict.fromkeys(override.sweep_string_iterator())))
    raise ValueError("a sweep must be an interval, a range or a choice")


def _search_path(folder: Path) -> str:
    if not folder.is_dir():
        raise ConfigError("--config-dir", f"must be a folder, got {str(folder)!r}")
    escaped = f"file://{folder.absolute()}".replace("\\", "\\\\").replace("'", "\\'")
    return f"hydra.searchpath=['{escaped}']"
