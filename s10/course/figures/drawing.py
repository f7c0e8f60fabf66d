"""Boxes and arrows: what the drawings share. Units are inches, y points up."""

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle
from PIL import Image
from torch import nn

from s10.plots.style import PALETTE, new_figure
from s10.runtime.files import write_atomically


class Color:
    """What is drawn in which color."""

    DATA, CONV, POOL = PALETTE[4], PALETTE[0], PALETTE[1]
    NORM, RELU, SHORTCUT = PALETTE[7], PALETTE[2], PALETTE[3]
    LINE = "0.3"


IMAGE = (3, 32, 32)
SMALL = 8  # points; nothing but a caption is smaller

# A figure in a notebook must not change what is trained after it, and new layers draw
# their weights from PyTorch's generator.
keep_random_state = torch.random.fork_rng(devices=[])


class Canvas:
    """An empty drawing of width × height inches and a title above it."""

    def __init__(self, width: float, height: float, title: str):
        lines = title.count("\n") + 1
        self.figure, self.axes = new_figure(width + 0.1, height + 0.15 + 0.2 * lines)
        self.axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
        self.axes.axis("off")
        self.axes.set_anchor("N")
        self.axes.set_title(title, loc="left", fontsize=11)

    def note(self, x: float, y: float, text: str, **options) -> None:
        """Small text, by default to the right of (x, y)."""
        self.axes.text(x, y, text, **{"va": "center", "fontsize": SMALL, **options})

    def box(
        self, x: float, y: float, width: float, height: float, text: str, color, **options
    ) -> None:
        """A rounded box with its center at (x, y)."""
        pad = 0.04
        corner = x - width / 2 + pad, y - height / 2 + pad
        shape = FancyBboxPatch(
            corner, width - 2 * pad, height - 2 * pad, boxstyle=f"round,pad={pad}",
            facecolor=tint(color), edgecolor=color, zorder=3,
        )  # fmt: skip
        self.axes.add_patch(shape)
        self.note(x, y, text, **{"ha": "center", "zorder": 4, **options})

    def square(self, x: float, y: float, side: float, **options) -> None:
        """A square with its center at (x, y)."""
        self.axes.add_patch(Rectangle((x - side / 2, y - side / 2), side, side, **options))

    def arrow(self, *points: tuple[float, float], color=Color.LINE, width: float = 1.2) -> None:
        """A line through the points with an arrow's head at the last one."""
        if len(points) > 2:
            self.axes.plot(*zip(*points[:-1], strict=True), color=color, linewidth=width)
        head = FancyArrowPatch(
            points[-2], points[-1], arrowstyle="-|>", mutation_scale=8, shrinkA=0, shrinkB=0,
            color=color, linewidth=width,
        )  # fmt: skip
        self.axes.add_patch(head)

    def shortcut(self, *points: tuple[float, float]) -> None:
        """The arrow of a shortcut connection."""
        self.arrow(*points, color=Color.SHORTCUT, width=1.6)

    def plus(self, x: float, y: float, radius: float = 0.12) -> None:
        """The symbol of an addition: a plus in a circle."""
        color, lw = Color.SHORTCUT, 1.5
        self.axes.add_patch(Circle((x, y), radius, facecolor="white", edgecolor=color, lw=lw))
        for dx, dy in ((0.6 * radius, 0), (0, 0.6 * radius)):
            self.axes.plot([x - dx, x + dx], [y - dy, y + dy], color=color, lw=lw)


def tint(color: Sequence[float], strength: float = 0.3) -> tuple[float, ...]:
    """The color mixed with white, so that black text on it is legible."""
    return tuple(1 - strength * (1 - part) for part in color)


def times(*numbers: int) -> str:
    """64×32×32: channels, height and width."""
    return "×".join(map(str, numbers))


def output_shapes(model: nn.Module, modules: list) -> list[tuple[int, ...] | None]:
    """The output shape of each module for one image: (channels, height, width).

    None for an entry that is not a module. Measured by hooks in one forward pass, which
    does not change the model.
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


def save_drawing(figure: Figure, path: Path) -> None:
    """Save a figure of few colors as a small PNG.

    It is reduced to 256 colors, which halves its size, and does not contain
    matplotlib's version, so that equal drawings are equal files.
    """
    drawn, reduced = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, dpi=110, format="png", metadata={"Software": None})
    image = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    image.save(reduced, format="png", optimize=True)
    write_atomically(path, reduced.getvalue())
