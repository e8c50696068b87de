"""A group accepts any value of a key or raises an error naming the key."""

import math
from typing import Any

import hydra
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from tests.helpers import compose
from tracerl.config.checks import ConfigError
from tracerl.runs.build import with_input

GROUPS = {
    "network": "network",
    "network=conv": "network",
    "encoder": "encoder",
    "encoder=population": "encoder",
    "optimizer": "optimizer.policy",
    "optimizer=obgd": "optimizer.policy",
    "optimizer=adaptive_obgd": "optimizer.value",
    "optimizer=sgd": "optimizer.policy",
    "env": "env",
    "logger=none": "logger",
    "logger=wandb": "logger.wandb",
    "logger=mlflow": "logger.mlflow",
    "checkpoint": "checkpoint",
    "agent=rstdp": "agent.stdp",
}
NUMBERS = st.one_of(st.integers(-3, 3), st.integers(), st.floats(allow_nan=True, allow_infinity=True))
SIMPLE = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=4))
VALUES = st.one_of(SIMPLE, st.lists(SIMPLE, max_size=3), st.dictionaries(st.text(max_size=2), SIMPLE, max_size=2))


def node(group: str) -> tuple[Any, dict[str, Any]]:
    """Return the class that a group names and its settings."""
    config = with_input(compose(*([group] if "=" in group else [])), "vectors")
    found: Any = OmegaConf.to_container(OmegaConf.select(config, GROUPS[group]), resolve=True)
    return hydra.utils.get_object(found.pop("_target_")), found


@pytest.mark.parametrize("group", GROUPS)
def test_any_value_is_accepted_or_raises_an_error_naming_its_key(group: str) -> None:
    if group in ("logger=wandb", "logger=mlflow"):  # of which the first setting that is wrong is the missing package
        pytest.importorskip(group.removeprefix("logger="))
    build, defaults = node(group)

    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    @given(key=st.sampled_from(sorted(defaults)), value=VALUES)
    def check(key: str, value: Any) -> None:
        try:
            build(**{**defaults, key: value})
        except ConfigError as error:
            assert error.key, error
            assert len(str(error)) < 500
        if isinstance(value, float) and not math.isfinite(value):
            with pytest.raises(ConfigError):  # no setting of any group may be NaN or infinite
                build(**{**defaults, key: value})

    check()
