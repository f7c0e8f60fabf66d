"""Which OneCycleLR made a log of learning rates? A fit finds LRMAX and the final LR."""

from typing import NamedTuple

import numpy as np
import torch
from torch.optim.lr_scheduler import OneCycleLR


class FittedCycle(NamedTuple):
    """The fitted arguments of a linear OneCycleLR, and its largest deviation from the log."""

    max_lr: float
    final_div_factor: float
    largest_error: float


def printed_rates(
    max_lr: float, final_div_factor: float, *, epochs: int, steps_per_epoch: int, **settings
) -> np.ndarray:
    """The LR that a loop prints after each epoch's last `scheduler.step()`: float64 (epochs,).

    After the last epoch this is one step past the end of the schedule, where PyTorch's
    OneCycleLR continues along its last line, below its minimum.

    Args:
        settings: `pct_start` and `div_factor` of OneCycleLR.
    """
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1, momentum=0.9)
    schedule = OneCycleLR(
        optimizer, max_lr, epochs=epochs, steps_per_epoch=steps_per_epoch,
        final_div_factor=final_div_factor, anneal_strategy="linear", **settings,
    )  # fmt: skip
    printed = []
    for step in range(1, epochs * steps_per_epoch + 1):
        optimizer.step()
        schedule.step()
        if step % steps_per_epoch == 0:
            printed.append(schedule.get_last_lr()[0])
    return np.array(printed)


def fit_one_cycle(
    rates, *, steps_per_epoch: int = 98, pct_start: float = 0.2, div_factor: float = 10
) -> FittedCycle:
    """The max_lr and final_div_factor with which OneCycleLR printed `rates`, by least squares.

    At each step the LR is linear in LRMAX and in the final LR, so all schedules are linear
    combinations of two: one of a final LR of 0, and the contribution of the final LR.
    """
    rates = np.asarray(rates, dtype=float)
    settings = {
        "epochs": len(rates), "steps_per_epoch": steps_per_epoch, "pct_start": pct_start,
        "div_factor": div_factor,
    }  # fmt: skip
    # With a max_lr of 1 the end is 1 / (div · final_div): 0, and 1 / div.
    without_end = printed_rates(1.0, np.inf, **settings)
    of_end = div_factor * (printed_rates(1.0, 1.0, **settings) - without_end)
    (max_lr, end), *_ = np.linalg.lstsq(np.stack([without_end, of_end], 1), rates, rcond=None)
    final_div_factor = max_lr / div_factor / end
    found = printed_rates(max_lr, final_div_factor, **settings)
    return FittedCycle(float(max_lr), float(final_div_factor), float(np.abs(found - rates).max()))
