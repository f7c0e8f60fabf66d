"""The networks of the five submissions side by side, drawn from their layers."""

from matplotlib.figure import Figure
from torch import nn

from s10.course.figures.drawing import Canvas, Color, keep_random_state, output_shapes, times
from s10.custom_resnet import CustomResNet
from s10.submissions.networks import ReluFirstNet, StridedNet

TOP, BOX_HEIGHT, GAP, RADIUS = 6.02, 0.29, 0.2, 0.09
WIDE, NARROW, APART = 2.16, 1.0, 0.54
NAMES = {
    "Conv2d": "conv", "BatchNorm2d": "BN", "MaxPool2d": "pool", "Linear": "FC",
    "Dropout": "dropout", "Softmax": "softmax",
}  # fmt: skip


@keep_random_state
def five_networks() -> Figure:
    """The three networks of the five submissions: the assignment's and the two that deviate."""
    canvas = Canvas(
        7.36, 6.4,
        "Two of the five show their network: one adds two branches, one has ReLU\n"
        "before batch norm and a softmax at the end. For the others we take ours",
    )  # fmt: skip
    net = CustomResNet()
    _draw(
        canvas, 1.12, "era1-s10, eva4-s11, eva6-s9", net,
        [net.prep, net.layer1[0], ("x +", net.layer1[1].branch), net.layer2, net.layer3[0],
         ("x +", net.layer3[1].branch), net.pool, net.fc],
    )  # fmt: skip
    net = StridedNet()
    _draw(
        canvas, 3.68, "era1-s10-strided", net,
        [net.prepblock, (net.R1, net.convblockx1), net.convblockmid, (net.R2, net.convblockx2),
         net.pool, net.fc1, "log_softmax"],
    )  # fmt: skip
    net = ReluFirstNet()
    _draw(
        canvas, 6.24, "eva8-s8", net,
        [net.prep, net.layer1, ("x +", net.residual1), net.layer2, net.layer3,
         ("x +", net.residual2), net.maxpool, net.fc, net.softmax],
    )  # fmt: skip
    return canvas.figure


def _draw(canvas: Canvas, x: float, name: str, net: nn.Module, rows: list) -> None:
    """One network from top to bottom, with the output shape after each row."""
    modules = [row[-1] if isinstance(row, tuple) else row for row in rows]
    shapes = output_shapes(net, modules)
    parameters = sum(p.numel() for p in net.parameters())
    canvas.note(x, TOP + 0.25, name, ha="center", fontsize=10, weight="bold")
    canvas.note(x, TOP + 0.05, f"{parameters:,} parameters", ha="center")
    y = TOP - 0.15
    for row, shape in zip(rows, shapes, strict=True):
        start = y
        if isinstance(row, tuple) and row[0] == "x +":
            y = _residual(canvas, x, y, row[1])
        elif isinstance(row, tuple):
            y = _branches(canvas, x, y, row)
        else:
            y -= GAP
            canvas.arrow((x, start), (x, y))
            text = row if isinstance(row, str) else _layers(row)
            canvas.box(x, y - BOX_HEIGHT / 2, WIDE, BOX_HEIGHT, text, Color.CONV)
            y -= BOX_HEIGHT
        if shape and len(shape) > 1:
            canvas.note(x + 0.06, y - GAP / 2, times(*shape), color="0.4")


def _residual(canvas: Canvas, x: float, y: float, branch: nn.Module) -> float:
    """The branch, the shortcut beside it and their sum; returns the height where they end."""
    top, y = y, y - GAP
    canvas.arrow((x, top), (x, y))
    height = 2 * BOX_HEIGHT
    canvas.box(x, y - height / 2, WIDE - 0.5, height, _layers(branch), Color.CONV, linespacing=1.3)
    end = y - height - GAP
    canvas.arrow((x, y - height), (x, end))
    canvas.plus(x, end - RADIUS, RADIUS)
    side = x - WIDE / 2
    canvas.shortcut(
        (x, top - 0.05), (side, top - 0.05), (side, end - RADIUS), (x - RADIUS, end - RADIUS)
    )
    return end - 2 * RADIUS


def _branches(canvas: Canvas, x: float, y: float, branches: tuple[nn.Module, nn.Module]) -> float:
    """Two branches of the same input and their sum; returns the height where they end."""
    top, y = y, y - 1.6 * GAP
    height = 3.4 * BOX_HEIGHT
    middle = y - height - GAP
    for branch, at in zip(branches, (x - APART, x + APART), strict=True):
        canvas.arrow((x, top), (x, top - GAP), (at, top - GAP), (at, y))
        canvas.box(
            at, y - height / 2, NARROW, height, _layers(branch, "\n"), Color.CONV, linespacing=1.2
        )
        end = x + (RADIUS if at > x else -RADIUS)
        canvas.arrow((at, y - height), (at, middle - RADIUS), (end, middle - RADIUS))
    canvas.plus(x, middle - RADIUS, RADIUS)
    return middle - 2 * RADIUS


def _layers(module: nn.Module, separator: str = " → ") -> str:
    """The layers in their order, each further convolution on a new line."""
    text = ""
    for layer in module.modules():
        if list(layer.children()):
            continue
        is_conv = isinstance(layer, nn.Conv2d)
        name = NAMES.get(type(layer).__name__, type(layer).__name__)
        if is_conv and layer.stride[0] > 1:
            name += f", stride {layer.stride[0]}"
        if isinstance(layer, nn.MaxPool2d) and layer.kernel_size != 2:
            name += f" {layer.kernel_size}"
        if isinstance(layer, nn.MaxPool2d) and layer.stride != layer.kernel_size:
            name += f", stride {layer.stride}"
        if text:
            text += "\n" + separator.lstrip() if is_conv else separator
        text += name
    return text
