"""Notebook 00: Adam's step, label smoothing and batch norm, each written out once."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from s10.course.exercises.verdict import (
    CheckFailed,
    call,
    call_number,
    check,
    close,
    compare,
    fail_if,
    to_number,
)

LR, BETA1, BETA2 = 0.1, 0.8, 0.9
SUMS = "averages, not sums: the new value counts 1 − β1 or 1 − β2 of it."
GRADIENTS = ([2.0], [1.0, -2.0, 3.0, -0.5], [0.3] * 6)


@check("Exercise 0.1", "The first step has the length LR, whatever the gradient's size.")
def adam_step(function) -> None:
    """`function(gradients, lr, beta1, beta2)`: Adam's last change of one weight, newest last."""
    values = [call_number(function, list(g), LR, BETA1, BETA2) for g in GRADIENTS]

    def is_step(**mistakes) -> bool:
        return close(values, [_adam_step(g, **mistakes) for g in GRADIENTS], 1e-4)

    if is_step():
        other = call_number(function, [1.0, -2.0, 5.0], 0.03, 0.6, 0.7)
        only = f"right for LR {LR}, β1 {BETA1} and β2 {BETA2} only: use `lr`, `beta1` and `beta2`."
        fail_if(not close(other, _adam_step([1.0, -2.0, 5.0], 0.03, (0.6, 0.7)), 1e-4), only)
        return
    sgd, plain = [-LR * g[-1] for g in GRADIENTS], [_plain_average(g) for g in GRADIENTS]
    fail_if(close(values, sgd, 1e-4), "that is the step of SGD: divide the average by √v.")
    fail_if(close(values, plain, 1e-4), "exponential averages: newer gradients count more.")
    hints = [
        ({"sign": 1}, "the weight moves against its gradient: the change has the other sign."),
        ({"lr": 1}, "multiply by the LR."),
        ({"corrected": ()}, "the averages start at 0: divide them by 1 − β1ᵗ and 1 − β2ᵗ."),
        ({"corrected": (1,)}, "correct the average of the gradients, too: 1 − β1ᵗ."),
        ({"corrected": (0,)}, "correct the average of the squares, too: 1 − β2ᵗ."),
        ({"count": 1}, "t counts from 1: in the first step divide by 1 − β1, not by 1 − β1²."),
        ({"betas": (BETA2, BETA1)}, "β1 averages the gradients, β2 their squares; not vice versa."),
        ({"root": 1}, "divide by the square root of the average of the squares."),
        ({"betas": (0, 0)}, "that is the sign of the newest gradient; average over all of them."),
        ({"betas": (0, BETA2)}, "that takes the newest gradient, not the average of them."),
        ({"betas": (BETA1, 0)}, "that takes the newest square, not the average of them."),
        ({"new": (1, 1 - BETA2)}, "an average: the new gradient counts 1 − β1 of it."),
        ({"new": (1, 1)}, SUMS),
        ({"new": (1, 1), "corrected": ()}, SUMS),
        ({"new": (1, 1 - BETA2), "corrected": (1,)}, SUMS),
    ]
    for mistakes, hint in hints:
        fail_if(is_step(**mistakes), hint)
    wrong = next(i for i, g in enumerate(GRADIENTS) if not close(values[i], _adam_step(g), 1e-4))
    raise CheckFailed(
        f"for {GRADIENTS[wrong]}, LR {LR}, β1 {BETA1} and β2 {BETA2} it should be "
        f"{_adam_step(GRADIENTS[wrong]):.4f}, yours is {values[wrong]:.4f}."
    )


@check("Exercise 0.2", "No network can get below it: the smoothed targets are not 0 and 1.")
def lowest_loss(answer) -> None:
    """Lowest cross-entropy with label smoothing of 0.1 and ten classes."""
    right = -0.91 * math.log(0.91) - 0.09 * math.log(0.01)
    hints = [
        (0, "that is the limit without smoothing; here p = t, and t is not 0 and 1."),
        (-right, "the sign: a cross-entropy is never negative."),
        (-0.91 * math.log(0.91), "that is the true class's term; the other nine have one each."),
        (-0.09 * math.log(0.01), "that is the other nine's part; the true class has a term, too."),
        (-math.log(0.91), "each term is weighted by its target, and all ten classes have one."),
        (-math.log(0.9), "each term is weighted by its target, and the true class has 0.91."),
        (-0.9 * math.log(0.9) - 0.1 * math.log(0.1), "the 0.1 is shared by all ten classes."),
        (
            -0.91 * math.log(0.91) - 0.01 * math.log(0.01),
            "nine other classes have the target 0.01, not one.",
        ),
        (
            -0.9 * math.log(0.9) - 0.1 * math.log(0.1 / 9),
            "the 0.1 is shared by all ten classes, the true one, too: its target is 0.91.",
        ),
        (
            -0.9 * math.log(0.9) - 0.1 * math.log(0.01),
            "the targets must add up to 1: the true class has 0.9 + 0.1 / 10.",
        ),
        (right / math.log(2), "that is in bits; PyTorch takes the natural logarithm."),
        (right / math.log(10), "PyTorch takes the natural logarithm, not that to base 10."),
        (right / 10, "the sum over the classes, not their mean."),
        (math.log(10), "equal probabilities are not the best that a network can do."),
        (math.log(91), "that is the margin at which the loss is lowest; what is the loss there?"),
    ]
    otherwise = "put p = t into −Σ t · ln p: one term with t = 0.91, nine with t = 0.01."
    rounded = [(round(wrong, 3), hint) for wrong, hint in hints]
    compare(round(to_number(answer), 3), round(right, 3), rounded, otherwise)


@check("Exercise 0.3", "Equal to PyTorch's batch norm in training mode.")
def batch_norm(function) -> None:
    """`function(x, scale, shift)`: batch norm in training mode; x (N, C, H, W), the others (C,)."""
    torch.manual_seed(0)
    x, scale, shift = torch.randn(4, 5, 2, 3), torch.tensor([1.0, 2, -3, 4, -5]), torch.arange(5.0)
    # Each channel and image has a mean of its own.
    x = (3 + 2 * x) * torch.arange(1.0, 6).view(1, 5, 1, 1) + torch.arange(4.0).view(4, 1, 1, 1)
    before = x.clone()
    try:
        value = torch.as_tensor(call(function, x, scale, shift)).detach()
    except RuntimeError as error:
        shapes = "must match the size" in str(error)
        fail_if(shapes, "for x (N, C, H, W) means, scale and shift need the shape (1, C, 1, 1).")
        raise
    same = torch.equal(x, before)
    fail_if(not same, "it changes x in place; compute a new tensor.")
    shape = tuple(value.shape)
    fail_if(shape != x.shape, f"the shape must stay {tuple(x.shape)}, yours is {shape}.")

    def is_norm(**mistakes) -> bool:
        expected = _batch_norm(x, scale, shift, **mistakes).to(value)
        return torch.allclose(value, expected, rtol=1e-3, atol=1e-4)

    if torch.allclose(value, F.batch_norm(x, None, None, scale, shift, True).to(value), atol=1e-3):
        return
    hints = [
        ({"correction": 1}, "PyTorch's var and std divide by n − 1; here by n: correction=0."),
        ({"axes": (0,)}, "the mean is over height and width, too: dim=(0, 2, 3)."),
        ({"axes": (2, 3)}, "the mean is over the batch, too: dim=(0, 2, 3)."),
        ({"axes": (1,)}, "the mean is not over the channels, each has its own: dim=(0, 2, 3)."),
        ({"axes": (1, 2, 3)}, "each channel has its own mean, over all images: dim=(0, 2, 3)."),
        ({"axes": (0, 1, 2, 3)}, "each channel has its own mean and variance: dim=(0, 2, 3)."),
        ({"power": 1}, "divide by the standard deviation, the root of the variance."),
        ({"power": 0}, "the mean is subtracted; now divide by the standard deviation."),
        ({"center": 0}, "subtract the mean before you divide."),
        ({"use": (0, 0)}, "normalized, yes; then multiply by scale and add shift."),
        ({"use": (1, 0)}, "shift is missing."),
        ({"use": (0, 1)}, "scale is missing."),
        ({"shift_first": True}, "first multiply by scale, then add shift."),
        ({"swapped": True}, "scale multiplies, shift is added; yours are swapped."),
    ]
    for mistakes, hint in hints:
        for correction in (mistakes.get("correction", 0), 1):
            fail_if(is_norm(**{**mistakes, "correction": correction}), hint)
    spread, mean = torch.std_mean(value, (0, 2, 3), correction=0)
    raise CheckFailed(
        f"with scale {scale.tolist()} and shift {shift.tolist()}, the channels should have the "
        f"means {shift.tolist()} and the standard deviations {scale.abs().tolist()}; yours have "
        f"{_rounded(mean)} and {_rounded(spread)}."
    )


def _adam_step(
    gradients, lr=LR, betas=(BETA1, BETA2), corrected=(0, 1), root=0.5, sign=-1, count=0, new=None
) -> float:
    """Adam's last change of the weight, with the mistakes that are asked for."""
    averages = [0.0, 0.0]
    for gradient in gradients:
        for i, part in enumerate((gradient, gradient**2)):
            share = new[i] if new else 1 - betas[i]
            averages[i] = betas[i] * averages[i] + share * part
    t = len(gradients) + count
    m, v = (a / (1 - betas[i] ** t) if i in corrected else a for i, a in enumerate(averages))
    return sign * lr * m / v**root


def _plain_average(gradients) -> float:
    """The step of an Adam whose averages count all gradients equally."""
    count = len(gradients)
    return -LR * sum(gradients) / count / (sum(g**2 for g in gradients) / count) ** 0.5


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 2) for value in values.tolist()]


def _batch_norm(
    x, scale, shift, axes=(0, 2, 3), correction=0, power=0.5, center=1, use=(1, 1),
    shift_first=False, swapped=False,
) -> Tensor:  # fmt: skip
    """Batch norm with the mistakes that are asked for."""
    scale, shift = (shift, scale) if swapped else (scale, shift)
    mean = x.mean(dim=axes, keepdim=True)
    variance = x.var(dim=axes, correction=correction, keepdim=True)
    value = (x - center * mean) / variance**power
    scale, shift = scale.view(1, -1, 1, 1) ** use[0], use[1] * shift.view(1, -1, 1, 1)
    return (value + shift) * scale if shift_first else value * scale + shift
