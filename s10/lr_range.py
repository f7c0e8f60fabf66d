"""The LR range test: train while the LR grows, and see where learning begins and ends.

Smith, "Cyclical Learning Rates for Training Neural Networks" (2015), section
3.3. Two kinds: `range_test_per_batch` (one short run, the LR grows with each
batch, loss against LR) and `range_test_per_epoch` (a fresh network for each
LR, training accuracy against LR).

One run of it says little: public solutions of this assignment read 4.3e-4 to
5.5e-2 from the steepest slope of one. So both kinds run over several seeds and
choose by points where the curve *crosses* a level, not by its steepest slope,
which noise moves along the whole fall.
"""

import contextlib
import copy
import dataclasses
import io
import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from unittest import mock

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import gaussian_filter1d
from torch import nn
from torch.optim import Optimizer
from tqdm import TqdmExperimentalWarning

from s10.batches import set_epoch
from s10.device import pick_precision
from s10.errors import InputError, positive_float, positive_int
from s10.meter import TrainingDiverged
from s10.progress import BatchBar
from s10.recipe import Recipe
from s10.training import make_optimizer, seed_everything, train_epoch

# The rule for a loss curve: LRMIN is where BEGUN of its whole fall is done.
# LRMAX is the middle, on the log scale, of the valley: of the LRs at which at
# least NEARLY_DONE of the fall is done.
BEGUN, NEARLY_DONE = 0.10, 0.90
# The rule for an accuracy curve: LRMAX is the largest LR that still reaches
# this part of the best accuracy, LRMIN a tenth of it (Smith 2015, 2018).
NEARLY_BEST, MIN_TO_MAX = 0.90, 10
# Where the best accuracy is not so much above the middling one, no LR taught anything.
LEARNT = 1.25


@dataclass(frozen=True)
class LRRange:
    """The outcome of a range test.

    `curves`: a row for each seed and LR: seed, lr, value, smooth; value is the
    loss ("per-batch") or the training accuracy, 0–1 ("per-epoch"). `choices`:
    a row for each seed: seed, lr_min, lr_max, and steepest, the LR of the
    steepest slope, to compare. `lr_min` and `lr_max` are the medians over the
    seeds.
    """

    method: str
    curves: pd.DataFrame
    choices: pd.DataFrame

    @property
    def lr_min(self) -> float:
        return float(self.choices["lr_min"].median())

    @property
    def lr_max(self) -> float:
        return float(self.choices["lr_max"].median())

    def spread(self, column: str = "lr_max") -> float:
        """The largest choice of any seed over the smallest: 1 when all agree."""
        return float(self.choices[column].max() / self.choices[column].min())

    def coarseness(self) -> float:
        """The next larger LR that was tried over LRMAX: the test cannot see finer than that."""
        rates = np.sort(self.curves["lr"].unique())
        larger = rates[rates > self.lr_max * (1 + 1e-9)]
        return float(larger[0] / self.lr_max) if len(larger) else 1.0

    def in_words(self) -> str:
        """The choice, and how far it can be trusted."""
        values = self.curves["value"]
        if self.method == "per-epoch" and values.max() < LEARNT * values.median():
            return (
                f"The accuracy is {values.min():.0%} to {values.max():.0%} whatever the LR: one "
                "epoch of so few batches teaches nothing, so there is no choice to trust; take "
                "more images or a smaller batch."
            )
        words = f"LRMAX {self.lr_max:.2g}, LRMIN {self.lr_min:.2g}. "
        seeds, spread, step = len(self.choices), self.spread(), self.coarseness()
        if step > max(spread, 1.5):
            return words + (
                f"The next LR that was tried is {step:.2g} times as large, so this is no finer "
                "than that; take more LRs or a narrower range."
            )
        if seeds == 1:
            return words + "One seed says nothing of the spread; run it over at least three."
        words += f"Over {seeds} seeds LRMAX moved by a factor of {spread:.2g}: "
        if spread <= 1.5:
            return words + "good to a few tens of per cent."
        if spread <= 3:
            return words + "good to a factor of 2 or so; train with half and double of it, too."
        return words + "this tells the order of magnitude at best; take more seeds or more batches."


def range_test_per_batch(
    model: nn.Module,
    optimizer: Optimizer,
    batches,
    *,
    lr_low: float = 1e-6,
    lr_high: float = 1.0,
    iterations: int = 100,
    seeds: Sequence[int] = (0, 1, 2),
    precision: str = "auto",
    on_seed: Callable[[int], None] | None = None,
) -> LRRange:
    """Loss against LR, the LR growing exponentially with each batch (torch-lr-finder).

    For each seed a copy of the model is initialised anew and trained with a
    copy of the optimizer over other batches. The model, the optimizer and the
    random state are afterwards what they were; the batches stand at epoch 1.

    Args:
        optimizer: with the momentum that LRMAX will meet at the peak of the
            cycle, `make_optimizer(model, recipe, momentum=recipe.momentum_min)`.
            A larger one lags behind the growing LR and reads too large a LRMAX.
        batches: from `s10.batches.train_batches`, on the model's device, or a
            DataLoader.
        lr_low, lr_high: the range. iterations: batches from one to the other.
        on_seed: is called with each seed before its run.

    Raises:
        InputError: the range, iterations or seeds make no sense, or the loss
            was nowhere finite.
    """
    _check_range(lr_low, lr_high, iterations, seeds)
    if iterations < 10:
        raise InputError(f"iterations must be at least 10, not {iterations}")
    curves, choices = [], []
    with _random_state_kept(), _epoch_1_afterwards(batches):
        for number, seed in enumerate(seeds):
            if on_seed is not None:
                on_seed(seed)
            seed_everything(seed)
            # Together, so that the copied optimizer holds the copied parameters.
            trial, trial_optimizer = copy.deepcopy((model, optimizer))
            _initialise(trial)
            _forget_history(trial_optimizer)
            rates, losses = _lr_finder(
                trial, trial_optimizer, _endless(batches, 1 + number * 1000),
                lr_low, lr_high, iterations, precision,
            )  # fmt: skip
            # Noise of single batches is smoothed over a twenty-fifth of the range.
            smooth = gaussian_filter1d(losses, iterations / 25, mode="nearest")
            curves.append(_curve(seed, rates, losses, smooth))
            choices.append({"seed": seed, **choose_from_loss(rates, smooth)})
    return LRRange("per-batch", pd.concat(curves, ignore_index=True), pd.DataFrame(choices))


def range_test_per_epoch(
    make_model: Callable[[], nn.Module],
    make_batches: Callable[[Recipe], object],
    recipe: Recipe,
    *,
    lr_low: float = 1e-4,
    lr_high: float = 1.0,
    epochs: int = 20,
    seeds: Sequence[int] = (0,),
    on_epoch: Callable[[int, float, float], None] | None = None,
) -> LRRange:
    """Training accuracy against LR: a fresh network for each LR, one epoch each.

    The classic kind: `epochs` LRs, evenly spaced from `lr_low` to `lr_high`,
    the model reset for each, with the momentum of the cycle's peak. The random
    state is afterwards what it was.

    Args:
        make_model: gives a new network on its device.
        make_batches: gives the batches of a recipe (its seed is set here);
            over a part of the images, if that is enough.
        on_epoch: is called with seed, LR and accuracy after each epoch.
    """
    _check_range(lr_low, lr_high, epochs, seeds)
    curves, choices = [], []
    rates = np.linspace(lr_low, lr_high, epochs)
    with _random_state_kept():
        for seed in seeds:
            seeded = dataclasses.replace(recipe, seed=seed)
            batches = make_batches(seeded)
            accuracies = []
            for rate in rates:
                seed_everything(seed)
                model = make_model().to(memory_format=torch.channels_last)
                accuracies.append(_one_epoch(model, batches, seeded, float(rate)))
                if on_epoch is not None:
                    on_epoch(seed, float(rate), accuracies[-1])
            curves.append(_curve(seed, rates, accuracies, accuracies))
            choices.append({"seed": seed, **choose_from_accuracy(rates, np.array(accuracies))})
    return LRRange("per-epoch", pd.concat(curves, ignore_index=True), pd.DataFrame(choices))


def choose_from_loss(rates: np.ndarray, smooth: np.ndarray) -> dict[str, float]:
    """lr_min, lr_max and steepest from one smoothed loss curve.

    The fall is from the loss at the smallest LR to the least loss. lr_min is
    the first LR with BEGUN of it done; lr_max the geometric mean of the first
    and the last LR of the valley around the least loss, in which NEARLY_DONE of
    it is done.

    Raises:
        InputError: the loss never fell.
    """
    lowest = int(smooth.argmin())
    fall = smooth[0] - smooth[lowest]
    if not fall > 0:
        raise InputError(
            "the loss never fell in this range of LRs; begin lower with --lr-low, "
            "or take more batches with --iterations"
        )
    done = (smooth[0] - smooth) / fall
    outside = done < NEARLY_DONE
    left = np.nonzero(outside[:lowest])[0].max(initial=-1) + 1
    right = lowest + int(outside[lowest:].argmax()) - 1 if outside[lowest:].any() else -1
    return {
        "lr_min": float(rates[np.argmax(done >= BEGUN)]),
        "lr_max": float(np.sqrt(rates[left] * rates[right])),
        "steepest": float(rates[np.gradient(smooth[: lowest + 1]).argmin()]),
    }


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


def _lr_finder(model, optimizer, batches, lr_low, lr_high, iterations, precision):
    """LRs and losses of one run of torch-lr-finder, cut where the loss stops being finite."""
    with warnings.catch_warnings():
        # It looks for tqdm's notebook widget as it is imported, and tqdm warns of that.
        warnings.simplefilter("ignore", TqdmExperimentalWarning)
        from torch_lr_finder import LRFinder, TrainDataLoaderIter, lr_finder

    class Endless(TrainDataLoaderIter):
        """Hands our batches to LRFinder, which otherwise insists on a DataLoader."""

        def __init__(self):
            self._iterator = batches

        def __next__(self):
            return next(self._iterator)

    device = next(model.parameters()).device
    chosen = pick_precision(precision, device)
    model.to(memory_format=torch.channels_last)
    finder = LRFinder(
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        device=device,
        amp_backend="torch",
        amp_config={
            "device_type": device.type,
            "dtype": chosen.autocast().fast_dtype,
            "enabled": chosen.name != "fp32",
        },
        grad_scaler=chosen.scaler(),
    )
    # It prints, and draws a widget in notebooks, which no reader of a stored
    # notebook would see; ours is plain text, and the rest we say in words.
    with (
        mock.patch.object(lr_finder, "tqdm", lambda steps: BatchBar(steps, "range test")),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        finder.range_test(
            Endless(), start_lr=lr_low, end_lr=lr_high, num_iter=iterations, smooth_f=0,
            diverge_th=3,
        )  # fmt: skip
    losses = np.array(finder.history["loss"])
    finite = np.isfinite(losses)
    end = len(losses) if finite.all() else int(finite.argmin())
    if end < 3:
        raise InputError("the loss is not finite even at the smallest LR; begin with a lower one")
    return np.array(finder.history["lr"])[:end], losses[:end]


def _one_epoch(model, batches, recipe: Recipe, rate: float) -> float:
    """Training accuracy of one epoch at one LR; 0 when it diverges."""
    optimizer = make_optimizer(model, recipe, momentum=recipe.momentum_min)
    for group in optimizer.param_groups:
        group["lr"] = rate
    device = next(model.parameters()).device
    set_epoch(batches, 1)
    try:
        return train_epoch(
            model, batches, optimizer, precision=pick_precision(recipe.precision, device),
            label_smoothing=recipe.label_smoothing, title=f"LR {rate:.4g}",
        ).accuracy  # fmt: skip
    except TrainingDiverged:
        return 0.0


def _initialise(model: nn.Module) -> None:
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()


def _forget_history(optimizer: Optimizer) -> None:
    """A new optimizer's state; LRFinder refuses one that a scheduler has marked."""
    optimizer.state.clear()
    for group in optimizer.param_groups:
        group.pop("initial_lr", None)


def _endless(batches, first_epoch: int):
    epoch = first_epoch
    while True:
        set_epoch(batches, epoch)
        yield from batches
        epoch += 1


@contextlib.contextmanager
def _epoch_1_afterwards(batches):
    """What is trained after the range test gets the batches that it would have got without."""
    try:
        yield
    finally:
        set_epoch(batches, 1)


@contextlib.contextmanager
def _random_state_kept():
    """Python's, NumPy's and PyTorch's random states are afterwards what they were."""
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
    if not seeds:
        raise InputError("a range test needs at least one seed")
