"""The LR range test: train while the LR grows, and see where learning begins and ends.

Smith, "Cyclical Learning Rates for Training Neural Networks" (2015), section 3.3. Two
kinds: `range_test_per_batch` (one short run, the LR grows with each batch, loss against
LR; the procedure of torch-lr-finder) and `range_test_per_epoch` (a fresh network for each
LR, training accuracy against LR).

A single run of it says little: public solutions of this assignment read LRs from 4.3e-4
to 5.5e-2 off the steepest slope of one. So both kinds run over several seeds and choose
points where the curve *crosses* a level, not its steepest slope, which noise moves along
the whole fall.
"""

import contextlib
import copy
import dataclasses
import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from s10.loaders import set_epoch
from s10.metrics import NO_BATCH, TrainingDiverged
from s10.recipe import Recipe
from s10.runtime.device import device_of, pick_precision
from s10.runtime.errors import InputError, positive_float, positive_int
from s10.runtime.progress import BatchBar
from s10.schedules import check_single_lr
from s10.training import seed_everything, train_epoch

# The rule for a loss curve: LRMIN is where ONSET_FRACTION of its total fall is reached,
# LRMAX the geometric middle of the valley: of the LRs with at least NEARLY_DONE of the fall.
ONSET_FRACTION, NEARLY_DONE = 0.10, 0.90
# The rule for an accuracy curve: LRMAX is the largest LR that still reaches this fraction of
# the best accuracy, LRMIN a tenth of it (Smith 2015, 2018).
NEARLY_BEST, MIN_TO_MAX = 0.90, 10
# Unless the best accuracy exceeds chance by this fraction of it (or of what is missing to 1,
# where that is less), no LR taught anything.
LEARNED = 0.25
# The test stops where the loss exceeds the lowest so far by this factor.
DIVERGED = 3


@dataclass(frozen=True)
class LRRange:
    """The outcome of a range test.

    `curves`: a row for each seed and LR: seed, lr, value, smooth; value is the loss
    ("per-batch") or the training accuracy, 0–1 ("per-epoch"). `choices`: a row for each
    seed: seed, lr_min, lr_max, and, for comparison, steepest, the LR of the steepest
    slope. `lr_min` and `lr_max` are the medians over the seeds. `chance`: the accuracy of
    always guessing the most frequent class ("per-epoch").
    """

    method: str
    curves: pd.DataFrame
    choices: pd.DataFrame
    chance: float = 0.0

    @property
    def lr_min(self) -> float:
        return float(self.choices["lr_min"].median())

    @property
    def lr_max(self) -> float:
        return float(self.choices["lr_max"].median())

    def spread(self, column: str = "lr_max") -> float:
        """The largest choice of any seed divided by the smallest: 1 when all agree."""
        return float(self.choices[column].max() / self.choices[column].min())

    def neighbors(self) -> dict[float, float]:
        """The LRs tried just below and just above LRMAX, if any → its factor to each, above 1."""
        lrs = np.sort(self.curves["lr"].unique()) / self.lr_max
        beside = [*lrs[lrs < 1 - 1e-9][-1:], *lrs[lrs > 1 + 1e-9][:1]]
        return {float(lr * self.lr_max): float(max(lr, 1 / lr)) for lr in beside}

    def grid_ratio(self) -> float:
        """The largest factor between LRMAX and an LR tried beside it: the test's resolution."""
        return max(self.neighbors().values(), default=1.0)

    def summary(self) -> str:
        """The choice, and how far it can be trusted."""
        values, chance = self.curves["value"], self.chance
        if values.max() < chance + LEARNED * min(chance, 1 - chance):
            return (
                f"The accuracy is {values.min():.0%} to {values.max():.0%} for every LR, and "
                f"guessing gives {chance:.0%}: one epoch of so few batches teaches nothing, so "
                "this choice means nothing; use more images or a smaller batch size."
            )
        choice = f"LRMAX {self.lr_max:.2g}, LRMIN {self.lr_min:.2g}. "
        seeds, spread, step = len(self.choices), self.spread(), self.grid_ratio()
        if self.lr_max >= self.curves["lr"].max():
            return choice + "That is the largest LR that was tried; try larger ones, too."
        if step > max(spread, 1.5):
            beside = ", ".join(
                f"{lr:.2g} (a factor of {ratio:.2g} {'below' if lr < self.lr_max else 'above'})"
                for lr, ratio in self.neighbors().items()
            )
            return choice + (
                f"The nearest LRs that were tried: {beside}. The choice is no finer than that; "
                "use more LRs or a narrower range."
            )
        if seeds == 1:
            return choice + "One seed says nothing about the spread; run at least three."
        if spread <= 3:  # Which is no accuracy: all seeds share the test's rule and its length.
            choice += f"The {seeds} seeds agree within a factor of {spread:.2g}; "
            return choice + "train with half and double of it, too."
        choice += f"Over {seeds} seeds LRMAX varied by a factor of {spread:.2g}: "
        return choice + "only the order of magnitude is known; use more seeds or more batches."


def range_test_per_batch(
    make_model: Callable[[], nn.Module],
    make_loader: Callable[[Recipe], object],
    recipe: Recipe,
    *,
    lr_low: float = 1e-6,
    lr_high: float = 1.0,
    iterations: int = 100,
    seeds: Sequence[int] = (0, 1, 2),
    on_seed: Callable[[int], None] | None = None,
) -> LRRange:
    """Loss against LR, which grows exponentially with each batch.

    Each seed starts from the model that a run of that seed starts from, and sees other
    batches. The momentum is that of the cycle's peak: with a larger one the loss lags
    behind the growing LR, and LRMAX comes out too large. The random state is unchanged
    afterwards.

    Args:
        make_model: returns the model to start from, on its device; a copy of it is trained.
            `lambda: recipe.initial_model(dataset)` for new weights, which differ from
            seed to seed, or `lambda: model` for the weights that it has.
        make_loader: returns the training batches of a recipe, such as
            `lambda recipe: recipe.train_loader(dataset)`, or a DataLoader.
        recipe: of which the optimizer and the precision are used, too.
        lr_low, lr_high: the range; iterations: the batches from one to the other.
        on_seed: called with each seed before its run.

    Raises:
        InputError: the range, iterations or seeds make no sense, or the loss
            was nowhere finite.
    """
    from scipy.ndimage import gaussian_filter1d  # Here, as importing it takes 0.4 seconds.

    _check_range(lr_low, lr_high, iterations, seeds)
    if iterations < 10:
        raise InputError(f"iterations must be at least 10, not {iterations}")
    curves, choices = [], []
    with _random_state_kept():
        recipe = recipe.at_peak()
        batches = make_loader(recipe)
        for number, seed in enumerate(seeds):
            if on_seed is not None:
                on_seed(seed)
            model = _initial_model(make_model, seed)
            rates = [
                lr_low * (lr_high / lr_low) ** (k / (iterations - 1)) for k in range(iterations)
            ]
            losses = _sweep(model, _endless(batches, 1 + number * 1000), recipe, rates)
            rates = np.array(rates[: len(losses)])
            # Noise of single batches is smoothed over a twenty-fifth of the range.
            smooth = gaussian_filter1d(losses, iterations / 25, mode="nearest")
            curves.append(_curve(seed, rates, losses, smooth))
            choices.append({"seed": seed, **choose_from_loss(rates, smooth)})
    return LRRange("per-batch", pd.concat(curves, ignore_index=True), pd.DataFrame(choices))


def range_test_per_epoch(
    make_model: Callable[[], nn.Module],
    make_loader: Callable[[Recipe], object],
    recipe: Recipe,
    *,
    lr_low: float = 1e-4,
    lr_high: float = 1.0,
    epochs: int = 20,
    seeds: Sequence[int] = (0,),
    on_epoch: Callable[[int, float, float], None] | None = None,
) -> LRRange:
    """Training accuracy against LR: the same start for each LR, one epoch each.

    The classic kind: `epochs` LRs, evenly spaced from `lr_low` to `lr_high`, each from the
    model and with the batches of a run of that seed, and with the momentum of the cycle's
    peak. The random state is unchanged afterwards.

    Args:
        make_model, make_loader, recipe: as for `range_test_per_batch`.
        on_epoch: called with seed, LR and accuracy after each epoch.
    """
    _check_range(lr_low, lr_high, epochs, seeds)
    curves, choices = [], []
    rates = np.linspace(lr_low, lr_high, epochs)
    with _random_state_kept():
        for seed in seeds:
            seeded = dataclasses.replace(recipe.at_peak(), seed=seed)
            batches = make_loader(seeded)
            labels = [label for _, labels in batches for label in labels.tolist()]
            if not labels:
                raise InputError(NO_BATCH)
            accuracies = []
            for rate in rates:
                model = _initial_model(make_model, seed)
                accuracies.append(_one_epoch(model, batches, seeded, float(rate)))
                if on_epoch is not None:
                    on_epoch(seed, float(rate), accuracies[-1])
            curves.append(_curve(seed, rates, accuracies, accuracies))
            choices.append({"seed": seed, **choose_from_accuracy(rates, np.array(accuracies))})
    chance = float(np.bincount(labels).max() / len(labels))
    return LRRange("per-epoch", pd.concat(curves, ignore_index=True), pd.DataFrame(choices), chance)


def choose_from_loss(rates: np.ndarray, smooth: np.ndarray) -> dict[str, float]:
    """lr_min, lr_max and steepest from one smoothed loss curve.

    The fall is from the loss at the smallest LR to the lowest loss. lr_min is the first LR
    at which ONSET_FRACTION of it is reached; lr_max is the geometric mean of the first and
    the last LR of the `valley`.

    Raises:
        InputError: the loss never fell.
    """
    lowest = int(smooth.argmin())
    fall = smooth[0] - smooth[lowest]
    if not fall > 0:
        raise InputError(
            "the loss never fell in this range of LRs; begin lower with --lr-low, "
            "or use more batches with --iterations"
        )
    done = (smooth[0] - smooth) / fall
    left, right = valley(smooth)
    return {
        "lr_min": float(rates[np.argmax(done >= ONSET_FRACTION)]),
        "lr_max": float(np.sqrt(rates[left] * rates[right])),
        "steepest": float(rates[np.gradient(smooth[: lowest + 1]).argmin()]),
    }


def valley(smooth: np.ndarray) -> tuple[int, int]:
    """First and last position around the lowest loss where NEARLY_DONE of the fall is reached."""
    left = right = int(smooth.argmin())
    level = smooth[0] - NEARLY_DONE * (smooth[0] - smooth.min())
    while left > 0 and smooth[left - 1] <= level:
        left -= 1
    while right < len(smooth) - 1 and smooth[right + 1] <= level:
        right += 1
    return left, right


def choose_from_accuracy(rates: np.ndarray, accuracies: np.ndarray) -> dict[str, float]:
    """lr_min, lr_max and steepest (of the rise) from training accuracies at each LR."""
    good = accuracies >= NEARLY_BEST * accuracies.max()
    lr_max = float(rates[np.nonzero(good)[0][-1]])
    steepest = int(np.diff(accuracies).argmax()) + 1 if len(rates) > 1 else 0
    return {
        "lr_min": lr_max / MIN_TO_MAX,
        "lr_max": lr_max,
        "steepest": float(rates[steepest]),
    }


def _sweep(model, batches, recipe: Recipe, lrs) -> np.ndarray:
    """The loss of one batch at each LR, up to where it diverges or stops being finite."""
    optimizer = recipe.make_optimizer(model)
    check_single_lr(optimizer)
    precision = pick_precision(recipe.precision, device_of(model))
    scaler, losses, lowest = precision.scaler(), [], math.inf
    model.train()
    for lr in BatchBar(lrs, "range test"):
        for group in optimizer.param_groups:
            group["lr"] = lr
        images, labels = next(batches)
        with precision.autocast():
            loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
        lowest = min(lowest, losses[-1])
        if not losses[-1] <= DIVERGED * lowest:
            break
    if not math.isfinite(losses[-1]):
        losses.pop()
    if len(losses) < 3:
        raise InputError("the loss is not finite even at the smallest LR; begin with a lower one")
    return np.array(losses)


def _one_epoch(model, batches, recipe: Recipe, rate: float) -> float:
    """Training accuracy of one epoch at one LR; 0 when it diverges."""
    optimizer = recipe.make_optimizer(model)
    check_single_lr(optimizer)
    for group in optimizer.param_groups:
        group["lr"] = rate
    set_epoch(batches, 1)
    try:
        return train_epoch(
            model, batches, optimizer, precision=pick_precision(recipe.precision, device_of(model)),
            label_smoothing=recipe.label_smoothing, title=f"LR {rate:.4g}",
        ).accuracy  # fmt: skip
    except TrainingDiverged:
        return 0.0


def _initial_model(make_model: Callable[[], nn.Module], seed: int) -> nn.Module:
    """The model from which a run of this seed starts; a copy, as the caller may keep it."""
    seed_everything(seed)
    return copy.deepcopy(make_model()).to(memory_format=torch.channels_last)


def _endless(batches, first_epoch: int):
    for epoch in itertools.count(first_epoch):
        set_epoch(batches, epoch)
        batch = None
        for batch in batches:
            yield batch
        if batch is None:  # Else it would be read for ever.
            raise InputError(NO_BATCH)


@contextlib.contextmanager
def _random_state_kept():
    """Restore the global random states of Python, NumPy and PyTorch."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def _curve(seed, rates, values, smooth) -> pd.DataFrame:
    return pd.DataFrame({"seed": seed, "lr": rates, "value": values, "smooth": smooth})


def _check_range(lr_low, lr_high, steps, seeds) -> None:
    positive_float("the smallest LR", lr_low)
    positive_float("the largest LR", lr_high)
    positive_int("the number of LRs", steps)
    if not lr_low < lr_high:
        raise InputError(f"the smallest LR ({lr_low}) must be below the largest ({lr_high})")
    if steps < 2:
        raise InputError("a range test needs at least 2 LRs")
    if not len(seeds):
        raise InputError("a range test needs at least one seed")
