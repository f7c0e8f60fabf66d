"""Grids of images: any images, and the misclassified ones."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from s10.plots.style import check_not_empty, new_figure
from s10.plots.text import as_label, as_title
from s10.predictions import Predictions
from s10.runtime.errors import one_line


def plot_images(
    images: np.ndarray,
    names: Sequence[str] = (),
    *,
    columns: int = 10,
    title: str = "",
    size: float = 0.95,
    fontsize: float = 8,
) -> Figure:
    """A grid of images with their names above them.

    Args:
        images: (N, H, W, 3), uint8 or float from 0 to 1.
        names: none, or one for each image; may be empty or have several lines.
        size: of an image, in inches.
    """
    rows = max(1, -(-len(images) // columns))
    names = [str(name).splitlines() for name in names]
    lines = [len(name) for name in names]
    lines = sum(max(lines[start : start + columns]) for start in range(0, len(lines), columns))
    title = as_title(title, 0.98 * size * columns, 12)
    height = 0.4 + size * rows + 0.2 * (lines + title.count("\n"))
    figure, axes = new_figure(size * columns, height, rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image in zip(axes.flat, images, strict=False):
        axis.imshow(image, interpolation="nearest")
    for axis, name in zip(axes.flat, names, strict=False):
        labels = [as_label(line, size, fontsize) for line in name]
        axis.set_title("\n".join(labels), fontsize=fontsize)
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure


def plot_misclassified(
    images: np.ndarray,
    predictions: Predictions,
    *,
    true: str | None = None,
    predicted: str | None = None,
    count: int = 20,
    columns: int = 5,
) -> Figure:
    """The misclassified images, most confident mistakes first.

    Args:
        images: uint8 (N, 32, 32, 3), in the order of the predictions.
        true, predicted: only images of this true class, or of this predicted class.
        count: how many at most.
    """
    check_not_empty(predictions)
    table = predictions.mistakes(true, predicted)
    shown = table.head(count)
    names = [
        f"pred: {one_line(row.predicted)} ({row.probability:.0%})\n"
        f"true: {one_line(row.true)} ({row.probability_true:.0%})"
        for row in shown.itertuples()
    ]
    title = f"{len(table)} of {len(predictions.labels)} images are misclassified"
    if true or predicted:
        pair = f"{true or 'any class'} misclassified as {predicted or 'another'}"
        title = f"{pair}: {len(table)} of {len(predictions.labels)} images"
    title += f"; the {len(shown)} most confident mistakes"
    images = np.asarray(images)[shown["index"]]
    return plot_images(images, names, columns=columns, title=title, size=1.75, fontsize=9)
