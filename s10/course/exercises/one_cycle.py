"""Notebook 02: the arithmetic of the triangle and of one cycle."""

from functools import partial

import numpy as np
import torch

from s10.course.exercises.verdict import (
    CheckFailed,
    call_number,
    check,
    close,
    compare,
    fail_if,
    to_number,
)
from s10.recipe import Recipe
from s10.schedules import simulate_schedule

STEPS = 98
RECIPE = Recipe(lr_max=0.01, lr_min=0.001)


@check("Exercise 2.2", "45,000 / 256 = 175.8, and the last, smaller batch is a step, too.")
def steps_of_the_run(answer) -> None:
    """(steps per epoch, step of the peak, last step), steps counted from 0.

    Of 30 epochs of 45,000 images in batches of 256, with the peak at the end of epoch 6.
    """
    blank = np.shape(answer) != (3,) or any(part is None for part in answer)
    fail_if(blank, "not filled in yet: three numbers are asked for.")
    fail_if(any(isinstance(part, str) for part in answer), "write numbers, without quotes.")
    per_epoch, peak, last = answer
    fail_if(per_epoch == 98, "98 is the assignment's; here it is 45,000 images, 256 in a batch.")
    fail_if(per_epoch == 175, "175 full batches, and one more of 200 images, a step, too.")
    fail_if(per_epoch != 176, f"45,000 images in batches of 256 are not {per_epoch} batches.")
    both = (peak, last) == (1056, 5280)
    fail_if(both, "steps are counted from 0, so the 1,056th step has the number 1055.")
    fail_if(peak == 1056, "the last step of epoch 6 is the 1,056th; counted from 0 that is 1055.")
    fail_if(peak == 880, "880 is the first step of epoch 6; the peak is at its last.")
    fail_if(peak != 1055, f"the peak is at the last step of epoch 6, and that is not {peak}.")
    fail_if(last == 5280, "30 × 176 = 5,280 steps; counted from 0 the last one is 5279.")
    fail_if(last != 5279, f"the last of 30 × 176 steps is not {last}.")


@check("Exercise 2.4", "That is the peak at the end of epoch 5 of 24; PyTorch's default is 0.3.")
def fraction_of_the_rise(answer) -> None:
    """pct_start of OneCycleLR for a peak at the end of epoch 5 of 24."""
    answer = to_number(answer)
    fail_if(not 0 < answer < 1, "pct_start is a fraction of the whole run, between 0 and 1.")
    hints = [
        (0.3, "0.3 is PyTorch's default; it would put the peak into epoch 8."),
        (0.2, "0.2 is near, but puts the peak 19 steps too early: 0.2 × 24 = 4.8 epochs."),
        (4 / 24, "4/24 is the beginning of epoch 5; the peak is at its end."),
    ]
    peak = answer * 24 * STEPS - 1
    if abs(peak - 489) > 0.1:  # 0.2083 is close enough.
        otherwise = f"with {answer:.4f} the peak is at step {answer:.4f} × 2352 − 1 = {peak:.1f}."
        compare(answer, 5 / 24, hints, otherwise)


@check("Exercise 2.1", "This is Smith's triangular policy of 2015.")
def triangular(function) -> None:
    """`function(step, half_cycle, low, high)`: up in half_cycle steps, down in as many, again."""
    expected = {0: 0.1, 5: 0.3, 10: 0.5, 15: 0.3, 20: 0.1, 25: 0.3, 30: 0.5, 43: 0.22}
    values = {step: call_number(function, step, 10, 0.1, 0.5) for step in expected}
    wrong = [step for step in expected if not close(values[step], expected[step])]
    if not wrong:
        others = [call_number(function, step, 7, 0.03, 0.31) for step in range(22)]
        right = np.interp(range(22), [0, 7, 14, 21], [0.03, 0.31, 0.03, 0.31])
        only = "right for half_cycle 10, low 0.1 and high 0.5 only: compute it from all three."
        fail_if(not close(others, right), only)
        return
    rises_on = close(values[20], 0.9) or close(values[15], 0.7)
    fail_if(rises_on, "it rises well, but never turns: after half_cycle steps it must fall.")
    only_once = close(values[15], 0.3) and not close(values[25], 0.3)
    fail_if(only_once, "the first triangle is right; the second should be the same (think of %).")
    fail_if(close(values[10], 0.4), "it begins at 0 instead of low: add low to it.")
    fail_if(close(values[10], 0.6), "it ends above high: from low to high it rises by high − low.")
    step = wrong[0]
    raise CheckFailed(
        f"with half_cycle 10, low 0.1 and high 0.5, step {step} should have the LR "
        f"{expected[step]:g}, yours has {values[step]:g}."
    )


@check("Exercise 2.3", "Equal to PyTorch's OneCycleLR at all 2,352 steps.")
def one_cycle_lr(function) -> None:
    """`function(step)`: the LR of each of the 24 × 98 steps, 0.001 → 0.01 → 0.001, in lines."""
    make_scheduler = partial(RECIPE.make_scheduler, steps_per_epoch=STEPS)
    rates, _ = simulate_schedule(make_scheduler, 24 * STEPS)
    values = [call_number(function, step) for step in range(24 * STEPS)]
    wrong = np.flatnonzero(~np.isclose(values, rates, rtol=1e-6, atol=0))
    if not len(wrong):
        return
    peak = max(range(len(values)), key=values.__getitem__)
    first, highest, last = values[0], values[peak], values[-1]
    fail_if(not close(first, 0.001), f"it should begin at 0.001, yours begins at {first:.4g}.")
    fail_if(peak == 490, "your peak is at step 490, the first of epoch 6; it should be at 489.")
    at_peak = peak == 489 and close(highest, 0.01)
    fail_if(not at_peak, f"the peak should be 0.01 at step 489; yours is {highest:.4g} at {peak}.")
    annihilation = "that is annihilation, and the assignment has none."
    fail_if(last < 0.0009, f"yours ends at {last:.4g}, below LRMIN: {annihilation}")
    at_end = close(last, 0.001)
    fail_if(not at_end, f"at the last step, 2351, it should be 0.001 again; yours is {last:.4g}.")
    step = wrong[0]
    raise CheckFailed(f"step {step} should have {rates[step]:.6g}, yours has {values[step]:.6g}.")


@check("Exercise 2.5", "div_factor sets the start, final_div_factor how far the end is below it.")
def factors_without_annihilation(answer) -> None:
    """dict(max_lr=…, div_factor=…, final_div_factor=…) for 0.001 → 0.01 → 0.001."""
    names = {"max_lr", "div_factor", "final_div_factor"}
    fail_if(not isinstance(answer, dict) or set(answer) != names, f"a dict of {sorted(names)}.")
    fail_if(None in answer.values(), "not filled in yet.")
    positive = all(np.ndim(x) == 0 and np.isreal(x) and x > 0 for x in answer.values())
    fail_if(not positive, "max_lr is divided by the factors: all three must be positive numbers.")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, total_steps=100, **answer)
    start, end = schedule.get_last_lr()[0], optimizer.param_groups[0]["min_lr"]
    fail_if(not close(answer.get("max_lr", 0), 0.01), "max_lr is the peak, 0.01.")
    compare(start, 0.001, [], f"the start is max_lr / div_factor: {start:.3g}, not 0.001.")
    hints = [
        (1e-7, "1e4 is PyTorch's default: it ends 10,000 times below the start, at 1e-7."),
        (1e-4, "final_div_factor counts from the start, not the peak: yours ends at 1e-4."),
    ]
    otherwise = f"the end is start / final_div_factor, with yours {end:.3g} and not 0.001."
    compare(end, 0.001, hints, otherwise)
