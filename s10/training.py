"""The training loop: explicit PyTorch, used by the notebooks and the command line alike."""

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from s10.batches import set_epoch
from s10.device import Precision, pick_precision
from s10.errors import S10Error
from s10.predictions import Predictions
from s10.progress import BatchBar, epoch_line, time_left
from s10.recipe import Recipe
from s10.schedules import momentum_of, one_cycle


class TrainingDiverged(S10Error):
    """The loss was no longer a finite number; the message says at which step and LR."""


class EpochResult(NamedTuple):
    """Mean loss and accuracy (0–1) over an epoch's images; LR and momentum of its last step.

    The loss is the plain cross-entropy, also when training smooths the labels.
    """

    loss: float
    accuracy: float
    lr: float
    momentum: float


@dataclass
class Fit:
    """What `fit` gives back.

    `history` has a row for each finished epoch: epoch, lr (of its last step),
    momentum, train_loss, train_accuracy, test_loss, test_accuracy (fractions),
    seconds. `predictions` are those of the last one on the test images;
    `seconds` is the time of all epochs. `interrupted` is true when the user
    stopped it, and then `predictions` may be None.
    """

    history: pd.DataFrame
    predictions: Predictions | None
    seconds: float
    interrupted: bool = False


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and PyTorch's global random generators."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def make_optimizer(model: nn.Module, recipe: Recipe, momentum: float | None = None) -> Optimizer:
    """Adam (Kingma & Ba 2014) or SGD, plain or with Nesterov's momentum, as the recipe says.

    Args:
        momentum: Adam's β1 or SGD's momentum, 0 ≤ momentum < 1. Default: the
            recipe's `momentum_max`, with which the one-cycle schedule begins.
    """
    if momentum is None:
        momentum = recipe.momentum_max
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(),
            lr=recipe.lr_min,
            momentum=momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.nesterov and recipe.momentum_min > 0,
        )
    return torch.optim.Adam(
        model.parameters(),
        lr=recipe.lr_min,
        betas=(momentum, recipe.beta2),
        weight_decay=recipe.weight_decay,
        decoupled_weight_decay=recipe.decoupled_weight_decay,
    )


def train_epoch(
    model: nn.Module,
    batches: Iterable,
    optimizer: Optimizer,
    scheduler: LRScheduler | None = None,
    *,
    precision: Precision | None = None,
    scaler: torch.amp.GradScaler | None = None,
    label_smoothing: float = 0.0,
    title: str = "",
) -> EpochResult:
    """Train on each batch once.

    `batches` yields images float32 (B, 3, 32, 32) and labels int64 (B,), both
    where the model is. `scheduler`, if any, steps after each batch. Precision:
    float32 unless one is given.

    Raises:
        TrainingDiverged: the loss is not finite.
    """
    model.train()
    device = next(model.parameters()).device
    precision = precision or Precision("fp32", device.type)
    scaler = scaler or precision.scaler()
    meter = Meter()
    for images, labels in (bar := BatchBar(batches, title)):
        with precision.autocast():
            logits = model(images)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        group = optimizer.param_groups[0]
        meter.add(logits, labels, group["lr"])
        momentum = momentum_of(group)
        if scheduler is not None:
            scheduler.step()
        if bar.is_due():
            bar.show(meter.loss, meter.accuracy, meter.rates[-1])
    meter.check_finite()
    return EpochResult(meter.loss, meter.accuracy, meter.rates[-1], momentum)


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Iterable,
    classes: tuple[str, ...],
    *,
    precision: Precision | None = None,
) -> Predictions:
    """The model's predictions in evaluation mode, for batches as in `train_epoch`."""
    device = next(model.parameters()).device
    precision = precision or Precision("fp32", device.type)
    was_training = model.training
    model.eval()
    all_logits, all_labels = [], []
    for images, labels in batches:
        with precision.autocast():
            all_logits.append(model(images).float())
        all_labels.append(labels)
    model.train(was_training)
    return Predictions(
        torch.cat(all_logits).cpu().numpy(), torch.cat(all_labels).cpu().numpy(), tuple(classes)
    )


def fit(
    model: nn.Module,
    train_batches,
    test_batches: Iterable,
    recipe: Recipe,
    classes: tuple[str, ...],
    *,
    optimizer: Optimizer | None = None,
    scheduler: LRScheduler | None = None,
    on_epoch: Callable[[dict], None] | None = None,
) -> Fit:
    """Train the model as the recipe says, with a line for each epoch.

    Any network that takes (B, 3, 32, 32) and gives logits (B, C) will do, and any
    batches with a length, such as a DataLoader on the model's device. An
    optimizer, or an optimizer and its scheduler (stepped after each batch),
    take the place of those of the recipe. `on_epoch` gets each row of the
    history when its epoch ends. Stopping it (Ctrl-C, or the stop button of a
    notebook) keeps the model as it is and gives back the epochs so far.

    Raises:
        TrainingDiverged: the loss is not finite.
    """
    device = next(model.parameters()).device
    precision = pick_precision(recipe.precision, device)
    model.to(memory_format=torch.channels_last)  # What convolutions are fastest in.
    optimizer = optimizer or make_optimizer(model, recipe)
    scheduler = scheduler or one_cycle(optimizer, recipe, len(train_batches))
    scaler = precision.scaler()
    result = Fit(pd.DataFrame(), None, 0.0)
    rows, start = [], time.perf_counter()
    try:
        for epoch in range(1, recipe.epochs + 1):
            epoch_start = time.perf_counter()
            set_epoch(train_batches, epoch)
            train = train_epoch(
                model, train_batches, optimizer, scheduler,
                precision=precision, scaler=scaler, label_smoothing=recipe.label_smoothing,
                title=f"epoch {epoch}/{recipe.epochs}{time_left(rows, recipe.epochs)}",
            )  # fmt: skip
            predictions = evaluate(model, test_batches, classes, precision=precision)
            row = {
                "epoch": epoch,
                "lr": train.lr,
                "momentum": train.momentum,
                "train_loss": train.loss,
                "train_accuracy": train.accuracy,
                "test_loss": predictions.loss,
                "test_accuracy": predictions.accuracy,
                "seconds": time.perf_counter() - epoch_start,
            }
            rows.append(row)
            result.predictions = predictions
            print(epoch_line(row, recipe.epochs), flush=True)
            if on_epoch is not None:
                on_epoch(row)
    except KeyboardInterrupt:
        result.interrupted = True
        print(f"stopped after {len(rows)} of {recipe.epochs} epochs; the model stays as it is")
    result.history = pd.DataFrame(rows)
    result.seconds = time.perf_counter() - start
    return result


class Meter:
    """Sums loss and hits over images, on the device: reading a number waits for the GPU."""

    def __init__(self):
        self.losses, self.rates, self.images = [], [], 0
        self.loss_sum, self.hits = 0, 0

    def add(self, logits, labels, lr: float) -> None:
        """Take in one batch: its logits (B, C), its labels (B,), its LR."""
        logits = logits.detach().float()
        loss = F.cross_entropy(logits, labels)  # Without smoothing: comparable with the test's.
        self.losses.append(loss)
        self.rates.append(lr)
        self.images += len(labels)
        self.loss_sum = self.loss_sum + loss.double() * len(labels)
        self.hits = self.hits + (logits.argmax(1) == labels).sum()
        if loss.device.type == "cpu":
            self.check_finite(since=len(self.losses) - 1)

    @property
    def loss(self) -> float:
        return float(self.loss_sum) / self.images

    @property
    def accuracy(self) -> float:
        return int(self.hits) / self.images

    def check_finite(self, since: int = 0) -> None:
        """Raise TrainingDiverged at the first loss that is not finite."""
        finite = torch.stack(self.losses[since:]).isfinite()
        if not finite.all():
            step = since + int(finite.int().argmin())
            raise TrainingDiverged(
                f"the loss is {float(self.losses[step])} at batch {step + 1} of this epoch, "
                f"LR {self.rates[step]:.3g}; take a smaller lr_max"
            )
