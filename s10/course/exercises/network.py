"""Notebook 03: the network, its parts and what its mistakes say."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from s10.course.exercises.verdict import (
    CheckFailed,
    call,
    call_number,
    call_numbers,
    check,
    close,
    compare,
    fail_if,
)
from s10.custom_resnet import CustomResNet

BIAS = "batch norm makes a convolution's bias useless: bias=False."


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
    """Shape of the tensor after layer 2 for a batch of 512 at width 32."""
    answer = tuple(answer) if np.ndim(answer) else (answer,)
    fail_if(any(part is None for part in answer), "not filled in yet: four numbers are asked for.")
    without_batch = len(answer) == 3 and close(answer, (128, 8, 8))
    fail_if(without_batch, "and the batch? Its size comes first.")
    fail_if(len(answer) != 4, f"four numbers are asked for, yours are {len(answer)}.")
    hints = [
        ((512, 256, 8, 8), "that is at width 64, as drawn."),
        ((512, 8, 8, 128), "the right numbers; PyTorch puts the channels second."),
        ((512, 64, 16, 16), "that is after layer 1."),
        ((512, 256, 4, 4), "that is after layer 3."),
        ((512, 128, 16, 16), "layer 2 has a max pooling, too."),
        ((1, 128, 8, 8), "and the batch?"),
    ]
    otherwise = "batch, channels, height, width; count poolings and widths."
    compare(answer, (512, 128, 8, 8), hints, otherwise, tolerance=0)


@check("Exercise 3.3", "Same output as the library's, weight for weight.")
def residual_block(block_class) -> None:
    """`block_class(channels)`: a Module that returns x + (conv-BN-ReLU-conv-BN-ReLU)(x)."""
    torch.manual_seed(0)
    block, x = block_class(4), torch.randn(2, 4, 8, 8)
    before = x.clone()
    same_size = "height and width must stay the same, or nothing can be added: padding=1."
    value, layers = _run(block, x, same_size)
    changed = not torch.equal(x, before)
    fail_if(changed, "it changes its input in place: the shortcut adds something other than x.")
    fail_if(any(getattr(layer, "bias", None) is not None for layer in layers[nn.Conv2d]), BIAS)
    count, right = sum(p.numel() for p in block.parameters()), 2 * (9 * 4 * 4 + 2 * 4)
    fail_if(count != right, f"{right} parameters are expected at 4 channels, yours has {count}.")
    order = "the order should be conv, BN, ReLU, conv, BN, ReLU."
    convolutions = [isinstance(layer, nn.Conv2d) for layer in layers["all"]]
    fail_if(convolutions != [True, False, True, False], order)
    stacked = value.shape == (2, 8, 8, 8)
    fail_if(stacked, "torch.cat puts the channels side by side; the shortcut is a sum: x + …")
    fail_if(value.shape != x.shape, same_size)

    def branch(*relus):
        """The learner's layers in turn, and a ReLU after those of these numbers."""
        result = x
        for number, layer in enumerate(layers["all"], 1):
            result = torch.relu(layer(result)) if number in relus else layer(result)
        return result

    both, alone = branch(2, 4), "that is the branch alone; the shortcut, + x, is missing."
    after = "there is no ReLU after the addition in this assignment."
    mistakes = [
        (both, alone),
        (2 * both, "that is the branch twice; the shortcut adds x itself."),
        (torch.relu(x + both), after),
        (torch.relu(x + branch(2)), "the second ReLU belongs in the branch, before the addition."),
        (x + branch(1, 3), "BN comes before the ReLU: conv, BN, ReLU, conv, BN, ReLU."),
        (x + branch(2), "the second ReLU is missing: conv, BN, ReLU, conv, BN, ReLU."),
        (x + branch(4), "the first ReLU is missing: conv, BN, ReLU, conv, BN, ReLU."),
        (x + branch(), "the ReLUs are missing: conv, BN, ReLU, conv, BN, ReLU."),
    ]
    otherwise = "layers and parameters are right, the output is not x + branch(x)."
    _compare_outputs(value, x + both, mistakes, otherwise)


@check(
    "Exercise 3.4",
    "Two 3×3 convolutions see 5 × 5 pixels; strides make every later pixel count more.",
)
def receptive_field(function) -> None:
    """`function(layers)`: side of the receptive field, in pixels; layers: (kernel, stride)."""
    two, strided = ((3, 1), (3, 1)), ((3, 1), (2, 2), (3, 1))
    cases = {((3, 1),): 3, two: 5, strided: 8, (*two, (2, 2), *two, (2, 2)): 16}
    cases |= {((5, 2), (3, 3), (4, 1)): 27, ((7, 4), (1, 3), (2, 5), (3, 1)): 139}
    values = {layers: call_number(function, list(layers)) for layers in cases}
    wrong = [layers for layers in cases if values[layers] != cases[layers]]
    if not wrong:
        return
    apart, jumps = values[two] in (6, 9), values[strided] != 6
    fail_if(apart, "the windows overlap: a second 3×3 adds one pixel on each side, 3 + 2 = 5.")
    fail_if(not jumps, "after a stride of 2, neighbors lie 2 pixels apart: keep the jump.")
    layers, product = wrong[0], "; the jump is the product of *all* strides before a layer"
    product *= len({stride for _, stride in layers}) > 2
    raise CheckFailed(
        f"{list(layers)} should be {cases[layers]}, yours is {values[layers]:g}{product}."
    )


@check("Exercise 3.5", "Both paths halve the image and change the channels, so they can be added.")
def projection_block(block_class) -> None:
    """`block_class(channels_in, channels_out)`: halves the image; 1×1 projection as shortcut."""
    torch.manual_seed(0)
    block, x = block_class(4, 7), torch.randn(2, 4, 8, 8)
    differ = "the shapes differ: the projection needs stride 2 and channels_out channels."
    value, layers = _run(block, x.clone(), differ)
    kernels = [conv.kernel_size[0] for conv in layers[nn.Conv2d]]
    there = any(conv.kernel_size == (1, 1) for conv in _convs(block))
    ones, threes = kernels.count(1), kernels.count(3)
    fail_if(there and not ones, "the projection is there, but it is not added.")
    fail_if(ones != 1, f"one 1×1 convolution is asked for, yours has {ones}.")
    unused = sum(conv.kernel_size == (3, 3) for conv in _convs(block)) == 2 and not threes
    fail_if(unused, "that is the shortcut alone; the branch is not added.")
    fail_if(threes != 2, f"two 3×3 convolutions are asked for, yours has {threes}.")
    projection = layers[nn.Conv2d].pop(kernels.index(1))
    (first, second), norms = layers[nn.Conv2d], layers[nn.BatchNorm2d]
    fail_if(projection.bias is not None, "the projection is asked for without bias: bias=False.")
    fail_if(first.bias is not None or second.bias is not None, BIAS)
    pools = "a down_block halves by its max pooling; its 3×3 convolution has stride 1."
    fail_if(first.stride != (1, 1) or second.stride != (1, 1), pools)
    fail_if(projection.stride != (2, 2), differ)
    fail_if(len(norms) != 2, f"two batch norms are asked for, yours has {len(norms)}.")
    shape = tuple(value.shape)
    fail_if(shape != (2, 7, 4, 4), f"(2, 4, 8, 8) should become (2, 7, 4, 4), yours is {shape}.")
    right = [(conv.in_channels, conv.out_channels) for conv in (first, second)] == [(4, 7), (7, 7)]
    down_first = "the branch is a down_block from channels_in to channels_out, then a conv_block."
    fail_if(not right, down_first)
    half = torch.relu(norms[0](F.max_pool2d(first(x), 2)))
    branch, shortcut = torch.relu(norms[1](second(half))), projection(x)
    late = second(torch.relu(norms[0](first(x))))
    late = torch.relu(norms[1](F.max_pool2d(late, 2)))
    two_paths = "the output should be branch(x) + shortcut(x): two paths from the same x."
    mistakes = [
        (torch.relu(branch + shortcut), "there is no ReLU after the addition in this assignment."),
        (branch, "that is the branch alone; the projection is not added."),
        (shortcut, "that is the shortcut alone; the branch is not added."),
        (late + shortcut, down_first),
    ]
    _compare_outputs(value, branch + shortcut, mistakes, two_paths)


@check(
    "Exercise 3.6",
    "The last batch has 336 images, not 512; a mean over batches counts them too much.",
)
def accuracy_over_batches(function) -> None:
    """`function(batches)`: accuracy over all images; batches: list of (correct, images)."""
    cases = [[(256, 512), (512, 512), (100, 336)], [(3, 11), (2, 7), (8, 9), (4, 5)]]
    values = np.array([call_number(function, list(case)) for case in cases])
    correct, images = np.array([np.sum(case, axis=0) for case in cases]).T
    right, count = correct / images, np.array([len(case) for case in cases])
    mean = np.array([np.divide(*np.transpose(case)).mean() for case in cases])
    hints = [
        (mean, "a mean over batches; the last batch is smaller and counts less."),
        (mean * count * 512 / images, "weight each accuracy by its own batch's size, not by 512."),
        (correct, "that is the number of correct ones; divide by the number of images."),
        (correct / count, "divide by the number of images, not of batches."),
        (1 - right, "that is the error rate; the accuracy is asked for."),
        (1 / right, "the other way round: correct / images."),
        (100 * right, "as a fraction, from 0 to 1, please."),
    ]
    case = int(np.argmax(~np.isclose(values, right, rtol=1e-6)))
    otherwise = f"for {cases[case]} it should be {right[case]:.6f}, yours is {values[case]:.6f}."
    compare(values, right, hints, otherwise)


@check("Exercise 3.7", "Rows are the true classes: of all cats, how many were called cat?")
def class_accuracy(function) -> None:
    """`function(matrix)`: accuracy of each true class from the counts (C, C), rows true."""
    for matrix in ([[8, 2, 0], [1, 4, 5], [3, 0, 27]], np.arange(20, 45).reshape(5, 5) % 11):
        _class_accuracy(function, np.array(matrix))


def _class_accuracy(function, matrix: np.ndarray) -> None:
    """The check of class_accuracy for one matrix."""
    correct = matrix.diagonal()
    value = call_numbers(function, matrix.copy())
    shape = "one number for each class is asked for, the shape ({},); yours has the shape {}."
    fail_if(value.shape != correct.shape, shape.format(len(matrix), value.shape))
    precision, images = correct / matrix.sum(axis=0), matrix.sum(axis=1)
    hints = [
        (100 * correct / images, "as fractions, from 0 to 1, please."),
        (correct, "those are the numbers of correct ones; divide by the images of each class."),
        (matrix.max(axis=1) / images, "the correct ones are on the diagonal, largest or not."),
        (precision, "dividing by the columns is the precision: divide by the rows."),
        (correct / matrix.sum(), "divide each class by its own number of images, not by all."),
        (correct // images, "all are 0: does // round them down? Divide with /."),
        (1 - correct / images, "that is the error rate; the accuracy is asked for."),
    ]
    right = correct / images
    otherwise = f"{matrix.tolist()} should make {right.round(3)}, yours makes {value.round(3)}."
    compare(value, right, hints, otherwise)


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
        same = torch.allclose(call(copy, images), reference(images), atol=1e-4)
    fail_if(not same, "the parameters are the same, the output is not: look at the order.")


def _shapes(model: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(parameter.shape) for parameter in model.parameters()]


@torch.no_grad()
def _copy_parameters(model: nn.Module, source: nn.Module) -> None:
    """Copy parameters in their order, as their names may differ."""
    for mine, theirs in zip(model.parameters(), source.parameters(), strict=True):
        mine.copy_(theirs)


def _run(block: nn.Module, x: Tensor, differ: str) -> tuple[Tensor, dict]:
    """The block's output, and the layers that it used, in the order of their first use.

    They are under their class, nn.Conv2d or nn.BatchNorm2d, and under "all".

    Raises:
        CheckFailed: it has no layers, or not registered ones; shapes that cannot be added (then
            with the hint `differ`).
    """
    layers = {nn.Conv2d: [], nn.BatchNorm2d: [], "all": []}

    def note(module, inputs, output):
        for kind in (nn.Conv2d, nn.BatchNorm2d):
            if isinstance(module, kind) and module not in layers["all"]:
                layers[kind].append(module)
                layers["all"].append(module)

    handle = register_module_forward_hook(note)
    try:
        value = call(block, x)
    except NotImplementedError:
        raise CheckFailed("not filled in yet: forward is missing.") from None
    except RuntimeError as error:
        fail_if("size of tensor" in str(error), differ)
        raise
    finally:
        handle.remove()
    fail_if(not layers["all"], "not filled in yet: it uses no nn.Conv2d.")
    kind = type(value).__name__
    fail_if(not isinstance(value, Tensor), f"`forward` should return one tensor, not a {kind}.")
    registered = set(layers["all"]) <= set(block.modules())
    fail_if(
        not registered,
        "the optimizer will not find all of its layers: make them in __init__, as attributes of "
        "self, and several in an nn.Sequential or nn.ModuleList rather than a plain list.",
    )
    return value, layers


def _convs(block: nn.Module) -> list[nn.Conv2d]:
    return [module for module in block.modules() if isinstance(module, nn.Conv2d)]


def _compare_outputs(value: Tensor, right: Tensor, mistakes: list, otherwise: str) -> None:
    """Raise CheckFailed with the hint of the mistake that this output is of, unless it is right."""
    for wrong, hint in [(right, ""), *mistakes]:
        if wrong.shape == value.shape and torch.allclose(value, wrong, atol=1e-5):
            fail_if(bool(hint), hint)
            return
    raise CheckFailed(otherwise)
