"""Notebook 01: augmentation and the LR range test."""

import numpy as np
import torch

from s10.exercises.verdict import Wrong, call, check, close

CROPS, FLIPS, SQUARES = 9 * 9, 2, 25 * 25


@check("Exercise 1.1", "81 crops × 2 flips × 625 squares; 24 epochs show the network 24 of them.")
def versions_of_one_picture(answer) -> None:
    """How many pictures pad 4 → crop 32 → flip → CutOut 8×8 can make of one."""
    hints = {
        8 * 8 * FLIPS * SQUARES: "a window of 32 in a picture of 40 has 9 positions, not 8.",
        8 * 8 * FLIPS * 24 * 24: "count the positions, not the gaps: 40 − 32 + 1 and 32 − 8 + 1.",
        CROPS * FLIPS * 24 * 24: "the square of 8 has 32 − 8 + 1 = 25 positions each way.",
        CROPS * FLIPS: "and the CutOut square? It has positions, too.",
        CROPS * SQUARES: "and the flip?",
        CROPS + FLIPS + SQUARES: "they are independent choices: multiply.",
        CROPS: "and the flip and the square?",
    }
    if answer != CROPS * FLIPS * SQUARES:
        raise Wrong(hints.get(answer, "positions of the crop × 2 flips × positions of the square."))


@check("Exercise 1.2", "The LR grows by the same factor with every batch.")
def exponential_lr(function) -> None:
    """`function(step, steps, low, high)`: the LR of each step, from low to high."""
    low, high, steps = 1e-6, 1.0, 101
    rates = [call(function, step, steps, low, high) for step in (0, 25, 50, 100)]
    if close(rates, [low, low * 10**1.5, 1e-3, high]):
        return
    if close(rates[0], low) and close(rates[2], low + (high - low) / 2, 0.05):
        raise Wrong("that is a straight line; each step should multiply the LR, not add to it.")
    if close(rates[3], low * (high / low) ** (100 / 101), 1e-6):
        raise Wrong("the last step is steps − 1, because the first is 0; so divide by steps − 1.")
    if not close(rates[0], low):
        raise Wrong(f"at step 0 it should give low, {low:g}, but gives {rates[0]:g}.")
    if not close(rates[3], high):
        raise Wrong(f"at the last step it should give high, {high:g}, but gives {rates[3]:g}.")
    raise Wrong(f"halfway between 1e-6 and 1, on the log scale, is 1e-3; yours is {rates[2]:g}.")


@check(
    "Exercise 1.3", "A crossing of a level moves less from seed to seed than the steepest point."
)
def where_learning_begins(function) -> None:
    """`function(rates, losses)`: the first LR with a tenth of the whole fall of the loss done."""
    rates = np.logspace(-6, 0, 61)
    losses = np.interp(np.log10(rates), [-6, -5, -2, -1, 0], [2.53, 2.5, 1.0, 1.4, 9.0])
    fall = losses[0] - losses.min()
    expected = rates[np.argmax(losses <= losses[0] - 0.1 * fall)]
    value = float(call(function, rates.copy(), losses.copy()))
    if close(value, expected):
        return
    if close(value, rates[losses.argmin()]):
        raise Wrong("that is where the loss is least: the end of the fall, not its beginning.")
    if close(value, rates[np.argmax(losses <= 0.9 * losses[0])]):
        raise Wrong("a tenth of the *fall* (first loss − least loss), not of the loss itself.")
    if close(value, rates[np.gradient(losses).argmin()]):
        raise Wrong("that is the steepest point; here the first crossing of a level is asked for.")
    if close(value, rates[np.argmax(losses <= losses[0] - 0.9 * fall)]):
        raise Wrong("that is where nine tenths of the fall are done; one tenth is asked for.")
    raise Wrong(f"for a test curve the answer is {expected:.2g}, yours is {value:.2g}.")


@check("Exercise 1.4", "LRs live on a log scale: 1e-4 and 1e-2 meet at 1e-3.")
def middle_of_seeds(function) -> None:
    """`function(values)`: the mean of several LRs on the log scale."""
    value = float(call(function, np.array([1e-4, 1e-2])))
    if close(value, (1e-4 + 1e-2) / 2):
        raise Wrong("the arithmetic mean lies next to the largest; take the mean of the logs.")
    if close(value, -3):
        raise Wrong("that is the mean of the logs; now turn it back into an LR.")
    if not close(value, 1e-3):
        raise Wrong(f"of 1e-4 and 1e-2 it should give 1e-3, not {value:.2g}.")
    three = float(call(function, np.array([1e-3, 2e-3, 4e-3])))
    if not close(three, 2e-3):
        raise Wrong(f"of 1, 2 and 4 thousandths it should give 2 thousandths, not {three:.2g}.")


@check("Exercise 1.5", "After normalisation 0 is the mean colour, so the square carries no signal.")
def cutout(function) -> None:
    """`function(images, top, left, size)`: images (B, 3, 32, 32) with a square of 0 in each.

    `top` and `left`: int64 (B,), a position for each image.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 3, 32, 32, generator=generator) + 5
    before = images.clone()
    top, left = torch.tensor([0, 10, 24]), torch.tensor([24, 3, 0])
    expected = images.clone()
    for index in range(3):
        rows, columns = slice(top[index], top[index] + 8), slice(left[index], left[index] + 8)
        expected[index, :, rows, columns] = 0
    value = call(function, images, top, left, 8)
    if not torch.equal(images, before):
        raise Wrong("it changes the images that it was given; work on a copy (images.clone()).")
    if value.shape != expected.shape:
        raise Wrong(f"the shape should stay {tuple(expected.shape)}, yours is {tuple(value.shape)}")
    if torch.equal(value, expected):
        return
    swapped = images.clone()
    for index in range(3):
        rows, columns = slice(left[index], left[index] + 8), slice(top[index], top[index] + 8)
        swapped[index, :, rows, columns] = 0
    if torch.equal(value, swapped):
        raise Wrong("top counts rows (dimension 2) and left columns (3); yours has them swapped.")
    zeros = (value == 0).flatten(1).sum(1)
    if (zeros == 64).all():
        raise Wrong("the square must be cut from all three channels.")
    if not (zeros == 3 * 64).all():
        raise Wrong(f"8 × 8 in 3 channels are 192 zeros an image; yours: {zeros.tolist()}")
    raise Wrong("the squares have the right size but not the right places, one for each image.")
