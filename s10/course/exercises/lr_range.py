"""Notebook 01: augmentation and the LR range test."""

import numpy as np
import torch

from s10.course.exercises.verdict import CheckFailed, call, check, close, compare, fail_if

CROPS, FLIPS, SQUARES = 9 * 9, 2, 25 * 25


@check("Exercise 1.1", "81 crops × 2 flips × 625 squares; 24 epochs show the network 24 of them.")
def versions_of_one_image(answer) -> None:
    """How many images pad 4 → crop 32 → flip → CutOut 8×8 can make of one."""
    hints = [
        (8 * 8 * FLIPS * SQUARES, "a window of 32 in an image of 40 has 9 positions, not 8."),
        (8 * 8 * FLIPS * 24 * 24, "count positions, not gaps: 40 − 32 + 1 and 32 − 8 + 1."),
        (CROPS * FLIPS * 24 * 24, "the square of 8 has 32 − 8 + 1 = 25 positions each way."),
        (CROPS * FLIPS, "and the CutOut square? It has positions, too."),
        (CROPS * SQUARES, "and the flip?"),
        (CROPS + FLIPS + SQUARES, "they are independent choices: multiply."),
        (CROPS, "and the flip and the square?"),
    ]
    otherwise = "positions of the crop × 2 flips × positions of the square."
    compare(answer, CROPS * FLIPS * SQUARES, hints, otherwise, tolerance=0)


@check("Exercise 1.2", "The LR grows by the same factor with every batch.")
def exponential_lr(function) -> None:
    """`function(step, steps, low, high)`: the LR of each step, from low to high."""
    low, high, steps = 1e-6, 1.0, 101
    rates = [call(function, step, steps, low, high) for step in (0, 25, 50, 100)]
    if close(rates, [low, low * 10**1.5, 1e-3, high]):
        return
    linear = close(rates[0], low) and close(rates[2], low + (high - low) / 2, 0.05)
    fail_if(linear, "that is a straight line; each step should multiply the LR, not add to it.")
    off_by_one = close(rates[3], low * (high / low) ** (100 / 101))
    fail_if(off_by_one, "the last step is steps − 1, because the first is 0: divide by steps − 1.")
    first, middle, last = rates[0], rates[2], rates[3]
    fail_if(not close(first, low), f"at step 0 it should be low, {low:g}, yours is {first:g}.")
    fail_if(not close(last, high), f"at the end it should be high, {high:g}, yours is {last:g}.")
    raise CheckFailed(f"halfway from 1e-6 to 1, on the log scale, is 1e-3; yours is {middle:g}.")


@check("Exercise 1.3", "A level crossing varies less from seed to seed than the steepest point.")
def where_learning_begins(function) -> None:
    """`function(rates, losses)`: the first LR with a tenth of the total fall of the loss done."""
    rates = np.logspace(-6, 0, 61)
    losses = np.interp(np.log10(rates), [-6, -5, -2, -1, 0], [2.53, 2.5, 1.0, 1.4, 9.0])
    fall = losses[0] - losses.min()
    right = rates[np.argmax(losses <= losses[0] - 0.1 * fall)]
    end, steepest = rates[losses.argmin()], rates[np.gradient(losses).argmin()]
    tenth_of_loss = rates[np.argmax(losses <= 0.9 * losses[0])]
    nine_tenths = rates[np.argmax(losses <= losses[0] - 0.9 * fall)]
    value = float(call(function, rates.copy(), losses.copy()))
    hints = [
        (end, "that is where the loss is lowest: the end of the fall, not its beginning."),
        (tenth_of_loss, "a tenth of the *fall* (first loss − lowest loss), not of the loss."),
        (steepest, "that is the steepest point; the first crossing of a level is asked for."),
        (nine_tenths, "that is where nine tenths of the fall are done; one tenth is asked for."),
    ]
    compare(value, right, hints, f"for a test curve it is {right:.2g}, yours is {value:.2g}.")


@check("Exercise 1.4", "LRs live on a log scale: 1e-4 and 1e-2 meet at 1e-3.")
def middle_of_seeds(function) -> None:
    """`function(values)`: the mean of several LRs on the log scale."""
    value = float(call(function, np.array([1e-4, 1e-2])))
    arithmetic = (1e-4 + 1e-2) / 2
    hints = [
        (arithmetic, "the arithmetic mean is near the largest; take the mean of the logs."),
        (-3, "that is the mean of the logs; now turn it back into an LR."),
    ]
    compare(value, 1e-3, hints, f"of 1e-4 and 1e-2 it should be 1e-3, not {value:.2g}.")
    three = float(call(function, np.array([1e-3, 2e-3, 4e-3])))
    otherwise = f"of 1, 2 and 4 thousandths it should be 2 thousandths, not {three:.2g}."
    compare(three, 2e-3, [], otherwise)


@check("Exercise 1.5", "After normalization 0 is the mean color, so the square carries no signal.")
def cutout(function) -> None:
    """`function(images, top, left, size)`: images (B, 3, 32, 32) with a square of 0 in each.

    `top` and `left`: int64 (B,), a position for each image.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 3, 32, 32, generator=generator) + 5
    before = images.clone()
    top, left = torch.tensor([0, 10, 24]), torch.tensor([24, 3, 0])
    expected = _cut(images, top, left)
    value = call(function, images, top, left, 8)
    changed = not torch.equal(images, before)
    fail_if(changed, "it changes the images passed to it; work on a copy (images.clone()).")
    shape = tuple(value.shape)
    fail_if(shape != (3, 3, 32, 32), f"the shape should stay (3, 3, 32, 32), yours is {shape}.")
    if torch.equal(value, expected):
        return
    swapped = torch.equal(value, _cut(images, left, top))
    fail_if(swapped, "top counts rows (dimension 2), left columns (3); yours has them swapped.")
    zeros = (value == 0).flatten(1).sum(1).tolist()
    fail_if(zeros == [64] * 3, "the square must be cut from all three channels.")
    fail_if(zeros != [192] * 3, f"8 × 8 in 3 channels are 192 zeros per image; yours: {zeros}.")
    raise CheckFailed("the squares have the right size, but are not in the right places.")


def _cut(images: torch.Tensor, top: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
    """A copy of the images with a square of zeros, 8 × 8, in each."""
    images = images.clone()
    for image, y, x in zip(images, top, left, strict=True):
        image[:, y : y + 8, x : x + 8] = 0
    return images
