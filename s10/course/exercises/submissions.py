"""Notebook 04: what five submissions did, recomputed."""

import math

import numpy as np

from s10.course.exercises.verdict import CheckFailed, call_number, check, close, compare, fail_if
from s10.submissions import PITFALLS, SUBMISSIONS


@check("Exercise 4.1", "It fits the log to the last digit: the settings that made it are found.")
def lr_of_each_epoch(function) -> None:
    """`function(epoch)`: eva4-s11's LR in epochs 1 … 24, in straight lines through the peak."""
    log = SUBMISSIONS["eva4-s11"].log()["lr"].to_numpy()
    values = np.array([call_number(function, epoch) for epoch in range(1, 25)])
    if close(values, log):
        return
    shifted = close(values[1:], log[:-1], 1e-9) or close(values[:-1], log[1:], 1e-9)
    fail_if(shifted, "the epochs count from 1: the first has LRMIN, the fifth LRMAX.")
    peak, low = log.max(), log.min()
    up = np.arange(1, 6) / 5
    fail_if(close(values[:5], peak * up, 1e-9), "it begins at a tenth of LRMAX, not near 0.")
    fail_if(
        close(values[:5], low + (peak - low) * up, 1e-9),
        "from epoch 1 to epoch 5 there are 4 equal steps, and epoch 1 is before the first.",
    )
    fail_if(
        close(values[:5], low + peak * (np.arange(5) / 4), 1e-9),
        "it rises by LRMAX minus a tenth of it, so that it ends at LRMAX.",
    )
    rise = close(values[:5], log[:5], 1e-9)
    fail_if(
        rise and close(values[-1], low * 10 / 24, 0.2), "it ends at a tenth of LRMAX, not near 0."
    )
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
    value = call_number(function, printed)
    late_peak, early_step = 0.1 + 0.9 * 98 / 470.4, 0.1 + 0.9 * 97 / 469.4
    one_more = 0.1 + 0.9 * 99 / 469.4
    hints = [
        (printed / late_peak, "nearly: counted from 0, the peak is at step 0.2 · 2352 − 1."),
        (printed / early_step, "nearly: after epoch 1 the schedule was stepped 98 times."),
        (printed / one_more, "nearly: after epoch 1 the schedule was stepped 98 times."),
        (printed / (0.1 + 98 / 469.4), "it rises by LRMAX minus a tenth of it: by 0.9 · LRMAX."),
        (printed * (0.1 + 0.9 * 98 / 469.4), "the printed LR is that fraction of LRMAX: divide."),
        (printed / (98 / 469.4), "the line starts at LRMAX / 10, not at 0."),
        (10 * printed, "that would be LRMAX if the LR were still LRMAX / 10."),
    ]
    otherwise = f"from {printed:.6f} it should be {right:.6f}, yours is {value:.6f}."
    compare(value, right, hints, otherwise)
    twice = call_number(function, 2 * printed)
    fail_if(not close(twice, 2 * right), "right for this log only: compute it from `lr`.")


@check("Exercise 4.4", "The right class gets e¹, each of the other nine e⁰: −ln(e / (e + 9)).")
def lowest_loss(answer) -> None:
    """The lowest cross-entropy of ten classes when probabilities are used as logits."""
    right = math.log(1 + 9 / math.e)
    hints = [
        (0, "so it would be with logits, which may grow without limit; probabilities end at 1."),
        (math.log(10), "that is the loss of ten equal probabilities; perfect ones do better."),
        (math.log(1 + 10 / math.e), "nine classes are wrong, not ten."),
        (1 + 9 / math.e, "nearly; the loss is the logarithm of that."),
        (-right, "the sign: a cross-entropy is not negative."),
        (right + 0.09, "that is with the smoothed labels; the logged loss is without."),
        (math.e / (math.e + 9), "that is the probability; the loss is minus its logarithm."),
        (right / math.log(2), "cross-entropy takes the natural logarithm, not that to base 2."),
        (right / math.log(10), "cross-entropy takes the natural logarithm, not that to base 10."),
    ]
    otherwise = "which output of a softmax is best, and what does cross-entropy make of it?"
    compare(answer, right, hints, otherwise, tolerance=1e-3)


@check(
    "Exercise 4.3",
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
    # And here a decay that is too small still decides it: so it does not pass for none.
    cases += [(4.0, -0.1, 0.01, 0.1), (4.0, -0.001, 0.01, 0.1)]
    weight, gradient, lr, decay = np.array(cases).T
    no_decay = weight - lr * np.sign(gradient)
    with_l2 = weight - lr * np.sign(gradient + decay * weight)
    with_decoupled = weight * (1 - lr * decay) - lr * np.sign(gradient)
    sgd = weight - lr * (gradient + decay * weight)
    sgd_hint = "that is a step of SGD; Adam divides by the gradient's size."

    def with_term(term):
        return weight - lr * np.sign(gradient + term)

    def unlike(kind: str, right, values) -> str:
        first = int(np.argmax(~np.isclose(values, right, rtol=1e-6, atol=0)))
        names = ("weight", "gradient", "lr", "decay")
        case = ", ".join(f"{name} {x:g}" for name, x in zip(names, cases[first], strict=True))
        return f"{kind}: for {case} it should be {right[first]:.6g}, yours is {values[first]:.6g}."

    values = np.array([call_number(function, *case, False) for case in cases])
    slope = "L2: the gradient of ½ · decay · weight² is decay · weight."
    hints = [
        (sgd, f"L2: {sgd_hint}"),
        (with_decoupled, "L2: the decay belongs in the gradient, before Adam divides."),
        (no_decay, "L2: and the decay?"),
        (with_term(-decay * weight), "L2: the sign: the decay makes the weight smaller."),
        *((with_term(term), slope) for term in (
            decay * weight**2, decay * weight**2 / 2, decay * weight / 2, 2 * decay * weight, decay,
            lr * decay * weight,
        )),
    ]  # fmt: skip
    compare(values, with_l2, hints, unlike("L2", with_l2, values))

    values = np.array([call_number(function, *case, True) for case in cases])
    decay_after = no_decay * (1 - lr * decay)
    decay_without_lr = weight * (1 - decay) - lr * np.sign(gradient)
    hints = [
        (sgd, f"decoupled: {sgd_hint}"),
        (with_l2, "decoupled: the decay acts on the weight itself, outside the division."),
        (no_decay, "decoupled: and the decay?"),
        (decay_after, "decoupled: nearly; the decay is that of the weight before the step."),
        (decay_without_lr, "decoupled: PyTorch multiplies the decay by the LR."),
        (
            weight * (1 + lr * decay) - lr * np.sign(gradient),
            "decoupled: the sign: the decay makes the weight smaller.",
        ),
    ]
    compare(values, with_decoupled, hints, unlike("decoupled", with_decoupled, values))


# The three runs: what is wrong with each, and a hint.
DIAGNOSES = {
    "A": ("schedule stepped once an epoch",
          "nothing in it ever moves fast, and when it ends it is still learning."),
    "B": ("no padding before the crop",
          "its training accuracy ends far above its test accuracy: are images too much alike?"),
    "C": ("softmax before the loss",
          "compare its loss with its accuracy: which losses does it never reach?"),
}  # fmt: skip


@check("Exercise 4.5", "A schedule that does not move, images too much alike, a loss with a floor.")
def diagnose(answers) -> None:
    """`answers`: letter → the name of the pitfall that this run has."""
    fail_if(not isinstance(answers, dict), 'write it as {"A": "…", "B": "…", "C": "…"}.')
    for letter, (right, hint) in DIAGNOSES.items():
        answer = answers.get(letter)
        fail_if(answer is None, f"{letter}: not filled in yet.")
        name = str(answer).strip().lower()
        known = [pitfall.lower() for pitfall in PITFALLS]
        fail_if(name not in known, f"{letter}: {answer!r} is not in the list above; copy a name.")
        fail_if(name != right, f"{letter}: {hint}")
