"""Grids of images."""

import numpy as np
from matplotlib.figure import Figure

from s10.plots.style import new_figure


def plot_images(
    images: np.ndarray, names: list[str] | None = None, *, columns: int = 10, title: str = ""
) -> Figure:
    """A grid of pictures: uint8 (N, H, W, 3), or float 0–1; `names` stand above them."""
    rows = max(1, -(-len(images) // columns))
    named = {index // columns for index, name in enumerate(names or []) if name}
    figure, axes = new_figure(
        0.95 * columns, 0.4 + 0.95 * rows + 0.2 * len(named), rows, columns, squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for index, (axis, image) in enumerate(zip(axes.flat, images, strict=False)):
        show_image(axis, image)
        if names and names[index]:
            axis.set_title(names[index], fontsize=8)
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure


def show_image(axes, image: np.ndarray) -> None:
    """One picture, its pixels to be seen as squares."""
    axes.imshow(image, interpolation="nearest")
    axes.axis("off")
