"""Write docs/config.md: every setting of configs/ with its default and its comment.

python scripts/config_reference.py

Which choice of a group is marked as the default, and which parts an agent has, is what ``hydra.compose`` makes of
``env=CartPole``, without and with ``agent=NAME``.
"""

import argparse
import itertools
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from tracerl.config.hydra_compat import compose

ROOT = Path(__file__).parents[1]
CONFIGS, PAGE = ROOT / "configs", ROOT / "docs" / "config.md"
STRUCTURE = {"_target_", "_partial_", "defaults", "hydra"}  # keys of Hydra, not settings
OF_ENVS = {"name", "id", "steps", "milestones", "extra", "kwargs", "wrappers"}  # columns of the table of envs
HANDED_ON = re.compile(r"\$\{\w+(\.\w+)?\}")  # a setting that refers to another group
WIDTH = 160  # characters in a line of a table
PARTS = ("network", "encoder", "optimizer", "head")  # groups with a default per agent
GROUPS = {  # in the order of the page
    "agent": "What learns. `agent=NAME` chooses it, `agent.KEY=` sets it.",
    "network": "Of the policy and of the critic. `network=NAME`, `network.KEY=`.",
    "encoder": "The features that the network receives ([encoders](encoders.md)).",
    "optimizer": "The step-size rule of each network ([what each bounds](step-size.md)).",
    "head": "The distribution over actions ([action spaces](environments.md)).",
    "deploy": "Whether the agent is to run on a chip ([export](export.md)). `deploy=NAME`, `deploy.KEY=`.",
    "logger": "Where curves go ([what is logged](tags.md)).",
}
INTRODUCTION = """# Every setting

Each is given on the command line as `key=value`, and from Python as `{"key": value}`. Lists are
written `[0.0,0.9]`, nothing is `null`. A wrong key or value raises a `ConfigError` that names it.
A setting that has no effect beside the others, such as `network.adaptation=0.2` with `neuron=lif`,
is named in a warning with the reason. The choice of a group is not, nor what its yaml sets.
`python -m tracerl.run --help` lists the same keys, `python -m tracerl.run --cfg job` prints what a
command line would set.

`scripts/config_reference.py` makes this page from the comments of `configs/`.
"""


@dataclass(frozen=True)
class Setting:
    """One line of a yaml."""

    key: str  # dotted, from the top of the file
    default: str  # default as written in the yaml
    comment: str  # description with its unit; empty without a comment


def introduction(path: Path) -> str:
    """Return the comment at the start of a yaml, in one line."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), path.read_text().splitlines())
    return " ".join(line.lstrip("# ") for line in lines if "@package" not in line)


def settings(path: Path) -> list[Setting]:
    """Return the settings of a yaml, in its order; lists and flow mappings stay whole, but for those of wrappers."""
    text = path.read_text()
    return list(_of_mapping(yaml.compose(text), "", text.splitlines())) if text.strip() else []


def _of_mapping(node: Any, prefix: str, lines: list[str]) -> Iterator[Setting]:
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        if key.value in STRUCTURE:
            continue
        row = key.start_mark.line
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            yield from _of_mapping(value, f"{name}.", lines)
        elif isinstance(value, yaml.SequenceNode) and not value.flow_style:
            yield from _of_list(value, name, _about(lines, row), lines)
        else:
            yield Setting(name, _written(lines[row]), _about(lines, row))


def _of_list(node: Any, name: str, about: str, lines: list[str]) -> Iterator[Setting]:
    """Settings of the mappings in a list, by their place in it; a list of anything else is one setting."""
    if all(isinstance(part, yaml.MappingNode) and not part.flow_style for part in node.value):
        for i, part in enumerate(node.value):
            yield from _of_mapping(part, f"{name}.{i}.", lines)
        return
    inside = lines[node.start_mark.line : node.end_mark.line]
    whole = ", ".join(_without_comment(line).strip().removeprefix("- ") for line in inside)
    yield Setting(name, f"[{whole}]", about or " ".join(filter(None, map(_comment, inside))))


def _without_comment(line: str) -> str:
    return re.sub(r"\s+#.*", "", line)


def _written(line: str) -> str:
    """Return the value of a line as written, but of ``${tracerl.input:{...}}`` the mapping alone."""
    value = _without_comment(line).split(":", 1)[1].strip()
    return re.sub(r"^\$\{tracerl\.input:(\{.*\})\}$", r"\1", value)


def _comment(line: str) -> str:
    found = re.search(r"(?:^|\s)#\s?(.*)", line)
    return found[1].strip() if found else ""


def _about(lines: list[str], row: int) -> str:
    """Return the comment of a line, after the comments above it at the same indentation."""
    indentation = re.match(r"\s*", lines[row])
    above: list[str] = []
    start = (indentation[0] if indentation else "") + "#"
    while row - 1 - len(above) >= 0 and lines[row - 1 - len(above)].startswith(start):
        above.append(_comment(lines[row - 1 - len(above)]))
    if len(above) == row and above:  # what the file begins with is about all of it
        above = []
    return " ".join(filter(None, [*reversed(above), _comment(lines[row])]))


def explained(found: list[Setting], known: Mapping[str, str]) -> list[Setting]:
    """Return the settings of a yaml with missing comments taken from the same key elsewhere; exit if there is none.

    ``known`` has the comments by key of the yamls that it is made of.
    """
    comments = {**known, **{setting.key: setting.comment for setting in found if setting.comment}}
    last = {key.split(".")[-1]: comment for key, comment in reversed(comments.items()) if comment}
    complete = []
    for setting in found:
        name = setting.key.split(".")[-1]
        comment = setting.comment or known.get(setting.key, "") or last.get(name, "")
        if not comment:
            raise SystemExit(f"nothing in configs/ says what {setting.key} is, of default {setting.default}")
        complete.append(Setting(setting.key, setting.default, comment))
    return complete


def table(rows: list[Setting], prefix: str = "") -> str:
    """Return settings as a markdown table, with long comments below it."""
    lines, notes = ["| key | default | what it is |", "|---|---|---|"], []
    for row in rows:
        default = f"`{row.default}`" if row.default != "???" else "must be given"
        about, rest = parted(row.comment, WIDTH - len(f"| `{prefix}{row.key}` | {default} |  |"))
        lines.append(f"| `{prefix}{row.key}` | {default} | {about} |")
        notes += [filled(f"`{prefix}{row.key}`: {rest}", "- ")] if rest else []
        if len(lines[-1]) > WIDTH:
            lines[-1] = f"| `{prefix}{row.key}` | below | {about} |"
            notes.append(filled(f"`{prefix}{row.key}` is {default} by default.", "- "))
    return "\n".join([*lines, *([""] if notes else []), *notes])


def parted(text: str, room: int, after: str = ". ") -> tuple[str, str]:
    """Split a comment after the last sentence that fits in ``room`` characters."""
    whole = escaped(text)
    if len(whole) <= room or after not in text:
        return whole, ""
    end = max(whole.rfind(after, 0, room), whole.find(after)) + 1
    return whole[:end].rstrip(":"), whole[end:].strip()


def filled(text: str, bullet: str = "") -> str:
    """Wrap prose."""
    indent = " " * len(bullet)
    return textwrap.fill(bullet + text, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def escaped(text: str) -> str:
    """Escape a comment for markdown."""
    return re.sub(r"([|*_\[\]<])", r"\\\1", text)


def parts(path: Path) -> list[Path]:
    """Return the yamls of the same group that a yaml includes, the nearest first."""
    defaults = (yaml.safe_load(path.read_text()) or {}).get("defaults", [])
    named = [path.with_name(f"{name}.yaml") for name in defaults if isinstance(name, str)]
    found = [part for part in named if part.is_file()]  # others are of other groups, or of other packages
    return found + [further for part in found for further in parts(part)]


def comments(paths: list[Path]) -> dict[str, str]:
    """Return the comments of yamls by key, the first one for each key."""
    return {setting.key: setting.comment for path in reversed(paths) for setting in settings(path) if setting.comment}


@lru_cache
def choices(*overrides: str) -> dict[str, str]:
    """Return the chosen yaml of each group, such as ``{"agent": "reflect", ...}``."""
    composed = compose(["env=CartPole", *overrides], return_hydra_config=True)
    return {group: name for group, name in composed.hydra.runtime.choices.items() if isinstance(name, str)}


def parts_of(agent: str) -> str:
    """Return a line with the default ``PARTS`` of an agent; empty without any."""
    chosen = choices(f"agent={agent}")
    named = [f"`{group}={chosen[group]}`" for group in PARTS if group in chosen]
    return f"Its parts by default: {', '.join(named)}.\n" if named else ""


def section(group: str, heading: str, default: str = "") -> Iterator[str]:
    """Yield the choices of one group with their settings, the default first."""
    prefix = group.replace("/", ".")
    yield f"## {group}\n\n{filled(heading)}\n"
    for path in sorted((CONFIGS / group).glob("*.yaml"), key=lambda path: (path.stem != default, path.stem)):
        own = [setting for setting in settings(path) if not HANDED_ON.fullmatch(setting.default)]
        name = f"{group}={path.stem}{' (default)' if path.stem == default else ''}"
        yield f"### {name}\n\n{filled(escaped(introduction(path)))}\n"
        if group == "agent" and parts_of(path.stem):
            yield parts_of(path.stem)
        if own:
            absolute = "@package _global_" in path.read_text()
            yield table(explained(own, comments(parts(path))), "" if absolute else f"{prefix}.") + "\n"


def envs() -> Iterator[str]:
    """Yield the settings of all envs, the list of envs, and settings of single envs."""
    folder = CONFIGS / "env"
    general = settings(folder / "gymnasium.yaml")
    everyone = comments([folder / "gymnasium.yaml"])
    yield "## env\n\nThe task ([environments](environments.md)). `env=NAME` chooses it, `env.KEY=` sets it.\n"
    yield table(explained(general, {"name": "of the env, in the names of its runs"}), "env.") + "\n"
    yield "### The envs\n\n| `env=` | what it is | `env.steps` | `env.milestones` | extra |\n|---|---|---|---|---|"
    paths, notes = [path for path in sorted(folder.glob("*.yaml")) if path.stem != "gymnasium"], [""]
    for path in paths:
        inherited = {s.key: s.default for part in reversed([path, *parts(path)]) for s in settings(part)}
        extra = "" if inherited["extra"] == "null" else f"`{inherited['extra']}`"
        about, rest = parted(introduction(path), 70, ": ")
        steps, milestones = int(inherited["steps"]), inherited["milestones"]
        yield f"| `{path.stem}` | {about} | {steps:,} | `{milestones}` | {extra} |"
        notes += [filled(f"`{path.stem}`: {rest}", "- ")] if rest else []
    yield from notes
    yield "\n### Settings of single envs\n"
    for path in paths:
        own = [s for s in settings(path) if s.key not in OF_ENVS - {"wrappers"}]
        if own:
            yield f"`env={path.stem}`\n\n{table(explained(own, everyone), 'env.')}\n"


def page() -> str:
    """Return the whole page."""
    run = [setting for setting in settings(CONFIGS / "run.yaml") if setting.key != "experiment"]
    blocks = [INTRODUCTION, "## The run\n", table(explained(run, {})) + "\n"]
    blocks.append("`hydra.run.dir=PATH` sets the folder of a run, `hydra.sweep.dir=PATH` that of a sweep.\n")
    blocks += envs()
    default = choices()
    for group, heading in GROUPS.items():
        whose = f" The default is that of `agent={default['agent']}`." if group in PARTS else ""
        blocks += section(group, heading + whose, default[group])
    blocks.append("## experiment\n\nSweeps made beforehand: `python -m tracerl.run -m experiment=NAME`.\n")
    sweeps = sorted(CONFIGS.glob("experiment/*.yaml"))
    blocks += [filled(f"`{path.stem}`: {escaped(introduction(path))}", "- ") for path in sweeps]
    blocks.append(
        "\n## space\n\nSettings to search with `python -m tracerl.search space=NAME` ([search](search.md)).\n"
    )
    spaces = sorted(CONFIGS.glob("space/*.yaml"))
    blocks += [filled(f"`{path.stem}`: {escaped(introduction(path))}", "- ") for path in spaces]
    blocks += ["", *section("hydra/launcher", "Where the jobs of a sweep run ([sweeps](sweeps.md)).")]
    return "\n".join(blocks).rstrip() + "\n"


def main() -> None:
    """Write the page and print its path."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=PAGE, help="(default: docs/config.md)")
    output = parser.parse_args().output
    output.write_text(page(), encoding="utf-8")
    print(output)


if __name__ == "__main__":
    main()
