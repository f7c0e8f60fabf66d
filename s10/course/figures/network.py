"""The whole network as a drawing: blocks, output shapes and receptive fields."""

from typing import NamedTuple

from matplotlib.figure import Figure
from torch import nn

from s10.course.figures.drawing import (
    IMAGE,
    Canvas,
    Color,
    keep_random_state,
    output_shapes,
    times,
    tint,
)
from s10.custom_resnet import CustomResNet, ResBlock

STAGES = ("prep", "layer1", "layer2", "layer3", "pool")

# Heights and sizes in inches: the row of boxes, the lines of text above and below it.
NAMES, LANE, SHAPES, FIELDS = 3.52, 2.6, 1.62, 0.68
HEIGHT, BOX, GAP, RADIUS = 1.1, 0.6, 0.16, 0.09


class Stage(NamedTuple):
    """The output shape of a stage, and the side of its receptive field in input pixels."""

    name: str
    channels: int
    height: int
    width: int
    field: int


def receptive_fields(model: nn.Module) -> list[Stage]:
    """Output shape and receptive field of each stage of a CustomResNet.

    The receptive field is the side of the square of input pixels, padding included,
    that one output depends on. A layer with kernel k and stride s enlarges it by
    r += (k − 1) · jump, then jump *= s, with r = jump = 1 at the input (Araujo et al.,
    "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019). In a
    residual block the longest path counts, the branch. The model is not changed.
    """
    shapes = output_shapes(model, [getattr(model, name) for name in STAGES])
    stages = []
    field = jump = 1
    for name, shape in zip(STAGES, shapes, strict=True):
        # modules() lists the layers of a branch in the order of the forward pass.
        for layer in getattr(model, name).modules():
            if isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
                field += (_side(layer.kernel_size) - 1) * jump
                jump *= _side(layer.stride)
        stages.append(Stage(name, *shape, field))
    return stages


@keep_random_state
def network(width: int = 64) -> Figure:
    """The CustomResNet as a row of blocks, with output shapes and receptive fields below."""
    model = CustomResNet(width=width)
    stages = receptive_fields(model)
    side = IMAGE[1]
    global_stage = next(stage for stage in stages if stage.field > side)
    canvas = Canvas(
        7.36, 3.65,
        f"From {times(*IMAGE)} pixels to {stages[-1].channels} features: smaller feature maps, "
        f"more channels;\nfrom {global_stage.name} on, the receptive field is larger than the "
        f"image ({global_stage.field} > {side} pixels)",
    )  # fmt: skip
    image = 0.31
    canvas.box(image, LANE, 0.5, HEIGHT, "image", Color.NORM)
    canvas.note(image, SHAPES, times(*IMAGE), ha="center")
    _draw_field(canvas, image, side)
    right = image + 0.25
    for stage in stages:
        x, right = _draw_stage(canvas, right, getattr(model, stage.name), stage.name)
        canvas.note(x, SHAPES, times(*stage[1:4]), ha="center")
        _draw_field(canvas, x, side, stage.field)
    x, right = _draw_stage(canvas, right, model.fc, "fc")
    canvas.note(x, SHAPES, str(model.fc.out_features), ha="center")
    above, gray = SHAPES + 0.21, {"color": "0.35"}
    caption = "receptive field of one unit (orange), to scale with the image (gray)"
    canvas.note(0.02, FIELDS + 0.58, caption, **gray)
    canvas.note(0.02, above, "output: channels × height × width", **gray)
    canvas.note(7.34, above, "pool: max pooling, BN: batch norm", ha="right", **gray)
    return canvas.figure


def _draw_stage(canvas: Canvas, left: float, stage: nn.Module, name: str) -> tuple[float, float]:
    """A stage's boxes to the right of x = left; returns their middle and their end."""
    # layer1 and layer3 consist of two blocks, the second one residual.
    residual = isinstance(stage, nn.Sequential) and isinstance(stage[-1], ResBlock)
    start = left + GAP
    for block in stage if residual else [stage]:
        canvas.arrow((left, LANE), (left + GAP, LANE))
        if isinstance(block, ResBlock):  # Its shortcut passes over it.
            before, add = left + GAP / 4, left + 2 * GAP + BOX + RADIUS
            over = LANE + HEIGHT / 2 + 0.14
            canvas.shortcut((before, LANE), (before, over), (add, over), (add, LANE + RADIUS))
        color = Color.POOL if isinstance(block, nn.MaxPool2d) else Color.CONV
        x = left + GAP + BOX / 2
        canvas.box(x, LANE, BOX, HEIGHT, _layers(block), color, linespacing=1.2)
        left += GAP + BOX
    end = left
    if residual:
        canvas.arrow((left, LANE), (left + GAP, LANE))
        canvas.plus(left + GAP + RADIUS, LANE, RADIUS)
        end = left + GAP + 2 * RADIUS
    middle = (start + end) / 2
    canvas.axes.plot([start, end], [NAMES - 0.13] * 2, color=Color.LINE, linewidth=0.8)
    canvas.note(middle, NAMES, name, ha="center", fontsize=10, weight="bold")
    return middle, end


def _draw_field(canvas: Canvas, x: float, image: int, field: int = 0) -> None:
    """The image as a gray square, and over it the receptive field of one unit, to scale."""
    scale = 0.3 / image
    beyond = field > image  # Then the image is an outline over the field.
    gray = "none" if beyond else "0.75"
    canvas.square(x, FIELDS, scale * image, facecolor=gray, edgecolor=Color.LINE, zorder=2)
    if field:
        strength, zorder = (0.45, 1) if beyond else (0.9, 3)
        orange = {"facecolor": tint(Color.POOL, strength), "edgecolor": Color.POOL}
        canvas.square(x, FIELDS, scale * field, zorder=zorder, **orange)
    canvas.note(x, FIELDS - 0.56, f"{field or image} px", ha="center")


def _layers(block: nn.Module) -> str:
    """The layers of a block, one on each line."""
    names = []
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d):
            names += [""] if names else []  # Apart from the convolution before it.
            names.append(f"{times(*layer.kernel_size)} conv")
        elif isinstance(layer, nn.MaxPool2d):
            names.append(f"pool {times(layer.kernel_size, layer.kernel_size)}")
        elif isinstance(layer, (nn.BatchNorm2d, nn.ReLU, nn.Linear)):
            names.append(type(layer).__name__.replace("BatchNorm2d", "BN"))
    return "\n".join(names)


def _side(size: int | tuple[int, int]) -> int:
    return size if isinstance(size, int) else size[0]
