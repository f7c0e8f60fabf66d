"""The networks of the five submissions side by side, drawn from their layers."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from s10.custom_resnet import CustomResNet
from s10.figures.drawing import (
    CONV,
    LINE,
    SHORTCUT,
    arrow,
    box,
    canvas,
    keep_random_state,
    note,
    output_shapes,
    plus,
    times,
)
from s10.submissions.networks import ReluFirstNet, StridedNet

TOP, BOX_HEIGHT, GAP, RADIUS = 6.02, 0.29, 0.2, 0.09
WIDE, NARROW, APART = 2.16, 1.0, 0.54
NAMES = {
    "Conv2d": "conv", "BatchNorm2d": "BN", "MaxPool2d": "pool", "Linear": "FC",
    "Dropout": "dropout", "Softmax": "softmax",
}  # fmt: skip


@keep_random_state
def five_networks() -> Figure:
    """Three networks for five submissions: the assignment's, and the two that differ from it."""
    figure, axes = canvas(
        7.36, 6.4,
        "Two of five are not the assignment's: one adds two branches, and one\n"
        "has the ReLU before the batch norm and a softmax at the end",
    )  # fmt: skip
    net = CustomResNet()
    _draw(
        axes, 1.12, "era1-s10, eva4-s11, eva6-s9", net,
        [net.prep, net.layer1[0], ("x +", net.layer1[1].branch), net.layer2, net.layer3[0],
         ("x +", net.layer3[1].branch), net.pool, net.fc],
    )  # fmt: skip
    net = StridedNet()
    _draw(
        axes, 3.68, "era1-s10-strided", net,
        [net.prepblock, (net.R1, net.convblockx1), net.convblockmid, (net.R2, net.convblockx2),
         net.pool, net.fc1, "log_softmax"],
    )  # fmt: skip
    net = ReluFirstNet()
    _draw(
        axes, 6.24, "eva8-s8", net,
        [net.prep, net.layer1, ("x +", net.residual1), net.layer2, net.layer3,
         ("x +", net.residual2), net.maxpool, net.fc, net.softmax],
    )  # fmt: skip
    return figure


def _draw(axes: Axes, x: float, name: str, net: nn.Module, rows: list) -> None:
    """One network from top to bottom; behind each row stand the maps that it gives out."""
    modules = [row[-1] if isinstance(row, tuple) else row for row in rows]
    shapes = output_shapes(net, modules)
    parameters = sum(p.numel() for p in net.parameters())
    axes.text(x, TOP + 0.25, name, ha="center", va="center", fontsize=10, weight="bold")
    note(axes, x, TOP + 0.05, f"{parameters:,} parameters", ha="center")
    y = TOP - 0.15
    for row, shape in zip(rows, shapes, strict=True):
        start = y
        if isinstance(row, tuple) and row[0] == "x +":
            y = _residual(axes, x, y, row[1])
        elif isinstance(row, tuple):
            y = _branches(axes, x, y, row)
        else:
            y -= GAP
            arrow(axes, (x, start), (x, y))
            words = row if isinstance(row, str) else _words(row)
            box(axes, x, y - BOX_HEIGHT / 2, WIDE, BOX_HEIGHT, words, CONV)
            y -= BOX_HEIGHT
        if shape and len(shape) > 1:
            note(axes, x + 0.06, y - GAP / 2, times(*shape), color="0.4")


def _residual(axes: Axes, x: float, y: float, branch: nn.Module) -> float:
    """The branch, the shortcut beside it and their sum; gives back where they end."""
    top, y = y, y - GAP
    arrow(axes, (x, top), (x, y))
    height = 2 * BOX_HEIGHT
    box(axes, x, y - height / 2, WIDE - 0.5, height, _words(branch), CONV, linespacing=1.3)
    end = y - height - GAP
    arrow(axes, (x, y - height), (x, end))
    plus(axes, x, end - RADIUS, RADIUS)
    side = x - WIDE / 2
    arrow(
        axes, (x, top - 0.05), (side, top - 0.05), (side, end - RADIUS), (x - RADIUS, end - RADIUS),
        colour=SHORTCUT, width=1.6,
    )  # fmt: skip
    return end - 2 * RADIUS


def _branches(axes: Axes, x: float, y: float, branches: tuple[nn.Module, nn.Module]) -> float:
    """Two branches of the same input and their sum; gives back where they end."""
    top, y = y, y - 1.6 * GAP
    height = 3.4 * BOX_HEIGHT
    middle = y - height - GAP
    for branch, at in zip(branches, (x - APART, x + APART), strict=True):
        arrow(axes, (x, top), (x, top - GAP), (at, top - GAP), (at, y))
        box(axes, at, y - height / 2, NARROW, height, _words(branch, "\n"), CONV, linespacing=1.2)
        end = x + (RADIUS if at > x else -RADIUS)
        arrow(axes, (at, y - height), (at, middle - RADIUS), (end, middle - RADIUS), colour=LINE)
    plus(axes, x, middle - RADIUS, RADIUS)
    return middle - 2 * RADIUS


def _words(module: nn.Module, between: str = " → ") -> str:
    """The layers in their order, a new line for each further convolution."""
    lines, line = [], []
    for layer in module.modules():
        name = NAMES.get(type(layer).__name__, type(layer).__name__)
        if list(layer.children()):
            continue
        if isinstance(layer, nn.Conv2d):
            if line:
                lines.append(line)
            line = []
            name = f"conv, stride {layer.stride[0]}" if layer.stride[0] > 1 else name
        elif isinstance(layer, nn.MaxPool2d):
            if layer.kernel_size != 2:
                name = f"pool {layer.kernel_size}"
            if layer.stride != layer.kernel_size:
                name += f", stride {layer.stride}"
        line.append(name)
    lines.append(line)
    begin = "\n" if between == "\n" else "\n→ "
    return begin.join(between.join(line) for line in lines)
