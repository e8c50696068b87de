"""Hooks of the MkDocs build, which calls the functions with names ``on_*``."""

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {"CHANGELOG.md": "changelog.md", "SECURITY.md": "security.md"}  # at the top of the repository, pages here
LINKED = {**PAGES, "examples/README.md": "examples.md"}  # what links to the repository mean on the site
MAPPED = ("agents", "envs", "configs")  # part of the package, beside it in the repository
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")

_log = logging.getLogger("mkdocs.hooks.tracerl")  # a warning ends a strict build


def on_startup(command: str, dirty: bool) -> None:
    """Create the installed layout of the package for mkdocstrings, with agents and envs inside."""
    folder = ROOT / ".cache" / "api" / "tracerl"
    folder.mkdir(parents=True, exist_ok=True)
    for link in folder.iterdir():
        link.unlink()
    for path in [*(ROOT / "tracerl").iterdir(), *(ROOT / name for name in MAPPED)]:
        if path.name != "__pycache__":
            (folder / path.name).symlink_to(path)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages at the top of the repository."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text().replace("](docs/", "](")
        for other, its_page in LINKED.items():
            text = text.replace(f"]({other})", f"]({its_page})")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Replace links to files of the repository by links to pages or by file names.

    Broken links are kept, and MkDocs warns of them.
    """
    folder = posixpath.dirname(page.file.src_uri)

    def resolved(found: re.Match[str]) -> str:
        text, target = found["text"], found["target"]
        path = posixpath.normpath(posixpath.join("docs", folder, target))
        if "://" in target or path.startswith("docs/"):
            return found[0]
        if path in LINKED:
            return f"[{text}]({posixpath.relpath(LINKED[path], folder or '.')}{found['anchor'] or ''})"
        if not (ROOT / path).exists():
            _log.warning("%s links to %s, which is not in the repository", page.file.src_uri, target)
        return f"{text} (`{path}`)" if text.strip("`") != path else f"`{path}`"

    return LINK.sub(resolved, markdown)
