"""Tables of scripts in markdown, and their place in pages of docs/, between two markers with script and table."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import tracerl
from tracerl.runs.machine import machine


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first row is its head."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


def replace_between(script: str, text: str, name: str, content: str) -> str:
    """Return the text of a page with the content between the markers of a table replaced.

    The markers are ``<!-- SCRIPT NAME -->`` and ``<!-- end NAME -->``, each on a line. A ValueError names missing ones.
    """
    begin, end = f"<!-- {script} {name} -->\n", f"<!-- end {name} -->"
    before, _, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not ended:
        raise ValueError(f"no markers of the table {name}: {begin.strip()} and {end}")
    return f"{before}{begin}{content}\n{end}{after}"


def write_table(script: str, path: Path, name: str, content: str) -> None:
    """Replace the content between the markers of a table in a file; exit if they are missing."""
    path.write_text(replaced(script, path, name, content), encoding="utf-8")


def replaced(script: str, path: Path, name: str, content: str = "") -> str:
    """Return the text of ``write_table``; exit if the file or its markers are missing."""
    try:
        return replace_between(script, path.read_text(encoding="utf-8"), name, content)
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path}: {error}") from error


def made_on() -> str:
    """Return this machine and its versions, for the line under a table."""
    return (
        f"{machine()}, tracerl {tracerl.__version__}, "
        f"Python {platform.python_version()}, torch {version('torch')}, numba {version('numba')}, "
        f"Gymnasium {version('gymnasium')}"
    )
