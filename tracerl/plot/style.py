"""How figures look, in one place: sizes for print, colours that all readers can tell apart, how they are written."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from tracerl.config import checks
from tracerl.runs.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, the strongest first, and four more.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f", "#8c6d31", "#6b4c9a")
INK, QUIET = "#222222", "#777777"
WIDTHS = {"one": 3.5, "two": 7.2}  # inches: of one column and of two of a journal's page
FORMATS = ("png", "pdf", "svg")


class Look(TypedDict, total=False):
    """How a figure looks, as far as it is said."""

    title: str  # above it
    width: float  # in inches; two columns of a page
    height: float | None  # in inches; None: as what there is to see needs


_DPI = 200  # of a png, and of the pixels within a pdf or svg
_STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "legend.fontsize": 7.5,
    "legend.title_fontsize": 7.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,  # letters stay letters, which journals ask for
    "ps.fonttype": 42,
    "svg.hashsalt": "tracerl",  # the same figure is the same file
}
_METADATA = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}


@contextmanager
def style() -> Iterator[None]:
    """A context in which matplotlib draws in this style; without pyplot, so that nothing is left open."""
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


def looks(*, title: str = "", width: float = WIDTHS["two"], height: float | None = None) -> tuple[str, float, Any]:
    """Return title, width and height of a ``Look``."""
    return title, width, height


def new_figure(width: float, height: float) -> "Figure":
    """Make an empty figure; sizes in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def count_in_words(value: float, _: object = None) -> str:
    """Write a number of env steps as a tick has it: 20,000 is 20k."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if abs(value) >= size:
            return f"{value / size:,g}{unit}"
    return f"{value:,.6g}"


def steps_axis(axes: "Axes", label: str = "env steps") -> None:
    """Let an axis to the right be one of env steps."""
    axes.xaxis.set_major_formatter(count_in_words)
    axes.set_xlabel(label)


def kind_of(path: Path, asked_for: str | None = None) -> str:
    """Return the format of a picture: that asked for or that of its name."""
    return checks.choice("--format", asked_for or path.suffix.removeprefix(".").lower(), FORMATS)


def save(figure: "Figure", path: Path, kind: str | None = None) -> None:
    """Write a figure, whole or not at all."""
    kind, buffer = kind_of(path, kind), io.BytesIO()
    with style():
        figure.savefig(buffer, format=kind, dpi=_DPI, metadata=_METADATA[kind])
    write_atomic(path, buffer.getvalue())
