"""The training loop: explicit PyTorch, used by the notebooks and the command line alike."""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from signal import SIGINT

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from s10.loaders import set_epoch
from s10.metrics import COLUMNS, EpochResult, RunningMetrics
from s10.predictions import Predictions
from s10.recipe import Recipe
from s10.runtime.device import (
    Precision,
    device_of,
    pick_precision,
    report_out_of_memory,
    update_scale,
)
from s10.runtime.errors import InputError
from s10.runtime.hooks import Hook
from s10.runtime.parts import check_parts, evaluation_mode
from s10.runtime.progress import BatchBar, PrintEpochs, epoch_title, ignore_output_errors
from s10.runtime.signals import StopOnSignal, Stopped


def seed_everything(seed: int) -> None:
    """Seed the global random generators of Python, NumPy and PyTorch."""
    seed = int(seed)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def train_epoch(
    model: nn.Module,
    loader: Iterable,
    optimizer: Optimizer,
    scheduler: LRScheduler | None = None,
    *,
    precision: Precision | None = None,
    scaler: torch.amp.GradScaler | None = None,
    label_smoothing: float = 0.0,
    metrics: RunningMetrics | None = None,
    on_step: Callable[[], None] | None = None,
    title: str = "",
) -> EpochResult:
    """Train on each batch once.

    `loader` yields images float32 (B, 3, 32, 32) and labels int64 (B,), both where the
    model is. The scheduler steps after each batch, and `on_step` is called after that.
    Precision: float32 by default. `metrics` may hold the sums of an interrupted epoch.

    Raises:
        TrainingDiverged: the loss is not finite.
        InputError: model, optimizer and scheduler do not belong together, or there is no batch.
    """
    check_parts(model, optimizer, scheduler)
    model.train()
    precision = precision or Precision("fp32", device_of(model).type)
    scaler = scaler or precision.scaler()
    metrics = metrics or RunningMetrics()
    for images, labels in (bar := BatchBar(loader, title)):
        with precision.autocast():
            logits = model(images)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        skipped = update_scale(scaler, optimizer)
        metrics.update(logits, labels, optimizer, skipped)
        if scheduler is not None:
            scheduler.step()
        bar.update(metrics)
        if on_step is not None:
            on_step()
    return metrics.result()


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Iterable,
    classes: Sequence[str],
    *,
    precision: Precision | None = None,
) -> Predictions:
    """The model's predictions in evaluation mode, for batches as in `train_epoch`.

    Raises:
        InputError: there is no batch.
    """
    precision = precision or Precision("fp32", device_of(model).type)
    all_logits, all_labels = [], []
    with evaluation_mode(model):
        for images, labels in batches:
            with precision.autocast():
                all_logits.append(model(images).float())
            all_labels.append(labels)
    if not all_labels:
        raise InputError("the test loader gave no batch; an iterator gives each only once")
    return Predictions(
        torch.cat(all_logits).cpu().numpy(), torch.cat(all_labels).cpu().numpy(), tuple(classes)
    )


@dataclass
class TrainState:
    """A run in progress, as its hooks see it.

    `epoch` is the one being trained, from 1; `step` counts its finished batches, and
    `metrics` their sums. `history` has a row (a dict of `COLUMNS`) for each finished
    epoch, `predictions` are those after the last one. `stop` ends the run after the
    current step or epoch; `signal` is the number of the signal that asked for it.
    `skipped` counts the steps of the last finished epoch that fp16 left out.
    """

    model: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler
    scaler: torch.amp.GradScaler
    train_loader: Iterable
    recipe: Recipe
    classes: tuple[str, ...]
    hooks: list[Hook]
    epoch: int = 1
    step: int = 0
    metrics: RunningMetrics = field(default_factory=RunningMetrics)
    history: list[dict] = field(default_factory=list)
    predictions: Predictions | None = None
    epoch_started: float = field(default_factory=time.monotonic)
    stop: bool = False
    signal: int | None = None
    skipped: int = 0

    @property
    def finished(self) -> bool:
        """Whether all epochs are trained."""
        return self.epoch > self.recipe.epochs

    @property
    def position(self) -> str:
        """Such as "2 of 24 epochs and 13 of 98 batches"."""
        batches = f" and {self.step} of {len(self.train_loader)} batches" if self.step else ""
        return f"{len(self.history)} of {self.recipe.epochs} epochs{batches}"

    def call(self, event: str) -> None:
        """Call this method of every hook, in their order."""
        for hook in self.hooks:
            getattr(hook, event)(self)

    def after_step(self) -> None:
        """Count the step and call the hooks; Stopped ends the epoch if one of them asks."""
        self.step += 1
        self.call("on_step")
        if self.stop:
            raise Stopped

    def finish_epoch(self, train: EpochResult, test: Predictions) -> None:
        """Add the epoch's row to the history, move to the next epoch, and call the hooks."""
        row = (self.epoch, train.lr, train.momentum, train.loss, train.accuracy, test.loss,
               test.accuracy, time.monotonic() - self.epoch_started)  # fmt: skip
        self.history.append(dict(zip(COLUMNS, row, strict=True)))
        self.predictions, self.skipped = test, train.skipped
        self.epoch, self.step, self.epoch_started = self.epoch + 1, 0, time.monotonic()
        self.metrics.reset()
        self.call("on_epoch")


@dataclass(frozen=True)
class FitResult:
    """The outcome of `fit`.

    `history`: a row for each finished epoch, with the columns `s10.metrics.COLUMNS`.
    `predictions`: on the test images after the last one; None if no epoch was finished.
    `seconds`: duration of the call. `interrupted`: the run was stopped early, by the
    signal number `signal` if it was one. `position`: see `TrainState`.
    """

    history: pd.DataFrame
    predictions: Predictions | None
    seconds: float
    interrupted: bool = False
    signal: int | None = None
    position: str = ""

    @classmethod
    def of(cls, state: TrainState, seconds: float) -> "FitResult":
        """That of a run which ended in this state."""
        return cls(pd.DataFrame(state.history, columns=COLUMNS), state.predictions, seconds,
                   not state.finished, state.signal, state.position)  # fmt: skip

    @property
    def terminated(self) -> bool:
        """Whether SIGTERM or SIGHUP stopped it: the machine may be gone within seconds."""
        return self.interrupted and self.signal not in (None, SIGINT)


@ignore_output_errors()
def fit(
    model: nn.Module,
    train_loader,
    test_loader: Iterable,
    recipe: Recipe,
    classes: Sequence[str],
    *,
    optimizer: Optimizer | None = None,
    scheduler: LRScheduler | None = None,
    hooks: Sequence[Hook] = (),
) -> FitResult:
    """Train by the recipe. Ctrl-C, SIGTERM or a notebook's stop button end it after a step.

    The model maps images (B, 3, 32, 32) to logits (B, C); the loaders are the recipe's or
    DataLoaders. An optimizer, or an optimizer and its scheduler, replace the recipe's.
    Raises TrainingDiverged, OutOfMemory (of a GPU), and InputError for what does not fit.
    """
    start, precision = time.perf_counter(), pick_precision(recipe.precision, device_of(model))
    model.to(memory_format=torch.channels_last)  # The fastest layout for convolutions.
    optimizer = optimizer or recipe.make_optimizer(model)
    scheduler = scheduler or recipe.make_scheduler(optimizer, len(train_loader))
    check_parts(model, optimizer, scheduler)
    hooks = [StopOnSignal(), PrintEpochs(), *recipe.make_hooks(), *hooks]
    state = TrainState(model, optimizer, scheduler, precision.scaler(), train_loader, recipe,
                       tuple(classes), hooks)  # fmt: skip
    try:
        state.call("on_start")
        with report_out_of_memory(recipe.batch_size):
            while not (state.finished or state.stop):
                set_epoch(train_loader, state.epoch, state.step)
                train = train_epoch(
                    model, train_loader, optimizer, scheduler, precision=precision,
                    scaler=state.scaler, label_smoothing=recipe.label_smoothing,
                    metrics=state.metrics, on_step=state.after_step, title=epoch_title(state),
                )  # fmt: skip
                test = evaluate(model, test_loader, classes, precision=precision)
                state.finish_epoch(train, test)
    except KeyboardInterrupt:
        state.stop = True
    finally:
        state.call("on_end")
    if state.predictions is None and state.history and state.signal in (None, SIGINT):  # Resumed.
        state.predictions = evaluate(model, test_loader, classes, precision=precision)
    return FitResult.of(state, time.perf_counter() - start)
