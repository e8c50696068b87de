"""The style of figures: sizes for print, colours for all readers, and file formats."""

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from tracerl.config import checks
from tracerl.runs.files import write_named

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The colours of Okabe and Ito, the most visible first, and four more.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f", "#8c6d31", "#6b4c9a")
INK, QUIET = "#222222", "#777777"
WIDTHS = {"one": 3.5, "two": 7.2}  # width of one and two columns of a journal page, inches
FORMATS = ("png", "pdf", "svg")
TITLE_LETTER = 0.072  # width of a letter in a title, inches
MOST_STEPS = 100_000  # largest number of env steps inside a lifetime, all of which are in memory
MOST_FRAMES = 100  # largest number of images


class FigureOptions(TypedDict, total=False):
    """Options of all figures."""

    title: str  # title of the figure
    width: float  # inches; default: two columns of a page
    height: float | None  # inches; None: by the content


_MARGINS = 0.8  # left and right of the axes together, inches
_DPI = 200  # resolution of a png, and of rasterized parts of a pdf or svg
_STYLE: Any = {
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("font.size", "axes.labelsize"), 8),
    **dict.fromkeys(("legend.fontsize", "legend.title_fontsize", "xtick.labelsize", "ytick.labelsize"), 7.5),
    **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width"), 0.7),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
    "axes.titlesize": 9,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "text.parse_math": False,  # a name with two dollars is no formula
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,  # text stays text, as journals require
    "ps.fonttype": 42,
    "svg.hashsalt": "tracerl",  # equal figures give equal files
}
_METADATA = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}


@contextmanager
def style() -> Iterator[None]:
    """A context in which matplotlib uses this style. pyplot is not used, so no figure stays open."""
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


def figure_options(
    *, title: str = "", width: float = WIDTHS["two"], height: float | None = None
) -> tuple[str, float, Any]:
    """Return title, in lines that fit the width, width and height with their defaults."""
    return textwrap.fill(title, int((width - _MARGINS) / TITLE_LETTER)), width, height


def new_figure(width: float, height: float) -> "Figure":
    """Make an empty figure; sizes in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def steps_axis(axes: "Axes", label: str = "env steps") -> None:
    """Format the horizontal axis as env steps: 20,000 is 20k."""
    from matplotlib.ticker import EngFormatter

    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel(label)


def kind_of(path: Path, asked_for: str | None = None) -> str:
    """Return the format of a figure: the given one or that of its file name."""
    return checks.choice("--format", asked_for or path.suffix.removeprefix(".").lower(), FORMATS)


def save(figure: "Figure", path: str | Path, kind: str | None = None) -> None:
    """Write a figure atomically."""
    path = Path(path)
    write_named(path, rendered(figure, kind_of(path, kind)))


def rendered(figure: "Figure", kind: str = "png") -> bytes:
    """Return the file of a figure in a format."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format=kind, dpi=_DPI, metadata=_METADATA[kind])
    return buffer.getvalue()
