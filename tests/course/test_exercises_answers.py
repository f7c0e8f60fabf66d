"""Some twenty answers for each exercise: right ones in other forms pass, typical slips do not.

Which hint a slip gets is tested in test_exercises.py; here that it is refused, without a traceback.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from s10.course.exercises import lr_range, network, one_cycle, speed, submissions
from s10.custom_resnet import ResBlock, conv_block, down_block
from s10.submissions import PITFALLS


def forms(number):
    """A right number as other types, and what is not that number."""
    right = (float(number), np.int64(number), torch.tensor(number), np.array([number]), str(number))
    units, either, neighbors = f"{number} of them", (number, number), (number - 1, number + 1)
    return right, (units, either, {number: number}, -number, 0, 1 / number, math.nan, *neighbors)


def of(function, *wraps):
    """The function with its result passed through each of these."""
    return [lambda *args, wrap=wrap: wrap(function(*args)) for wrap in wraps]


# What a function of one number may do with its result.
FORMS = (np.float64, np.float32, torch.tensor, lambda x: np.array(x), lambda x: [x],
         lambda x: torch.tensor(float(x), requires_grad=True))  # fmt: skip
SLIPS = (lambda x: None, lambda x: ..., lambda x: (x, x), lambda x: f"{x} or so", lambda x: -x,
         lambda x: {"lr": x}, lambda x: math.nan, lambda x: 100 * x, lambda x: 1.01 * x,
         lambda x: np.array([x, x]), lambda x: print(end=""))  # fmt: skip


def cut(images, top, left, size):
    images = images.clone()
    for image, y, x in zip(images, top, left, strict=True):
        image[:, y : y + size, x : x + size] = 0
    return images


def mask(images, top, left, size, shift=0, corner=0):
    """CutOut by a mask (B, 1, 32, 32)."""
    at = torch.arange(32)
    rows, columns = (at - start[:, None] + corner for start in (top, left))
    rows, columns = ((x >= 0) & (x < size + shift) for x in (rows, columns))
    return rows[:, None, :, None] & columns[:, None, None, :]


def cut_loop(count, channels=slice(None), by=lambda images, i, top, left, size: (top[i], left[i])):
    """CutOut of `count(images)` images, wrong for most counts."""

    def cutout(images, top, left, size):
        result = images.clone()
        for i in range(count(images)):
            y, x = by(images, i, top, left, size)
            result[i, channels, y : y + size, x : x + size] = 0
        return result

    return cutout


def exponential(step, steps, low, high):
    return low * (high / low) ** (step / (steps - 1))


def done(losses, share=0.1):
    return (losses[0] - losses) / (losses[0] - losses.min()) >= share


def begins(rates, losses):
    return rates[done(losses).argmax()]


def wave(step, half, low, high):
    return low + (high - low) * (1 - abs(step % (2 * half) / half - 1))


def cycle(step, low=0.001, high=0.01, peak=489, last=2351):
    return float(np.interp(step, [0, peak, last], [low, high, low]))


def args(max_lr=0.01, div_factor=10, final_div_factor=1, **more):
    return dict(max_lr=max_lr, div_factor=div_factor, final_div_factor=final_div_factor, **more)


def field(next_jump=lambda jump, stride: jump * stride, grow=lambda k: k - 1, start=1, late=False):
    """The receptive field, with the mistakes that are asked for."""

    def receptive_field(layers):
        size, jump = start, 1
        for kernel, stride in layers:
            jump = next_jump(jump, stride) if late else jump
            size += grow(kernel) * jump
            jump = jump if late else next_jump(jump, stride)
        return size

    return receptive_field


def field_backward(layers):
    size = 1
    for kernel, stride in reversed(layers):
        size = (size - 1) * stride + kernel
    return size


def field_popping(layers):
    size = jump = 1
    while layers:
        kernel, stride = layers.pop(0)
        size, jump = size + (kernel - 1) * jump, jump * stride
    return size


def module(forward, make=lambda c: {"branch": nn.Sequential(conv_block(c, c), conv_block(c, c))}):
    """A block with these layers whose forward is `forward(self, x)`."""

    class Block(nn.Module):
        def __init__(self, channels):
            super().__init__()
            for name, layer in make(channels).items():
                setattr(self, name, layer)

    Block.forward = forward
    return Block


def layers(*names, **options):
    """Layers c (a convolution), n (BN) and r (ReLU) in a row, as an attribute `branch`."""

    def make(channels):
        conv = {"kernel_size": 3, "padding": 1, "bias": False, **options}
        kinds = {
            "c": lambda: nn.Conv2d(channels, channels, **conv),
            "n": lambda: nn.BatchNorm2d(channels), "r": nn.ReLU,
        }  # fmt: skip
        return {"branch": nn.Sequential(*(kinds[name]() for name in names))}

    return make


def add(self, x):
    return x + self.branch(x)


def projection(forward=None, shortcut=lambda i, o: nn.Conv2d(i, o, 1, 2, bias=False), branch=None):
    """The block of exercise 3.5, with what is asked for in place of its parts."""

    class Block(nn.Module):
        def __init__(self, i, o):
            super().__init__()
            both = (down_block(i, o), conv_block(o, o))
            self.branch = branch(i, o) if branch else nn.Sequential(*both)
            self.shortcut = shortcut(i, o)

    Block.forward = forward or (lambda self, x: self.shortcut(x) + self.branch(x))
    return Block


def total(batches):
    return sum(k for k, _ in batches) / sum(n for _, n in batches)


def rates_of(batches):
    return [k / n for k, n in batches]


def by_class(matrix):
    return matrix.diagonal() / matrix.sum(axis=1)


PEAK = 1e-4 + (1 - 1e-4) / 19


def eva4(epoch, low=PEAK / 10, high=PEAK, first=1, top=5, last=24):
    return float(np.interp(epoch, [first, top, last], [low, high, low]))


def adam(weight, gradient, lr, decay, decoupled):
    if decoupled:
        return weight * (1 - lr * decay) - lr * np.sign(gradient)
    return weight - lr * np.sign(gradient + decay * weight)


def adam_of(l2, decoupled):
    """Adam's first step with these in place of the two right ones."""
    return lambda w, g, lr, d, kind: (decoupled if kind else l2)(w, g, lr, d)


def l2(w, g, lr, d):
    return adam(w, g, lr, d, False)


def adamw(w, g, lr, d):
    return adam(w, g, lr, d, True)


def torch_adam(w, g, lr, d, decoupled):
    weight = torch.tensor([w], dtype=torch.float64, requires_grad=True)
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    optimizer = kind([weight], lr, weight_decay=d, eps=1e-12)
    weight.grad = torch.full_like(weight, g)
    optimizer.step()
    return weight


def mults(i, o, k, s):
    return i * o * k**2 * s**2


def white(covariance, power=-0.5):
    variances, directions = np.linalg.eigh(covariance)
    return directions * variances**power @ directions.T


def eigen(covariance):
    variances, directions = np.linalg.eigh(covariance)
    return (directions / np.sqrt(variances)).T


def both_ways(n):
    return 1 - 0.5 ** (n - 1)


def in_noise(gains, std):
    return gains.mean() / (std * (2 / len(gains)) ** 0.5)


def story(**changes):
    """A right diagnosis, with these letters' names in place of its own."""
    return {
        "A": "schedule stepped once an epoch", "B": "no padding before the crop",
        "C": "softmax before the loss", **changes,
    }  # fmt: skip


E = math.e
ENTROPY = math.log(1 + 9 / E)
LOG = 0.1 + 0.9 * 98 / 469.4  # eva8-s8's first logged LR, as a fraction of LRMAX
VERSIONS, COUNT = 81 * 2 * 625, 9 * 64 * 128 + 256

# check → (right answers, wrong answers)
ANSWERS = {
    lr_range.versions_of_one_image: (
        [*forms(VERSIONS)[0], 9**2 * 2 * 25**2, Fraction(VERSIONS), np.prod([9, 9, 2, 25, 25])],
        [*forms(VERSIONS)[1], 9 * 2 * 25, 81 * 2 * 24**2, 64 * 2 * 625, 40 * 40 * 2 * 625,
         81 * 2 * 32**2, 24 * VERSIONS, "101,250", VERSIONS / 2],
    ),
    lr_range.cutout: (
        [cut, lambda i, *a: i * ~mask(i, *a), lambda i, *a: i.masked_fill(mask(i, *a), 0),
         lambda i, *a: torch.where(mask(i, *a), 0, i), lambda *a: tuple(cut(*a)),
         lambda i, *a: i.numpy() * ~mask(i, *a).numpy(), lambda *a: cut(*a).double(),
         lambda i, *a: i.numpy() * (1.0 - mask(i, *a).numpy().astype(float))],
        [lambda *a: None, cut_loop(lambda i: i.shape[1]), cut_loop(lambda i: 3),
         cut_loop(lambda i: len(i) - 1), cut_loop(len, 0), cut_loop(len, slice(0, 2)),
         cut_loop(len, by=lambda i, n, t, x, s: (t[0], x[0])),
         cut_loop(len, by=lambda i, n, t, x, s: (x[n], t[n])),
         cut_loop(len, by=lambda i, n, t, x, s: (t[n], t[n])),
         cut_loop(len, by=lambda i, n, t, x, s: (t[n] - (t[n] > 0).int(), x[n])),
         lambda i, *a: i * mask(i, *a), lambda i, *a: i * ~mask(i, *a, shift=1),
         lambda i, *a: i * ~mask(i, *a, shift=-1), lambda i, *a: i * ~mask(i, *a, corner=4),
         lambda i, *a: i - mask(i, *a).float(), lambda i, t, x, s: cut(i, t, x, 8),
         lambda *a: cut(*a)[0], lambda *a: cut(*a).permute(0, 2, 3, 1), lambda *a: cut(*a) / 2,
         lambda i, *a: i.mul_(~mask(i, *a))],
    ),
    lr_range.exponential_lr: (
        [*of(exponential, *FORMS), lambda t, n, a, b: np.logspace(*np.log10([a, b]), n)[t],
         lambda t, n, a, b: math.exp(math.log(a) + math.log(b / a) * t / (n - 1)),
         lambda t, n, a, b: a * ((b / a) ** (1 / (n - 1))) ** t,
         lambda t, n, a, b: a ** (1 - t / (n - 1)) * b ** (t / (n - 1))],
        [*of(exponential, *SLIPS), lambda t, n, a, b: a ** (1 - t / (n - 1)),
         lambda t, n, a, b: a * 10 ** (6 * t / (n - 1)),
         lambda t, n, a, b: a * (b / a) ** (t / 100),
         lambda t, n, a, b: a * b ** (t / (n - 1)),
         lambda t, n, a, b: a * (b / a) ** (t // (n - 1)),
         lambda t, n, a, b: a * (b - a) ** (t / (n - 1)),
         lambda t, n, a, b: b * (a / b) ** (t / (n - 1)),
         lambda t, n, a, b: a * math.exp(t / (n - 1)), lambda t, n, a, b: a + b ** (t / (n - 1)),
         lambda t, n, a, b: a * b / a * t / (n - 1), lambda t, n, a, b: np.linspace(a, b, n)[t]],
    ),
    lr_range.where_the_fall_begins: (
        [*of(begins, *FORMS), lambda r, x: r[np.flatnonzero(done(x))[0]],
         lambda r, x: min(lr for lr, yes in zip(r, done(x), strict=True) if yes),
         lambda r, x: r[np.where(x <= 0.9 * x[0] + 0.1 * x.min())[0][0]],
         lambda r, x: next(lr for lr,
         y in zip(r, x, strict=True) if y < x[0] - 0.1 * (x[0] - min(x)))],
        [*of(begins, *SLIPS), lambda r, x: r[np.argmin(done(x))], lambda r, x: r[done(x)][-1],
         lambda r, x: r[np.argmax(done(x, 0.01))], lambda r, x: r[np.argmax(done(x, 0.5))],
         lambda r, x: r[np.abs(x - 0.9 * x[0] - 0.1 * x.min()).argmin()],
         lambda r, x: r[np.argmax(x <= x[0] - 0.1)], lambda r, x: r[np.diff(x).argmin()],
         lambda r, x: r[np.argmax(x <= 0.1 * x[0])], lambda r, x: r[0],
         lambda r, x: r[done(x).argmax() + 1],
         lambda r, x: r[np.argmax(x <= x[0] - 0.1 * (x[0] - x[-1]))],
         lambda r, x: x[done(x).argmax()],
         lambda r, x: r[x < x[0]][0], lambda r, x: np.log10(begins(r, x))],
    ),
    one_cycle.triangular: (
        [*of(wave, *FORMS),
         lambda t, h, a, b: a + (b - a) * min(t % (2 * h), 2 * h - t % (2 * h)) / h,
         lambda t, h, a, b: b - (b - a) * abs(t % (2 * h) - h) / h,
         lambda t, h, a, b: np.interp(t % (2 * h), [0, h, 2 * h], [a, b, a]),
         lambda t, h, a, b: np.interp(t, [0, h, 2 * h], [a, b, a], period=2 * h),
         lambda t, h, a, b: a + (b - a) * max(0, 1 - abs(t / h - 2 * (1 + t // (2 * h)) + 1))],
        [*of(wave, *SLIPS), lambda t, h, a, b: a + (b - a) * (t % h) / h,
         lambda t, h, a, b: a + (b - a) * (t % (2 * h)) / (2 * h),
         lambda t, h, a, b: wave(t, h, b, a),
         lambda t, h, a, b: wave(t, h + 1, a, b), lambda t, h, a, b: wave(t + 1, h, a, b),
         lambda t, h, a, b: wave(t, 10, a, b), lambda t, h, a, b: wave(t, h, 0.1, 0.5),
         lambda t, h, a, b: wave(t, 2 * h, a, b), lambda t, h, a, b: wave(t, h / 2, a, b),
         lambda t, h, a, b: wave(t // 10 * 10, h, a, b), lambda t, h, a, b: wave(t, h, a, 5 * a),
         lambda t, h, a, b: a + (b - a) * (1 - math.cos(math.pi * t / h)) / 2],
    ),
    one_cycle.steps_of_the_run: (
        [(176, 1055, 5279), torch.tensor([176, 1055, 5279]), (176.0, 1055.0, 5279.0),
         (math.ceil(45_000 / 256), 6 * 176 - 1, 30 * 176 - 1), np.float32([176, 1055, 5279]),
         (np.int64(176), np.int64(1055), np.int64(5279)), (-(-45_000 // 256), 1055, 5279)],
        [(177, 1061, 5309), (175, 1055, 5279), (176, 1057, 5279), (176, 1055, 5281),
         (176, 5279, 1055),
         (1055, 176, 5279), "176, 1055, 5279", {"steps": 176}, [[176, 1055, 5279]], 5279,
         (176, 6, 30),
         (176, 5, 29), (None, 1055, 5279), (176, 1055, 5278), (176, 1054, 5279), (45_000, 256, 30),
         (176, 1055, math.nan), (175.78125, 1053.7, 5272.4), (176, 1231, 5279),
         ("176", "1055", "5279")],
    ),
    one_cycle.one_cycle_lr: (
        [*of(cycle, *FORMS), lambda t: 0.001 + 0.009 * min(t / 489, (2351 - t) / 1862),
         lambda t: 0.001 + t * 9e-3 / 489 if t < 490 else 0.01 - (t - 489) * 9e-3 / 1862,
         lambda t: cycle(t) if t else 1e-3],
        [*of(cycle, *SLIPS), lambda t: cycle(t, peak=488), lambda t: cycle(t, peak=490),
         lambda t: cycle(t, last=2352), lambda t: cycle(t, last=2350), lambda t: cycle(t + 1),
         lambda t: cycle(t - 1), lambda t: cycle(t, low=0),
         lambda t: cycle(t, low=0.01, high=0.001),
         lambda t: cycle(t, high=0.011), lambda t: cycle(t, peak=0.2 * 2352 - 1),
         lambda t: cycle(t // 98 * 98),
         lambda t: cycle(t, peak=391), lambda t: 0.001 * 10 ** (t / 489) if t < 490 else cycle(t)],
    ),
    one_cycle.fraction_of_the_rise: (
        [5 / 24, 5 * 98 / 2352, 0.20833, 0.2083333, Fraction(5, 24), np.float64(5 / 24),
         torch.tensor(5 / 24), 490 / (24 * 98), np.array(5 / 24), 1 - 19 / 24, "0.2083", [5 / 24]],
        [0.25, 5, 5 // 24, 24 / 5, 6 / 24, 5 / 25, 0.21, 0.208, 489 / 2351, 20.83, -5 / 24, 1, 0,
         "5/24", (5, 24), math.nan, math.inf, {"pct_start": 5 / 24}, 1j, 19 / 24, 5 / 23, True,
         488 / 2352],
    ),
    one_cycle.factors_without_annihilation: (
        [args(), args(1e-2, 10.0, 1.0), args(np.float64(0.01), np.int64(10), 1),
         args(0.01, 0.01 / 0.001, 1),
         {"final_div_factor": 1, "div_factor": 10, "max_lr": 0.01}, args(10 / 1000),
         args(0.01, 1e1, 10 / 10)],
        [args(0.001), args(0.01, 0.1), args(0.01, 10, 0.1), args(0.01, 10, 10), args(0.01, 1, 10),
         args(0.01, 25, 1e4), args(0.01, 10, 1e4), args(0.001, 10, 10), args(0.01, 9, 1),
         args("0.01"),
         args(None), args(0.01, [10]), args(0.01, 10, math.nan), args(0.01, math.inf),
         args(pct_start=0.3),
         [0.01, 10, 1], (0.01, 10, 1), {0.01, 10, 1}, "max_lr=0.01", 0.01, args(-0.01),
          args(0.1, 100)],
    ),
    network.parameters_of_a_block: (
        [*forms(COUNT)[0], 128 * (576 + 2), Fraction(COUNT), sum(
            p.numel() for p in nn.Sequential(
                nn.Conv2d(64, 128, 3, bias=False), nn.BatchNorm2d(128)).parameters()),
                64 * 1152 + 256],
        [*forms(COUNT)[1], 9 * 64 * 128, 9 * 64 * 128 + 128, 9 * 64 * 128 + 2 * 64,
         3 * 64 * 128 + 256,
         9 * 128 * 128 + 256, 9 * 64 * 64 + 128, 9 * (64 + 128) + 256, 9 * 64 * 128 * 256,
         "73,984"],
    ),
    network.shape_after_layer2: (
        [(512, 128, 8, 8), [512, 128, 8, 8], torch.zeros(512, 128, 8, 8).shape,
         (512.0, 128.0, 8.0, 8.0),
         (512, 4 * 32, 32 // 4, 32 // 4), torch.tensor([512, 128, 8, 8]),
         np.array((512, 128, 8, 8))],
        [(512, 128, 4, 4), (512, 64, 8, 8), (512, 32, 8, 8), (128, 512, 8, 8), (8, 8, 128, 512),
         (512, 128, 64), (512, 128, 8), (512, 128, 7, 7), (512, 128, 9, 9), (512, 512, 8, 8),
         {512, 128, 8},
         "512 × 128 × 8 × 8", (512, 128, "8x8", 8), 512 * 128 * 8 * 8, [(512, 128, 8, 8)],
         (64, 128, 8, 8),
         (None, 128, 8, 8), (1, 128, 8, 8), (512, 128, 32, 32), (512, 8, 8, 128), torch.zeros(2, 2),
         (512, 128, 8, 8, 8), ()],
    ),
    network.residual_block: (
        [module(add), module(lambda self, x: self.branch(x) + x),
         module(lambda s, x: torch.add(x, s.branch(x))),
         module(lambda s, x: s.branch(x).add_(x)), module(add, layers(*"cnrcnr")),
         module(lambda s, x: x + s.b(s.a(x)),
         lambda c: {"b": conv_block(c, c), "a": conv_block(c, c)}),
         module(lambda s, x: x + F.relu(s.branch[2:](F.relu(s.branch[:2](x)))), layers(*"cncn")),
         lambda c: nn.Sequential(ResBlock(c)), module(add, layers(*"cnrcnr", padding="same")),
         module(lambda s, x: x.clone() + s.branch(x))],
        [module(lambda s, x: None), module(lambda s, x: print(s.branch(x).ndim, end="")),
         module(lambda s, x: (x, s.branch(x))),
         module(lambda s, x: [x + s.branch(x)]), module(lambda s, x: x - s.branch(x)),
         module(lambda s, x: x * s.branch(x)), module(lambda s, x: s.branch(x) - x),
         module(lambda s, x: x), module(lambda s, x: s.branch(x)),
         module(lambda s, x: s.branch(x + s.branch(x))),
         module(lambda s, x: (x + s.branch(x)) / 2), module(lambda s, x: (x + s.branch(x)).mean()),
         module(lambda s, x: x.add_(s.branch(x))), module(lambda s, x: F.relu(x) + s.branch(x)),
         module(add, layers(*"cnrcn")), module(add, layers(*"crncrn")),
         module(add, layers(*"cncn")),
         module(add, layers(*"cnr")), module(add, layers(*"cnrcnrcnr")),
         module(add, layers(*"crcr")),
         module(add, layers(*"cnrcnr", bias=True)), module(add, layers(*"cnrcnr", padding=0)),
         module(add, layers(*"cnrcnr", kernel_size=5, padding=2)), module(add, layers(*"ncrncr")),
         module(lambda s, x: x + s.a(s.a(x)), lambda c: {"a": conv_block(c, c)}),
         module(lambda s, x: x + s.b[1](s.b[0](x)),
         lambda c: {"b": [conv_block(c, c), conv_block(c, c)]}),
         lambda c: conv_block(c, c), lambda c: nn.Identity(),
         lambda c: nn.Sequential(ResBlock(c), nn.ReLU())],
    ),
    network.receptive_field: (
        [*of(field(), *FORMS), field_backward, field_popping, lambda layers: 1 + sum(
            (k - 1) * math.prod(s for _, s in layers[:n]) for n, (k, _) in enumerate(layers)),
         lambda layers: 1 + int(np.dot(
             [k - 1 for k, _ in layers], np.cumprod([1, *(s for _, s in layers[:-1])])))],
        [*of(field(), *SLIPS), field(lambda j, s: j + s - 1), field(max), field(lambda j, s: s),
         field(lambda j, s: j + s), field(lambda j, s: j * (1 + (s > 1))), field(lambda j, s: 1),
         field(late=True),
         field(lambda j, s: j**s), field(grow=lambda k: k), field(grow=lambda k: 2),
         field(grow=lambda k: k // 2 * 2), field(grow=lambda k: k // 2), field(start=0),
         field(start=2),
         lambda layers: field_backward(layers[::-1]), lambda layers: field()(layers[:-1]),
         lambda layers: layers,
         lambda layers: field()(layers) ** 2, lambda layers: math.prod(k for k, _ in layers),
         lambda layers: 16],
    ),
    network.projection_block: (
        [projection(), projection(lambda s, x: s.branch(x) + s.shortcut(x)),
         projection(lambda s, x: torch.add(s.branch(x), s.shortcut(x))),
         projection(lambda s, x: sum(f(x) for f in (s.branch, s.shortcut))),
         projection(lambda s, x: s.branch(x).add_(s.shortcut(x))),
         projection(shortcut=lambda i, o: nn.Sequential(nn.Conv2d(i, o, 1, 2, bias=False))),
         projection(shortcut=lambda i, o: nn.Conv2d(i, o, (1, 1), stride=(2, 2), padding=0,
         bias=False))],
        [projection(lambda s, x: None), lambda i, o: projection()(i, 2 * i),
         lambda i, o: projection()(i, 8), projection(lambda s, x: (s.branch(x), s.shortcut(x))),
         projection(lambda s, x: (s.branch(x) + s.shortcut(x), None)[1]),
         projection(lambda s, x: s.branch(x)),
         projection(lambda s, x: s.shortcut(x)),
         projection(lambda s, x: s.branch(x) - s.shortcut(x)),
         projection(lambda s, x: s.branch(x) * s.shortcut(x)),
         projection(lambda s, x: x + s.branch(x)),
         projection(lambda s, x: torch.cat([s.branch(x), s.shortcut(x)], 1)),
         projection(lambda s, x: F.relu(s.branch(x) + s.shortcut(x))),
         projection(lambda s, x: s.branch(x) + F.relu(s.shortcut(x))),
         projection(lambda s, x: (s.branch(x) + s.shortcut(x)).mean()),
         projection(shortcut=lambda i, o: nn.Conv2d(i, o, 1, 1, bias=False)),
         projection(shortcut=lambda i, o: nn.Conv2d(i, o, 1, 2)),
         projection(shortcut=lambda i, o: nn.Conv2d(i, i, 1, 2, bias=False)),
         projection(shortcut=lambda i, o: nn.Conv2d(i, o, 3, 2, 1, bias=False)),
         projection(shortcut=lambda i, o: nn.Conv2d(i, o, 1, 2, padding=1, bias=False)),
         projection(shortcut=lambda i, o: nn.Sequential(nn.Conv2d(i, o, 1, 2, bias=False),
         nn.BatchNorm2d(o))),
         projection(shortcut=lambda i, o: nn.Sequential(nn.MaxPool2d(2),
         nn.Conv2d(i, o, 1, bias=False))),
         projection(shortcut=lambda i, o: nn.Identity()),
         projection(branch=lambda i, o: down_block(i, o)),
         projection(branch=lambda i, o: nn.Sequential(conv_block(i, o), down_block(o, o))),
         projection(branch=lambda i, o: nn.Sequential(conv_block(i, o), conv_block(o, o)))],
    ),
    network.accuracy_over_batches: (
        [*of(total, *FORMS), lambda b: np.divide(*np.sum(b, axis=0)), lambda b: np.average(
            rates_of(b), weights=[n for _, n in b]),
            lambda b: torch.tensor(b).sum(0)[0] / sum(n for _, n in b),
         lambda b: sum(k / n * n for k, n in b) / sum(n for _, n in b)],
        [*of(total, *SLIPS), lambda b: np.mean(rates_of(b)),
         lambda b: 512 * sum(rates_of(b)) / sum(n for _, n in b),
         lambda b: b[0][1] * sum(rates_of(b)) / sum(n for _, n in b), lambda b: 868 / 1360,
         lambda b: 868 / 3 / 512,
         lambda b: total(b[:-1]), lambda b: total(b[:3]), rates_of, lambda b: rates_of(b)[-1],
         np.median, np.mean,
         lambda b: sum(k for k, _ in b) // sum(n for _, n in b),
         lambda b: sum(k for k, _ in b) / len(b),
         lambda b: sum(k for k, _ in b) / 1360, lambda b: 1 - total(b),
         lambda b: round(total(b), 2), lambda b: 1 / total(b),
         lambda b: sum(rates_of(b)), lambda b: max(rates_of(b)), lambda b: f"{total(b):.0%}"],
    ),
    network.class_accuracy: (
        [by_class, lambda m: list(by_class(m)), lambda m: tuple(by_class(m)),
         lambda m: torch.tensor(by_class(m)),
         lambda m: np.diag(m) / m.sum(1), lambda m: np.diag(m / m.sum(1, keepdims=True)),
         lambda m: [m[i, i] / m[i].sum() for i in range(len(m))], lambda m: np.float32(by_class(m)),
         lambda m: (m * np.eye(len(m))).sum(1) / m.sum(1),
         lambda m: np.einsum("ii->i", m) / m.sum(1)],
        [lambda m: None, lambda m: m.diagonal() / m.sum(0), lambda m: m.diagonal() / m.sum(),
         lambda m: m.diagonal(),
         lambda m: m.diagonal() // m.sum(1), lambda m: 100 * by_class(m), lambda m: 1 - by_class(m),
         lambda m: by_class(m).mean(), lambda m: m.trace() / m.sum(),
         lambda m: m / m.sum(1, keepdims=True),
         lambda m: m.max(1) / m.sum(1), lambda m: m.max(0) / m.sum(0),
         lambda m: by_class(m)[:, None],
         lambda m: by_class(m)[::-1], lambda m: m.diagonal() / m.mean(1),
         lambda m: m.diagonal() / len(m),
         lambda m: dict(enumerate(by_class(m))), lambda m: [f"{x:.0%}" for x in by_class(m)],
         lambda m: by_class(m).round(1),
         lambda m: [0.8, 0.4, 0.9], lambda m: m.diagonal() / (m.sum(1) - m.diagonal() + 1e-9),
         lambda m: by_class(m)[:3],
         lambda m: np.fliplr(m).diagonal() / m.sum(1), lambda m: m.diagonal() / m[0].sum(),
         lambda m: print(end="")],
    ),
    submissions.lr_of_each_epoch: (
        [eva4, *of(eva4, *FORMS),
         lambda e: PEAK * (0.1 + 0.9 * ((e - 1) / 4 if e <= 5 else (24 - e) / 19)),
         lambda e: PEAK * min(0.1 + 0.9 * (e - 1) / 4, 0.1 + 0.9 * (24 - e) / 19),
         lambda e: [*np.linspace(PEAK / 10, PEAK, 5),
         *np.linspace(PEAK, PEAK / 10, 20)[1:]][e - 1]],
        [*of(eva4, *SLIPS), lambda e: eva4(e, low=0), lambda e: eva4(e, top=6),
         lambda e: eva4(e, top=4),
         lambda e: eva4(e, first=0), lambda e: eva4(e, last=23), lambda e: eva4(e, last=25),
         lambda e: eva4(e - 1),
         lambda e: eva4(e + 1), lambda e: eva4(e, high=0.0527), lambda e: eva4(e, high=0.9 * PEAK),
         lambda e: PEAK,
         lambda e: eva4(e, low=PEAK / 100),
         lambda e: eva4(e) if e < 5 else PEAK * 10 ** (-(e - 5) / 19),
         lambda e: PEAK * (0.1 + 0.9 * (e // 4)) if e < 5 else eva4(e),
         lambda e: eva4(e, low=PEAK, high=PEAK / 10)],
    ),
    submissions.lr_max_of_a_log: (
        [*of(lambda lr: lr / LOG, *FORMS), lambda lr: lr * 469.4 / (46.94 + 0.9 * 98),
         lambda lr: lr / (0.1 + 0.9 * 98 / (0.2 * 24 * 98 - 1)),
         lambda lr: np.linalg.solve([[LOG]], [lr])[0]],
        [*of(lambda lr: lr / LOG, *SLIPS), lambda lr: lr * LOG, lambda lr: lr / (LOG - 0.1),
         lambda lr: lr / LOG - 0.1,
         lambda lr: 10 * lr, lambda lr: lr, lambda lr: LOG / lr,
         lambda lr: lr / (0.1 + 0.9 * 1 / 4.8),
         lambda lr: lr / (0.1 + 0.9 * 98 / 2352), lambda lr: lr / (0.1 + 0.9 * 98 / 489),
         lambda lr: 0.1482,
         lambda lr: lr / (1 + 0.9 * 98 / 469.4), lambda lr: lr / (0.1 + 98 / 469.4),
         lambda lr: lr / 0.1 + 0.9 * 98 / 469.4,
         lambda lr: lr / (0.1 + 0.9 * (98 // 469.4))],
    ),
    submissions.first_step_of_adam: (
        [*of(adam, *FORMS), torch_adam,
         adam_of(l2, lambda w, g, lr, d: w - lr * d * w - lr * (1 if g > 0 else -1)),
         adam_of(lambda w, g, lr, d: w - lr * (g + d * w) / abs(g + d * w), adamw),
         adam_of(l2, lambda w, g, lr, d: w - lr * (g / abs(g) + d * w))],
        [*of(adam, *SLIPS), adam_of(l2, l2), adam_of(adamw, adamw), adam_of(adamw, l2),
         adam_of(l2, lambda w, g, lr, d: w + lr * np.sign(g) - lr * d * w), adam_of(
            lambda w, g, lr, d: w - lr * g / abs(g) + d * w, adamw),
            adam_of(lambda w, g, lr, d: w - lr * (g + d * w), adamw),
         adam_of(l2, lambda w, g, lr, d: (1 - lr * d) * (w - lr * np.sign(g))),
         adam_of(l2, lambda w, g, lr, d: w * (1 - d) - lr * np.sign(g)),
         adam_of(l2, lambda w, g, lr, d: w - lr * d - lr * np.sign(g)),
         adam_of(l2, lambda w, g, lr, d: w - lr * np.sign(g)),
         adam_of(l2, lambda w, g, lr, d: w * lr * d - lr * np.sign(g)),
         adam_of(l2, lambda w, g, lr, d: None),
         adam_of(lambda w, g, lr, d: adam(w, g, lr, d, False) - w, adamw),
         adam_of(l2, lambda w, g, lr, d: w * (1 - lr * d)),
         adam_of(lambda w, g, lr, d: w - lr * np.sign(g + d * abs(w)), adamw)],
    ),
    submissions.lowest_loss: (
        [1.461, 1.4612, np.float32(ENTROPY), torch.tensor(ENTROPY), [ENTROPY], math.log(E + 9) - 1,
         "1.461",
         -math.log(1 / (1 + 9 / E)), F.cross_entropy(torch.eye(10), torch.arange(10)),
         -F.log_softmax(torch.eye(10), 1)[0, 0],
         F.cross_entropy(torch.eye(10), torch.arange(10)).requires_grad_()],
        [0, 1, -ENTROPY, 1.46 / 10, 1.55, 2.303, 0.2319, E / (E + 9), math.log(E + 9),
         math.log(1 + 10 / E), 1 + 9 / E,
         math.log2(1 + 9 / E), math.log10(1 + 9 / E), math.log(10) / E, "1.46 nats", (1.461, 0), {},
         math.inf, math.nan,
         math.log(9 / E), math.log(1 + 9 * E), math.log(1 + 1 / E),
         F.log_softmax(torch.eye(10), 1)],
    ),
    submissions.diagnose: (
        [story(), story(A="Schedule stepped once an epoch"), story(C="SOFTMAX BEFORE THE LOSS"),
         story(B=" no padding before the crop "), dict(reversed(story().items())),
         story(D="annihilation"), story(A="schedule stepped once an epoch\n")],
        [*(story(**{letter: name}) for letter in "ABC" for name in PITFALLS
           if name != story()[letter]),
         *(story(A=text) for text in ("LR", "", 1, [])), story(B="padding"), story(C="softmax"),
         story(A=", ".join(PITFALLS)), story(A=("schedule stepped once an epoch",)),
         {"A": "schedule stepped once an epoch"}, {}, list(story().values()), "annihilation"],
    ),
    speed.multiplications: (
        [*of(mults, *FORMS), lambda i, o, k, s: math.prod((i, o, k, k, s, s)),
         lambda i, o, k, s: i * o * (k * s) ** 2,
         lambda i, o, k, s: nn.Conv2d(i, o, k, bias=False).weight.numel() * s * s],
        [*of(mults, *SLIPS), lambda i, o, k, s: (i + o) * k**2 * s**2,
         lambda i, o, k, s: i * o * k * s,
         lambda i, o, k, s: i * o * (k * k + s * s), lambda i, o, k, s: i * o * 9 * s * s,
         lambda i, o, k, s: i * o * k * k,
         lambda i, o, k, s: i * o * k * k * (s + 2) ** 2, lambda i, o, k, s: o * o * k * k * s * s,
         lambda i, o, k, s: i * o * k * k * s, lambda i, o, k, s: (i * o * k * k + o) * s * s,
         lambda i, o, k, s: 2 * mults(i, o, k, s), lambda i, o, k, s: 512 * mults(i, o, k, s),
         lambda i, o, k, s: mults(i, o, k, s) / 1e6,
         lambda i, o, k, s: i * o * k * k * (s - k + 1) ** 2],
    ),
    speed.whitening: (
        [white, eigen, lambda c: eigen(c)[::-1], lambda c: torch.tensor(white(c)),
         lambda c: np.linalg.cholesky(
            np.linalg.inv(c)).T, lambda c: np.linalg.inv(np.linalg.cholesky(c)),
            lambda c: white(c).tolist(),
         lambda c: np.diag(np.linalg.eigh(c)[0] ** -0.5) @ np.linalg.eigh(c)[1].T,
         lambda c: np.float32(eigen(c)), lambda c: -white(c),
         lambda c: (lambda u, s, v: v / np.sqrt(s)[:, None])(*np.linalg.svd(c))],
        [lambda c: None, lambda c: eigen(c).T, lambda c: white(c, -1), lambda c: white(c, 0.5),
         lambda c: white(c, -0.25),
         lambda c: white(c, 1), np.linalg.inv, np.linalg.cholesky,
         lambda c: np.linalg.cholesky(c).T, lambda c: c,
         lambda c: np.linalg.eigh(c)[1], lambda c: np.linalg.eigh(c)[1].T, np.linalg.eigh,
         lambda c: 0 * c,
         lambda c: np.diag(np.diag(c) ** -0.5), lambda c: 2 * white(c), lambda c: white(c) + 0.1,
         lambda c: np.eye(3),
         lambda c: eigen(c)[0], lambda c: c / np.sqrt(np.diag(c)), lambda c: "eigh",
         lambda c: {"W": white(c)},
         lambda c: np.linalg.inv(np.linalg.cholesky(c)).T, lambda c: white(c)[:3, :3],
         lambda c: white(c)[None]],
    ),
    speed.iterations_above_half: (
        [*forms(4)[0], np.float64(4), Fraction(4), [4], math.ceil(math.log(50) / math.log(3.4445)),
         len("abcd")],
        [*forms(4)[1], 2, 6, 3.4445, 3.16, 50, 10, "4 iterations", "four", 4.0001, 1.093,
         [0.034, 0.118, 0.4, 1.093]],
    ),
    speed.seen_both_ways: (
        [*of(both_ways, *FORMS), lambda n: 1 - 2 * 0.5**n, lambda n: 1 - 2.0 ** (1 - n),
         lambda n: (2 ** (n - 1) - 1) / 2 ** (n - 1),
         lambda n: 1 - 1 / 2 ** (n - 1), lambda n: Fraction(2**n - 2, 2**n)],
        [*of(both_ways, *SLIPS), lambda n: 1 - 0.5**n, lambda n: 1 - 0.5 ** (n + 1),
         lambda n: 0.5 ** (n - 1), lambda n: 0.5**n,
         lambda n: 1 - 1 / n, lambda n: (n - 1) / n, lambda n: min(1, n / 2), lambda n: 1 - 0.25**n,
         lambda n: 0.5, lambda n: n > 1,
         lambda n: 1 - 2 * 0.5 ** (n - 1), lambda n: (1 - 0.5**n) ** 2,
         lambda n: 1 - 1 // 2 ** (n - 1), lambda n: [0, 0.5, 0.75],
         lambda n: 1 - 0.5 ** (n - 1) * 1.001],
    ),
    speed.gain_in_units_of_noise: (
        [*of(in_noise, *FORMS), lambda g, std: sum(g) / len(g) / (std * math.sqrt(2 / len(g))),
         lambda g, std: np.mean(g) * (len(g) / 2) ** 0.5 / std,
         lambda g, std: np.sum(g) / (std * np.sqrt(2 * len(g))),
         lambda g, std: torch.from_numpy(g).mean() / std / (2 / len(g)) ** 0.5],
        [*of(in_noise, *SLIPS), lambda g, std: std * (2 / len(g)) ** 0.5,
         lambda g, std: std * (2 / len(g)) ** 0.5 / g.mean(), lambda g, std: abs(in_noise(g, std)),
         lambda g, std: g.sum() / (std * (2 / len(g)) ** 0.5), lambda g, std: g.mean() / std,
         lambda g, std: g.mean() / (std / len(g) ** 0.5), lambda g, std: g.mean() / (std * 2**0.5),
         lambda g, std: g.mean() / (std * 2 / len(g)), lambda g, std: g / (std * 2**0.5),
         lambda g, std: g.mean() / (std * (2 / 3) ** 0.5), lambda g, std: g.mean() / 0.24,
         lambda g, std: g.mean() / (g.std(ddof=1) / len(g) ** 0.5), lambda g, std: g.mean() - std,
         lambda g, std: g.mean() / g.std(), lambda g, std: np.median(g) / (std * len(g) ** -0.5),
         lambda g, std: round(in_noise(g, std), 1), lambda g, std: in_noise(g, std) > 2,
         lambda g, std: g.max() / (std * (2 / len(g)) ** 0.5)],
    ),
}  # fmt: skip
RIGHT = [(check, answer) for check, (right, _) in ANSWERS.items() for answer in right]
WRONG = [(check, answer) for check, (_, wrong) in ANSWERS.items() for answer in wrong]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_a_right_answer_passes_in_any_form(check, answer):
    verdict = check(answer)
    assert verdict.passed, verdict


@pytest.mark.filterwarnings("error::DeprecationWarning")
@pytest.mark.parametrize(("check", "answer"), WRONG)
def test_a_slip_is_refused_without_a_traceback(check, answer):
    verdict = check(answer)
    assert not verdict.passed
    assert "stops with" not in verdict.message


def test_there_are_twenty_answers_of_each():
    assert all(len(right) + len(wrong) >= 20 for right, wrong in ANSWERS.values())
    assert all(min(len(right), len(wrong)) >= 7 for right, wrong in ANSWERS.values())
