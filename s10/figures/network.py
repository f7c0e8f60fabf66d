"""The whole network as a drawing: its blocks, its shapes, and how far each stage sees."""

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from s10.custom_resnet import CustomResNet, ResBlock
from s10.figures.drawing import (
    CONV,
    IMAGE,
    LINE,
    NORM,
    POOL,
    SHORTCUT,
    arrow,
    box,
    canvas,
    keep_random_state,
    note,
    output_shapes,
    plus,
    square,
    times,
    tint,
)

STAGES = ("prep", "layer1", "layer2", "layer3", "pool")

# Where things stand, in inches: the row of boxes, and the lines of text above and below.
NAMES, LANE, SHAPES, FIELDS = 3.52, 2.6, 1.62, 1.1
HEIGHT, BOX, GAP, RADIUS = 1.1, 0.6, 0.16, 0.09


class Stage(NamedTuple):
    """What comes out of a stage, and the side of its receptive field in input pixels."""

    name: str
    channels: int
    height: int
    width: int
    field: int


def receptive_fields(model: nn.Module) -> list[Stage]:
    """Output shape and receptive field after each stage of a CustomResNet.

    The field is the side of the square of input pixels, the padding around the
    image included, that one output depends on. Along the layers of kernel k and
    stride s it grows by r += (k − 1) · jump, then jump *= s, with r = jump = 1 at
    the input (Araujo et al., "Computing Receptive Fields of Convolutional Neural
    Networks", Distill 2019). In a residual block it is that of the longest path,
    the branch. The model is not changed.
    """
    shapes = output_shapes(model, [getattr(model, name) for name in STAGES])
    stages = []
    field = jump = 1
    for name, shape in zip(STAGES, shapes, strict=True):
        # The branch's layers stand in the order in which they are passed through.
        for layer in getattr(model, name).modules():
            if isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
                field += (_side(layer.kernel_size) - 1) * jump
                jump *= _side(layer.stride)
        stages.append(Stage(name, *shape, field))
    return stages


@keep_random_state
def network(width: int = 64) -> Figure:
    """The CustomResNet as a row of blocks; below, what each stage gives out and sees."""
    model = CustomResNet(width=width)
    stages = receptive_fields(model)
    side = IMAGE[1]
    whole = next(stage for stage in stages if stage.field > side)
    figure, axes = canvas(
        7.36, 3.65,
        f"From {times(*IMAGE)} pixels to {stages[-1].channels} numbers: the maps shrink, the "
        f"channels grow;\nfrom {whole.name} on, a unit sees more than the whole image "
        f"({whole.field} > {side} pixels)",
    )  # fmt: skip
    image = 0.31
    box(axes, image, LANE, 0.5, HEIGHT, "image", NORM)
    note(axes, image, SHAPES, times(*IMAGE), ha="center")
    _draw_field(axes, image, side, None, f"{side} px")
    right = image + 0.25
    for stage in stages:
        x, right = _draw_stage(axes, right, getattr(model, stage.name), stage.name)
        shape = times(stage.channels, stage.height, stage.width)
        note(axes, x, SHAPES, shape, ha="center")
        _draw_field(axes, x, side, stage.field, f"{stage.field} px")
    x, right = _draw_stage(axes, right, model.fc, "fc")
    note(axes, x, SHAPES, str(model.fc.out_features), ha="center")
    captions = (
        (SHAPES, "output: channels × height × width"),
        (FIELDS - 0.05, "receptive field of one unit (orange), to scale with the image (grey)"),
    )
    for y, caption in captions:
        note(axes, 0.02, y + 0.21, caption, color="0.35")
    note(axes, 7.34, SHAPES + 0.21, "pool: max pooling, BN: batch norm", ha="right", color="0.35")
    return figure


def _draw_stage(axes: Axes, left: float, stage: nn.Module, name: str) -> tuple[float, float]:
    """A stage's boxes to the right of x = left; gives back their middle and their end."""
    # layer1 and layer3 hold two blocks, the second of them residual.
    residual = isinstance(stage, nn.Sequential) and isinstance(stage[-1], ResBlock)
    start = left + GAP
    for block in stage if residual else [stage]:
        arrow(axes, (left, LANE), (left + GAP, LANE))
        if isinstance(block, ResBlock):
            _draw_shortcut(axes, left + GAP / 4, left + GAP + BOX + GAP + RADIUS)
        box(axes, left + GAP + BOX / 2, LANE, BOX, HEIGHT, _words(block), _colour(block),
            linespacing=1.2)  # fmt: skip
        left += GAP + BOX
    end = left
    if residual:
        arrow(axes, (left, LANE), (left + GAP, LANE))
        plus(axes, left + GAP + RADIUS, LANE, RADIUS)
        end = left + GAP + 2 * RADIUS
    middle = (start + end) / 2
    axes.plot([start, end], [NAMES - 0.13] * 2, color=LINE, linewidth=0.8)
    axes.text(middle, NAMES, name, ha="center", va="center", fontsize=10, weight="bold")
    return middle, end


def _draw_shortcut(axes: Axes, start: float, end: float) -> None:
    """From the arrow before a residual block over it to its addition."""
    top = LANE + HEIGHT / 2 + 0.14
    arrow(
        axes, (start, LANE), (start, top), (end, top), (end, LANE + RADIUS), colour=SHORTCUT,
        width=1.6,
    )  # fmt: skip


def _draw_field(axes: Axes, x: float, image: int, field: int | None, text: str) -> None:
    """The image as a grey square, and over it the field of one unit, to scale."""
    scale = 0.3 / image
    y = FIELDS - 0.42
    if field is not None:
        square(axes, x, y, scale * field, facecolor=tint(POOL, 0.45), edgecolor=POOL)
    grey = "0.75" if field is None or field < image else "none"
    square(axes, x, y, 0.3, facecolor=grey, edgecolor=LINE, linewidth=1)
    if field is not None and field < image:
        square(axes, x, y, scale * field, facecolor=tint(POOL, 0.9), edgecolor=POOL)
    note(axes, x, FIELDS - 0.98, text, ha="center")


def _words(block: nn.Module) -> str:
    """A block's layers, one on each line."""
    names = []
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d):
            names += [""] if names else []  # Apart from the convolution before it.
            names.append(f"{times(*layer.kernel_size)} conv")
        elif isinstance(layer, nn.MaxPool2d):
            names.append(f"pool {times(_side(layer.kernel_size), _side(layer.kernel_size))}")
        elif isinstance(layer, (nn.BatchNorm2d, nn.ReLU, nn.Linear)):
            names.append({"BatchNorm2d": "BN"}.get(type(layer).__name__, type(layer).__name__))
    return "\n".join(names)


def _colour(block: nn.Module):
    return POOL if isinstance(block, nn.MaxPool2d) else CONV


def _side(size: int | tuple[int, int]) -> int:
    return size if isinstance(size, int) else size[0]
