"""The exercises' checks: blanks fail, typical wrong answers get a hint, solutions pass.

The solutions are those that are folded in the notebooks.
"""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from s10.course.exercises import (
    Verdict,
    blocks,
    compare_guess,
    lr_range,
    network,
    one_cycle,
    speed,
    submissions,
)
from s10.custom_resnet import CustomResNet, ResBlock, conv_block, down_block
from s10.lr_finder import choose_from_loss

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def returns(value):
    """A learner's function that always returns this."""
    return lambda *arguments: value


class NoShortcut(ResBlock):
    def forward(self, x):
        return self.branch(x)


class ReluAfter(ResBlock):
    def forward(self, x):
        return torch.relu(x + self.branch(x))


class LateRelu(ResBlock):
    """He's block: the second ReLU after the addition."""

    def __init__(self, channels):
        super().__init__(channels)
        self.branch = self.branch[0].extend(self.branch[1][:2])

    def forward(self, x):
        return torch.relu(x + self.branch(x))


class InPlace(ResBlock):
    def forward(self, x):
        return x.add_(self.branch(x))


class WithBias(ResBlock):
    def __init__(self, channels):
        super().__init__(channels)
        for block in self.branch:
            block[0].bias = nn.Parameter(torch.zeros(channels))


class Blank(nn.Module):
    def __init__(self, channels):
        super().__init__()

    def forward(self, x): ...


class ReluBeforeNorm(ResBlock):
    def forward(self, x):
        (first, norm1, _), (second, norm2, _) = self.branch
        return x + norm2(torch.relu(second(norm1(torch.relu(first(x))))))


class OneRelu(ResBlock):
    def __init__(self, channels):
        super().__init__(channels)
        del self.branch[1][2]


class Twice(ResBlock):
    def forward(self, x):
        return self.branch(x) + self.branch(x)


class Stacked(ResBlock):
    def forward(self, x):
        return torch.cat([x, self.branch(x)], dim=1)


class PlainList(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.blocks = [conv_block(channels, channels) for _ in range(2)]

    def forward(self, x):
        return x + self.blocks[1](self.blocks[0](x))


class MadeInForward(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    def forward(self, x):
        return x + conv_block(self.channels, self.channels)(x)


class Unpadded(ResBlock):
    def __init__(self, channels):
        super().__init__(channels)
        self.branch[0][0].padding = (0, 0)


class Unfinite(ResBlock):
    def forward(self, x):
        return (x + self.branch(x)) * torch.nan


class DeclaredInReverse(nn.Module):
    """Right, although its second block is made first."""

    def __init__(self, channels):
        super().__init__()
        self.second = conv_block(channels, channels)
        self.first = conv_block(channels, channels)

    def forward(self, x):
        return self.second(self.first(x)) + x


class Projected(nn.Module):
    """The right answer to 3.7, and with its switches the wrong ones."""

    stride, kernels, sum_of = 2, 2, staticmethod(lambda branch, shortcut: branch + shortcut)

    def __init__(self, channels_in, channels_out):
        super().__init__()
        rest = [conv_block(channels_out, channels_out) for _ in range(self.kernels - 1)]
        self.branch = nn.Sequential(down_block(channels_in, channels_out), *rest)
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1, self.stride, bias=False)

    def forward(self, x):
        return self.sum_of(self.branch(x), self.shortcut(x))


class LateDown(Projected):
    def __init__(self, channels_in, channels_out):
        super().__init__(channels_in, channels_out)
        blocks = conv_block(channels_in, channels_out), down_block(channels_out, channels_out)
        self.branch = nn.Sequential(*blocks)


class Strided(Projected):
    def __init__(self, channels_in, channels_out):
        super().__init__(channels_in, channels_out)
        del self.branch[0][1]
        self.branch[0][0].stride = (2, 2)


class BiasedProjection(Projected):
    def __init__(self, channels_in, channels_out):
        super().__init__(channels_in, channels_out)
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1, 2)


class NoProjection(Projected):
    def forward(self, x):
        return self.branch(x)


class ReversedProjection(Projected):
    """Right: the shortcut is computed first."""

    def forward(self, x):
        shortcut = self.shortcut(x)
        return shortcut + self.branch(x)


class BlankProjection(nn.Module):
    def __init__(self, channels_in, channels_out):
        super().__init__()


def conv_block_only(channels):
    return conv_block(channels, channels)


def projected(sum_of=Projected.sum_of, **switches):
    return type("Wrong", (Projected,), {"sum_of": staticmethod(sum_of), **switches})


class AveragePool(CustomResNet):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.pool = nn.AvgPool2d(4)


class Returnless(CustomResNet):
    def forward(self, x):
        super().forward(x)


def forwards(forward):
    return type("Wrong", (ResBlock,), {"forward": forward})


def field(next_jump):
    def receptive_field(layers):
        size = jump = 1
        for kernel, stride in layers:
            size, jump = size + (kernel - 1) * jump, next_jump(jump, stride)
        return size

    return receptive_field


def linear(step, steps, low, high):
    return low + (high - low) * step / (steps - 1)


def off_by_one(step, steps, low, high):
    return low * (high / low) ** (step / steps)


def square(images, top, left, size, channels=slice(None), swap=False, copy=True, side=None):
    """CutOut with the mistakes that are asked for."""
    images = images.clone() if copy else images
    top, left = (left, top) if swap else (top, left)
    side = side or size
    for i in range(len(images)):
        images[i, channels, top[i] : top[i] + side, left[i] : left[i] + side] = 0
    return images


def cycle(step, low=0.001, end=0.001, peak=489):
    if step <= peak:
        return low + (0.01 - low) * step / peak
    return 0.01 - (0.01 - end) * (step - peak) / (2351 - peak)


def factors(max_lr, div_factor, final_div_factor):
    return {"max_lr": max_lr, "div_factor": div_factor, "final_div_factor": final_div_factor}


def rising(step, half_cycle, low, high):
    return low + (high - low) * step / half_cycle


def one_triangle(step, half_cycle, low, high):
    return max(low, low + (high - low) * (1 - abs(step / half_cycle - 1)))


def without_low(step, half_cycle, low, high):
    return (high - low) * (1 - abs(step % (2 * half_cycle) / half_cycle - 1))


def double_low(step, half_cycle, low, high):
    return low + high * (1 - abs(step % (2 * half_cycle) / half_cycle - 1))


def eva4(epoch, first=1, down=19):
    """The LR of eva4-s11 in an epoch, with the mistakes that are asked for."""
    high = 1e-4 + (1 - 1e-4) / 19
    if epoch <= first + 4:
        return high * (0.1 + 0.9 * (epoch - first) / 4)
    return high * (1 - 0.9 * (epoch - first - 4) / down)


def adam(
    weight, gradient, lr, decay, decoupled, l2=True, resize=True, times_lr=True, half=True,
    before=True,
):  # fmt: skip
    """Adam's first step, with the mistakes that are asked for."""
    factor = 1.0
    if decoupled and resize:
        factor = 1 - (lr if times_lr else 1) * decay
    elif l2 or not resize:
        gradient = gradient + (1 if half else 2) * decay * weight
    if before:
        return weight * factor - lr * np.sign(gradient)
    return (weight - lr * np.sign(gradient)) * factor


def lr_max(lr, start=0.1, steps=98, peak=469.4):
    return lr / (start + (1 - start) * steps / peak)


LR_MAX = 1e-4 + (1 - 1e-4) / 19  # of eva4-s11


def l2_with(term):
    """Adam's first step with `term(weight, lr, decay)` added to the gradient as L2."""

    def step(weight, gradient, lr, decay, decoupled):
        if decoupled:
            return adam(weight, gradient, lr, decay, True)
        return weight - lr * np.sign(gradient + term(weight, lr, decay))

    return step


def plain_sgd(weight, gradient, lr, decay, decoupled):
    return weight - lr * (gradient + decay * weight)


def whitened(covariance, axis=1, eps=0.0):
    """The right answer to 5.2; wrong with axis 0 or a large eps."""
    variances, directions = np.linalg.eigh(covariance)
    return (directions / np.sqrt(np.expand_dims(variances, 1 - axis) + eps)).T


# Right in another way than the folded solution.
DIAGNOSIS = {
    "A": "schedule stepped once an epoch", "B": "no padding before the crop",
    "C": "softmax before the loss",
}  # fmt: skip
RIGHT = [
    (speed.multiplications, lambda i, o, k, s: float(i * o) * (k * s) ** 2),
    (speed.multiplications, lambda i, o, k, s: torch.tensor([i, o, k, k, s, s]).prod()),
    (speed.whitening, lambda c: whitened(c, eps=5e-4)),
    (speed.whitening, lambda c: np.linalg.inv(np.linalg.cholesky(c))),
    (speed.whitening, lambda c: np.linalg.eigh(c)[1] @ whitened(c)),
    (speed.whitening, lambda c: -torch.tensor(whitened(c)).float()),
    (speed.iterations_above_half, 4.0),
    (speed.iterations_above_half, np.int64(4)),
    (speed.seen_both_ways, lambda n: (2**n - 2) / 2**n),
    (speed.seen_both_ways, lambda n: sum(0.5**k for k in range(1, n))),
    (submissions.lowest_loss, 1.461),
    (submissions.lowest_loss, -np.log(np.exp(1) / (np.exp(1) + 9))),
    (submissions.lowest_loss, torch.nn.functional.cross_entropy(
        torch.eye(10)[:1], torch.tensor([0]))),
    (submissions.lr_of_each_epoch, lambda e: float(
        np.interp(e, [1, 5, 24], [LR_MAX / 10, LR_MAX, LR_MAX / 10]))),
    (submissions.lr_max_of_a_log, lambda lr: lr / (0.1 + 0.9 * 98 / (0.2 * 2352 - 1))),
    (submissions.lr_max_of_a_log, lambda lr: 469.4 * lr / (46.94 + 88.2)),
    (submissions.first_step_of_adam, l2_with(lambda w, lr, d: d * w)),
    (submissions.first_step_of_adam, lambda w, g, lr, d, decoupled: (
        w - lr * (g / (abs(g) + 1e-8) + d * w) if decoupled
        else w - lr * (g + d * w) / (((g + d * w) ** 2) ** 0.5 + 1e-8))),
    (submissions.diagnose, {letter: name.upper() for letter, name in DIAGNOSIS.items()}),
    (lr_range.versions_of_one_image, 101_250.0),
    (lr_range.versions_of_one_image, np.int64(101_250)),
    (lr_range.cutout, lambda *a: square(*a).numpy()),
    (lr_range.cutout, lambda *a: list(square(*a))),
    (lr_range.cutout, lambda i, t, x, s: [image.numpy() for image in square(i, t, x, s)]),
    (lr_range.exponential_lr, lambda step, n, a, b: np.geomspace(a, b, n)[step]),
    (lr_range.exponential_lr, lambda step, n, a, b: torch.tensor(a * (b / a) ** (step / (n - 1)))),
    (lr_range.exponential_lr, lambda step, n, a, b: [a * (b / a) ** (step / (n - 1))]),
    (lr_range.where_the_fall_begins, lambda r, x: next(r[k] for k in range(len(r)) if tenth(x)[k])),
    (lr_range.where_the_fall_begins, lambda r, x: r[tenth(x)][0]),
    (lr_range.where_the_fall_begins, lambda r, x: r[tenth(x)].min()),
    (lr_range.middle_of_valley, lambda r, x: np.exp(np.log(r[in_valley(x)]).mean())),
    (lr_range.middle_of_valley, lambda r, x: np.median(r[in_valley(x)])),
    (lr_range.middle_of_valley, lambda r, x: 10 ** np.log10(r[in_valley(x)][[0, -1]]).mean()),
    (lr_range.middle_of_valley, lambda r, x: choose_from_loss(r, x)["lr_max"]),
    (one_cycle.steps_of_the_run, [176, 1055, 5279]),
    (one_cycle.steps_of_the_run, np.array([176, 1055, 5279])),
    (one_cycle.fraction_of_the_rise, 490 / 2352),
    (one_cycle.fraction_of_the_rise, 0.2083),
    (one_cycle.fraction_of_the_rise, np.float32(5 / 24)),
    (one_cycle.triangular, lambda step, h, a, b: a + (b - a) * (1 - abs(step / h % 2 - 1))),
    (one_cycle.one_cycle_lr, lambda step: np.interp(step, [0, 489, 2351], [0.001, 0.01, 0.001])),
    (one_cycle.factors_without_annihilation, factors(1e-2, 10.0, np.float64(1))),
]  # fmt: skip


def rate(batches):
    return sum(k for k, _ in batches) / sum(n for _, n in batches)


def tenth(losses, start=None, part=0.1):
    """Where a tenth of the fall is done."""
    start = losses[0] if start is None else start
    return losses <= start - part * (start - losses.min())


def in_valley(losses, start=None):
    return tenth(losses, start, 0.9)


def middle(rates):
    return (rates[0] * rates[-1]) ** 0.5


def last_before_the_fall(losses):
    return np.flatnonzero(~tenth(losses)[: losses.argmin()])[-1]


# (check, answer, pattern in the hint)
WRONG = [
    (submissions.lowest_loss, 0, "logits"),
    (submissions.lowest_loss, np.log(10), "equal probabilities"),
    (submissions.lowest_loss, np.log(1 + 10 / np.e), "nine"),
    (submissions.lowest_loss, 1 + 9 / np.e, "logarithm"),
    (submissions.lowest_loss, -np.log(1 + 9 / np.e), "sign"),
    (submissions.lowest_loss, 7, "output of a softmax is best"),
    (submissions.lowest_loss, np.log(1 + 9 / np.e) + 0.09, "smoothed"),
    (submissions.lowest_loss, np.e / (np.e + 9), "probability"),
    (submissions.lowest_loss, np.log2(1 + 9 / np.e), "base 2"),
    (submissions.lowest_loss, np.log10(1 + 9 / np.e), "base 10"),
    (submissions.lr_of_each_epoch, lambda e: eva4(e, first=0), "count from 1"),
    (submissions.lr_of_each_epoch, lambda e: LR_MAX * e / 5, "not near 0"),
    (submissions.lr_of_each_epoch, lambda e: LR_MAX * (0.1 + 0.9 * e / 5), "4 equal steps"),
    (submissions.lr_of_each_epoch, lambda e: LR_MAX * (0.1 + (e - 1) / 4), "minus a tenth"),
    (
        submissions.lr_of_each_epoch,
        lambda e: eva4(e) if e < 5 else LR_MAX * (1 - (e - 5) / 19),
        "19 equal steps",
    ),
    (submissions.lr_of_each_epoch, lambda e: eva4(e, down=20), "19 equal steps"),
    (submissions.lr_of_each_epoch, returns(0.01), "the log has"),
    (submissions.first_step_of_adam, plain_sgd, "SGD"),
    (submissions.first_step_of_adam, lambda *a: adam(*a[:4], True), "in the gradient"),
    (submissions.first_step_of_adam, lambda *a: adam(*a[:4], False), "weight itself"),
    (submissions.first_step_of_adam, lambda *a: adam(*a, l2=False), "the decay\\?|in the grad"),
    (submissions.first_step_of_adam, lambda *a: adam(*a, times_lr=False), "by the LR"),
    (submissions.first_step_of_adam, lambda *a: adam(*a, half=False), "weight² is decay"),
    (submissions.first_step_of_adam, lambda *a: adam(*a, before=False), "before the step"),
    (submissions.first_step_of_adam, returns(0.5), "for weight 2, gradient 0.1, lr 0.01, decay"),
    (submissions.first_step_of_adam, l2_with(lambda w, lr, d: -d * w), "L2: the sign"),
    (submissions.first_step_of_adam, l2_with(lambda w, lr, d: d * w**2), "L2: the gradient of"),
    (submissions.first_step_of_adam, l2_with(lambda w, lr, d: d * w**2 / 2), "L2: the gradient of"),
    (submissions.first_step_of_adam, l2_with(lambda w, lr, d: d * w / 2), "L2: the gradient of"),
    (submissions.first_step_of_adam, l2_with(lambda w, lr, d: d), "L2: the gradient of"),
    (submissions.first_step_of_adam, l2_with(lambda w, lr, d: lr * d * w), "L2: the gradient of"),
    (
        submissions.first_step_of_adam,
        lambda w, g, lr, d, decoupled: (
            w * (1 + lr * d) - lr * np.sign(g) if decoupled else adam(w, g, lr, d, False)
        ),
        "decoupled: the sign",
    ),
    (submissions.diagnose, {"A": None, "B": None, "C": None}, "A: not filled in"),
    (submissions.diagnose, {**DIAGNOSIS, "A": "LRMAX 0.0019"}, "A: nothing"),
    (submissions.diagnose, {**DIAGNOSIS, "B": "L2 of 1e-2 in Adam"}, "B: its train"),
    (submissions.diagnose, {**DIAGNOSIS, "C": "annihilation"}, "C: compare"),
    (submissions.diagnose, {**DIAGNOSIS, "C": "overfitting"}, "'overfitting' is not in the list"),
    (submissions.diagnose, {"A": DIAGNOSIS["A"]}, "B: not filled in"),
    (submissions.diagnose, "softmax", "write it as"),
    (submissions.lr_max_of_a_log, lambda lr: lr_max(lr, peak=470.4), "0.2 · 2352 − 1"),
    (submissions.lr_max_of_a_log, lambda lr: lr_max(lr, steps=97), "98 times"),
    (submissions.lr_max_of_a_log, lambda lr: lr_max(lr, steps=99), "98 times"),
    (submissions.lr_max_of_a_log, lambda lr: lr / (0.1 + 98 / 469.4), "minus a tenth"),
    (submissions.lr_max_of_a_log, lambda lr: lr * (0.1 + 0.9 * 98 / 469.4), "divide"),
    (submissions.lr_max_of_a_log, lambda lr: lr_max(lr, start=0), "not at 0"),
    (submissions.lr_max_of_a_log, lambda lr: 10 * lr, "still LRMAX / 10"),
    (submissions.lr_max_of_a_log, returns(0.14820207057988588), "this log only"),
    (submissions.lr_max_of_a_log, returns(0.1552), "it should be"),
    (lr_range.versions_of_one_image, 8 * 8 * 2 * 625, "9 positions"),
    (lr_range.versions_of_one_image, 81 * 2, "square"),
    (lr_range.versions_of_one_image, 81 * 625, "flip"),
    (lr_range.versions_of_one_image, 81 + 2 + 625, "multiply"),
    (lr_range.versions_of_one_image, 7, "positions"),
    (lr_range.exponential_lr, linear, "multiply"),
    (lr_range.exponential_lr, off_by_one, "steps − 1"),
    (lr_range.exponential_lr, returns(0.5), "at step 0"),
    (lr_range.exponential_lr, lambda t, n, a, b: a ** (1 - t / (n - 1)), "`high` and `steps`"),
    (lr_range.exponential_lr, lambda t, n, a, b: a * 10 ** (6 * t / (n - 1)), "`high` and"),
    (lr_range.exponential_lr, lambda t, n, a, b: a * (b / a) ** (t / 100), "`high` and `steps`"),
    (lr_range.exponential_lr, lambda step, steps, low, high: low * 10**step, "at the end"),
    (lr_range.where_the_fall_begins, lambda r, x: r[x.argmin()], "end of the fall"),
    (lr_range.where_the_fall_begins, lambda r, x: r[np.argmax(x <= 0.9 * x[0])], "of the \\*fall"),
    (lr_range.where_the_fall_begins, lambda r, x: r[np.gradient(x).argmin()], "steepest"),
    (
        lr_range.where_the_fall_begins,
        lambda r, x: r[np.argmax(x <= x[0] - 0.9 * (x[0] - x.min()))],
        "nine tenths",
    ),
    (lr_range.where_the_fall_begins, returns(0.123), "yours is 0.12"),
    (lr_range.where_the_fall_begins, lambda r, x: int(np.argmax(tenth(x))), "rates\\[position"),
    (lr_range.where_the_fall_begins, lambda r, x: r[np.argmax(tenth(x)) - 1], "too early"),
    (lr_range.where_the_fall_begins, lambda r, x: r[last_before_the_fall(x) + 1], "several times"),
    (lr_range.where_the_fall_begins, lambda r, x: r[last_before_the_fall(x)], "test curve"),
    (lr_range.where_the_fall_begins, lambda r, x: np.sqrt(r[13] * r[14]), "not one between"),
    (lr_range.where_the_fall_begins, lambda r, x: r[np.argmax(tenth(x, x.max()))], "losses\\[0\\]"),
    (lr_range.where_the_fall_begins, lambda r, x: r[tenth(x)], "one number.*ndarray of shape"),
    (lr_range.where_the_fall_begins, lambda r, x: "1e-4?", "one number.*str"),
    (lr_range.middle_of_valley, lambda r, x: r[x.argmin()], "lowest"),
    (lr_range.middle_of_valley, lambda r, x: r[in_valley(x)][[0, -1]].mean(), "arithmetic"),
    (lr_range.middle_of_valley, lambda r, x: r[in_valley(x)].mean(), "arithmetic"),
    (lr_range.middle_of_valley, lambda r, x: r[in_valley(x)][0], "left edge"),
    (lr_range.middle_of_valley, lambda r, x: r[in_valley(x)][-1], "right edge of"),
    (lr_range.middle_of_valley, lambda r, x: np.log(r[in_valley(x)]).mean(), "back into an LR"),
    (lr_range.middle_of_valley, lambda r, x: np.log10(r[in_valley(x)]).mean(), "back into an LR"),
    (lr_range.middle_of_valley, lambda r, x: np.prod(r[in_valley(x)][[0, -1]]), "square root"),
    (lr_range.middle_of_valley, lambda r, x: np.flatnonzero(in_valley(x)).mean(), "a position"),
    (lr_range.middle_of_valley, lambda r, x: middle(r[tenth(x)]), "\\*nine\\* tenths"),
    (lr_range.middle_of_valley, lambda r, x: middle(r[x <= 1.1 * x.min()]), "of the \\*fall"),
    (lr_range.middle_of_valley, lambda r, x: middle(r[in_valley(x, x.max())]), "losses\\[0\\]"),
    (
        lr_range.middle_of_valley,
        lambda r, x: (r[in_valley(x)][0] * r[np.flatnonzero(in_valley(x))[-1] + 1]) ** 0.5,
        "too far to the right",
    ),
    (lr_range.middle_of_valley, returns(0.123), "yours is 0.12"),
    (lr_range.middle_of_valley, lambda r, x: r[in_valley(x)], "one number.*ndarray of shape"),
    (lr_range.exponential_lr, lambda step, n, a, b: np.geomspace(a, b, n), "shape \\(101,\\)"),
    (lr_range.exponential_lr, lambda step, n, a, b: [a, b], "one number.*list"),
    (lr_range.exponential_lr, lambda step, n, a, b: a * (b / a) ** (step / n - 1), "at step 0"),
    (lr_range.versions_of_one_image, 81 * 2 * 32 * 32, "entirely inside"),
    (lr_range.versions_of_one_image, "81 x 2 x 625", "one number"),
    (lr_range.versions_of_one_image, [81, 2, 625], "one number"),
    (lr_range.versions_of_one_image, 81 * 2 * 625 + 1, "positions"),
    (lr_range.cutout, lambda i, t, x, s: square(i, t, x, 8), "wrong for 5"),
    (lr_range.cutout, lambda i, t, x, s: torch.cat([square(i[:3], t, x, s), i[3:]]), "only 3 of 5"),
    (lr_range.cutout, lambda i, t, x, s: square(i, t, x, s).flatten(1), "shape"),
    (lr_range.cutout, lambda i, t, x, s: square(i, t, x, s) * 2, "right places"),
    (lr_range.cutout, lambda i, t, x, s: i - i, "192 zeros"),
    (lr_range.cutout, lambda *a: square(*a, copy=False), "changes the images"),
    (lr_range.cutout, lambda *a: square(*a, swap=True), "swapped"),
    (lr_range.cutout, lambda *a: square(*a, channels=0), "three channels"),
    (lr_range.cutout, lambda *a: square(*a, side=7), "192 zeros"),
    (lr_range.cutout, lambda i, t, x, s: square(i, t * 0, x * 0, s), "right places"),
    (lr_range.cutout, lambda i, t, x, s: square(i * 0 + 1, t, x, s), "the rest has changed"),
    (lr_range.cutout, lambda i, t, x, s: i[:, 0], "shape"),
    (one_cycle.steps_of_the_run, (98, 489, 2351), "98 is the assignment's"),
    (one_cycle.steps_of_the_run, (175, 1049, 5249), "one more"),
    (one_cycle.steps_of_the_run, (176, 1056, 5280), "counted from 0"),
    (one_cycle.steps_of_the_run, (176, 1056, 5279), "1,056th"),
    (one_cycle.steps_of_the_run, (176, 1055, 5280), "5279"),
    (one_cycle.steps_of_the_run, (176, 880, 5279), "first step of epoch 6"),
    (one_cycle.steps_of_the_run, (175.78, 1055, 5279), "not 175.78"),
    (one_cycle.steps_of_the_run, (176, 7, 5279), "not 7"),
    (one_cycle.steps_of_the_run, (176, 1055, 9), "not 9"),
    (one_cycle.steps_of_the_run, (None, None, None), "not filled in"),
    (one_cycle.steps_of_the_run, 176, "three numbers"),
    (one_cycle.steps_of_the_run, (176, 1055, "5279"), "without quotes"),
    (one_cycle.steps_of_the_run, (176, 1055), "three numbers"),
    (one_cycle.fraction_of_the_rise, 0.3, "default"),
    (one_cycle.fraction_of_the_rise, 0.2, "19 steps"),
    (one_cycle.fraction_of_the_rise, 4 / 24, "beginning"),
    (one_cycle.fraction_of_the_rise, 5, "between 0 and 1"),
    (one_cycle.fraction_of_the_rise, 20.83, "between 0 and 1"),
    (one_cycle.fraction_of_the_rise, 490, "between 0 and 1"),
    (one_cycle.fraction_of_the_rise, "5/24", "one number"),
    (one_cycle.fraction_of_the_rise, (5, 24), "one number"),
    (one_cycle.fraction_of_the_rise, 489 / 2351, "= 488.2"),
    (one_cycle.fraction_of_the_rise, 489 / 2352, "= 488.0"),
    (one_cycle.fraction_of_the_rise, 490 / 2351, "= 489.2"),
    (one_cycle.fraction_of_the_rise, 0.21, "= 492.9"),
    (one_cycle.triangular, lambda *a: [0.1], "yours has|should have"),
    (one_cycle.triangular, lambda *a: np.linspace(0.1, 0.5, 10), "one number"),
    (one_cycle.one_cycle_lr, lambda step: np.ones(2352), "one number"),
    (one_cycle.one_cycle_lr, returns(float("nan")), "begin at 0.001"),
    (one_cycle.factors_without_annihilation, factors(0.01, 0, 1), "positive"),
    (one_cycle.factors_without_annihilation, factors(0.01, 10, 0), "positive"),
    (one_cycle.factors_without_annihilation, factors(0.01, -10, 1), "positive"),
    (one_cycle.factors_without_annihilation, factors("0.01", 10, 1), "positive"),
    (one_cycle.factors_without_annihilation, (0.01, 10, 1), "a dict"),
    (one_cycle.factors_without_annihilation, {"max_lr": 0.01}, "a dict"),
    (one_cycle.triangular, lambda t, h, a, b: without_low(t, 10, 0.1, 0.5) + 0.1, "from all three"),
    (one_cycle.triangular, rising, "never turns"),
    (one_cycle.triangular, returns(0.3), "with half_cycle 10"),
    (one_cycle.triangular, one_triangle, "second should be the same"),
    (one_cycle.triangular, without_low, "add low"),
    (one_cycle.triangular, double_low, "high − low"),
    (one_cycle.one_cycle_lr, lambda step: cycle(step, low=0.0), "begin at 0.001"),
    (one_cycle.one_cycle_lr, lambda step: cycle(step, peak=490), "first of epoch 6"),
    (one_cycle.one_cycle_lr, lambda step: cycle(step, peak=705), "at 705"),
    (one_cycle.one_cycle_lr, lambda step: cycle(step, end=1e-7), "annihilation"),
    (one_cycle.one_cycle_lr, lambda step: cycle(step, end=0.002), "at the last step"),
    (one_cycle.one_cycle_lr, lambda step: cycle(step) + 1e-5 * (step == 700), "step 700"),
    (
        one_cycle.factors_without_annihilation,
        {"max_lr": 0.01, "div_factor": 10, "final_div_factor": 1e4},
        "default",
    ),
    (
        one_cycle.factors_without_annihilation,
        {"max_lr": 0.01, "div_factor": 10, "final_div_factor": 10},
        "not the peak",
    ),
    (
        one_cycle.factors_without_annihilation,
        {"max_lr": 0.01, "div_factor": 25, "final_div_factor": 1},
        "start",
    ),
    (
        one_cycle.factors_without_annihilation,
        {"max_lr": 0.1, "div_factor": 10, "final_div_factor": 1},
        "max_lr is the peak",
    ),
    (
        one_cycle.factors_without_annihilation,
        {"max_lr": None, "div_factor": None, "final_div_factor": None},
        "not filled in",
    ),
    (network.parameters_of_a_block, 9 * 64 * 128, "batch norm"),
    (network.parameters_of_a_block, 9 * 64 * 128 + 3 * 128, "no bias"),
    (network.parameters_of_a_block, 64 * 128 + 256, "3 × 3"),
    (network.parameters_of_a_block, 1, "kernel"),
    (network.shape_after_layer2, (512, 256, 8, 8), "width 64"),
    (network.shape_after_layer2, (512, 8, 8, 128), "second"),
    (network.shape_after_layer2, (512, 64, 16, 16), "layer 1"),
    (network.shape_after_layer2, (512, 256, 4, 4), "layer 3"),
    (network.shape_after_layer2, (512, 128, 16, 16), "pooling"),
    (network.shape_after_layer2, (None,) * 4, "not filled in"),
    (network.shape_after_layer2, (128, 8, 8), "the batch"),
    (network.shape_after_layer2, 512, "four numbers"),
    (network.shape_after_layer2, [512, 64, 8, 8], "count poolings"),
    (network.residual_block, Blank, "not filled in"),
    (network.residual_block, NoShortcut, "shortcut"),
    (network.residual_block, ReluAfter, "no ReLU after"),
    (network.residual_block, LateRelu, "in the branch|order"),
    (network.residual_block, InPlace, "in place"),
    (network.residual_block, WithBias, "bias"),
    (network.residual_block, ReluBeforeNorm, "BN comes before the ReLU"),
    (network.residual_block, OneRelu, "second ReLU is missing"),
    (network.residual_block, Twice, "branch twice"),
    (network.residual_block, Stacked, "side by side"),
    (network.residual_block, PlainList, "plain list"),
    (network.residual_block, MadeInForward, "in __init__"),
    (network.residual_block, Unpadded, "padding=1"),
    (network.residual_block, Unfinite, "not x \\+ branch"),
    (network.residual_block, conv_block_only, "parameters are expected"),
    (network.receptive_field, lambda layers: sum(k for k, _ in layers), "overlap"),
    (network.receptive_field, lambda layers: 1 + sum(k - 1 for k, _ in layers), "jump"),
    (network.receptive_field, returns(3), "should be 5"),
    (network.class_accuracy, lambda m: m.diagonal() / m.sum(0), "columns"),
    (network.class_accuracy, lambda m: m.diagonal() / m.sum(), "its own number"),
    (network.class_accuracy, lambda m: m.diagonal().sum() / m.sum(), "one number for each"),
    (network.class_accuracy, returns(np.ones(3) / 2), "should make"),
    (network.class_accuracy, lambda m: m.max(axis=1) / m.sum(axis=1), "on the diagonal"),
    (network.class_accuracy, lambda m: 100 * m.diagonal() / m.sum(axis=1), "from 0 to 1"),
    (network.class_accuracy, lambda m: m.diagonal(), "numbers of correct"),
    (network.accuracy_over_batches, lambda b: np.mean([k / n for k, n in b]), "last batch"),
    (network.accuracy_over_batches, lambda b: sum(k for k, _ in b), "divide"),
    (network.accuracy_over_batches, lambda b: 100 * rate(b), "fraction"),
    (network.accuracy_over_batches, returns(0.1), "it should be 0.638235"),
    (network.accuracy_over_batches, lambda b: 512 * sum(k / n for k, n in b) / 1360, "should be"),
    (network.accuracy_over_batches, returns(868 / 1360), "it should be 0.531250"),
    (network.accuracy_over_batches, lambda b: 1 - rate(b), "error rate"),
    (network.accuracy_over_batches, lambda b: sum(k for k, _ in b) / len(b), "not of batches"),
    (network.accuracy_over_batches, lambda b: (rate(b), 1), "one number.*tuple"),
    (network.class_accuracy, returns([0.8, 0.4, 0.9]), "the shape \\(5,\\)"),
    (network.class_accuracy, lambda m: m.diagonal() // m.sum(axis=1), "round them down"),
    (network.class_accuracy, lambda m: dict(enumerate(m)), "numbers are asked for.*dict"),
    (network.receptive_field, field(lambda jump, stride: jump + stride - 1), "product"),
    (network.receptive_field, field(max), "product"),
    (network.receptive_field, lambda layers: (5, 2), "one number.*tuple"),
    (network.residual_block, forwards(lambda self, x: None), "`forward` returns nothing"),
    (network.residual_block, forwards(lambda self, x: print(end="")), "`forward` returns nothing"),
    (network.residual_block, forwards(lambda self, x: (x, self.branch(x))), "one tensor.*tuple"),
    (network.projection_block, projected(lambda b, s: None), "`forward` returns nothing"),
    (network.projection_block, BlankProjection, "not filled in"),
    (network.projection_block, lambda i, o: down_block(i, o), "one 1×1"),
    (network.projection_block, projected(kernels=1), "two 3×3"),
    (network.projection_block, projected(lambda b, s: b + 2 * s), "two paths"),
    (network.projection_block, LateDown, "down_block from channels_in"),
    (network.projection_block, Strided, "max pooling"),
    (network.projection_block, BiasedProjection, "without bias"),
    (network.projection_block, NoProjection, "it is not added"),
    (network.projection_block, projected(lambda b, s: b), "branch alone"),
    (network.projection_block, projected(stride=1), "stride 2"),
    (network.projection_block, projected(lambda b, s: torch.relu(b + s)), "no ReLU after"),
    (network.projection_block, projected(lambda b, s: b - 1 + 0 * s), "not added|two paths"),
    (network.projection_block, projected(lambda b, s: s), "shortcut alone"),
    (network.projection_block, projected(lambda b, s: b * s), "two paths"),
    (network.projection_block, projected(lambda b, s: (b + s)[..., :2]), "should become"),
    (network.same_network, AveragePool, "order"),
    (network.same_network, Returnless, "`forward` returns nothing"),
    (network.same_network, lambda c, w: CustomResNet(c, w + 1), "parameters"),
    (speed.multiplications, lambda i, o, k, s: i * o * k * k, "number of weights"),
    (speed.multiplications, lambda i, o, k, s: i * o * k * s * s, "kernel × kernel"),
    (speed.multiplications, lambda i, o, k, s: i * o * k * k * s, "side × side"),
    (speed.multiplications, lambda i, o, k, s: o * k * k * s * s, "all input channels"),
    (speed.multiplications, lambda i, o, k, s: 2 * i * o * k * k * s * s, "additions"),
    (speed.multiplications, lambda i, o, k, s: 3 * i * o * k * k * s * s, "forward pass"),
    (speed.multiplications, lambda i, o, k, s: i * o * k * k * (s - k + 1) ** 2, "not subtract"),
    (speed.multiplications, lambda i, o, k, s: i * k * k * s * s, "one output channel"),
    (speed.multiplications, lambda i, o, k, s: (i * k * k * s + s) * s * o, "bias"),
    (speed.multiplications, returns(7), "each input channel; .* should make 1,769,472"),
    (speed.multiplications, returns(1_769_472), "should make 75,497,472"),
    (speed.whitening, lambda c: whitened(c).T, "rows"),
    (speed.whitening, lambda c: np.linalg.inv(c), "roots"),
    (speed.whitening, lambda c: np.linalg.eigh(c)[1].T, "variances are not 1"),
    (speed.whitening, lambda c: (lambda v, d: (d / v).T)(*np.linalg.eigh(c)), "not by the var"),
    (speed.whitening, lambda c: np.eye(2), "shape"),
    (speed.whitening, lambda c: np.full_like(c, np.nan), "not finite"),
    (speed.whitening, lambda c: np.eye(len(c)), "identity; its first row is"),
    (speed.whitening, lambda c: np.diag(np.diag(c) ** -0.5), "still correlated"),
    (speed.whitening, lambda c: whitened(c, axis=0), "own variance"),
    (speed.whitening, lambda c: whitened(c, axis=0).T, "own variance"),
    (speed.whitening, lambda c: whitened(c, eps=0.1), "identity"),
    (speed.whitening, lambda c: whitened(c, eps=5e-4).T, "rows"),
    (speed.iterations_above_half, 3, "one more"),
    (speed.iterations_above_half, 3.163, "an integer"),
    (speed.iterations_above_half, 5, "one fewer"),
    (speed.iterations_above_half, 50, "multiplies"),
    (speed.gain_in_units_of_noise, lambda g, s: s * (2 / len(g)) ** 0.5, "divide the mean gain"),
    (
        speed.gain_in_units_of_noise,
        lambda g, s: g.sum() / (s * (2 / len(g)) ** 0.5),
        "not their sum",
    ),
    (speed.gain_in_units_of_noise, lambda g, s: g.mean() / s * len(g) ** 0.5, "of two runs"),
    (speed.gain_in_units_of_noise, lambda g, s: g.mean() / (s * 2**0.5), "divide by √n, too"),
    (speed.gain_in_units_of_noise, lambda g, s: g.mean() / (s * 2 / len(g)), "root"),
    (speed.gain_in_units_of_noise, lambda g, s: g.mean() / (s * (2 / 3) ** 0.5), "more or fewer"),
    (
        speed.gain_in_units_of_noise,
        lambda g, s: g.mean() / (g.std(ddof=1) / len(g) ** 0.5),
        "use `std`",
    ),
    (speed.gain_in_units_of_noise, lambda g, s: g.max() / s, "should be 1.67"),
    (speed.seen_both_ways, lambda n: 1 - 0.5**n, "flipped at least once"),
    (speed.seen_both_ways, lambda n: 0.5 ** (n - 1), "one way only"),
    (speed.seen_both_ways, lambda n: 1 - 0.5 ** (n + 1), "after 1 epoch it is 0"),
    (speed.seen_both_ways, lambda n: 100 * (1 - 0.5 ** (n - 1)), "percentage"),
    (speed.seen_both_ways, lambda n: round(1 - 0.5 ** (n - 1), 2), "simulation"),
    (speed.seen_both_ways, lambda n: 1 - 0.25 ** (n - 1), "after 2 a half"),
    (speed.seen_both_ways, returns(1), "after 2 a half"),
]

CHECKS = {
    "0.1": blocks.adam_step,
    "0.2": blocks.lowest_loss,
    "0.3": blocks.batch_norm,
    "1.1": lr_range.versions_of_one_image,
    "1.2": lr_range.cutout,
    "1.3": lr_range.exponential_lr,
    "1.4": lr_range.where_the_fall_begins,
    "1.5": lr_range.middle_of_valley,
    "2.1": one_cycle.triangular,
    "2.2": one_cycle.steps_of_the_run,
    "2.3": one_cycle.one_cycle_lr,
    "2.4": one_cycle.fraction_of_the_rise,
    "2.5": one_cycle.factors_without_annihilation,
    "3.1": network.parameters_of_a_block,
    "3.2": network.shape_after_layer2,
    "3.3": network.residual_block,
    "3.4": network.receptive_field,
    "3.5": network.projection_block,
    "3.6": network.accuracy_over_batches,
    "3.7": network.class_accuracy,
    "4.1": submissions.lr_of_each_epoch,
    "4.2": submissions.lr_max_of_a_log,
    "4.4": submissions.lowest_loss,
    "4.3": submissions.first_step_of_adam,
    "4.5": submissions.diagnose,
    "5.1": speed.multiplications,
    "5.2": speed.whitening,
    "5.3": speed.iterations_above_half,
    "5.4": speed.seen_both_ways,
    "5.5": speed.gain_in_units_of_noise,
}


# Code that gives an answer away, of the library or of the notebook: only after its exercise.
SHOWN_AFTER = [
    ("1.1", "sample_params"), ("1.2", "cutout_mask"), ("1.4", "choose_from_loss"),
    ("1.5", "choose_from_loss"), ("1.5", "valley"),
    ("2.3", "pytorch_rates"), ("2.4", "pytorch_rates"), ("2.5", "pytorch_rates"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "name"), SHOWN_AFTER)
def test_an_exercise_comes_before_the_code_that_solves_it(number, name):
    (path,) = NOTEBOOKS.glob(f"0{number[0]}_*.py")
    text = path.read_text()
    shown = re.search(rf"^(show\(.*\b)?{name}\b", text, re.M)
    assert text.index(f"### Exercise {number}") < shown.start()


def solutions() -> dict[str, str]:
    """Number of the exercise → the code that stands folded under it."""
    found = {}
    for path in sorted(NOTEBOOKS.glob("0*.py")):
        text = re.sub(r"^# ?", "", path.read_text(), flags=re.M)
        for number, rest in re.findall(r"### Exercise (\d\.\d)\n(.*?</details>)", text, re.S):
            (found[number],) = re.findall(r"<summary>Solution.*?```python\n(.*?)```", rest, re.S)
    return found


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_a_typical_wrong_answer_gets_its_hint(check, answer, hint):
    verdict = check(answer)
    assert not verdict.passed
    assert re.search(hint, verdict.message), verdict.message
    assert "stops with" not in verdict.message


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_another_right_answer_passes(check, answer):
    assert check(answer).passed, check(answer)
    verdict = check(answer)
    assert verdict.passed, verdict


@pytest.mark.parametrize("number", CHECKS)
def test_the_folded_solution_passes_and_the_blank_does_not(number):
    scope = {"np": np, "torch": torch, "nn": nn, "conv_block": conv_block, "down_block": down_block}
    before = torch.get_rng_state()
    exec(solutions()[number], scope)
    answer = list(scope.values())[-1]  # What the solution defines last.
    verdict = CHECKS[number](answer)
    assert verdict.passed, verdict
    assert verdict.message.startswith(f"Exercise {number}: right.")
    assert torch.equal(torch.get_rng_state(), before)
    for blank in (None, returns(None)) if callable(answer) else (None,):
        verdict = CHECKS[number](blank)
        assert not verdict.passed
        if not isinstance(answer, type):
            assert "not filled in" in verdict.message


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        (network.residual_block, ResBlock),
        (network.residual_block, DeclaredInReverse),
        (network.projection_block, ReversedProjection),
        (network.shape_after_layer2, torch.Size([512, 128, 8, 8])),
        (network.shape_after_layer2, np.array([512, 128, 8, 8])),
        (network.class_accuracy, lambda m: torch.from_numpy(m).diag() / m.sum(1)),
        (network.class_accuracy, lambda m: [row[i] / sum(row) for i, row in enumerate(m)]),
        (network.accuracy_over_batches, lambda b: torch.tensor(b).sum(0)[0] / sum(n for _, n in b)),
    ],
)  # fmt: skip
def test_a_right_answer_passes_in_another_form(check, answer):
    assert check(answer).passed, check(answer)


def test_every_exercise_of_the_notebooks_has_a_check_and_a_solution():
    numbers = set()
    for path in NOTEBOOKS.glob("0*.py"):
        here = re.findall(r"^# ### Exercise (\d\.\d)", path.read_text(), re.M)
        assert len(here) >= 3
        assert here == sorted(here)
        numbers |= set(here)
    assert numbers == set(CHECKS) == set(solutions())


def test_code_that_raises_is_no_traceback():
    verdict = lr_range.exponential_lr(lambda step: 1)
    assert not verdict.passed
    assert "stops with TypeError" in verdict.message


def test_the_librarys_network_is_its_own_copy():
    assert network.same_network(CustomResNet).passed


def test_a_verdict_shows_its_side():
    assert repr(Verdict(True, "good")) == "✓ good"
    assert repr(Verdict(False, "bad")) == "✗ bad"


def test_guesses_are_compared():
    assert "no guess" in compare_guess("LRMAX", None, 0.01)
    assert "a factor of 10" in compare_guess("LRMAX", 0.1, 0.01, factor=True)
    assert "a factor of 10" in compare_guess("LRMAX", 0.001, 0.01, factor=True)
    assert "a factor of inf" in compare_guess("LRMAX", 0, 0.01, factor=True)
    assert "+0.1" in compare_guess("accuracy", 0.9, 0.8)
    assert compare_guess("best", "A", "B") == "best: you said A, measured B."
    assert "B. You made no guess" in compare_guess("best", None, "B")
    for guess in (0.45, "0.45", "45%", " 45 % ", 45, (0.45,), np.float32(0.45), "4.5e-1"):
        line = compare_guess("accuracy", guess, 0.5, fraction=True)
        assert line == "accuracy: you said 45.0%, measured 50.0%: -5.0 points.", guess


@pytest.mark.parametrize("guess", ["a lot", "", (1, 2), [], {}, np.mean, "1e-3 to 1e-2", True, 1j])
def test_a_guess_that_is_no_number_is_no_traceback(guess):
    for options in ({}, {"factor": True}, {"fraction": True}):
        line = compare_guess("LRMAX", guess, 0.01, **options)
        assert "measured" in line
        assert "is not one number" in line
