"""Notebook 05: what makes a training fast, recomputed."""

import math

import numpy as np

from s10.exercises.verdict import Wrong, call, check, close


@check("Exercise 5.1", "One multiplication for each pair of channels, kernel position and pixel.")
def multiplications(function) -> None:
    """`function(channels_in, channels_out, kernel, side)`: of one convolution of one image.

    The output is side × side; the kernel is square, without bias.
    """
    cases = [(3, 64, 3, 32), (128, 256, 3, 16), (24, 64, 1, 31), (64, 64, 5, 7)]
    values = [float(call(function, *case)) for case in cases]

    def counts(formula):
        return [formula(*case) for case in cases]

    if close(values, counts(lambda i, o, k, s: i * o * k * k * s * s)):
        return
    hints = {
        "that is the number of weights; each of them is used at every pixel of the output.":
            lambda i, o, k, s: i * o * k * k,
        "a kernel has kernel × kernel positions.": lambda i, o, k, s: i * o * k * s * s,
        "the output has side × side pixels.": lambda i, o, k, s: i * o * k * k * s,
        "each output channel looks at all input channels.": lambda i, o, k, s: o * k * k * s * s,
        "multiplications only: the additions are not asked for.":
            lambda i, o, k, s: 2 * i * o * k * k * s * s,
    }  # fmt: skip
    for hint, formula in hints.items():
        if close(values, counts(formula)):
            raise Wrong(hint)
    right = cases[0][0] * cases[0][1] * cases[0][2] ** 2 * cases[0][3] ** 2
    raise Wrong(f"{cases[0]} should give {right:,}, yours gives {values[0]:,.0f}.")


@check("Exercise 5.2", "Any rotation of it would do as well; networks take this one.")
def whitening(function) -> None:
    """`function(covariance)`: a matrix W for which W · covariance · Wᵀ is the identity."""
    generator = np.random.default_rng(0)
    for size in (3, 12):
        mixing = generator.normal(size=(size, size))
        covariance = mixing @ mixing.T / size + 0.1 * np.eye(size)
        matrix = np.asarray(call(function, covariance.copy()), dtype=float)
        if matrix.shape != (size, size):
            raise Wrong(f"for a covariance {size} × {size} it has the shape {matrix.shape}.")
        if not np.isfinite(matrix).all():
            raise Wrong("there are numbers in it that are not finite.")

        def spoils(candidate, covariance=covariance):
            return np.abs(candidate @ covariance @ candidate.T - np.eye(len(covariance))).max()

        if spoils(matrix) < 1e-6:
            continue
        variances = np.linalg.eigvalsh(covariance)
        if spoils(matrix.T) < 1e-6:
            raise Wrong(
                "nearly: the directions belong into its rows (np.linalg.eigh gives columns)."
            )
        after = matrix @ covariance @ matrix.T
        off = np.abs(after - np.diag(np.diag(after))).max()
        if np.allclose(matrix, np.linalg.inv(covariance)):
            raise Wrong("the inverse divides by the variances; it should be by their roots.")
        if off < 1e-6 * np.abs(after).max() and np.allclose(np.diag(after), variances):
            raise Wrong("uncorrelated, but the variances are not 1 yet: divide by their roots.")
        if off < 1e-6 * np.abs(after).max() and np.allclose(np.diag(after), 1 / variances):
            raise Wrong("divide by the roots of the variances, not by the variances themselves.")
        raise Wrong("W · covariance · Wᵀ is not the identity.")


@check(
    "Exercise 5.3", "The recipe makes three, for speed: they leave it at 0.4, which is heard, too."
)
def iterations_until_heard(answer) -> None:
    """How many Newton–Schulz iterations take a singular value of 0.01 above 0.5."""
    value, right = 0.01, 0
    while value <= 0.5:
        value, right = 3.4445 * value - 4.775 * value**3 + 2.0315 * value**5, right + 1
    answer = float(answer)
    if answer == right:
        return
    if math.isclose(answer, math.log(50) / math.log(3.4445), rel_tol=0.01):
        raise Wrong("nearly: iterations are whole ones, and the s³ slows the last of them.")
    if answer == right - 1:
        raise Wrong("one more: by then it is nearly, but not yet, above 0.5.")
    raise Wrong("as long as s is small, an iteration multiplies it by about 3.4445.")


@check("Exercise 5.4", "Taking turns, it is all of them after two epochs.")
def seen_from_both_sides(function) -> None:
    """`function(epochs)`: the share of the images seen from both sides, flips by chance."""
    epochs = range(1, 9)
    values = [float(call(function, epoch)) for epoch in epochs]

    def shares(formula):
        return [formula(epoch) for epoch in epochs]

    if np.allclose(values, shares(lambda n: 1 - 0.5 ** (n - 1)), atol=1e-9):
        return
    if np.allclose(values, shares(lambda n: 1 - 0.5**n), atol=1e-9):
        raise Wrong("that is the share seen mirrored at least once; all epochs may be mirrored.")
    if np.allclose(values, shares(lambda n: 0.5 ** (n - 1)), atol=1e-9):
        raise Wrong("that is the share seen from one side only.")
    raise Wrong(
        f"after 1 epoch it is 0, after 2 a half, after 3 three quarters; yours: {values[:3]}."
    )
