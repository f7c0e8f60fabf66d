"""Notebook 02: the arithmetic of the triangle and of one cycle."""

import torch

from s10.exercises.verdict import Wrong, call, check, close
from s10.recipe import Recipe
from s10.schedules import one_cycle, trace

STEPS = 98
RECIPE = Recipe(lr_max=0.01, lr_min=0.001)


@check("Exercise 2.1", "50,000 / 512 = 97.66, and the last, smaller batch is a step, too.")
def steps_of_the_run(answer) -> None:
    """(steps per epoch, step of the peak, last step), steps counted from 0."""
    if len(answer) != 3 or any(part is None for part in answer):
        raise Wrong("not filled in yet: three numbers are asked for.")
    per_epoch, peak, last = answer
    if per_epoch == 97:
        raise Wrong("97 full batches, and one more of 336 images: it is trained on as well.")
    if per_epoch != 98:
        raise Wrong(f"50,000 images in batches of 512 are not {per_epoch} batches.")
    if (peak, last) == (490, 2352):
        raise Wrong("steps are counted from 0, so the 490th step has the number 489.")
    if peak == 490:
        raise Wrong("the last step of epoch 5 is the 490th; counted from 0 that is 489.")
    if peak == 392:
        raise Wrong("392 is the first step of epoch 5; the peak is at its last.")
    if peak != 489:
        raise Wrong(f"the peak is at the last step of epoch 5, and that is not {peak}.")
    if last == 2352:
        raise Wrong("24 × 98 = 2,352 steps; counted from 0 the last one is 2,351.")
    if last != 2351:
        raise Wrong(f"the last of 24 × 98 steps is not {last}.")


@check("Exercise 2.2", "That is the peak at the end of epoch 5 of 24; PyTorch's default is 0.3.")
def fraction_of_the_rise(answer) -> None:
    """pct_start of OneCycleLR for a peak at the end of epoch 5 of 24."""
    if close(answer, 0.3):
        raise Wrong("0.3 is PyTorch's default; it would put the peak into epoch 8.")
    if close(answer, 0.2):
        raise Wrong("0.2 is near, but puts the peak 19 steps too early: 0.2 × 24 = 4.8 epochs.")
    if close(answer, 4 / 24):
        raise Wrong("4/24 is the beginning of epoch 5; the peak is at its end.")
    if not close(answer, 5 / 24, 1e-3):
        raise Wrong("what part of the 24 epochs is over when epoch 5 ends?")


@check("Exercise 2.3", "This is Smith's triangular policy of 2015.")
def triangular(function) -> None:
    """`function(step, half_cycle, low, high)`: up in half_cycle steps, down in as many, again."""
    expected = {0: 0.1, 5: 0.3, 10: 0.5, 15: 0.3, 20: 0.1, 25: 0.3, 30: 0.5, 43: 0.22}
    values = {step: call(function, step, 10, 0.1, 0.5) for step in expected}
    if close(list(values.values()), list(expected.values())):
        return
    if close(values[20], 0.9) or close(values[15], 0.7):
        raise Wrong("it rises well, but never turns: after half_cycle steps it must fall.")
    if close(values[15], 0.3) and not close(values[25], 0.3):
        raise Wrong("the first triangle is right; the second should look the same (think of %).")
    if close(values[10], 0.4):
        raise Wrong("it begins at 0 instead of low: add low to it.")
    if close(values[10], 0.6):
        raise Wrong("it ends above high: from low to high it rises by high − low.")
    step = next(step for step in expected if not close(values[step], expected[step]))
    raise Wrong(
        f"with half_cycle 10, low 0.1 and high 0.5, step {step} should give "
        f"{expected[step]:g}, yours gives {values[step]:g}."
    )


@check("Exercise 2.4", "Equal to PyTorch's OneCycleLR at all 2,352 steps.")
def one_cycle_lr(function) -> None:
    """`function(step)`: the LR of each of the 24 × 98 steps, 0.001 → 0.01 → 0.001, in lines."""
    rates, _ = trace(lambda optimizer: one_cycle(optimizer, RECIPE, STEPS), 24 * STEPS)
    values = [float(call(function, step)) for step in range(24 * STEPS)]
    peak = max(range(len(values)), key=values.__getitem__)
    if close(values, rates, 1e-6):
        return
    if not close(values[0], 0.001):
        raise Wrong(f"it should begin at 0.001, yours begins at {values[0]:.4g}.")
    if peak == 490:
        raise Wrong("your peak is at step 490, the first of epoch 6; it should be at 489.")
    if peak != 489 or not close(values[489], 0.01):
        raise Wrong(f"the peak, 0.01, should be at step 489; yours is {max(values):.4g} at {peak}.")
    if values[-1] < 0.0009:
        raise Wrong(
            f"yours ends at {values[-1]:.4g}, below LRMIN: that is annihilation, "
            "and the assignment has none."
        )
    if not close(values[-1], 0.001):
        raise Wrong(f"at the last step, 2351, it should be 0.001 again; yours is {values[-1]:.4g}.")
    step = next(step for step in range(len(values)) if not close(values[step], rates[step]))
    raise Wrong(f"step {step} should have {rates[step]:.6g}, yours has {values[step]:.6g}.")


@check(
    "Exercise 2.5", "div_factor sets the start, final_div_factor what the end is below the start."
)
def factors_without_annihilation(answer) -> None:
    """dict(max_lr=…, div_factor=…, final_div_factor=…) for 0.001 → 0.01 → 0.001."""
    if any(value is None for value in answer.values()):
        raise Wrong("not filled in yet.")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, total_steps=100, **answer)
    start, end = schedule.get_last_lr()[0], optimizer.param_groups[0]["min_lr"]
    if not close(answer.get("max_lr", 0), 0.01):
        raise Wrong("max_lr is the peak, 0.01.")
    if not close(start, 0.001):
        raise Wrong(f"the start is max_lr / div_factor, with yours {start:.3g} and not 0.001.")
    if "final_div_factor" not in answer or close(answer["final_div_factor"], 1e4):
        raise Wrong("1e4 is PyTorch's default: it ends 10,000 times below the start, at 1e-7.")
    if close(end, 0.0001):
        raise Wrong("final_div_factor counts from the start, not the peak: yours ends at 1e-4.")
    if not close(end, 0.001):
        raise Wrong(f"the end is start / final_div_factor, with yours {end:.3g} and not 0.001.")
