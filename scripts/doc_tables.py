"""Tables that a script writes into a page of docs/, between two markers that name script and table."""

from pathlib import Path


def replace_between(script: str, text: str, name: str, content: str) -> str:
    """Return the text with what stands between the markers of a table replaced.

    Args:
        script: that makes the table.
        text: of the page, with ``<!-- SCRIPT NAME -->`` and ``<!-- end NAME -->`` in it, each on a line of its own.
        name: of the table.
        content: of the table.

    Raises:
        ValueError: the text has no such markers.
    """
    begin, end = f"<!-- {script} {name} -->\n", f"\n<!-- end {name} -->"
    if begin not in text or end not in text:
        raise ValueError(f"no markers of the table {name}: {begin.strip()} and {end.strip()}")
    before, rest = text.split(begin)
    return before + begin + content + end + rest.split(end, 1)[1]


def write_table(script: str, path: Path, name: str, content: str) -> None:
    """Replace what stands between the markers of a table in a file; exit where it has none."""
    try:
        text = replace_between(script, path.read_text(encoding="utf-8"), name, content)
    except ValueError as error:
        raise SystemExit(f"{path}: {error}") from error
    path.write_text(text, encoding="utf-8")
