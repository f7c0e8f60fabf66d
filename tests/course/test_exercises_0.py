"""Notebook 0's exercises: right answers in many forms pass, wrong ones get a hint that fits."""

import math
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from s10.course.exercises import blocks
from s10.course.exercises.blocks import _adam_step


def adam(gradients, lr, beta1, beta2, **mistakes):
    return _adam_step(gradients, lr, (beta1, beta2), **mistakes)


def adam_in_torch(gradients, lr, beta1, beta2):
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.Adam([weight], lr, betas=(beta1, beta2))
    for gradient in gradients:
        before = weight.detach().clone()
        weight.grad = torch.tensor([gradient])
        optimizer.step()
    return weight - before


def adam_in_numpy(gradients, lr, beta1, beta2, eps=1e-8):
    g, ages = np.array(gradients), np.arange(len(gradients))[::-1]
    m = (beta1**ages * g).sum() / (beta1**ages).sum()  # the same as the bias correction
    return -lr * m / (np.sqrt((beta2**ages * g**2).sum() / (beta2**ages).sum()) + eps)


def adam_rescaled(gradients, lr, beta1, beta2):
    """As in section 2 of the paper: both corrections in the LR."""
    m = v = 0.0
    for t, g in enumerate(gradients, 1):
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g * g - v)
        rate = lr * math.sqrt(1 - beta2**t) / (1 - beta1**t)
    return -rate * m / math.sqrt(v)


def adam_as_a_tensor(*arguments):
    return torch.tensor([adam(*arguments)], requires_grad=True)


def plain_average(gradients, lr, beta1, beta2):
    g = np.array(gradients)
    return -lr * g.mean() / np.sqrt((g**2).mean())


def norm(x, scale, shift, dim=(0, 2, 3), correction=0, eps=1e-5):
    mean, variance = x.mean(dim, keepdim=True), x.var(dim, correction=correction, keepdim=True)
    return (x - mean) / (variance + eps) ** 0.5 * scale[:, None, None] + shift[:, None, None]


def norm_by_channel(x, scale, shift):
    parts = [(c - c.mean()) / c.std(correction=0) for c in x.unbind(1)]
    return torch.stack([scale[i] * part + shift[i] for i, part in enumerate(parts)], dim=1)


def norm_by_module(x, scale, shift):
    module = nn.BatchNorm2d(len(scale))
    module.load_state_dict(
        {**module.state_dict(), "weight": scale, "bias": shift},
    )
    return module(x)


def norm_of_moments(x, scale, shift):
    flat = x.transpose(0, 1).flatten(1)
    mean, square = flat.mean(1), (flat**2).mean(1)
    factor = scale / (square - mean**2).sqrt()
    return x * factor.view(1, -1, 1, 1) + (shift - mean * factor).view(1, -1, 1, 1)


def norm_in_numpy(x, scale, shift):
    x, scale, shift = x.numpy(), scale.numpy(), shift.numpy()
    normal = (x - x.mean((0, 2, 3), keepdims=True)) / x.std((0, 2, 3), keepdims=True)
    return normal * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)


def norm_with_eps_outside(x, scale, shift):
    variance, mean = torch.var_mean(x, (0, 2, 3), correction=0, keepdim=True)
    normal = (x - mean) / (variance.sqrt() + 1e-5)
    return (normal.movedim(1, -1) * scale + shift).movedim(-1, 1)


def norm_in_place(x, scale, shift):
    x -= x.mean((0, 2, 3), keepdim=True)
    return norm(x, scale, shift)


RIGHT = [
    (blocks.adam_step, adam),
    (blocks.adam_step, adam_in_torch),
    (blocks.adam_step, adam_in_numpy),
    (blocks.adam_step, adam_rescaled),
    (blocks.adam_step, adam_as_a_tensor),
    (blocks.adam_step, lambda *a: adam_in_numpy(*a, eps=0)),
    (blocks.adam_step, lambda *a: np.float32(adam(*a))),
    (blocks.lowest_loss, 0.5003),
    (blocks.lowest_loss, 0.500),
    (blocks.lowest_loss, 0.50),
    (blocks.lowest_loss, torch.tensor(0.50028)),
    (blocks.lowest_loss, np.float32(0.50028)),
    (blocks.lowest_loss, -(0.91 * np.log(0.91) + 9 * 0.01 * np.log(0.01))),
    (
        blocks.lowest_loss,
        F.cross_entropy(
            torch.tensor([[0.91] + 9 * [0.01]]).log(), torch.tensor([0]), label_smoothing=0.1
        ),
    ),
    (
        blocks.lowest_loss,
        torch.distributions.Categorical(torch.tensor([0.91] + 9 * [0.01])).entropy(),
    ),
    (blocks.lowest_loss, math.log(91 + 9) - 0.91 * math.log(91)),
    (blocks.lowest_loss, "0.500"),
    (blocks.batch_norm, norm),
    (blocks.batch_norm, norm_by_channel),
    (blocks.batch_norm, norm_by_module),
    (blocks.batch_norm, norm_of_moments),
    (blocks.batch_norm, norm_in_numpy),
    (blocks.batch_norm, norm_with_eps_outside),
    (blocks.batch_norm, lambda x, a, b: norm(x.double(), a, b)),
    (blocks.batch_norm, lambda x, a, b: norm(x, a, b, eps=0)),
    (blocks.batch_norm, lambda x, a, b: F.batch_norm(x, None, None, a, b, training=True)),
]

WRONG = [
    (blocks.adam_step, lambda *a: -adam(*a), "other sign"),
    (blocks.adam_step, lambda *a: adam(*a) / a[1], "by the LR"),
    (blocks.adam_step, lambda *a: adam(*a, corrected=()), "start at 0"),
    (blocks.adam_step, lambda *a: adam(*a, corrected=(1,)), "of the gradients, too"),
    (blocks.adam_step, lambda *a: adam(*a, corrected=(0,)), "of the squares, too"),
    (blocks.adam_step, lambda *a: adam(*a, count=1), "counts from 1"),
    (blocks.adam_step, lambda g, lr, b1, b2: adam(g, lr, b2, b1), "vice versa"),
    (blocks.adam_step, lambda *a: adam(*a, root=1), "square root"),
    (blocks.adam_step, lambda g, lr, b1, b2: adam(g, lr, 0, b2), "newest gradient"),
    (blocks.adam_step, lambda g, lr, b1, b2: adam(g, lr, b1, 0), "newest square"),
    (blocks.adam_step, lambda *a: adam(*a, new=(1, 1)), "not sums"),
    (blocks.adam_step, lambda *a: adam(*a, new=(1, 1), corrected=()), "not sums"),
    (blocks.adam_step, plain_average, "exponential"),
    (blocks.adam_step, lambda g, lr, b1, b2: -lr * g[-1], "SGD"),
    (blocks.adam_step, lambda g, lr, b1, b2: -lr * np.sign(g[-1]), "sign of the newest"),
    (blocks.adam_step, lambda g, lr, b1, b2: adam([*g[:1]], lr, b1, b2), "for \\[1.0, -2.0"),
    (blocks.adam_step, lambda g, lr, b1, b2: [adam(g, lr, b1, b2)] * 2, "one number"),
    (blocks.adam_step, lambda *a: 0.7, "should be"),
    (blocks.adam_step, lambda g, *a: adam(g, 0.1, *a[1:]), "use `lr`"),
    (blocks.adam_step, lambda g, lr, *a: adam(g, lr, 0.8, 0.9), "use `lr`"),
    (blocks.adam_step, lambda *a: f"{adam(*a)} a step", "one number"),
    (blocks.lowest_loss, "0.5 nats", "one number"),
    (
        blocks.batch_norm,
        lambda x, a, b: torch.cat([norm(x, a, b)[:, :3], x[:, 3:]], 1),
        "yours have",
    ),
    (blocks.lowest_loss, 0, "without smoothing"),
    (blocks.lowest_loss, -0.5003, "sign"),
    (blocks.lowest_loss, 0.0858, "other nine"),
    (blocks.lowest_loss, 0.0943, "weighted"),
    (blocks.lowest_loss, 0.105, "weighted"),
    (blocks.lowest_loss, 0.4145, "true class has a term"),
    (blocks.lowest_loss, 0.325, "shared by all ten"),
    (blocks.lowest_loss, 0.1319, "not one"),
    (blocks.lowest_loss, 0.5448, "true one, too"),
    (blocks.lowest_loss, 0.7218, "bits"),
    (blocks.lowest_loss, 0.2173, "base 10"),
    (blocks.lowest_loss, 0.05003, "not their mean"),
    (blocks.lowest_loss, 2.3026, "not the best"),
    (blocks.lowest_loss, 4.511, "margin"),
    (blocks.lowest_loss, 1, "one term"),
    (blocks.batch_norm, lambda x, a, b: norm(x, a, b, correction=1), "correction=0"),
    (blocks.batch_norm, lambda x, a, b: norm(x, a, b, (0,)), "height and width"),
    (blocks.batch_norm, lambda x, a, b: norm(x, a, b, (2, 3)), "over the batch"),
    (blocks.batch_norm, lambda x, a, b: norm(x, a, b, (2, 3), 1), "over the batch"),
    (blocks.batch_norm, lambda x, a, b: norm(x, a, b, (1, 2, 3)), "own mean, over all"),
    (blocks.batch_norm, lambda x, a, b: norm(x, a, b, (1,)), "not over the channels"),
    (blocks.batch_norm, lambda x, a, b: norm(x, a, b, (0, 1, 2, 3)), "own mean and variance"),
    (blocks.batch_norm, lambda x, a, b: norm(x, a, b, (0, 1, 2, 3), 1), "own mean and variance"),
    (blocks.batch_norm, lambda x, a, b: norm(x, 0 * a + 1, 0 * b), "then multiply"),
    (blocks.batch_norm, lambda x, a, b: norm(x, a, 0 * b), "shift is missing"),
    (blocks.batch_norm, lambda x, a, b: norm(x, 0 * a + 1, b), "scale is missing"),
    (blocks.batch_norm, lambda x, a, b: norm(x, a, a * b), "first multiply"),
    (blocks.batch_norm, lambda x, a, b: norm(x, b, a), "scale multiplies"),
    (blocks.batch_norm, lambda x, a, b: norm(x, a, b) * a[:, None, None], "should have"),
    (blocks.batch_norm, lambda x, a, b: (x - x.mean()) * a + b, "\\(1, C, 1, 1\\)"),
    (blocks.batch_norm, norm_in_place, "in place"),
    (blocks.batch_norm, lambda x, a, b: norm(x, a, b)[0], "shape must stay"),
    (blocks.batch_norm, lambda x, a, b: x * a[:, None, None] + b[:, None, None], "the means"),
    (blocks.batch_norm, lambda x, a, b: norm(x, a, b).mean() + x * 0, "yours have"),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_right_answers_pass_in_any_form(check, answer):
    verdict = check(answer)
    assert verdict.passed, verdict


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_a_typical_wrong_answer_gets_its_hint(check, answer, hint):
    verdict = check(answer)
    assert not verdict.passed
    assert re.search(hint, verdict.message), verdict.message
    assert "stops with" not in verdict.message
