"""Residual blocks, the bottleneck and the 1×1 convolution as drawings."""

import numpy as np
import torch
from matplotlib.figure import Figure

from s10.course.figures.drawing import Canvas, Color, tint
from s10.plots.style import MARK

# Layers as they are drawn: text and color of their box.
CONV, CONV_STRIDE_2 = ("3×3 conv", Color.CONV), ("3×3 conv, stride 2", Color.CONV)
NORM, RELU, PLUS = ("batch norm", Color.NORM), ("ReLU", Color.RELU), ("+", Color.SHORTCUT)
# Heights at which all columns have their input, addition, final ReLU and output.
TOP, ADD, FINAL_RELU, BOTTOM = 3.82, 0.89, 0.46, 0.02
ROW, HALF = 0.44, 0.12  # from row to row; half the height of a box, and the radius of a plus


def shortcuts() -> Figure:
    """A plain block, the two residual blocks of He et al. (2015) and that of the assignment."""
    canvas = Canvas(
        7.1, 4.3,
        "A shortcut adds the input x to F(x), the output of two convolutions; in this\n"
        "network the last ReLU is part of F, and nothing follows the addition",
    )  # fmt: skip
    wide, small = "64×32×32", "128×16×16"
    branch = [CONV, NORM, RELU, CONV, NORM]
    strided = [CONV_STRIDE_2, *branch[1:]]
    _draw_block(canvas, 0.74, "plain\nReLU(F(x))", branch, wide)
    _draw_block(canvas, 2.3, "identity shortcut\nReLU(x + F(x))", branch, wide, aside=3.02)
    name = "projection shortcut\nReLU(P(x) + F(x))"
    _draw_block(canvas, 4.04, name, strided, wide, small, aside=5.07)
    canvas.box(5.07, 2.95, 0.68, 0.38, "1×1 conv\nstride 2", Color.CONV)
    canvas.box(5.07, 2.378, 0.68, 0.38, "batch\nnorm", Color.NORM)
    background = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    canvas.note(5.07, 1.806, small, ha="center", bbox=background)
    ours = [*branch, RELU]
    _draw_block(canvas, 6.22, "this network\nx + F(x)", ours, small, aside=6.94, final_relu=False)
    return canvas.figure


def _draw_block(canvas, x, name, branch, before, after=None, aside=None, final_relu=True) -> None:
    """One column.

    Args:
        before, after: shapes of its input and, if another, of its output.
        aside: where the shortcut runs down, if there is one.
    """
    after = after or before
    parts = [(TOP - 0.3 - ROW * row, layer) for row, layer in enumerate(branch)]
    shapes = [(TOP - 0.04, before), (BOTTOM + 0.12, after)]
    shapes += [(y - ROW / 2, after) for y, (text, _) in parts if "conv" in text]
    if aside:
        start = TOP + 0.01
        canvas.shortcut((x, start), (aside, start), (aside, ADD), (x + HALF, ADD))
        parts.append((ADD, PLUS))
    if final_relu:
        parts.append((FINAL_RELU, RELU))
    above = TOP + 0.06
    for y, part in parts:
        canvas.arrow((x, above), (x, y + HALF))
        if part is PLUS:
            canvas.plus(x, y)
        else:
            canvas.box(x, y, 1.16, 2 * HALF, *part)
        above = y - HALF
    canvas.arrow((x, above), (x, BOTTOM))
    for y, shape in shapes:
        canvas.note(x - 0.07, y, shape, ha="right", color="0.35")
    canvas.note(x, TOP + 0.3, name, ha="center", fontsize=9, linespacing=1.4)


def bottleneck(channels: int = 256, narrow: int = 64) -> Figure:
    """The numbers of weights of a basic and a bottleneck block (He et al. 2015, figure 5).

    Input and output have `channels` channels of 14 × 14; the bars are as wide as
    their number of channels.
    """
    # Each convolution: its kernel, its channels in and out.
    basic = [(3, channels, channels)] * 2
    thin = [(1, channels, narrow), (3, narrow, narrow), (1, narrow, channels)]
    totals = [sum(_weights(*conv) for conv in convs) for convs in (basic, thin)]
    canvas = Canvas(
        7, 3.2,
        f"With {channels} channels in and out a bottleneck block has {totals[1]:,} weights,\n"
        f"a basic block {totals[0]:,}: {totals[0] / totals[1]:.0f} times as many",
    )  # fmt: skip
    _draw_funnel(canvas, 1.6, f"basic block: {totals[0]:,} weights", basic)
    _draw_funnel(canvas, 5.25, f"bottleneck block: {totals[1]:,} weights", thin)
    canvas.note(3.5, 0.06, "batch norm and ReLU are not drawn", ha="center", color="0.35")
    return canvas.figure


def _weights(kernel: int, channels_in: int, channels_out: int) -> int:
    return kernel**2 * channels_in * channels_out


def _draw_funnel(canvas: Canvas, x: float, name: str, convs: list[tuple[int, int, int]]) -> None:
    """The data as bars, as wide as their number of channels, and the convolutions between."""
    channels = [convs[0][1], *(channels_out for _, _, channels_out in convs)]
    top, end, widest = 2.8, 0.7, 1.9
    heights = np.linspace(top, end, len(channels))
    for y, count in zip(heights, channels, strict=True):
        width = widest * count / channels[0]
        canvas.box(x, y, width, 0.2, "", Color.DATA)
        fits = width > 0.8
        at, ha = (x, "center") if fits else (x - width / 2 - 0.06, "right")
        canvas.note(at, y, f"{count}×14×14", ha=ha, zorder=4)
    for conv, above, below in zip(convs, heights[:-1], heights[1:], strict=True):
        canvas.arrow((x, above - 0.1), (x, below + 0.1))
        text = f"{conv[0]}×{conv[0]} conv\n{_weights(*conv):,} weights"
        canvas.note(x + 0.08, (above + below) / 2, text, linespacing=1.3)
    aside, add = x + widest / 2 + 0.3, end - 0.32
    canvas.shortcut((x + widest / 2, top), (aside, top), (aside, add), (x + 0.12, add))
    canvas.arrow((x, end - 0.1), (x, add + 0.12))
    canvas.plus(x, add)
    canvas.note(x, 3.1, name, ha="center", fontsize=9.5)


def one_by_one() -> Figure:
    """What a 1×1 convolution computes at one position, and its number of weights."""
    channels_in, channels_out = 4, 2
    generator = torch.Generator().manual_seed(4)
    values = torch.randint(0, 10, (channels_in, 4, 4), generator=generator).float()
    chosen = torch.randint(0, 6, (channels_out, channels_in), generator=generator)
    weights = torch.tensor([-1.5, -1, -0.5, 0.5, 1, 1.5])[chosen]
    outputs = torch.einsum("oi,ihw->ohw", weights, values)
    canvas = Canvas(
        7, 3.45,
        "A 1×1 convolution mixes the channels of each position separately:\n"
        f"{channels_in} input × {channels_out} output channels = {weights.numel()} weights",
    )  # fmt: skip
    pitch, middle = 0.8, 1.6
    row, column = 1, 2
    for channel in range(channels_in):
        y = middle + pitch * (1.5 - channel)
        pixel_x, pixel_y = _draw_map(canvas, 0.95, y, values[channel], row, column)
        value, weight = values[channel, row, column], weights[0, channel]
        canvas.note(0.5, y, f"in {channel + 1}", ha="right")
        canvas.arrow((pixel_x + 0.08, pixel_y), (1.88, pixel_y), color=MARK)
        canvas.box(2.08, pixel_y, 0.36, 0.28, f"{value:g}", MARK, fontsize=10)
        canvas.note(2.36, pixel_y, f"× {_number(weight)}", fontsize=10)
        canvas.note(2.98, pixel_y, f"= {_number(value * weight)}", fontsize=10)
        canvas.arrow((3.6, pixel_y), (4.13, middle + 0.45 * (pixel_y - middle)))
    canvas.box(4.36, middle, 0.4, 1.76, "Σ", Color.NORM, fontsize=14)
    pixel_x, pixel_y = _draw_map(canvas, 5.75, 2.0, outputs[0], row, column)
    canvas.arrow((4.57, pixel_y), (pixel_x - 0.08, pixel_y), color=MARK)
    result = _number(outputs[0, row, column])
    canvas.note(4.96, pixel_y + 0.13, result, ha="center", fontsize=10)
    canvas.note(6.2, 2.0, "out 1")
    _draw_map(canvas, 5.75, 1.2, outputs[1])
    canvas.note(6.2, 1.2, f"out 2:\n{channels_in} weights\nof its own", linespacing=1.3)
    canvas.note(2.08, 3.37, "one pixel of each", ha="right")
    canvas.note(2.36, 3.37, "× weights of out 1")
    return canvas.figure


def _number(value: torch.Tensor) -> str:
    return f"{value:g}".replace("-", "−")


def _draw_map(canvas, x, y, values, row=None, column=None) -> tuple[float, float] | None:
    """A 4 × 4 feature map around (x, y), darker where larger; returns the marked cell's center."""
    side, marked = 0.17, None
    shades = 0.95 - 0.45 * (values - values.min()) / (values.max() - values.min())
    for (r, c), gray in np.ndenumerate(shades.numpy()):
        center = x + side * (c - 1.5), y + side * (1.5 - r)
        style = {"facecolor": str(gray), "edgecolor": Color.LINE, "linewidth": 0.5}
        if (r, c) == (row, column):
            marked = center
            style = {"facecolor": tint(MARK, 0.6), "edgecolor": MARK, "linewidth": 1.8, "zorder": 3}
        canvas.square(*center, side, **style)
    return marked
