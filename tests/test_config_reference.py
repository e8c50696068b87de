"""docs/config.md has exactly the contents of the yamls."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml
from omegaconf import OmegaConf

from tests.helpers import compose, exit_code, script
from tracerl.config.hydra_compat import configs

reference = script("config_reference")
PAGE = reference.PAGE.read_text()


def test_page_equals_what_the_yamls_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert exit_code(script("config_reference").main, monkeypatch, "-o", tmp_path / "config.md") == 0
    assert (tmp_path / "config.md").read_text() == PAGE, "run python scripts/config_reference.py"


@pytest.mark.parametrize("group", reference.GROUPS)
def test_default_choice_of_each_group_is_marked(group: str) -> None:
    with configs("tracerl.configs"):
        chosen = hydra.compose("run", ["env=CartPole"], return_hydra_config=True).hydra.runtime.choices[group]
    assert re.findall(rf"^### {group}=(\w+) \(default\)$", PAGE, re.MULTILINE) == [chosen]


@pytest.mark.parametrize("key", ["network.threshold", "encoder.memory_decay", "optimizer.policy.eta"])
def test_default_of_each_part_is_that_of_a_default_run(key: str) -> None:
    group = key.split(".")[0]
    section = re.search(rf"^### {group}=\w+ \(default\)\n(.*?)^###? ", PAGE, re.MULTILINE | re.DOTALL)
    assert section is not None
    found = re.search(rf"^\| `{re.escape(key)}` \| `(.*?)` \|", section[1], re.MULTILINE)
    assert found is not None
    of_run = OmegaConf.select(compose("env=CartPole"), key)  # before the resolver is used: composing registers it
    written = re.sub(r"^(\{.*\})$", r"${tracerl.input:\1}", found[1])
    (default,) = OmegaConf.to_container(OmegaConf.create([yaml.safe_load(written)]), resolve=True)
    assert default == of_run


def keys(node: Any, prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        if str(key).startswith("_"):
            continue
        if isinstance(value, dict) and value and key != "kwargs":
            yield from keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


@pytest.mark.parametrize("agent", ["reflect", "eprop", "rstdp", "stream_ac", "reflect_classic", "q_lambda", "stream_q"])
def test_page_has_every_key_of_a_composed_config(agent: str) -> None:
    config = OmegaConf.to_container(compose(f"agent={agent}", "env=gymnasium", "env.id=CartPole-v1"))
    groups = ("network", "encoder", "optimizer", "head", "engine", "threads", "steps")
    missing = [key for key in keys(config) if f"| `{key}` |" not in PAGE and key not in map("agent.{}".format, groups)]
    assert not missing


def test_key_without_a_description_raises_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# A group.\n# of two lines\nfirst: 1 # unit | of it\nsecond: [2]\n")
    first, second = reference.settings(tmp_path / "a.yaml")
    assert reference.introduction(tmp_path / "a.yaml") == "A group. of two lines"
    assert (first.key, first.default, first.comment) == ("first", "1", "unit | of it")
    assert reference.table([first]).endswith("| `first` | `1` | unit \\| of it |")
    with pytest.raises(SystemExit, match="nothing in configs/ says what second is"):
        reference.explained([second], {})
    assert reference.explained([second], {"second": "else"})[0].comment == "else"
