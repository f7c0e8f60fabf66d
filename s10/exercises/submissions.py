"""Notebook 04: what five submissions did, recomputed."""

import math

import numpy as np

from s10.exercises.verdict import Wrong, call, check, close
from s10.submissions.published import EVA8, SUBMISSIONS


@check("Exercise 4.1", "It fits the log to the last digit: the settings that made it are found.")
def lr_of_each_epoch(function) -> None:
    """`function(epoch)`: eva4-s11's LR in epochs 1 … 24, in straight lines through the peak."""
    log = SUBMISSIONS["eva4-s11"].log()["lr"].to_numpy()
    values = np.array([call(function, epoch) for epoch in range(1, 25)], dtype=float)
    if np.abs(values - log).max() < 1e-12:
        return
    wrong = int(np.abs(values - log).argmax()) + 1
    if close(values[1:], log[:-1], 1e-9) or close(values[:-1], log[1:], 1e-9):
        raise Wrong("the epochs count from 1: the first has LRMIN, the fifth LRMAX.")
    if close(values[:5], log[:5], 1e-9):
        raise Wrong("the rise is right; from epoch 5 to epoch 24 lead 19 equal steps.")
    raise Wrong(f"in epoch {wrong} the log has {log[wrong - 1]:.6g}, you {values[wrong - 1]:.6g}.")


@check("Exercise 4.2", "The README prints 0.1552: its log was made by another run than it says.")
def lr_max_of_a_log(function) -> None:
    """`function(lr)`: LRMAX of eva8-s8 from the LR that its log prints after epoch 1.

    OneCycleLR rises in a straight line from LRMAX / 10 at step 0 to LRMAX at
    step 0.2 · 2352 − 1; after epoch 1, 98 steps are done.
    """
    printed = SUBMISSIONS["eva8-s8"].log()["lr_after"].iloc[0]
    value = float(call(function, printed))
    if math.isclose(value, EVA8.max_lr, rel_tol=1e-6):
        if not math.isclose(float(call(function, 2 * printed)), 2 * EVA8.max_lr, rel_tol=1e-6):
            raise Wrong("right for this log only: compute it from `lr`.")
        return
    share = {steps: 0.1 + 0.9 * steps / peak for steps, peak in ((98, 470.4), (97, 469.4))}
    hints = {
        printed / share[98]: "nearly: steps count from 0, so the peak is at step 0.2 · 2352 − 1.",
        printed / share[97]: "nearly: after epoch 1 the schedule was stepped 98 times.",
        printed / (98 / 469.4): "the line starts at LRMAX / 10, not at 0.",
        10 * printed: "that would be LRMAX if the LR were still LRMAX / 10.",
    }
    for wrong, hint in hints.items():
        if math.isclose(value, wrong, rel_tol=1e-6):
            raise Wrong(hint)
    raise Wrong(f"from {printed:.6f} it should give {EVA8.max_lr:.6f}, yours gives {value:.6f}.")


@check("Exercise 4.3", "The right class gets e¹, each of the other nine e⁰: −ln(e / (e + 9)).")
def lowest_loss(answer) -> None:
    """The least cross-entropy of ten classes when probabilities are taken for logits."""
    right = math.log(1 + 9 / math.e)
    answer = float(answer)
    if math.isclose(answer, right, rel_tol=1e-3):
        return
    hints = {
        0.0: "so it would be with logits, which may grow without limit; probabilities end at 1.",
        math.log(10): "that is the loss of ten equal probabilities; a perfect answer does better.",
        math.log(1 + 10 / math.e): "nine classes are wrong, not ten.",
        1 + 9 / math.e: "nearly; the loss is the logarithm of that.",
        -right: "the sign: a cross-entropy is not negative.",
    }
    for wrong, hint in hints.items():
        if math.isclose(answer, wrong, rel_tol=1e-3, abs_tol=1e-6):
            raise Wrong(hint)
    raise Wrong("the softmax of (1, 0, …, 0): e over e + 9; minus its logarithm.")


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

    def right(weight, gradient, lr, decay, decoupled):
        if decoupled:
            return weight * (1 - lr * decay) - lr * np.sign(gradient)
        return weight - lr * np.sign(gradient + decay * weight)

    for decoupled in (False, True):
        values = [float(call(function, *case, decoupled)) for case in cases]
        expected = [right(*case, decoupled) for case in cases]
        if close(values, expected, 1e-6):
            continue
        kind = "decoupled" if decoupled else "L2"
        sgd = [w - lr * (g + d * w) for w, g, lr, d in cases]
        if close(values, sgd, 1e-6):
            raise Wrong(f"{kind}: that is a step of SGD; Adam divides by the gradient's size.")
        if not decoupled and close(values, [right(*case, True) for case in cases], 1e-6):
            raise Wrong("L2: the decay belongs into the gradient, before Adam divides.")
        if decoupled and close(values, [right(*case, False) for case in cases], 1e-6):
            raise Wrong("decoupled: the decay acts on the weight itself, outside the division.")
        if close(values, [w - lr * np.sign(g) for w, g, lr, _ in cases], 1e-6):
            raise Wrong(f"{kind}: and the decay?")
        if not decoupled and close(values[:3], expected[:3], 1e-6):
            raise Wrong("L2: the gradient of ½ · decay · weight² is decay · weight.")
        if decoupled and close(
            values, [(w - lr * np.sign(g)) * (1 - lr * d) for w, g, lr, d in cases], 1e-6
        ):
            raise Wrong("decoupled: nearly; the decay is that of the weight before the step.")
        if decoupled and close(
            values, [w * (1 - d) - lr * np.sign(g) for w, g, lr, d in cases], 1e-6
        ):
            raise Wrong("decoupled: PyTorch multiplies the decay by the LR.")
        raise Wrong(f"{kind}: {cases[0]} should give {expected[0]:.6g}, yours {values[0]:.6g}.")
