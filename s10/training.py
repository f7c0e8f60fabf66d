"""The training loop: explicit PyTorch, used by the notebooks and the command line alike."""

import contextlib
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from s10.device import Precision, pick_precision
from s10.errors import S10Error
from s10.meter import EpochResult, Meter
from s10.muon import Muon
from s10.predictions import Predictions
from s10.progress import BatchBar, time_left
from s10.recipe import Recipe
from s10.schedules import momentum_of, one_cycle
from s10.session import MINUTES, Session
from s10.stopping import StopSignals
from s10.team import Team
from s10.training_state import TrainingState
from s10.views import logits_of_views


@dataclass
class Fit:
    """What `fit` gives back.

    `history` has a row for each finished epoch: epoch, lr (of its last step),
    momentum, train_loss, train_accuracy, test_loss, test_accuracy (fractions),
    seconds. `predictions` are those of the last one on the test images;
    `seconds` is the time since `fit` was called, `evaluation_seconds` the part
    of it that the test images took. `interrupted` is true when the
    user stopped it, and then `predictions` may be None; `signal` is the number
    of the signal that did, if it was one.
    """

    history: pd.DataFrame
    predictions: Predictions | None
    seconds: float
    interrupted: bool = False
    signal: int | None = None
    evaluation_seconds: float = 0.0

    @property
    def told_to_end(self) -> bool:
        """Whether SIGTERM stopped it: the machine is taken away within seconds."""
        return self.interrupted and self.signal == SIGTERM


class OutOfMemory(S10Error):
    """The GPU's memory is too small for the recipe's batches."""

    def __init__(self, recipe: Recipe):
        super().__init__(
            f"the GPU's memory is too small for batches of {recipe.batch_size} at width "
            f"{recipe.width}; try a new run with batches of {max(1, recipe.batch_size // 2)} "
            f"(--batch-size {max(1, recipe.batch_size // 2)})"
        )


@contextlib.contextmanager
def enough_memory(recipe: Recipe):
    """Raises OutOfMemory where PyTorch, or cuBLAS or cuDNN within it, finds too little."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "ALLOC_FAILED" not in str(error):
            raise
        raise OutOfMemory(recipe) from None


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and PyTorch's global random generators."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def make_optimizer(model: nn.Module, recipe: Recipe, momentum: float | None = None) -> Optimizer:
    """Adam (Kingma & Ba 2014), SGD, plain or with Nesterov's momentum, or Muon, as the recipe says.

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
    if recipe.optimizer == "muon":
        return Muon(
            model.parameters(),
            lr=recipe.lr_min,
            momentum=momentum,
            beta2=recipe.beta2,
            weight_decay=recipe.weight_decay,
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
    meter: Meter | None = None,
    title: str = "",
) -> EpochResult:
    """Train on each batch once.

    `batches` yields images float32 (B, 3, 32, 32) and labels int64 (B,), both
    where the model is. `scheduler`, if any, steps after each batch. Precision:
    float32 unless one is given. A `meter` that has begun goes on.

    Raises:
        TrainingDiverged: the loss is not finite.
    """
    model.train()
    device = next(model.parameters()).device
    precision = precision or Precision("fp32", device.type)
    scaler = scaler or precision.scaler()
    meter = meter or Meter()
    for images, labels in (bar := BatchBar(batches, title)):
        with precision.autocast():
            logits = model(images)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        group = optimizer.param_groups[0]
        meter.add(logits, labels, group["lr"], momentum_of(group))
        if scheduler is not None:
            scheduler.step()
        if bar.is_due():
            bar.show(meter.loss, meter.accuracy, meter.lr)
    return meter.result()


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Iterable,
    classes: tuple[str, ...],
    *,
    precision: Precision | None = None,
    views: int = 1,
) -> Predictions:
    """The model's predictions in evaluation mode, for batches as in `train_epoch`.

    With more than one of them, averaged over the `views` of each image (`s10.views`).
    """
    device = next(model.parameters()).device
    precision = precision or Precision("fp32", device.type)
    was_training = model.training
    model.eval()
    all_logits, all_labels = [], []
    for images, labels in batches:
        with precision.autocast():
            all_logits.append(logits_of_views(model, images, views).float())
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
    checkpoints: str | Path | None = None,
    resume: bool = False,
    minutes: float = MINUTES,
    team: Team | None = None,
) -> Fit:
    """Train the model as the recipe says, with a line for each epoch.

    Any network that takes (B, 3, 32, 32) and gives logits (B, C) will do, and any
    batches with a length, such as a DataLoader on the model's device. An
    optimizer, or an optimizer and its scheduler (stepped after each batch),
    take the place of those of the recipe. `on_epoch` gets each row of the
    history when its epoch ends. Stopping it (Ctrl-C, SIGTERM, or the stop
    button of a notebook) finishes the step and gives back the epochs so far.

    Args:
        checkpoints: a folder; there the training is kept after every epoch (where they
            are shorter, every 10 seconds), every `minutes` within one, and when it is stopped.
        resume: go on with the newest checkpoint in that folder, as if there had
            been no interruption; without any, begin at the beginning.
        team: the processes that train together (`s10.team`); each calls this with
            its own share of the batches (`train_batches(…, team=team)`).

    Raises:
        TrainingDiverged: the loss is not finite.
        OutOfMemory: the GPU's memory is too small; says which batch size to try.
        InputError: the checkpoint is of another recipe, network or other images; or
            the folder holds one, and `resume` is false.
    """
    device = next(model.parameters()).device
    precision = pick_precision(recipe.precision, device)
    model.to(memory_format=torch.channels_last)  # What convolutions are fastest in.
    optimizer = optimizer or make_optimizer(model, recipe)
    scheduler = scheduler or one_cycle(optimizer, recipe, len(train_batches))
    scaler = precision.scaler()
    state = TrainingState(model, optimizer, scheduler, scaler)
    team = team or Team()
    trained = team.wrap(model, train_batches)
    predictions, interrupted, start, testing = None, False, time.perf_counter(), 0.0
    with StopSignals() as stop, enough_memory(recipe):
        session = Session(state, recipe, classes, train_batches, checkpoints, minutes, stop, team)
        session.resume() if resume else session.begin()
        try:
            for epoch in range(session.epoch, recipe.epochs + 1):
                train = train_epoch(
                    trained, session.steps(), optimizer, scheduler,
                    precision=precision, scaler=scaler, label_smoothing=recipe.label_smoothing,
                    meter=session.meter,
                    title=f"epoch {epoch}/{recipe.epochs}{time_left(session.rows, recipe.epochs)}",
                )  # fmt: skip
                trained_at = time.perf_counter()
                predictions = _evaluate_together(team, model, test_batches, classes, precision)
                testing += time.perf_counter() - trained_at
                row = _row(epoch, train, predictions, session.seconds())
                session.finish_epoch(row, on_epoch)
        except KeyboardInterrupt:
            interrupted = True
            if team.leads:
                print(session.in_words(), flush=True)
    # It went on, and no epoch was finished since; where the machine goes away there is no time.
    if predictions is None and session.rows and stop.received != SIGTERM:
        predictions = _evaluate_together(team, model, test_batches, classes, precision)
    return Fit(
        pd.DataFrame(session.rows), predictions, time.perf_counter() - start, interrupted,
        stop.received, testing,
    )  # fmt: skip


def _row(epoch: int, train: EpochResult, test: Predictions, seconds: float) -> dict:
    """The row of the history for one epoch."""
    return {
        "epoch": epoch,
        "lr": train.lr,
        "momentum": train.momentum,
        "train_loss": train.loss,
        "train_accuracy": train.accuracy,
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
        "seconds": seconds,
    }


def _evaluate_together(team: Team, model, batches, classes, precision) -> Predictions:
    """`evaluate`, each process on its part of the batches; all get the whole."""
    if team.size == 1:
        return evaluate(model, batches, classes, precision=precision)
    batches = list(batches)
    mine = batches[team.share(0, len(batches))]
    part = evaluate(model, mine, classes, precision=precision) if mine else None
    parts = [part for part in team.gathered(part) if part is not None]
    return Predictions(
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.labels for part in parts]),
        tuple(classes),
    )
