"""Notebook 03: the network, its parts and what its mistakes say."""

import numpy as np
import torch
from torch import nn

from s10.custom_resnet import CustomResNet
from s10.custom_resnet import ResBlock as Reference
from s10.exercises.verdict import Wrong, call, check, close


@check(
    "Exercise 3.1", "3 · 3 · 64 · 128 weights, and a scale and a shift for each of 128 channels."
)
def parameters_of_a_block(answer) -> None:
    """Parameters of conv3×3 64 → 128 (without bias) and its batch norm."""
    right = 9 * 64 * 128 + 2 * 128
    hints = {
        9 * 64 * 128: "and the batch norm? It learns a scale and a shift for each channel.",
        9 * 64 * 128 + 128: "the batch norm has two numbers a channel: a scale and a shift.",
        9 * 64 * 128 + 3 * 128: "this convolution has no bias: the batch norm subtracts it anyway.",
        9 * 64 * 128 + 4 * 128: "the running mean and variance are measured, not learnt.",
        64 * 128 + 2 * 128: "a kernel is 3 × 3.",
        9 * 128 + 2 * 128: "each output channel looks at all 64 input channels.",
    }
    if answer != right:
        raise Wrong(hints.get(answer, "kernel height × width × channels in × out, plus BN's."))


@check("Exercise 3.2", "Each of the three layers halves height and width and doubles the channels.")
def shape_after_layer2(answer) -> None:
    """Shape of the tensor behind layer 2 for a batch of 512 at width 64."""
    answer = tuple(answer)
    if len(answer) != 4 or any(part is None for part in answer):
        raise Wrong("not filled in yet: four numbers are asked for.")
    hints = {
        (512, 8, 8, 256): "the right numbers; PyTorch puts the channels second.",
        (512, 128, 16, 16): "that is behind layer 1.",
        (512, 512, 4, 4): "that is behind layer 3.",
        (512, 256, 16, 16): "layer 2 has a max pooling, too.",
        (1, 256, 8, 8): "and the batch?",
    }
    if answer != (512, 256, 8, 8):
        raise Wrong(hints.get(answer, "batch, channels, height, width; count poolings and widths."))


@check("Exercise 3.3", "Same output as the library's, weight for weight.")
def residual_block(block_class) -> None:
    """`block_class(channels)`: a Module that gives x + (conv-BN-ReLU-conv-BN-ReLU)(x)."""
    torch.manual_seed(0)
    block, reference = block_class(4), Reference(4)
    count = sum(p.numel() for p in block.parameters())
    right = sum(p.numel() for p in reference.parameters())
    if count == 0:
        raise Wrong("not filled in yet: it has no parameters.")
    if count == right + 2 * 4:
        raise Wrong("your convolutions have a bias, which batch norm makes useless: bias=False.")
    if count != right:
        raise Wrong(f"{right} parameters are expected at 4 channels, yours has {count}.")
    for mine, theirs in zip(block.parameters(), reference.parameters(), strict=True):
        if mine.shape != theirs.shape:
            raise Wrong("the order should be conv, BN, ReLU, conv, BN, ReLU.")
        mine.data.copy_(theirs.data)
    x = torch.randn(2, 4, 8, 8)
    given = x.clone()
    value, expected = call(block, x), reference(given.clone())
    if not torch.equal(x, given):
        raise Wrong("it changes its input in place, so the shortcut adds something else than x.")
    branch = expected - given
    if value.shape != expected.shape:
        raise Wrong("height and width must stay the same, or nothing can be added: padding=1.")
    if torch.allclose(value, expected, atol=1e-5):
        return
    if torch.allclose(value, branch, atol=1e-5):
        raise Wrong("that is the branch alone; the shortcut, + x, is missing.")
    if torch.allclose(value, torch.relu(expected), atol=1e-5):
        raise Wrong("there is no ReLU behind the addition in this assignment.")
    if (value - given).min() < -1e-3:
        raise Wrong("the second ReLU belongs into the branch, before the addition.")
    raise Wrong("shape and parameters are right, the output is not: look at the order.")


@check(
    "Exercise 3.4",
    "Two 3×3 convolutions see 5 × 5 pixels; strides make every later pixel count more.",
)
def receptive_field(function) -> None:
    """`function(layers)`: side of the receptive field, in pixels; layers: (kernel, stride)."""
    cases = {
        ((3, 1),): 3,
        ((3, 1), (3, 1)): 5,
        ((3, 1), (2, 2), (3, 1)): 8,
        ((3, 1), (3, 1), (2, 2), (3, 1), (3, 1), (2, 2)): 16,
    }
    values = {layers: call(function, list(layers)) for layers in cases}
    if values == cases:
        return
    layers = ((3, 1), (3, 1))
    if values[layers] in (6, 9):
        raise Wrong("the windows overlap: a second 3×3 adds one pixel on each side, 3 + 2 = 5.")
    layers = ((3, 1), (2, 2), (3, 1))
    if values[layers] == 6:
        raise Wrong("behind a stride of 2, neighbours lie 2 pixels apart: keep the jump.")
    wrong = next(layers for layers in cases if values[layers] != cases[layers])
    raise Wrong(f"{list(wrong)} should give {cases[wrong]}, yours gives {values[wrong]}.")


@check("Exercise 3.5", "Rows are the true classes: of all cats, how many were called cat?")
def class_accuracy(function) -> None:
    """`function(matrix)`: accuracy of each true class from the counts (C, C), rows true."""
    matrix = np.array([[8, 2, 0], [1, 5, 4], [3, 0, 27]])
    value = np.asarray(call(function, matrix.copy()), dtype=float)
    if close(value, matrix.diagonal() / matrix.sum(axis=1)):
        return
    if close(value, matrix.diagonal() / matrix.sum(axis=0)):
        raise Wrong("that divides by the columns: of all that were *called* cat, how many are (the "
                    "precision). Divide by the rows.")  # fmt: skip
    if close(value, matrix.diagonal() / matrix.sum()):
        raise Wrong("divide each class by its own number of images, not by all of them.")
    if value.shape == ():
        raise Wrong("one number for each class is asked for.")
    raise Wrong(f"for a test matrix it should give [0.8, 0.5, 0.9], yours gives {value.round(3)}.")


@check(
    "Exercise 3.6",
    "The last batch has 336 images, not 512; a mean over batches counts them too much.",
)
def accuracy_over_batches(function) -> None:
    """`function(batches)`: accuracy over all images; batches: list of (hits, images)."""
    value = float(call(function, [(256, 512), (512, 512), (0, 336)]))
    if close(value, 768 / 1360):
        return
    if close(value, (0.5 + 1 + 0) / 3):
        raise Wrong("a mean of the batches' accuracies; the last batch is smaller and counts less.")
    if close(value, 768):
        raise Wrong("that is the number of hits; divide by the number of images.")
    if close(value, 100 * 768 / 1360):
        raise Wrong("as a fraction, from 0 to 1, please.")
    raise Wrong(f"768 hits among 1,360 images are {768 / 1360:.4f}, yours gives {value:.4f}.")


@check(
    "Exercise 3.7", "Both paths halve the picture and change the channels, so they can be added."
)
def projection_block(block_class) -> None:
    """`block_class(channels_in, channels_out)`: halves the picture; 1×1 projection as shortcut."""
    torch.manual_seed(0)
    block = block_class(4, 8)
    kernels = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
    projections = [m for m in kernels if m.kernel_size == (1, 1)]
    branch = [m for m in kernels if m.kernel_size == (3, 3)]
    if not kernels:
        raise Wrong("not filled in yet: it has no convolutions.")
    if len(projections) != 1:
        raise Wrong(f"one 1×1 convolution is asked for, yours has {len(projections)}.")
    if len(branch) != 2:
        raise Wrong(f"two 3×3 convolutions are asked for, yours has {len(branch)}.")
    x = torch.randn(2, 4, 8, 8)
    try:
        value = call(block, x.clone())
    except RuntimeError as error:
        if "size of tensor" in str(error):
            raise Wrong(
                "the two paths give different shapes: the projection needs stride 2, too, and "
                "channels_out channels."
            ) from None
        raise
    if value.shape != (2, 8, 4, 4):
        raise Wrong(f"(2, 4, 8, 8) should become (2, 8, 4, 4), yours gives {tuple(value.shape)}.")
    if value.min() >= 0:
        raise Wrong("there is no ReLU behind the addition in this assignment.")
    # Batch norm makes nothing of nothing, so a path whose weights are zero adds zero.
    alone, shortcut = _without(block, projections, x), _without(block, branch, x)
    if torch.equal(alone, value):
        raise Wrong("the projection is there, but it is not added.")
    if torch.equal(shortcut, value):
        raise Wrong("that is the shortcut alone; the branch is not added.")
    if not torch.allclose(alone + shortcut, value, atol=1e-5):
        raise Wrong("the output should be branch(x) + shortcut(x): two paths from the same x.")


@check("Your copy", "It computes what the library's network computes.")
def same_network(network_class) -> None:
    """A learner's copy of CustomResNet: same parameters, and the same output with the same ones."""
    torch.manual_seed(0)
    copy, reference = network_class(10, 8).eval(), CustomResNet(10, 8).eval()
    shapes = [tuple(p.shape) for p in copy.parameters()]
    expected = [tuple(p.shape) for p in reference.parameters()]
    if shapes != expected:
        raise Wrong(
            f"{sum(map(np.prod, shapes)):,} parameters in {len(shapes)} tensors, not "
            f"{sum(map(np.prod, expected)):,} in {len(expected)}."
        )
    _take_over(copy, reference)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        if not torch.allclose(copy(images), reference(images), atol=1e-4):
            raise Wrong("the parameters are the same, the output is another: look at the order.")


@torch.no_grad()
def _without(block: nn.Module, silenced: list[nn.Module], x: torch.Tensor) -> torch.Tensor:
    """The block's output while these convolutions give nothing."""
    kept = [module.weight.clone() for module in silenced]
    for module in silenced:
        module.weight.zero_()
    value = block(x.clone())
    for module, weight in zip(silenced, kept, strict=True):
        module.weight.copy_(weight)
    return value


def _take_over(model: nn.Module, source: nn.Module) -> None:
    """Copy parameters in their order: the names may differ."""
    with torch.no_grad():
        for mine, theirs in zip(model.parameters(), source.parameters(), strict=True):
            mine.copy_(theirs)
