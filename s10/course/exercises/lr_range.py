"""Notebook 01: augmentation and the LR range test."""

import numpy as np
import torch

from s10.course.exercises.verdict import (
    CheckFailed,
    call,
    call_number,
    check,
    close,
    compare,
    fail_if,
)

CROPS, FLIPS, SQUARES = 9 * 9, 2, 25 * 25


@check("Exercise 1.1", "81 crops × 2 flips × 625 squares; 24 epochs show the network 24 of them.")
def versions_of_one_image(answer) -> None:
    """How many images pad 4 → crop 32 → flip → CutOut 8×8 can make of one."""
    hints = [
        (8 * 8 * FLIPS * SQUARES, "a window of 32 in an image of 40 has 9 positions, not 8."),
        (8 * 8 * FLIPS * 24 * 24, "count positions, not gaps: 40 − 32 + 1 and 32 − 8 + 1."),
        (CROPS * FLIPS * 24 * 24, "the square of 8 has 32 − 8 + 1 = 25 positions each way."),
        (
            CROPS * FLIPS * 32 * 32,
            "the square lies entirely inside the image: 25 positions each way.",
        ),
        (CROPS * FLIPS, "and the CutOut square? It has positions, too."),
        (CROPS * SQUARES, "and the flip?"),
        (CROPS + FLIPS + SQUARES, "they are independent choices: multiply."),
        (CROPS, "and the flip and the square?"),
    ]
    otherwise = "positions of the crop × 2 flips × positions of the square."
    compare(answer, CROPS * FLIPS * SQUARES, hints, otherwise, tolerance=0)


@check("Exercise 1.2", "After normalization 0 is the mean color, so the square carries no signal.")
def cutout(function) -> None:
    """`function(images, top, left, size)`: images (B, 3, 32, 32) with a square of 0 in each.

    `top` and `left`: int64 (B,), a position for each image. The result may be a tensor, an
    array or a list of images.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(5, 3, 32, 32, generator=generator) + 5
    before = images.clone()
    top, left = torch.tensor([0, 10, 24, 7, 16]), torch.tensor([24, 3, 0, 13, 5])
    value = _batch(call(function, images, top, left, 8))
    changed = not torch.equal(images, before)
    fail_if(changed, "it changes the images passed to it; work on a copy (images.clone()).")
    shape = tuple(value.shape)
    fail_if(shape != (5, 3, 32, 32), f"the shape should stay (5, 3, 32, 32), yours is {shape}.")
    if not torch.equal(value, _cut(images, top, left, 8)):
        swapped = torch.equal(value, _cut(images, left, top, 8))
        fail_if(swapped, "top counts rows (dimension 2), left columns (3); yours has them swapped.")
        zeros = (value == 0).flatten(1).sum(1).tolist()
        fail_if(zeros == [64] * 5, "the square must be cut from all three channels.")
        fail_if(0 in zeros, f"only {5 - zeros.count(0)} of 5 images have a square: all need one.")
        fail_if(zeros != [192] * 5, f"8 × 8 in 3 channels are 192 zeros per image; yours: {zeros}.")
        raise CheckFailed("the squares are not in the right places, or the rest has changed.")
    smaller = torch.equal(_batch(call(function, images, top, left, 5)), _cut(images, top, left, 5))
    fail_if(not smaller, "right for a size of 8, wrong for 5: use `size`.")


def _batch(value) -> torch.Tensor:
    """A tensor of the images that a learner's function returned."""
    if isinstance(value, list | tuple):
        value = torch.stack([torch.as_tensor(image) for image in value])
    return torch.as_tensor(value).float()


def _cut(images: torch.Tensor, top: torch.Tensor, left: torch.Tensor, size: int) -> torch.Tensor:
    """A copy of the images with a square of zeros in each."""
    images = images.clone()
    for image, y, x in zip(images, top, left, strict=True):
        image[:, y : y + size, x : x + size] = 0
    return images


@check("Exercise 1.3", "The LR grows by the same factor with every batch.")
def exponential_lr(function) -> None:
    """`function(step, steps, low, high)`: the LR of each step, from low to high."""
    low, high, steps = 1e-6, 1.0, 101
    rates = [call_number(function, step, steps, low, high) for step in (0, 25, 50, 100)]
    if close(rates, [low, low * 10**1.5, 1e-3, high]):
        others = [call_number(function, step, 38, 3e-5, 0.2) for step in range(38)]
        only = "right from 1e-6 to 1 in 101 steps only: compute it from `low`, `high` and `steps`."
        fail_if(not close(others, np.geomspace(3e-5, 0.2, 38)), only)
        return
    linear = close(rates[0], low) and close(rates[2], low + (high - low) / 2, 0.05)
    fail_if(linear, "that is a straight line; each step should multiply the LR, not add to it.")
    off_by_one = close(rates[3], low * (high / low) ** (100 / 101))
    fail_if(off_by_one, "the last step is steps − 1, because the first is 0: divide by steps − 1.")
    first, middle, last = rates[0], rates[2], rates[3]
    fail_if(not close(first, low), f"at step 0 it should be low, {low:g}, yours is {first:g}.")
    fail_if(not close(last, high), f"at the end it should be high, {high:g}, yours is {last:g}.")
    raise CheckFailed(f"halfway from 1e-6 to 1, on the log scale, is 1e-3; yours is {middle:g}.")


@check("Exercise 1.4", "A level crossing varies less from seed to seed than the steepest point.")
def where_the_fall_begins(function) -> None:
    """`function(rates, losses)`: the first LR with a tenth of the total fall of the loss done."""
    # Noise crosses the level and comes back, once before the fall and once in it.
    exponents = [-6, -5, -4.5, -4.2, -2, -1, 0]
    rates = np.logspace(-6, 0, 61)
    losses = np.interp(np.log10(rates), exponents, [2.53, 2.5, 2.34, 2.45, 1.0, 1.4, 9.0])
    fall = losses[0] - losses.min()
    done = losses <= losses[0] - 0.1 * fall
    first, lowest = int(done.argmax()), int(losses.argmin())
    value = call_number(function, rates.copy(), losses.copy())
    last = int(np.flatnonzero(~done[:lowest])[-1]) + 1
    nine_tenths = rates[np.argmax(losses <= losses[0] - 0.9 * fall)]
    from_largest = rates[np.argmax(losses <= losses.max() - 0.1 * (losses.max() - losses.min()))]
    hints = [
        (first, "that is its position; return the LR there, rates[position]."),
        (rates[lowest], "there the loss is lowest: the end of the fall, not its beginning."),
        (rates[np.argmax(losses <= 0.9 * losses[0])],
         "a tenth of the *fall* (first loss − lowest loss), not of the loss."),
        (rates[np.gradient(losses).argmin()],
         "that is the steepest point; the first crossing of a level is asked for."),
        (nine_tenths, "that is where nine tenths of the fall are done; one tenth is asked for."),
        (rates[last], "that is the *last* crossing: a noisy curve crosses a level several times."),
        (rates[first - 1], "one position too early: there the tenth is not done yet."),
        (from_largest, "the fall begins at the first loss, losses[0], not at the largest one."),
    ]  # fmt: skip
    between = rates[first - 1] < value < rates[first]
    fail_if(between, "close: return the first LR *in* `rates` with a tenth done, not one between.")
    right = rates[first]
    compare(value, right, hints, f"for a test curve it is {right:.4g}, yours is {value:.4g}.")


@check(
    "Exercise 1.5", "Each edge is a crossing; the lowest point of a flat valley is mostly noise."
)
def middle_of_valley(function) -> None:
    """`function(rates, losses)`: the middle of the valley of a smoothed curve, on the log scale."""
    exponents = [-6, -5, -3, -1.6, -1, 0]
    rates = np.logspace(-6, 0, 61)
    losses = np.interp(np.log10(rates), exponents, [2.6, 2.5, 1.2, 1.0, 1.5, 3.0])
    done, lowest = (losses[0] - losses) / (losses[0] - losses.min()), int(losses.argmin())
    inside = np.flatnonzero(done >= 0.9)
    left, right = rates[inside[0]], rates[inside[-1]]
    middle = np.sqrt(left * right)
    value = call_number(function, rates.copy(), losses.copy())

    def middle_where(condition) -> float:
        return float(np.sqrt(rates[condition][0] * rates[condition][-1]))

    back = "that is the mean of the logs; now turn it back into an LR."
    arithmetic = "that is the arithmetic mean, near the right edge; take the mean of the logs."
    hints = [
        (rates[lowest], "there the loss is lowest; the middle between the edges is asked for."),
        ((left + right) / 2, arithmetic),
        (rates[inside].mean(), arithmetic),
        (left, "that is the left edge of the valley; its middle is asked for."),
        (right, "that is the right edge of the valley; its middle is asked for."),
        (np.log(middle), back),
        (np.log10(middle), back),
        (left * right, "that is the product of the edges; and its square root?"),
        (inside.mean(), "that is a position; return the LR there."),
        (middle_where(done >= 0.1), "at least *nine* tenths of the fall are done in the valley."),
        (middle_where(losses <= 1.1 * losses.min()),
         "the level is nine tenths of the *fall* (first loss − lowest loss), not of the loss."),
        (middle_where(losses <= losses.max() - 0.9 * (losses.max() - losses.min())),
         "the fall begins at the first loss, losses[0], not at the largest one."),
        (np.sqrt(left * rates[inside[-1] + 1]),
         "one position too far to the right: there the loss is above the level again."),
    ]  # fmt: skip
    compare(value, middle, hints, f"for a test curve it is {middle:.2g}, yours is {value:.2g}.")
