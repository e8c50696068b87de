"""The table of agents in docs/rules.md is that of the agents."""

import re
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space

import tracerl
from tracerl.config.checks import ConfigError

ROOT = Path(__file__).parents[1]
SPACES: dict[str, Space] = {
    "Discrete": Discrete(3),
    "MultiDiscrete": MultiDiscrete([2, 3]),
    "MultiBinary": MultiBinary(2),
    "Box": Box(-1, 1, (2,)),
}
ROWS = re.findall(
    r"^\| `(\w+)` \|.*\| ([^|]*) \| ([^|]*) \|$", (ROOT / "docs/rules.md").read_text().split("\n### ")[0], re.M
)


def accepts(agent: str, actions: Space, engine: str) -> bool:
    """Return whether an agent acts in a space in an engine; any other problem is an error."""
    shape = (6, 6, 1) if agent == "stream_ac_conv" else (4,)
    try:
        made = tracerl.make_agent((Box(-1, 1, shape), actions), agent, {"engine": engine})
        made.start(np.zeros(shape))
    except ConfigError as error:
        assert error.key in ("env", "engine"), error
        return False
    return True


def test_the_table_has_every_agent() -> None:
    assert {name for name, *_ in ROWS} == {path.stem for path in (ROOT / "configs/agent").glob("*.yaml")}


@pytest.mark.parametrize(("agent", "spaces", "engines"), ROWS, ids=[name for name, *_ in ROWS])
def test_an_agent_acts_in_the_spaces_and_engines_of_its_row(agent: str, spaces: str, engines: str) -> None:
    acted = {name for name, space in SPACES.items() if accepts(agent, space, "torch")}
    assert acted == (set(SPACES) if spaces == "all" else set(spaces.split(", ")))
    has_kernels = agent != "random" and accepts(agent, SPACES["Discrete"], "fused")
    assert has_kernels == ("fused" in engines)
