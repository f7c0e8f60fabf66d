"""Notebook 03: the network, its parts and what its mistakes say."""

import numpy as np
import torch
from torch import Tensor, nn

from s10.course.exercises.verdict import CheckFailed, call, check, compare, fail_if
from s10.custom_resnet import CustomResNet, ResBlock


@check("Exercise 3.1", "3 · 3 · 64 · 128 weights, and scale and shift for each of 128 channels.")
def parameters_of_a_block(answer) -> None:
    """Parameters of conv3×3 64 → 128 (without bias) and its batch norm."""
    weights = 9 * 64 * 128
    hints = [
        (weights, "and the batch norm? It learns a scale and a shift for each channel."),
        (weights + 128, "the batch norm has two numbers per channel: a scale and a shift."),
        (weights + 3 * 128, "this convolution has no bias: the batch norm subtracts it anyway."),
        (weights + 4 * 128, "the running mean and variance are measured, not learned."),
        (64 * 128 + 2 * 128, "a kernel is 3 × 3."),
        (9 * 128 + 2 * 128, "each output channel looks at all 64 input channels."),
    ]
    otherwise = "kernel height × width × channels in × out, plus BN's."
    compare(answer, weights + 2 * 128, hints, otherwise, tolerance=0)


@check("Exercise 3.2", "Each of the three layers halves height and width and doubles the channels.")
def shape_after_layer2(answer) -> None:
    """Shape of the tensor after layer 2 for a batch of 512 at width 64."""
    blank = len(answer) != 4 or any(part is None for part in answer)
    fail_if(blank, "not filled in yet: four numbers are asked for.")
    hints = [
        ((512, 8, 8, 256), "the right numbers; PyTorch puts the channels second."),
        ((512, 128, 16, 16), "that is after layer 1."),
        ((512, 512, 4, 4), "that is after layer 3."),
        ((512, 256, 16, 16), "layer 2 has a max pooling, too."),
        ((1, 256, 8, 8), "and the batch?"),
    ]
    otherwise = "batch, channels, height, width; count poolings and widths."
    compare(answer, (512, 256, 8, 8), hints, otherwise, tolerance=0)


@check("Exercise 3.3", "Same output as the library's, weight for weight.")
def residual_block(block_class) -> None:
    """`block_class(channels)`: a Module that returns x + (conv-BN-ReLU-conv-BN-ReLU)(x)."""
    torch.manual_seed(0)
    block, reference = block_class(4), ResBlock(4)
    count, right = (sum(p.numel() for p in m.parameters()) for m in (block, reference))
    fail_if(count == 0, "not filled in yet: it has no parameters.")
    biases = 2 * 4
    fail_if(count == right + biases, "batch norm makes a convolution's bias useless: bias=False.")
    fail_if(count != right, f"{right} parameters are expected at 4 channels, yours has {count}.")
    ordered = _shapes(block) == _shapes(reference)
    fail_if(not ordered, "the order should be conv, BN, ReLU, conv, BN, ReLU.")
    _copy_parameters(block, reference)
    x = torch.randn(2, 4, 8, 8)
    before = x.clone()
    value, expected = call(block, x), reference(before.clone())
    changed, resized = not torch.equal(x, before), value.shape != expected.shape
    fail_if(changed, "it changes its input in place: the shortcut adds something other than x.")
    fail_if(resized, "height and width must stay the same, or nothing can be added: padding=1.")
    if torch.allclose(value, expected, atol=1e-5):
        return
    branch_alone = torch.allclose(value, expected - before, atol=1e-5)
    fail_if(branch_alone, "that is the branch alone; the shortcut, + x, is missing.")
    relu_after = torch.allclose(value, torch.relu(expected), atol=1e-5)
    fail_if(relu_after, "there is no ReLU after the addition in this assignment.")
    negative = bool((value - before).min() < -1e-3)
    fail_if(negative, "the second ReLU belongs in the branch, before the addition.")
    raise CheckFailed("shape and parameters are right, the output is not: look at the order.")


@check(
    "Exercise 3.4",
    "Two 3×3 convolutions see 5 × 5 pixels; strides make every later pixel count more.",
)
def receptive_field(function) -> None:
    """`function(layers)`: side of the receptive field, in pixels; layers: (kernel, stride)."""
    two, strided = ((3, 1), (3, 1)), ((3, 1), (2, 2), (3, 1))
    cases = {((3, 1),): 3, two: 5, strided: 8, (*two, (2, 2), *two, (2, 2)): 16}
    values = {layers: call(function, list(layers)) for layers in cases}
    wrong = [layers for layers in cases if values[layers] != cases[layers]]
    if not wrong:
        return
    apart, jumps = values[two] in (6, 9), values[strided] != 6
    fail_if(apart, "the windows overlap: a second 3×3 adds one pixel on each side, 3 + 2 = 5.")
    fail_if(not jumps, "after a stride of 2, neighbors lie 2 pixels apart: keep the jump.")
    layers = wrong[0]
    raise CheckFailed(f"{list(layers)} should be {cases[layers]}, yours is {values[layers]}.")


@check("Exercise 3.5", "Rows are the true classes: of all cats, how many were called cat?")
def class_accuracy(function) -> None:
    """`function(matrix)`: accuracy of each true class from the counts (C, C), rows true."""
    matrix = np.array([[8, 2, 0], [1, 5, 4], [3, 0, 27]])
    correct = matrix.diagonal()
    value = np.asarray(call(function, matrix.copy()), dtype=float)
    fail_if(value.shape == (), "one number for each class is asked for.")
    precision = correct / matrix.sum(axis=0)
    hints = [
        (precision, "dividing by the columns is the precision: divide by the rows."),
        (correct / matrix.sum(), "divide each class by its own number of images, not by all."),
    ]
    otherwise = f"for a test matrix it should be [0.8, 0.5, 0.9], yours is {value.round(3)}."
    compare(value, correct / matrix.sum(axis=1), hints, otherwise)


@check(
    "Exercise 3.6",
    "The last batch has 336 images, not 512; a mean over batches counts them too much.",
)
def accuracy_over_batches(function) -> None:
    """`function(batches)`: accuracy over all images; batches: list of (correct, images)."""
    value = float(call(function, [(256, 512), (512, 512), (0, 336)]))
    right, mean_of_batches = 768 / 1360, (0.5 + 1 + 0) / 3
    hints = [
        (mean_of_batches, "a mean over batches; the last batch is smaller and counts less."),
        (768, "that is the number of correct ones; divide by the number of images."),
        (100 * right, "as a fraction, from 0 to 1, please."),
    ]
    compare(value, right, hints, f"768 correct of 1,360 are {right:.4f}, yours is {value:.4f}.")


@check("Exercise 3.7", "Both paths halve the image and change the channels, so they can be added.")
def projection_block(block_class) -> None:
    """`block_class(channels_in, channels_out)`: halves the image; 1×1 projection as shortcut."""
    torch.manual_seed(0)
    block = block_class(4, 8)
    convs = [module for module in block.modules() if isinstance(module, nn.Conv2d)]
    projections = [conv for conv in convs if conv.kernel_size == (1, 1)]
    branch = [conv for conv in convs if conv.kernel_size == (3, 3)]
    fail_if(not convs, "not filled in yet: it has no convolutions.")
    ones, threes = len(projections), len(branch)
    fail_if(ones != 1, f"one 1×1 convolution is asked for, yours has {ones}.")
    fail_if(threes != 2, f"two 3×3 convolutions are asked for, yours has {threes}.")
    x = torch.randn(2, 4, 8, 8)
    try:
        value = call(block, x.clone())
    except RuntimeError as error:
        differ = "size of tensor" in str(error)
        fail_if(differ, "the shapes differ: the projection needs stride 2, channels_out channels.")
        raise
    shape = tuple(value.shape)
    fail_if(shape != (2, 8, 4, 4), f"(2, 4, 8, 8) should become (2, 8, 4, 4), yours is {shape}.")
    fail_if(bool(value.min() >= 0), "there is no ReLU after the addition in this assignment.")
    # A path whose weights are zero adds zero, as its batch norms leave zeros alone.
    without_projection, without_branch = (_silenced(block, c, x) for c in (projections, branch))
    unused, alone = torch.equal(without_projection, value), torch.equal(without_branch, value)
    fail_if(unused, "the projection is there, but it is not added.")
    fail_if(alone, "that is the shortcut alone; the branch is not added.")
    added = torch.allclose(without_projection + without_branch, value, atol=1e-5)
    fail_if(not added, "the output should be branch(x) + shortcut(x): two paths from the same x.")


@check("Your copy", "It computes what the library's network computes.")
def same_network(network_class) -> None:
    """A learner's copy of CustomResNet: same parameters, and the same output with the same ones."""
    torch.manual_seed(0)
    copy, reference = network_class(10, 8).eval(), CustomResNet(10, 8).eval()
    shapes, expected = _shapes(copy), _shapes(reference)
    fail_if(
        shapes != expected,
        f"{sum(map(np.prod, shapes)):,} parameters in {len(shapes)} tensors, not "
        f"{sum(map(np.prod, expected)):,} in {len(expected)}.",
    )
    _copy_parameters(copy, reference)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        same = torch.allclose(copy(images), reference(images), atol=1e-4)
    fail_if(not same, "the parameters are the same, the output is not: look at the order.")


def _shapes(model: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(parameter.shape) for parameter in model.parameters()]


@torch.no_grad()
def _copy_parameters(model: nn.Module, source: nn.Module) -> None:
    """Copy parameters in their order, as their names may differ."""
    for mine, theirs in zip(model.parameters(), source.parameters(), strict=True):
        mine.copy_(theirs)


@torch.no_grad()
def _silenced(block: nn.Module, convs: list[nn.Conv2d], x: Tensor) -> Tensor:
    """The block's output while the weights of these convolutions are zero."""
    before = [conv.weight.clone() for conv in convs]
    for conv in convs:
        conv.weight.zero_()
    value = block(x.clone())
    for conv, weight in zip(convs, before, strict=True):
        conv.weight.copy_(weight)
    return value
