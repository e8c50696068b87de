"""The pages of docs/: their examples run as they stand, and the settings of their commands exist."""

import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.helpers import command, compose, script

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?[^\n]*\n(.*?)^```$', re.MULTILINE | re.DOTALL)
COMPLETE = [
    "callbacks.md",
    "library.md",
    "loggers.md",
    "own-loop.md",
    "protocol.md",
    *sorted(f"extend/{path.name}" for path in (ROOT / "docs/extend").glob("*.md")),
]
PYTHON = ["README.md", *(f"docs/{name}.md" for name in ("c", "index", "plot", "pretrained", "quickstart"))]
SHOWN = [ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "examples/README.md")]
CONFIGS = sorted((ROOT / "configs").glob("**/*.yaml"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
# Words of the project's own where the field has one: lifetime or run, method, compiled env, Gaussian, baseline, ...
PRIVATE = (
    r"\b(?:life|lives|lived|(?:new)?born|verbs?|(?:un)?told|twins?|bells?|coins?|toss(?:es)?|outlooks?|worlds?|peers?|aims?"
    r"|stretch(?:es)?|obstacles?|tally|monitors?|foreign|scores?|unseen|to the (?:bit|number)|of (?:then|now|before)"
    r"|(?:is|are) (?:refused|dead|answered)|hand(?:s|ed)? (?:on|over|out)|go(?:es)? on|going on)\b"
)
SHORT = 20  # env steps, in place of those that a page names


def blocks(page: str) -> list[tuple[str, str, str]]:
    """The fenced blocks of a page: language, file that the block is, text."""
    return FENCE.findall((ROOT / "docs" / page).read_text())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to be in, whose modules are gone afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


def follow(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch, short: bool) -> int:
    """Do what a page says, from its top to its end; return how many commands there were."""
    followed = 0
    for language, name, text in blocks(page):
        if name:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif language == "bash":
            for line in text.splitlines():
                run(shlex.split(line, comments=True), folder, monkeypatch, short)
                followed += 1
    return followed


def run(words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, short: bool) -> None:
    assert words[0] == "python", words
    if words[1:3] == ["-m", "tracerl.run"]:
        settings = [word for word in words[3:] if not (short and word.startswith("steps="))]
        less = [f"steps={SHORT}"] if short else []
        assert command([*settings, *less, "threads=1"], monkeypatch, folder) == 0  # tests share the machine
    else:
        monkeypatch.setattr(sys, "argv", words[1:])
        runpy.run_path(words[1], run_name="__main__")


@pytest.mark.parametrize("page", COMPLETE)
def test_what_a_page_says_works(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert follow(page, folder, monkeypatch, short=True) > 0


@pytest.mark.parametrize(
    ("page", "line", "message"),
    [
        (
            "extend/head.md",
            "head=exploring env=Pendulum",
            "env must have a Discrete action space for this head, got Box",
        ),
        (
            "extend/agent.md",
            "agent=critic_free env=ContextualBandit agent.trace_decay=2",
            "agent.trace_decay must be a number in [0, 1), got 2",
        ),
    ],
)
def test_example_names_a_setting_that_it_cannot_use(
    page: str,
    line: str,
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for _, name, text in blocks(page):
        if name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    assert command(["--config-dir", "configs", *line.split(), "steps=20"], monkeypatch, folder) == 2
    assert f"error: {message}" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("page", COMPLETE)
def test_what_a_page_says_works_in_full(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert follow(page, folder, monkeypatch, short=False) > 0


@pytest.mark.parametrize("page", PYTHON)
def test_the_first_python_of_a_page_runs(page: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = next(text for language, _, text in FENCE.findall((ROOT / page).read_text()) if language == "python")
    exec(re.sub(r"steps=[\d_]+", "steps=300", found).replace("episodes=10)", "episodes=1)"), {})
    if page == "docs/plot.md":
        assert (folder / "raster.pdf").read_bytes().startswith(b"%PDF")
    elif page != "docs/c.md":
        assert capsys.readouterr().out.strip()


def commands() -> list[str]:
    """Every single run that a page names, whose settings are all of the project's own."""
    found = set()
    for page in PAGES:
        for line in re.findall(r"python -m tracerl\.run ([^\n`#|]+)", re.sub(r"\\\n +", "", page.read_text())):
            foreign = ("-m ", "--", "resume=", "...", "hydra", "NAME", "KEY", "PATH", "my_", "corridor", "experiment=")
            if "=" in line and not any(word in line for word in foreign):
                found.add(line.strip())
    return sorted(found)


def test_the_settings_of_every_command_exist() -> None:
    assert len(commands()) > 15
    for line in commands():
        compose(*shlex.split(line))


def prose(text: str) -> str:
    """A page without code, tables of scripts, formulas and targets of links, its lines in place."""
    blocks = (r"^```.*?^```", r"^<!-- \w+ \w+ -->.*?^<!-- end \w+ -->", r"^\$\$.*?^\$\$", r"^(?: {4,}|:::).*?$")
    for pattern in (*blocks, r"`[^`]*`", r"\]\([^)]*\)", r"\$[^$\n]*\$"):
        text = re.sub(pattern, lambda found: "\n" * found[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)
    return text


@pytest.mark.parametrize("page", [*PAGES, *SHOWN], ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_uses_the_words_of_the_field_and_short_lines(page: Path) -> None:
    text = page.read_text()
    lines = prose(text).splitlines()
    assert not [line for line in lines if re.search(PRIVATE, line, re.IGNORECASE)]
    assert not [line for line in lines if len(line) > 100 and not line.startswith(("|", "!["))]
    assert not [line for line in text.splitlines() if len(line) > 160]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_config_uses_the_words_of_the_field_and_short_lines(path: Path) -> None:
    text = path.read_text()
    said = re.findall(r"#.*|^(?:question|prediction|header|template):.*(?:\n(?:  .*)?)*", text, re.MULTILINE)
    assert not [part for part in said if re.search(PRIVATE, part, re.IGNORECASE)]
    assert not [line for line in text.splitlines() if len(line) > 120]


def test_the_site_needs_no_network() -> None:
    yaml = pytest.importorskip("yaml")
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert all((ROOT / "docs" / path).is_file() for path in config["extra_css"] + config["extra_javascript"])
    assert config["theme"]["font"] is False and "MIT" in (ROOT / "docs/assets/katex/LICENSE").read_text()


def test_links_out_of_the_docs_become_pages_or_names(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("mkdocs")
    hooks = script("site_hooks")

    page = SimpleNamespace(file=SimpleNamespace(src_uri="extend/env.md"))

    def shown(text: str) -> str:
        return hooks.on_page_markdown(text, page, None, None)

    assert shown("[it](../../SECURITY.md#a)") == "[it](../security.md#a)"
    assert shown("[the loop](../../tracerl/lifetime/loop.py)") == "the loop (`tracerl/lifetime/loop.py`)"
    assert (
        shown("[tags](../tags.md) ![a](../a.png) [b](https://b.c)")
        == "[tags](../tags.md) ![a](../a.png) [b](https://b.c)"
    )
    assert not caplog.records
    shown("[gone](../../gone.py)")
    assert "gone.py, which is not in the repository" in caplog.text


def test_figures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs").glob("how-*.png")}
    assert len(sizes) == 3 and max(sizes.values()) < 150_000
