"""Residual blocks, the bottleneck and the 1×1 convolution as drawings.

What they say is read from PyTorch layers: the shapes from a pass through them,
the numbers of weights from their parameters.
"""

from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from s10.custom_resnet import ResBlock
from s10.figures.drawing import (
    CONV,
    DATA,
    LINE,
    NORM,
    RELU,
    SHORTCUT,
    arrow,
    box,
    canvas,
    keep_random_state,
    note,
    plus,
    square,
    times,
    tint,
)
from s10.plots.style import MARK

ROW, BOX_WIDTH, BOX_HEIGHT = 0.44, 1.16, 0.24


@dataclass
class _Block:
    """A block to draw: its branch, its shortcut (None: it has none) and the last ReLU."""

    name: str
    shape: tuple[int, int, int]
    branch: list[nn.Module]
    shortcut: list[nn.Module] | None
    relu_at_the_end: bool


@keep_random_state
def shortcuts() -> Figure:
    """A plain block, the two residual blocks of He et al. (2015) and the assignment's."""
    own = [layer for layer in ResBlock(128).branch.modules() if not list(layer.children())]
    projection = [nn.Conv2d(64, 128, 1, stride=2, bias=False), nn.BatchNorm2d(128)]
    blocks = (
        _Block("plain\nReLU(F(x))", (64, 32, 32), _branch(64, 64), None, True),
        _Block("identity shortcut\nReLU(x + F(x))", (64, 32, 32), _branch(64, 64), [], True),
        _Block(
            "projection shortcut\nReLU(P(x) + F(x))", (64, 32, 32), _branch(64, 128, 2),
            projection, True,
        ),
        _Block("this network\nx + F(x)", (128, 16, 16), own, [], False),
    )  # fmt: skip
    figure, axes = canvas(
        7.1, 4.3,
        "A shortcut adds the input x to F(x), what two convolutions make of it; in\n"
        "this network the last ReLU is inside F, and nothing follows the addition",
    )  # fmt: skip
    for x, block in zip((0.74, 2.3, 4.04, 6.22), blocks, strict=True):
        _draw_block(axes, x, 3.82, block)
    return figure


@keep_random_state
def bottleneck(channels: int = 256, narrow: int = 64, size: int = 14) -> Figure:
    """The weights of a basic and of a bottleneck block (He et al. 2015, figure 5), counted.

    Both take and give `channels` maps of size × size; bars are as wide as there
    are channels.
    """
    basic = [_conv(channels, channels, 3), _conv(channels, channels, 3)]
    thin = [_conv(channels, narrow, 1), _conv(narrow, narrow, 3), _conv(narrow, channels, 1)]
    totals = [sum(conv.weight.numel() for conv in convs) for convs in (basic, thin)]
    figure, axes = canvas(
        7, 3.2,
        f"Between the same {channels} channels a bottleneck block has {totals[1]:,} weights,\n"
        f"a basic block {totals[0]:,}: {totals[0] / totals[1]:.0f} times as many",
    )  # fmt: skip
    for x, name, convs, total in zip(
        (1.6, 5.25), ("basic block", "bottleneck block"), (basic, thin), totals, strict=True
    ):
        _draw_funnel(axes, x, convs, (channels, size, size))
        axes.text(x, 3.1, f"{name}: {total:,} weights", ha="center", va="center", fontsize=9.5)
    note(
        axes, 3.5, 0.06, "batch norm and ReLU are not drawn",
        ha="center", color="0.35",
    )  # fmt: skip
    return figure


@keep_random_state
def one_by_one(channels_in: int = 4, channels_out: int = 2) -> Figure:
    """What a 1×1 convolution computes for one position, with its weights counted."""
    generator = torch.Generator().manual_seed(4)
    values = torch.randint(0, 10, (channels_in, 4, 4), generator=generator).float()
    conv = _conv(channels_in, channels_out, 1)
    halves = torch.tensor([-1.5, -1, -0.5, 0.5, 1, 1.5])
    with torch.no_grad():
        chosen = torch.randint(0, 6, conv.weight.shape, generator=generator)
        conv.weight.copy_(halves[chosen])
        outputs = conv(values[None])[0]
    pitch = 0.8
    height = pitch * channels_in + 0.25
    figure, axes = canvas(
        7, height,
        "A 1×1 convolution mixes the channels at each position on its own:\n"
        f"{channels_in} channels in × {channels_out} out = {conv.weight.numel()} weights",
    )  # fmt: skip
    row, column = 1, 2
    middle = pitch * channels_in / 2
    for channel in range(channels_in):
        y = middle + pitch * ((channels_in - 1) / 2 - channel)
        pixel_x, pixel_y = _draw_map(axes, 0.95, y, values[channel], row, column)
        value, weight = values[channel, row, column], conv.weight[0, channel, 0, 0]
        note(axes, 0.5, y, f"in {channel + 1}", ha="right")
        arrow(axes, (pixel_x + 0.08, pixel_y), (1.88, pixel_y), colour=MARK)
        box(axes, 2.08, pixel_y, 0.36, 0.28, f"{value:g}", MARK, fontsize=10)
        note(axes, 2.36, pixel_y, f"× {weight:g}".replace("-", "−"), fontsize=10)
        product = f"= {value * weight:g}".replace("-", "−")
        note(axes, 2.98, pixel_y, product, fontsize=10)
        arrow(axes, (3.6, pixel_y), (4.13, middle + 0.45 * (pixel_y - middle)))
    box(axes, 4.36, middle, 0.4, pitch * channels_in * 0.55, "Σ", NORM, fontsize=14)
    top = middle + 0.5 * pitch * (channels_out - 1)
    for channel in range(channels_out):
        y = top - pitch * channel
        first = channel == 0
        pixel_x, pixel_y = _draw_map(
            axes, 5.75, y, outputs[channel], row, column, marked=first
        )  # fmt: skip
        if first:
            arrow(axes, (4.57, pixel_y), (pixel_x - 0.08, pixel_y), colour=MARK)
            result = f"{outputs[0, row, column]:g}".replace("-", "−")
            note(axes, 4.96, pixel_y + 0.13, result, ha="center", fontsize=10)
        own = "" if first else f":\n{conv.weight[channel].numel()} weights\nof its own"
        note(axes, 6.2, y, f"out {channel + 1}{own}", linespacing=1.3)
    note(axes, 2.08, height - 0.08, "one pixel of each", ha="right")
    note(axes, 2.36, height - 0.08, "× weights of out 1")
    return figure


def _branch(channels_in: int, channels_out: int, stride: int = 1) -> list[nn.Module]:
    """conv → BN → ReLU → conv → BN, as He et al. have it."""
    return [
        nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
        nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
    ]


def _conv(channels_in: int, channels_out: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False)


def _label(layer: nn.Module) -> tuple[str, object]:
    """What is written in a layer's box, and its colour."""
    if isinstance(layer, nn.Conv2d):
        stride = f", stride {layer.stride[0]}" if layer.stride[0] > 1 else ""
        return f"{times(*layer.kernel_size)} conv{stride}", CONV
    return ("ReLU", RELU) if isinstance(layer, nn.ReLU) else ("batch norm", NORM)


def _draw_block(axes: Axes, x: float, top: float, block: _Block) -> None:
    """One column; the additions, and the ReLUs behind them, stand on one line in all columns."""
    add, end, bottom = top - 2.93, top - 3.36, top - 3.8
    axes.text(x, top + 0.3, block.name, ha="center", va="center", fontsize=9, linespacing=1.4)
    _shape(axes, x, top - 0.04, block.shape)
    data = torch.zeros(1, *block.shape)
    above = top + 0.06
    y = top - 0.3
    for layer in block.branch:
        arrow(axes, (x, above), (x, y + BOX_HEIGHT / 2))
        box(axes, x, y, BOX_WIDTH, BOX_HEIGHT, *_label(layer))
        data = layer(data)
        above = y - BOX_HEIGHT / 2
        if isinstance(layer, nn.Conv2d):
            _shape(axes, x, y - ROW / 2, data.shape[1:])
        y -= ROW
    if block.shortcut is not None:
        arrow(axes, (x, above), (x, add + 0.12))
        _draw_shortcut(axes, x, top + 0.01, add, block)
        plus(axes, x, add)
        above = add - 0.12
    if block.relu_at_the_end:
        arrow(axes, (x, above), (x, end + BOX_HEIGHT / 2))
        box(axes, x, end, BOX_WIDTH, BOX_HEIGHT, "ReLU", RELU)
        above = end - BOX_HEIGHT / 2
    arrow(axes, (x, above), (x, bottom))
    _shape(axes, x, bottom + 0.12, data.shape[1:])


def _draw_shortcut(axes: Axes, x: float, start: float, add: float, block: _Block) -> None:
    """From the input around the branch to the addition, through the shortcut's layers."""
    aside = x + (1.03 if block.shortcut else 0.72)
    arrow(
        axes, (x, start), (aside, start), (aside, add), (x + 0.12, add), colour=SHORTCUT, width=1.6
    )
    if not block.shortcut:
        return
    data = torch.zeros(1, *block.shape)
    y = start - 2 * ROW
    for layer in block.shortcut:
        data = layer(data)
        name, colour = _label(layer)
        lines = name.replace(", ", "\n").replace("batch ", "batch\n")
        box(axes, aside, y, 0.68, 0.38, lines, colour)
        y -= 1.3 * ROW
    background = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    note(axes, aside, y, times(*data.shape[1:]), ha="center", bbox=background)


def _shape(axes: Axes, x: float, y: float, shape) -> None:
    note(axes, x - 0.07, y, times(*shape), ha="right", color="0.35")


def _draw_funnel(axes: Axes, x: float, convs: list[nn.Conv2d], shape) -> None:
    """The data as bars, as wide as they have channels, and the convolutions between them."""
    widest = 1.9
    scale = widest / shape[0]
    top, step = 2.8, 2.1 / len(convs)
    data = torch.zeros(1, *shape)
    for number in range(len(convs) + 1):
        y = top - step * number
        if number:
            conv = convs[number - 1]
            data = conv(data)
            arrow(axes, (x, y + step - 0.1), (x, y + 0.1))
            weights = f"{times(*conv.kernel_size)} conv\n{conv.weight.numel():,} weights"
            note(axes, x + 0.08, y + step / 2, weights, linespacing=1.3)
        width = scale * data.shape[1]
        box(axes, x, y, width, 0.2, "", DATA)
        text = times(*data.shape[1:])
        if width > 0.8:
            note(axes, x, y, text, ha="center", zorder=4)
        else:
            note(axes, x - width / 2 - 0.06, y, text, ha="right")
    y = top - 2.1
    aside, add = x + widest / 2 + 0.3, y - 0.32
    arrow(
        axes, (x + widest / 2, top), (aside, top), (aside, add), (x + 0.12, add), colour=SHORTCUT,
        width=1.6,
    )  # fmt: skip
    arrow(axes, (x, y - 0.1), (x, add + 0.12))
    plus(axes, x, add)


def _draw_map(axes, x, y, values, row, column, marked=True) -> tuple[float, float]:
    """A 4 × 4 map around (x, y), darker where larger; gives back the marked cell's centre."""
    side = 0.17
    centre = x, y
    low, high = float(values.min()), float(values.max())
    for (r, c), value in zip(
        ((r, c) for r in range(4) for c in range(4)), values.flatten().tolist(), strict=True
    ):
        here = x + side * (c - 1.5), y + side * (1.5 - r)
        grey = 0.95 - 0.45 * (value - low) / max(high - low, 1e-9)
        is_marked = marked and (r, c) == (row, column)
        face = tint(MARK, 0.6) if is_marked else (grey, grey, grey)
        square(axes, *here, side, facecolor=face, edgecolor=LINE, linewidth=0.5)
        if (r, c) == (row, column):
            centre = here
    if marked:
        square(axes, *centre, side, facecolor="none", edgecolor=MARK, linewidth=1.8, zorder=3)
    return centre
