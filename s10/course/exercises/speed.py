"""Notebook 05: what makes a run fast, recomputed."""

import math

import numpy as np

from s10.course.exercises.verdict import (
    CheckFailed,
    call_number,
    call_numbers,
    check,
    close,
    compare,
    fail_if,
)


@check("Exercise 5.1", "One multiplication for each pair of channels, kernel position and pixel.")
def multiplications(function) -> None:
    """`function(channels_in, channels_out, kernel, side)`: of one convolution of one image.

    The output is side × side; the kernel is square, without bias.
    """
    cases = [(3, 64, 3, 32), (128, 256, 3, 16), (24, 64, 1, 31), (64, 64, 5, 7)]
    values = [call_number(function, *case) for case in cases]
    i, o, k, s = np.array(cases).T
    right, weights = i * o * k * k * s * s, i * o * k * k
    hints = [
        (weights, "that is the number of weights; each is used at every pixel of the output."),
        (right / k, "a kernel has kernel × kernel positions."),
        (right / s, "the output has side × side pixels."),
        (right / i, "each output channel looks at all input channels."),
        (right / o, "that is one output channel; the convolution computes all of them."),
        (2 * right, "multiplications only: the additions are not asked for."),
        (3 * right, "that is forward and backward pass; the exercise asks for the forward pass."),
        (weights * (s - k + 1) ** 2, "`side` is that of the output: do not subtract the kernel."),
        (right + o * s * s, "a bias is added, not multiplied."),
    ]
    wrong = int(np.argmax(np.not_equal(values, right)))
    otherwise = (
        "each number of the output takes kernel × kernel multiplications for each input channel; "
        f"{cases[wrong]} should make {right[wrong]:,}, yours makes {values[wrong]:,.0f}."
    )
    compare(values, right, hints, otherwise)


@check("Exercise 5.2", "Whatever rotates W·x, the numbers stay white; so there are many answers.")
def whitening(function) -> None:
    """`function(covariance)`: a matrix W for which W · covariance · Wᵀ is the identity.

    To within 0.01, so that a small number may be added to the variances, as networks do.
    """
    generator = np.random.default_rng(0)
    for size in (3, 12):
        mixing = generator.normal(size=(size, size))
        covariance = mixing @ mixing.T / size + 0.1 * np.eye(size)
        matrix = call_numbers(function, covariance.copy())
        shape = matrix.shape
        fail_if(shape != (size, size), f"the shape should be {(size, size)}, yours is {shape}.")
        fail_if(not np.isfinite(matrix).all(), "there are numbers in it that are not finite.")
        after = matrix @ covariance @ matrix.T
        if not np.allclose(after, np.eye(size), rtol=0, atol=0.01):
            raise CheckFailed(_whitening_hint(matrix, covariance, after))


def _whitening_hint(matrix: np.ndarray, covariance: np.ndarray, after: np.ndarray) -> str:
    """What is wrong with a matrix that makes `after` of the covariance, not the identity."""
    transposed = matrix.T @ covariance @ matrix
    if np.allclose(transposed, np.eye(len(matrix)), rtol=0, atol=0.01):
        return "nearly: the directions belong in its rows (np.linalg.eigh returns columns)."
    if np.allclose(matrix, np.linalg.inv(covariance)):
        return "the inverse divides by the variances; it should be by their roots."
    variances = np.linalg.eigvalsh(covariance)
    diagonal = np.diag(after)
    if np.allclose(after, np.diag(diagonal), rtol=0, atol=1e-6 * np.abs(after).max()):
        if np.allclose(diagonal, variances):
            return "uncorrelated, but the variances are not 1 yet: divide by their roots."
        if np.allclose(diagonal, 1 / variances):
            return "divide by the roots of the variances, not by the variances themselves."
    if np.allclose(diagonal, 1, rtol=0, atol=0.01):
        return "each variance is 1, but the numbers are still correlated: turn them first."
    variances, directions = np.linalg.eigh(covariance)
    wrong_axis = directions / np.sqrt(variances)[:, None]
    if np.allclose(matrix, wrong_axis) or np.allclose(matrix, wrong_axis.T):
        return "each *direction*, a column, is divided by the root of its own variance."
    return (
        f"W · covariance · Wᵀ is not the identity; its first row is {np.round(after[0, :3], 2)} …"
    )


@check("Exercise 5.3", "The recipe makes three, for speed: they leave it at 0.4.")
def iterations_above_half(answer) -> None:
    """How many Newton–Schulz iterations take a singular value of 0.01 above 0.5."""
    value, right = 0.01, 0
    while value <= 0.5:
        value, right = 3.4445 * value - 4.775 * value**3 + 2.0315 * value**5, right + 1
    logarithms = close(answer, math.log(50) / math.log(3.4445), 0.01)
    fail_if(logarithms, "nearly: it must be an integer, and the s³ slows the last iterations.")
    hints = [
        (right + 1, "one fewer: it is above 0.5 before that."),
        (right - 1, "one more: by then it is nearly, but not yet, above 0.5."),
    ]
    otherwise = "as long as s is small, an iteration multiplies it by about 3.4445."
    compare(answer, right, hints, otherwise, tolerance=0)


@check("Exercise 5.4", "Alternating, it is all of them after two epochs.")
def seen_both_ways(function) -> None:
    """`function(epochs)`: the fraction of the images seen both ways, with random flips."""
    epochs = np.arange(1, 9)
    values = [call_number(function, int(epoch)) for epoch in epochs]
    right = 1 - 0.5 ** (epochs - 1)
    if np.allclose(values, right, atol=1e-9):
        return
    simulated = np.allclose(values, right, atol=0.03)
    fail_if(simulated, "nearly, as a simulation would be; give the exact fraction.")
    fail_if(close(values, 100 * right), "a fraction, from 0 to 1, not a percentage.")
    flipped = close(values, 1 - 0.5**epochs)
    fail_if(flipped, "that is the fraction seen flipped at least once; all epochs may be flipped.")
    fail_if(close(values, 1 - 0.5 ** (epochs + 1)), "count again: after 1 epoch it is 0.")
    fail_if(close(values, 0.5 ** (epochs - 1)), "that is the fraction seen one way only.")
    raise CheckFailed(
        f"after 1 epoch it is 0, after 2 a half, after 3 three quarters; yours: {values[:3]}."
    )


@check("Exercise 5.5", "0.3 and 0.5 with a `std` of 0.24 make 1.7, which says little.")
def gain_in_units_of_noise(function) -> None:
    """`function(gains, std)`: the mean gain in units of its noise; std is that of single runs."""
    cases = [((0.3, 0.5), 0.24), ((0.8, 1.4, 1.1), 0.2), ((-0.9, 0.2, -0.3, 0.1, -0.4), 0.35)]
    values = [call_number(function, np.array(gains), std) for gains, std in cases]
    means, counts, stds, scatters = np.array(
        [(np.mean(gains), len(gains), std, np.std(gains, ddof=1)) for gains, std in cases]
    ).T
    noise = stds * np.sqrt(2 / counts)
    right = means / noise
    hints = [
        (noise, "that is the noise; divide the mean gain by it."),
        (noise / means, "the other way around: the mean gain divided by the noise."),
        (abs(right), "keep the sign: a negative gain is a loss."),
        (right * counts, "the mean of the gains, not their sum."),
        (right * np.sqrt(2), "a gain is a difference of two runs: it scatters by √2 times `std`."),
        (right / np.sqrt(counts), "the mean of n gains scatters less than one: divide by √n, too."),
        (means / stds, "that is in units of single runs; the mean of n gains has other noise."),
        (means / (stds * 2 / counts), "the *root* of 2 / n."),
        (means / (stds * np.sqrt(2 / 3)), "√(2/3) is for three gains; there may be more or fewer."),
        (
            means / (scatters / np.sqrt(counts)),
            "so few gains do not tell their own scatter; use `std`.",
        ),
    ]
    otherwise = (
        f"for gains of 0.3 and 0.5 and a `std` of 0.24 it should be 1.67, yours is {values[0]:.3g}."
    )
    compare(values, right, hints, otherwise)
