"""Schedules of the learning rate (LR) and the momentum, one step per batch.

Steps are counted from 0: batch k (from 0) of a run is trained with the LR of
step k.
"""

import math
from collections.abc import Callable

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LambdaLR, LRScheduler, OneCycleLR

from s10.errors import InputError, positive_float, positive_int
from s10.recipe import Recipe


class OneCycle(OneCycleLR):
    """PyTorch's OneCycleLR with its peak and its end exactly where they are asked for.

    The LR rises from `lr_min` (step 0) to `lr_max` at the last step of
    `peak_epoch` and falls to `final_lr` at the last step of the last epoch;
    `final_lr` is `lr_min` unless it is given: no annihilation. The momentum (β1
    of Adam) mirrors it: `momentum_max` → `momentum_min` → `momentum_max`. With a
    fraction as `peak_epoch` (4.8 is PyTorch's pct_start 0.2 of 24 epochs) the
    peak may lie between two steps and is then not quite reached.
    Smith, "Cyclical Learning Rates for Training Neural Networks" (2015) and "A
    Disciplined Approach to Neural Network Hyper-Parameters" (2018); Smith &
    Topin, "Super-Convergence" (2017).

    Call `step()` after every batch. After the last one it does nothing, where
    OneCycleLR would go on past the end of its schedule, below its minimum.

    Raises:
        InputError: the peak lies outside the run, or on its very first step.
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
        for name, value in (("lr_max", lr_max), ("lr_min", lr_min)):
            positive_float(name, value)
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
                "take a smaller batch size or a later peak epoch"
            )
        super().__init__(
            optimizer,
            max_lr=lr_max,
            total_steps=total_steps,
            pct_start=_fraction(self.peak_step, total_steps),
            anneal_strategy=anneal,
            div_factor=lr_max / lr_min,
            final_div_factor=lr_min / final_lr,
            base_momentum=momentum_min,
            max_momentum=momentum_max,
        )

    def step(self, epoch: int | None = None) -> None:
        if self.last_epoch < self.total_steps - 1:
            super().step(epoch)


class OneCyclePerEpoch(LambdaLR):
    """One cycle in steps of an epoch: LR and momentum are the same for all its batches.

    Epoch 1 has `lr_min`, `peak_epoch` has `lr_max`, the last one `final_lr`, in
    straight lines; the momentum mirrors it. So it was done by hand before
    PyTorch had OneCycleLR. Call `step()` after every batch, as with `OneCycle`.

    Raises:
        InputError: the peak is not a whole epoch from 2 to the last but one.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        lr_max: float,
        lr_min: float,
        epochs: int,
        steps_per_epoch: int,
        peak_epoch: int,
        final_lr: float | None = None,
        momentum_max: float = 0.95,
        momentum_min: float = 0.85,
    ):
        self.epochs = positive_int("epochs", epochs)
        self.steps_per_epoch = positive_int("steps_per_epoch", steps_per_epoch)
        self.peak_epoch = positive_int("peak_epoch", peak_epoch)
        if not 1 < peak_epoch < epochs:
            raise InputError(
                f"peak_epoch ({peak_epoch}) must lie between the first and the last epoch "
                f"({epochs}) for a cycle in steps of an epoch"
            )
        final_lr = lr_min if final_lr is None else final_lr
        self.rates = (lr_min, lr_max, final_lr)
        self.momenta = (momentum_max, momentum_min, momentum_max)
        for group in optimizer.param_groups:
            group["lr"] = 1.0  # LambdaLR multiplies; so the factor is the LR itself.
            group.pop("initial_lr", None)
        super().__init__(optimizer, lambda step: self.at(self.rates, step))

    def at(self, corners: tuple[float, float, float], step: int) -> float:
        """The value in the epoch of this step, on the lines through start, peak and end."""
        start, peak, end = corners
        epoch = min(step // self.steps_per_epoch + 1, self.epochs)
        if epoch <= self.peak_epoch:
            return start + (peak - start) * (epoch - 1) / (self.peak_epoch - 1)
        return peak + (end - peak) * (epoch - self.peak_epoch) / (self.epochs - self.peak_epoch)

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        for group in self.optimizer.param_groups:
            set_momentum(group, self.at(self.momenta, self.last_epoch))


class OneCycleSteppedOnceAnEpoch(OneCycle):
    """A mistake, kept to be measured: `OneCycle` for a step a batch, stepped once an epoch.

    24 epochs are then the first 24 of its 2,352 steps, and the LR hardly
    leaves `lr_min`. The loop of `s10.training` steps after every batch; only
    the last of an epoch gets through.
    """

    def __init__(self, optimizer: Optimizer, *, steps_per_epoch: int, **settings):
        self.batches, self.batches_per_epoch = 0, steps_per_epoch
        super().__init__(optimizer, steps_per_epoch=steps_per_epoch, **settings)

    def step(self, epoch: int | None = None) -> None:
        if self.last_epoch >= 0:  # Not the step with which PyTorch sets the first LR.
            self.batches += 1
        if self.batches % self.batches_per_epoch == 0:
            super().step(epoch)


def one_cycle(optimizer: Optimizer, recipe: Recipe, steps_per_epoch: int) -> LRScheduler:
    """The schedule that a recipe describes: `OneCycle`, or a published variant of it."""
    settings = {
        "lr_max": recipe.lr_max,
        "lr_min": recipe.lr_min,
        "final_lr": recipe.final_lr,
        "epochs": recipe.epochs,
        "steps_per_epoch": steps_per_epoch,
        "peak_epoch": recipe.peak_epoch,
        "momentum_max": recipe.momentum_max,
        "momentum_min": recipe.momentum_min,
    }
    if recipe.schedule == "one_cycle_per_epoch":
        return OneCyclePerEpoch(optimizer, **settings)
    if recipe.schedule == "one_cycle_stepped_once_an_epoch":
        return OneCycleSteppedOnceAnEpoch(optimizer, anneal=recipe.anneal, **settings)
    return OneCycle(optimizer, anneal=recipe.anneal, **settings)


def triangular(optimizer: Optimizer, *, lr_min: float, lr_max: float, half_cycle: int) -> CyclicLR:
    """The triangular cyclic LR of Smith (2015): lr_min → lr_max → lr_min, again and again.

    `half_cycle` is the number of steps from one to the other (Smith's step size).
    """
    positive_float("lr_min", lr_min)
    positive_float("lr_max", lr_max)
    positive_int("half_cycle", half_cycle)
    return CyclicLR(optimizer, lr_min, lr_max, step_size_up=half_cycle, cycle_momentum=False)


def trace(
    make_scheduler: Callable[[Optimizer], LRScheduler], steps: int
) -> tuple[list[float], list[float]]:
    """LR and momentum at each of `steps` steps, without training: for a plot beforehand.

    `make_scheduler` gets an Adam over one number; its β1 is the momentum.
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


def momentum_of(group: dict) -> float:
    """The momentum of an optimizer's parameter group: β1 of Adam, or SGD's; 0 if it has none."""
    return group["betas"][0] if "betas" in group else group.get("momentum", 0.0)


def set_momentum(group: dict, momentum: float) -> None:
    """Set what `momentum_of` reads."""
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


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
