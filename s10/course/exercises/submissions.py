"""Notebook 04: what five submissions did, recomputed."""

import math

import numpy as np

from s10.course.exercises.verdict import CheckFailed, call, check, close, compare, fail_if
from s10.submissions import SUBMISSIONS


@check("Exercise 4.1", "It fits the log to the last digit: the settings that made it are found.")
def lr_of_each_epoch(function) -> None:
    """`function(epoch)`: eva4-s11's LR in epochs 1 … 24, in straight lines through the peak."""
    log = SUBMISSIONS["eva4-s11"].log()["lr"].to_numpy()
    values = np.array([call(function, epoch) for epoch in range(1, 25)], dtype=float)
    if np.abs(values - log).max() < 1e-12:
        return
    shifted = close(values[1:], log[:-1], 1e-9) or close(values[:-1], log[1:], 1e-9)
    fail_if(shifted, "the epochs count from 1: the first has LRMIN, the fifth LRMAX.")
    rise = close(values[:5], log[:5], 1e-9)
    fail_if(rise, "the rise is right; from epoch 5 to epoch 24 there are 19 equal steps.")
    worst = int(np.abs(values - log).argmax())
    raise CheckFailed(
        f"in epoch {worst + 1} the log has {log[worst]:.6g}, yours is {values[worst]:.6g}."
    )


@check("Exercise 4.2", "The README prints 0.1552: its log was made by a run with other settings.")
def lr_max_of_a_log(function) -> None:
    """`function(lr)`: LRMAX of eva8-s8 from the LR that its log prints after epoch 1.

    OneCycleLR rises in a straight line from LRMAX / 10 at step 0 to LRMAX at
    step 0.2 · 2352 − 1; after epoch 1, 98 steps are done.
    """
    eva8 = SUBMISSIONS["eva8-s8"]
    printed, right = eva8.log()["lr_after"].iloc[0], eva8.recipe.lr_max
    value = float(call(function, printed))
    late_peak, early_step = 0.1 + 0.9 * 98 / 470.4, 0.1 + 0.9 * 97 / 469.4
    hints = [
        (printed / late_peak, "nearly: counted from 0, the peak is at step 0.2 · 2352 − 1."),
        (printed / early_step, "nearly: after epoch 1 the schedule was stepped 98 times."),
        (printed / (98 / 469.4), "the line starts at LRMAX / 10, not at 0."),
        (10 * printed, "that would be LRMAX if the LR were still LRMAX / 10."),
    ]
    otherwise = f"from {printed:.6f} it should be {right:.6f}, yours is {value:.6f}."
    compare(value, right, hints, otherwise)
    twice = float(call(function, 2 * printed))
    fail_if(not close(twice, 2 * right), "right for this log only: compute it from `lr`.")


@check("Exercise 4.3", "The right class gets e¹, each of the other nine e⁰: −ln(e / (e + 9)).")
def lowest_loss(answer) -> None:
    """The lowest cross-entropy of ten classes when probabilities are used as logits."""
    right = math.log(1 + 9 / math.e)
    hints = [
        (0, "so it would be with logits, which may grow without limit; probabilities end at 1."),
        (math.log(10), "that is the loss of ten equal probabilities; perfect ones do better."),
        (math.log(1 + 10 / math.e), "nine classes are wrong, not ten."),
        (1 + 9 / math.e, "nearly; the loss is the logarithm of that."),
        (-right, "the sign: a cross-entropy is not negative."),
    ]
    otherwise = "the softmax of (1, 0, …, 0): e over e + 9; minus its logarithm."
    compare(float(answer), right, hints, otherwise, tolerance=1e-3)


@check(
    "Exercise 4.4",
    "Decoupled decay shrinks each weight in proportion; inside Adam the decay only decides signs.",
)
def first_step_of_adam(function) -> None:
    """`function(weight, gradient, lr, decay, decoupled)`: the weight after Adam's first step.

    At the first step the corrected moments are g and g², so Adam moves by
    lr · g / |g|; ε is left out.
    """
    cases = [(2.0, 0.1, 0.01, 0.05), (-3.0, 0.2, 0.02, 0.1), (0.5, -0.4, 0.1, 0.3)]
    # Here the decay just decides the sign, and here it just does not: so its factor counts.
    cases += [(1.0, -0.09, 0.01, 0.1), (1.0, -0.11, 0.01, 0.1)]
    weight, gradient, lr, decay = np.array(cases).T
    no_decay = weight - lr * np.sign(gradient)
    with_l2 = weight - lr * np.sign(gradient + decay * weight)
    with_decoupled = weight * (1 - lr * decay) - lr * np.sign(gradient)
    sgd = weight - lr * (gradient + decay * weight)
    sgd_hint = "that is a step of SGD; Adam divides by the gradient's size."

    values = np.array([float(call(function, *case, False)) for case in cases])
    hints = [
        (sgd, f"L2: {sgd_hint}"),
        (with_decoupled, "L2: the decay belongs in the gradient, before Adam divides."),
        (no_decay, "L2: and the decay?"),
    ]
    otherwise = f"L2: {cases[0]} should be {with_l2[0]:.6g}, yours is {values[0]:.6g}."
    if close(values[:3], with_l2[:3]):
        otherwise = "L2: the gradient of ½ · decay · weight² is decay · weight."
    compare(values, with_l2, hints, otherwise)

    values = np.array([float(call(function, *case, True)) for case in cases])
    decay_after = no_decay * (1 - lr * decay)
    decay_without_lr = weight * (1 - decay) - lr * np.sign(gradient)
    hints = [
        (sgd, f"decoupled: {sgd_hint}"),
        (with_l2, "decoupled: the decay acts on the weight itself, outside the division."),
        (no_decay, "decoupled: and the decay?"),
        (decay_after, "decoupled: nearly; the decay is that of the weight before the step."),
        (decay_without_lr, "decoupled: PyTorch multiplies the decay by the LR."),
    ]
    right = with_decoupled[0]
    otherwise = f"decoupled: {cases[0]} should be {right:.6g}, yours is {values[0]:.6g}."
    compare(values, with_decoupled, hints, otherwise)
