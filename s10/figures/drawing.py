"""Boxes and arrows: what the drawn figures share. Units are inches, y points up."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle
from torch import nn

from s10.plots.style import PALETTE, new_figure

DATA = PALETTE[4]
CONV, NORM, RELU, POOL = PALETTE[0], PALETTE[7], PALETTE[2], PALETTE[1]
SHORTCUT = PALETTE[3]
LINE = "0.3"
IMAGE = (3, 32, 32)
SMALL = 8  # points; nothing but a signature is smaller

# A picture in a notebook must not change what is trained behind it; new layers draw
# their weights from PyTorch's generator.
keep_random_state = torch.random.fork_rng(devices=[])


def canvas(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    """An empty drawing of width × height inches below its title."""
    lines = title.count("\n") + 1
    figure, axes = new_figure(width + 0.1, height + 0.15 + 0.2 * lines)
    axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    axes.axis("off")
    axes.set_anchor("N")
    axes.set_title(title, loc="left", fontsize=11)
    return figure, axes


def tint(colour: Sequence[float], strength: float = 0.3) -> tuple[float, ...]:
    """The colour mixed with white, so that black text on it is legible."""
    return tuple(1 - strength * (1 - part) for part in colour)


def box(
    axes: Axes, x: float, y: float, width: float, height: float, text: str, colour, **options
) -> None:
    """A rounded box with its centre at (x, y)."""
    pad = 0.04
    corner = x - width / 2 + pad, y - height / 2 + pad
    shape = FancyBboxPatch(
        corner, width - 2 * pad, height - 2 * pad, boxstyle=f"round,pad={pad}",
        facecolor=tint(colour), edgecolor=colour, zorder=3,
    )  # fmt: skip
    axes.add_patch(shape)
    note(axes, x, y, text, **{"ha": "center", "zorder": 4, **options})


def arrow(axes: Axes, *points: tuple[float, float], colour=LINE, width: float = 1.2) -> None:
    """A line through the points with an arrow's head at the last one."""
    if len(points) > 2:
        axes.plot(*zip(*points[:-1], strict=True), color=colour, linewidth=width)
    head = FancyArrowPatch(
        points[-2], points[-1], arrowstyle="-|>", mutation_scale=8, shrinkA=0, shrinkB=0,
        color=colour, linewidth=width,
    )  # fmt: skip
    axes.add_patch(head)


def plus(axes: Axes, x: float, y: float, radius: float = 0.12) -> None:
    """The sign of an addition: a plus in a circle."""
    axes.add_patch(Circle((x, y), radius, facecolor="white", edgecolor=SHORTCUT, linewidth=1.5))
    for dx, dy in ((0.6 * radius, 0), (0, 0.6 * radius)):
        axes.plot([x - dx, x + dx], [y - dy, y + dy], color=SHORTCUT, linewidth=1.5)


def square(axes: Axes, x: float, y: float, side: float, **options) -> None:
    """A square with its centre at (x, y)."""
    axes.add_patch(Rectangle((x - side / 2, y - side / 2), side, side, **options))


def note(axes: Axes, x: float, y: float, text: str, **options) -> None:
    """Small text, by default to the right of (x, y)."""
    axes.text(x, y, text, **{"va": "center", "fontsize": SMALL, **options})


def times(*numbers: int) -> str:
    """64×32×32: channels, height and width."""
    return "×".join(map(str, numbers))


def output_shapes(model: nn.Module, modules: list) -> list[tuple[int, ...] | None]:
    """What each module of the model gives out for one image, seen by hooks in one pass.

    (channels, height, width), or None for what is no module. The model is not changed.
    """
    seen = {}
    hooks = [
        module.register_forward_hook(
            lambda layer, _inputs, output: seen.update({layer: tuple(output.shape[1:])})
        )
        for module in modules
        if isinstance(module, nn.Module)
    ]
    was_training = model.training
    try:
        model.eval()  # In training mode the pass would shift the batch norms' statistics.
        with torch.no_grad():
            model(next(model.parameters()).new_zeros(1, *IMAGE))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return [seen.get(module) for module in modules]
