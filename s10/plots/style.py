"""What all figures share: colors, sizes, and how they are shown and saved."""

import io
from collections.abc import Sized
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from s10.plots.text import as_title
from s10.runtime.errors import InputError
from s10.runtime.files import write_atomically

# The palette "colorblind" of seaborn (seaborn/palettes.py), without its import.
PALETTE = [
    to_rgb(color)
    for color in (
        "#0173B2", "#DE8F05", "#029E73", "#D55E00", "#CC78BC",
        "#CA9161", "#FBAFE4", "#949494", "#ECE133", "#56B4E9",
    )
]  # fmt: skip
TRAIN, TEST, MARK = PALETTE[0], PALETTE[1], PALETTE[3]


class NotebookFigure(Figure):
    """A matplotlib figure that a notebook displays even if pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        return _png(self)


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **options):
    """A figure of width × height inches and its axes.

    Created without pyplot: a cell that ends with the figure displays it once, and
    no list of open figures grows. `options` are those of `Figure.subplots`.
    """
    figure = NotebookFigure(figsize=(width, height), layout="constrained", dpi=100)
    FigureCanvasAgg(figure)  # Without it, each text that is measured allocates all pixels again.
    return figure, figure.subplots(rows, columns, **options)


def style_axes(*panels: Axes) -> None:
    """A light grid behind the data, and no spines at the top and the right."""
    for axes in panels:
        axes.grid(True, color="0.9", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)


def check_not_empty(data: Sized | None) -> None:
    """Raise an InputError if a history or predictions are empty, or None."""
    if data is None or not len(data):
        raise InputError("nothing to plot: no epoch is finished yet, or there are no test images")


def add_caption(figure: Figure, text: str) -> Figure:
    """Write a caption into the lower right corner, such as the network and the data shown."""
    text = as_title(text, figure.get_figwidth() - 0.2, fontsize=7)
    figure.supxlabel(text, x=1, ha="right", fontsize=7, color="0.4")
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Save the figure as PNG, atomically.

    Raises:
        OSError: the disk is full, say.
    """
    write_atomically(path, _png(figure))


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
