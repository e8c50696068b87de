"""Elements of an HTML page. Every text is escaped; only ``Html`` is taken as it is."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from tracerl.plot.style import rendered

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EMPTY = ("img", "meta", "br")
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # no script, no request


class Html(str):
    """Text that is HTML already."""


def element(name: str, /, *content: str, **attributes: str) -> Html:
    """Return an element; ``class_`` is written as ``class``, ``aria_label`` as ``aria-label``."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items() if value
    )
    inside = "".join(part if isinstance(part, Html) else escape(part) for part in content)
    return Html(f"<{name}{written}>" if name in _EMPTY else f"<{name}{written}>{inside}</{name}>")


def together(*parts: str) -> Html:
    """Return elements and texts after each other."""
    return Html("\n".join(part if isinstance(part, Html) else escape(part) for part in parts if part))


def section(title: str, *content: str, anchor: str = "") -> Html:
    """Return a section with a heading."""
    return element("section", element("h2", title), together(*content), id=anchor)


def facts(pairs: Mapping[str, str]) -> Html:
    """Return names with values, those without a value left out."""
    rows = [element("div", element("dt", name), element("dd", text)) for name, text in pairs.items() if text]
    return element("dl", *rows, class_="facts")


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """Return a table whose first column names its rows; it scrolls by itself where it is too wide for the page."""
    top = element("thead", element("tr", *(element("th", name, scope="col") for name in head)))
    body = [
        element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:])) for row in rows
    ]
    inside = element("table", element("caption", element("span", caption)), top, element("tbody", *body))
    return element("div", inside, class_="wide", tabindex="0", role="region", aria_label=caption)


def picture(figure: "Figure", alternative: str, caption: str = "") -> Html:
    """Return a figure as a PNG within the page.

    Args:
        figure: figure of ``tracerl.plot``.
        alternative: what the picture shows, for readers who do not see it.
        caption: text below it.
    """
    data = base64.b64encode(rendered(figure)).decode()
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    size = {"width": str(width), "height": str(height)}
    image = element("img", src=f"data:image/png;base64,{data}", alt=alternative, **size)
    return element("figure", image, element("figcaption", caption) if caption else Html(""))


def page(title: str, *content: str) -> str:
    """Return the page."""
    style = Html(Path(__file__).with_name("page.css").read_text(encoding="utf-8"))
    head = [
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("title", title),
        element("style", style),
    ]
    body = element("body", element("main", element("h1", title), together(*content)))
    return f'<!doctype html>\n<html lang="en">\n{element("head", *head)}\n{body}\n</html>\n'
