"""What all pictures share: colours that colour-blind readers tell apart, and sizes."""

import io
import os
from pathlib import Path

import seaborn as sns
from matplotlib.figure import Figure

_PALETTE = sns.color_palette("colorblind")
TRAIN, TEST, MARK = _PALETTE[0], _PALETTE[1], _PALETTE[3]
PALETTE = _PALETTE


class Picture(Figure):
    """A matplotlib figure that every notebook shows, also one where pyplot was never used."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **options):
    """A figure and its axes, width × height inches.

    Made without pyplot, so that a notebook does not show it twice and no list of
    open figures grows; a cell that ends with the figure shows it.
    """
    figure = Picture(figsize=(width, height), layout="constrained", dpi=100)
    axes = figure.subplots(rows, columns, **options)
    return figure, axes


def tidy(axes) -> None:
    """A light grid and no box: what is left to see are the data."""
    axes.grid(True, color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def sign(figure: Figure, subject: str) -> Figure:
    """Write in the corner what network and data the picture is of."""
    figure.supxlabel(subject, x=1, ha="right", fontsize=7, color="0.4")
    return figure


def save_picture(figure: Figure, path: Path) -> None:
    """Write it as PNG, whole or not at all; raises OSError where there is no room."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        figure.savefig(temporary, format="png")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
