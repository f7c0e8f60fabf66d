"""Residual blocks, the bottleneck and the 1×1 convolution as drawings.

Shapes and numbers of weights are those of real PyTorch layers.
"""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from s10.course.figures.drawing import Canvas, Color, keep_random_state, times, tint
from s10.custom_resnet import ResBlock
from s10.plots.style import MARK

ROW, BOX_WIDTH, BOX_HEIGHT = 0.44, 1.16, 0.24


@dataclass
class _Block:
    """A block to draw: `shortcut` is None if it has none, [] for the identity."""

    name: str
    shape: tuple[int, int, int]
    branch: list[nn.Module]
    shortcut: list[nn.Module] | None
    final_relu: bool


@keep_random_state
def shortcuts() -> Figure:
    """A plain block, the two residual blocks of He et al. (2015) and that of the assignment."""
    ours = [layer for layer in ResBlock(128).branch.modules() if not list(layer.children())]
    projection = [nn.Conv2d(64, 128, 1, stride=2, bias=False), nn.BatchNorm2d(128)]
    blocks = (
        _Block("plain\nReLU(F(x))", (64, 32, 32), _branch(64, 64), None, True),
        _Block("identity shortcut\nReLU(x + F(x))", (64, 32, 32), _branch(64, 64), [], True),
        _Block(
            "projection shortcut\nReLU(P(x) + F(x))", (64, 32, 32), _branch(64, 128, 2),
            projection, True,
        ),
        _Block("this network\nx + F(x)", (128, 16, 16), ours, [], False),
    )  # fmt: skip
    canvas = Canvas(
        7.1, 4.3,
        "A shortcut adds the input x to F(x), the output of two convolutions; in this\n"
        "network the last ReLU is part of F, and nothing follows the addition",
    )  # fmt: skip
    for x, block in zip((0.74, 2.3, 4.04, 6.22), blocks, strict=True):
        _draw_block(canvas, x, 3.82, block)
    return canvas.figure


@keep_random_state
def bottleneck(channels: int = 256, narrow: int = 64, size: int = 14) -> Figure:
    """The numbers of weights of a basic and a bottleneck block (He et al. 2015, figure 5).

    Input and output have `channels` channels of size × size; the bars are as wide as
    their number of channels.
    """
    basic = [_conv(channels, channels, 3), _conv(channels, channels, 3)]
    thin = [_conv(channels, narrow, 1), _conv(narrow, narrow, 3), _conv(narrow, channels, 1)]
    totals = [sum(conv.weight.numel() for conv in convs) for convs in (basic, thin)]
    canvas = Canvas(
        7, 3.2,
        f"Between the same {channels} channels a bottleneck block has {totals[1]:,} weights,\n"
        f"a basic block {totals[0]:,}: {totals[0] / totals[1]:.0f} times as many",
    )  # fmt: skip
    for x, name, convs, total in zip(
        (1.6, 5.25), ("basic block", "bottleneck block"), (basic, thin), totals, strict=True
    ):
        _draw_funnel(canvas, x, convs, (channels, size, size))
        canvas.note(x, 3.1, f"{name}: {total:,} weights", ha="center", fontsize=9.5)
    canvas.note(3.5, 0.06, "batch norm and ReLU are not drawn", ha="center", color="0.35")
    return canvas.figure


@keep_random_state
def one_by_one(channels_in: int = 4, channels_out: int = 2) -> Figure:
    """What a 1×1 convolution computes at one position, and its number of weights."""
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
    canvas = Canvas(
        7, height,
        "A 1×1 convolution mixes the channels of each position separately:\n"
        f"{channels_in} input × {channels_out} output channels = {conv.weight.numel()} weights",
    )  # fmt: skip
    row, column = 1, 2
    middle = pitch * channels_in / 2
    for channel in range(channels_in):
        y = middle + pitch * ((channels_in - 1) / 2 - channel)
        pixel_x, pixel_y = _draw_map(canvas, 0.95, y, values[channel], row, column)
        value, weight = values[channel, row, column], conv.weight[0, channel, 0, 0]
        canvas.note(0.5, y, f"in {channel + 1}", ha="right")
        canvas.arrow((pixel_x + 0.08, pixel_y), (1.88, pixel_y), color=MARK)
        canvas.box(2.08, pixel_y, 0.36, 0.28, f"{value:g}", MARK, fontsize=10)
        canvas.note(2.36, pixel_y, f"× {_number(weight)}", fontsize=10)
        canvas.note(2.98, pixel_y, f"= {_number(value * weight)}", fontsize=10)
        canvas.arrow((3.6, pixel_y), (4.13, middle + 0.45 * (pixel_y - middle)))
    canvas.box(4.36, middle, 0.4, pitch * channels_in * 0.55, "Σ", Color.NORM, fontsize=14)
    top = middle + 0.5 * pitch * (channels_out - 1)
    for channel in range(channels_out):
        y = top - pitch * channel
        first = channel == 0
        pixel_x, pixel_y = _draw_map(canvas, 5.75, y, outputs[channel], row, column, marked=first)
        if first:
            canvas.arrow((4.57, pixel_y), (pixel_x - 0.08, pixel_y), color=MARK)
            result = _number(outputs[0, row, column])
            canvas.note(4.96, pixel_y + 0.13, result, ha="center", fontsize=10)
        own = "" if first else f":\n{conv.weight[channel].numel()} weights\nof its own"
        canvas.note(6.2, y, f"out {channel + 1}{own}", linespacing=1.3)
    canvas.note(2.08, height - 0.08, "one pixel of each", ha="right")
    canvas.note(2.36, height - 0.08, "× weights of out 1")
    return canvas.figure


def _number(value: torch.Tensor) -> str:
    return f"{value:g}".replace("-", "−")


def _branch(channels_in: int, channels_out: int, stride: int = 1) -> list[nn.Module]:
    """conv → BN → ReLU → conv → BN, as in He et al. (2015)."""
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
    """The text in a layer's box and the color of the box."""
    if isinstance(layer, nn.Conv2d):
        stride = f", stride {layer.stride[0]}" if layer.stride[0] > 1 else ""
        return f"{times(*layer.kernel_size)} conv{stride}", Color.CONV
    return ("ReLU", Color.RELU) if isinstance(layer, nn.ReLU) else ("batch norm", Color.NORM)


def _draw_block(canvas: Canvas, x: float, top: float, block: _Block) -> None:
    """One column; the additions and the final ReLUs of all columns are on the same height."""
    add, end, bottom = top - 2.93, top - 3.36, top - 3.8
    canvas.note(x, top + 0.3, block.name, ha="center", fontsize=9, linespacing=1.4)
    _shape(canvas, x, top - 0.04, block.shape)
    data = torch.zeros(1, *block.shape)
    above = top + 0.06
    y = top - 0.3
    for layer in block.branch:
        canvas.arrow((x, above), (x, y + BOX_HEIGHT / 2))
        canvas.box(x, y, BOX_WIDTH, BOX_HEIGHT, *_label(layer))
        data = layer(data)
        above = y - BOX_HEIGHT / 2
        if isinstance(layer, nn.Conv2d):
            _shape(canvas, x, y - ROW / 2, data.shape[1:])
        y -= ROW
    if block.shortcut is not None:
        canvas.arrow((x, above), (x, add + 0.12))
        _draw_shortcut(canvas, x, top + 0.01, add, block)
        canvas.plus(x, add)
        above = add - 0.12
    if block.final_relu:
        canvas.arrow((x, above), (x, end + BOX_HEIGHT / 2))
        canvas.box(x, end, BOX_WIDTH, BOX_HEIGHT, "ReLU", Color.RELU)
        above = end - BOX_HEIGHT / 2
    canvas.arrow((x, above), (x, bottom))
    _shape(canvas, x, bottom + 0.12, data.shape[1:])


def _draw_shortcut(canvas: Canvas, x: float, start: float, add: float, block: _Block) -> None:
    """From the input around the branch to the addition, through the shortcut's layers."""
    aside = x + (1.03 if block.shortcut else 0.72)
    canvas.shortcut((x, start), (aside, start), (aside, add), (x + 0.12, add))
    if not block.shortcut:
        return
    data = torch.zeros(1, *block.shape)
    y = start - 2 * ROW
    for layer in block.shortcut:
        data = layer(data)
        name, color = _label(layer)
        lines = name.replace(", ", "\n").replace("batch ", "batch\n")
        canvas.box(aside, y, 0.68, 0.38, lines, color)
        y -= 1.3 * ROW
    background = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    canvas.note(aside, y, times(*data.shape[1:]), ha="center", bbox=background)


def _shape(canvas: Canvas, x: float, y: float, shape) -> None:
    canvas.note(x - 0.07, y, times(*shape), ha="right", color="0.35")


def _draw_funnel(canvas: Canvas, x: float, convs: list[nn.Conv2d], shape) -> None:
    """The data as bars, as wide as their number of channels, and the convolutions between."""
    widest = 1.9
    scale = widest / shape[0]
    top, step = 2.8, 2.1 / len(convs)
    data = torch.zeros(1, *shape)
    for number in range(len(convs) + 1):
        y = top - step * number
        if number:
            conv = convs[number - 1]
            data = conv(data)
            canvas.arrow((x, y + step - 0.1), (x, y + 0.1))
            weights = f"{times(*conv.kernel_size)} conv\n{conv.weight.numel():,} weights"
            canvas.note(x + 0.08, y + step / 2, weights, linespacing=1.3)
        width = scale * data.shape[1]
        canvas.box(x, y, width, 0.2, "", Color.DATA)
        text = times(*data.shape[1:])
        if width > 0.8:
            canvas.note(x, y, text, ha="center", zorder=4)
        else:
            canvas.note(x - width / 2 - 0.06, y, text, ha="right")
    y = top - 2.1
    aside, add = x + widest / 2 + 0.3, y - 0.32
    canvas.shortcut((x + widest / 2, top), (aside, top), (aside, add), (x + 0.12, add))
    canvas.arrow((x, y - 0.1), (x, add + 0.12))
    canvas.plus(x, add)


def _draw_map(canvas, x, y, values, row, column, marked=True) -> tuple[float, float]:
    """A 4 × 4 feature map around (x, y), darker where larger; returns the marked cell's center."""
    side = 0.17
    low, high = float(values.min()), float(values.max())
    for (r, c), value in np.ndenumerate(values):
        gray = 0.95 - 0.45 * (value - low) / max(high - low, 1e-9)
        style = {"facecolor": (gray, gray, gray), "edgecolor": Color.LINE, "linewidth": 0.5}
        canvas.square(x + side * (c - 1.5), y + side * (1.5 - r), side, **style)
    center = x + side * (column - 1.5), y + side * (1.5 - row)
    if marked:
        style = {"facecolor": tint(MARK, 0.6), "edgecolor": MARK, "linewidth": 1.8}
        canvas.square(*center, side, zorder=3, **style)
    return center
