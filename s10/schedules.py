"""Schedules of the learning rate (LR) and the momentum, one step per batch.

Steps are counted from 0: batch k (from 0) of a run is trained with the LR of step k.
"""

import math
from collections.abc import Callable

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR

from s10.runtime.errors import InputError, check_order, positive_float, positive_int


class OneCycle(OneCycleLR):
    """PyTorch's OneCycleLR with peak and end exactly where they are specified.

    The LR rises from `lr_min` (step 0) to `lr_max` at the last step of
    `peak_epoch` and falls to `final_lr` at the last step of the last epoch;
    `final_lr` is `lr_min` unless it is given: no annihilation. The momentum (β1 of
    Adam) cycles inversely: `momentum_max` → `momentum_min` → `momentum_max`. With a
    fractional `peak_epoch` (4.8 is PyTorch's pct_start 0.2 of 24 epochs) the peak may
    lie between two steps and is then not quite reached.

    Smith, "Cyclical Learning Rates for Training Neural Networks" (2015) and "A
    Disciplined Approach to Neural Network Hyper-Parameters" (2018); Smith &
    Topin, "Super-Convergence" (2017).

    Call `step()` after every batch. After the last one it does nothing, where
    OneCycleLR would go on past the end of its schedule, below its minimum.

    Raises:
        InputError: the peak lies outside the run, or on its very first step; a minimum
            is above its maximum; the optimizer's parameter groups have different LRs.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        lr_max: float,
        lr_min: float,
        epochs: int,
        steps_per_epoch: int,
        peak_epoch: float,
        final_lr: float | None = None,
        momentum_max: float = 0.95,
        momentum_min: float = 0.85,
        anneal: str = "linear",
    ):
        lr_max, lr_min = positive_float("lr_max", lr_max), positive_float("lr_min", lr_min)
        check_order("lr", lr_min, lr_max)
        check_order("momentum", momentum_min, momentum_max)
        check_single_lr(optimizer)
        total_steps = positive_int("epochs", epochs) * positive_int(
            "steps_per_epoch", steps_per_epoch
        )
        final_lr = positive_float("final_lr", lr_min if final_lr is None else final_lr)
        self.peak_step = positive_float("peak_epoch", peak_epoch) * steps_per_epoch - 1
        if float(peak_epoch).is_integer():
            self.peak_step = int(self.peak_step)
        if peak_epoch > epochs:
            raise InputError(
                f"peak_epoch ({peak_epoch}) must not be after the last epoch ({epochs})"
            )
        if self.peak_step <= 0:
            raise InputError(
                "the LR has no step to rise in: its peak is at the very first batch; "
                "use a smaller batch size or a later peak epoch"
            )
        super().__init__(
            optimizer,
            max_lr=lr_max,
            total_steps=total_steps,
            pct_start=_fraction(self.peak_step, total_steps),
            anneal_strategy=anneal,
            div_factor=lr_max / lr_min,
            final_div_factor=lr_min / final_lr,
            cycle_momentum="betas" in optimizer.defaults or "momentum" in optimizer.defaults,
            base_momentum=momentum_min,
            max_momentum=momentum_max,
        )

    def step(self, epoch: int | None = None) -> None:
        if self.last_epoch < self.total_steps - 1:
            super().step(epoch)


def triangular(optimizer: Optimizer, *, lr_min: float, lr_max: float, half_cycle: int) -> CyclicLR:
    """The triangular cyclic LR of Smith (2015): lr_min → lr_max → lr_min, again and again.

    `half_cycle` is the number of steps from one to the other (Smith's step size).
    """
    check_order("lr", positive_float("lr_min", lr_min), positive_float("lr_max", lr_max))
    check_single_lr(optimizer)
    positive_int("half_cycle", half_cycle)
    return CyclicLR(optimizer, lr_min, lr_max, step_size_up=half_cycle, cycle_momentum=False)


def simulate_schedule(
    make_scheduler: Callable[[Optimizer], LRScheduler], steps: int
) -> tuple[list[float], list[float]]:
    """LR and momentum (β1) at each of `steps` steps, without training.

    `make_scheduler` is called with an Adam over a single number.
    """
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    scheduler = make_scheduler(optimizer)
    rates, momenta = [], []
    for _ in range(steps):
        group = optimizer.param_groups[0]
        rates.append(float(group["lr"]))
        momenta.append(float(momentum_of(group)))
        optimizer.step()  # PyTorch warns when a scheduler runs ahead of its optimizer.
        scheduler.step()
    return rates, momenta


def check_single_lr(optimizer: Optimizer) -> None:
    """Raise an InputError if parameter groups have LRs of their own, which would be lost."""
    rates = sorted({float(group["lr"]) for group in optimizer.param_groups})
    if len(rates) > 1:
        raise InputError(
            f"the optimizer's parameter groups have LRs of their own ({', '.join(map(str, rates))}"
            "), and this would overwrite them; give all groups one LR, or use another scheduler"
        )


def momentum_of(group: dict) -> float:
    """The momentum of an optimizer's parameter group: β1 of Adam, or SGD's; 0 if it has none."""
    return group["betas"][0] if "betas" in group else group.get("momentum", 0.0)


def _fraction(peak_step: float, total_steps: int) -> float:
    """The pct_start with which OneCycleLR peaks at `peak_step`, to the last bit.

    It peaks where pct_start · total_steps − 1 is, and would miss a whole step by
    a rounding error, for example at 5/24 of 2,352 steps.
    """
    fraction = (peak_step + 1) / total_steps
    for candidate in (fraction, math.nextafter(fraction, 0), math.nextafter(fraction, 1)):
        if candidate * total_steps - 1 == peak_step:
            return candidate
    return fraction
