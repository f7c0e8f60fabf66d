"""What is wrong with a run? The checks of notebook 4, in the order in which one would look."""

import math

import pandas as pd
import torch
import torch.nn.functional as F

from s10.course.exercises.verdict import Verdict
from s10.datasets.dataset import ImageDataset
from s10.predictions import Predictions
from s10.recipe import Recipe
from s10.runtime.errors import InputError
from s10.runtime.hooks import Hook
from s10.training import evaluate, seed_everything

# Limits that the correct recipe keeps in every stored run of 24 epochs, at either width; see
# tests/course/test_diagnosis.py.
GAP = 0.07  # between training and test accuracy at the end
LAG = 0.2  # of the test accuracy in any epoch from the third on
SURE = 0.9  # with label smoothing of 0.1 a network should be no surer than this
BATCH, STEPS = 128, 40  # what one batch and a small network need to memorize it


def check_start(recipe: Recipe, dataset: ImageDataset, device="cpu") -> list[Verdict]:
    """What can be checked in seconds, before the training: steps, first loss, one batch.

    A new network of the recipe memorizes one batch at a constant tenth of LRMAX.
    """
    seed_everything(recipe.seed)
    model, loader = recipe.initial_model(dataset).to(device), recipe.train_loader(dataset, device)
    images, labels = (part[:BATCH] for part in next(iter(loader)))
    optimizer = recipe.make_optimizer(model.train())
    for group in optimizer.param_groups:
        group["lr"] = recipe.lr_max / 10
    losses = []
    for _ in range(STEPS):
        logits = model(images).float()
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    at_chance = math.log(len(dataset.classes))
    accuracy = float((logits.argmax(1) == labels).float().mean())
    return [
        Verdict(
            len(loader) * recipe.batch_size >= len(dataset.train_images),
            f"steps: {recipe.epochs} epochs of {len(loader)} batches are "
            f"{recipe.epochs * len(loader):,} steps",
        ),
        Verdict(
            losses[0] < 3 * at_chance,
            f"first loss: {losses[0]:.2f}; equal probabilities have {at_chance:.2f}",
        ),
        Verdict(
            losses[-1] < at_chance / 4,
            f"one batch, {STEPS} steps: loss {losses[-1]:.2f}, accuracy {accuracy:.0%}; it should "
            "be memorized",
        ),
    ]


def check_run(history: pd.DataFrame, recipe: Recipe) -> list[Verdict]:
    """What the numbers of a run say about it, in the order in which one would look.

    Args:
        history: a row for each epoch, with those of the columns lr, train_loss,
            train_accuracy, test_loss, test_accuracy (0–1) that were logged, such as
            `FitResult.history`.
        recipe: what the run was meant to be.

    Raises:
        InputError: there is no row, or neither accuracy.
    """
    found = [name for name in ("test_accuracy", "train_accuracy") if name in history]
    if not len(history) or not found:
        raise InputError("check_run needs a row per epoch with train_accuracy or test_accuracy")
    epochs, final = len(history), float(history[found[0]].iloc[-1])
    verdicts = [
        Verdict(epochs == recipe.epochs, f"epochs: {epochs} of {recipe.epochs} were run"),
        *_lr(history, recipe),
        Verdict(final > 0.15, f"learned: {found[0]} {final:.1%} at the end"),
    ]
    for split in ("train", "test"):
        if {f"{split}_loss", f"{split}_accuracy"} <= set(history):
            verdicts.append(_loss(split, *history[[f"{split}_loss", f"{split}_accuracy"]].iloc[-1]))
    if len(found) == 2:
        ahead = history["train_accuracy"] - history["test_accuracy"]
        gap = float(ahead.iloc[-1])
        text = f"gap: training accuracy ends {100 * gap:+.1f} points above test accuracy"
        hint = ": too few different images? look at an augmented batch" if gap >= GAP else ""
        verdicts.append(Verdict(gap < GAP, text + hint))
        worst = int(ahead.iloc[2:].argmax()) + 2 if epochs > 2 else 0
        lag = float(ahead.iloc[worst])
        since = "from epoch 3 on, " if epochs > 2 else ""  # Before, any test accuracy jumps.
        text = f"lag: {since}test accuracy is at most {max(0, 100 * lag):.0f} points below training"
        hint = ": LR too high, or L2 in Adam" if lag >= LAG else ""
        verdicts.append(Verdict(lag < LAG, f"{text} accuracy (epoch {worst + 1}){hint}"))
    return verdicts


def _lr(history: pd.DataFrame, recipe: Recipe) -> list[Verdict]:
    """The logged LR against LRMAX and LRMIN."""
    if "lr" not in history:
        text = "LR: not logged, so nobody can check it; print it in each epoch"
        falls = -history.get("test_accuracy", pd.Series([1.0, 0.0])).diff().min()
        if len(history) > 10 and falls < 0.005:
            text += (
                f"; test accuracy never falls by more than {max(0, 100 * falls):.1f} points, as "
                "if the LR were never high"
            )
        return [Verdict(False, text)]
    highest, last = float(history["lr"].max()), float(history["lr"].iloc[-1])
    epoch = int(history["lr"].argmax()) + 1
    near = math.isclose(highest, recipe.lr_max, rel_tol=0.05)
    at = abs(epoch - recipe.peak_epoch) <= 1
    peak = f"LR: highest {highest:.2g} in epoch {epoch}"
    if not (near and at):
        peak += f", not {recipe.lr_max:.2g} in epoch {recipe.peak_epoch:g}: stepped once a batch?"
    end = f"last LR: {last:.2g}"
    ends = last > recipe.lr_min / 2
    if not ends:
        end += f", below LRMIN {recipe.lr_min:.2g}: annihilation"
    return [Verdict(near and at, peak), Verdict(ends, end)]


def _loss(split: str, loss: float, accuracy: float) -> Verdict:
    """Whether the loss is one that a network of this accuracy can have, and should have.

    A wrong image costs at least ln 2: the right class has at most half of the probability. A
    network that gives its guess the probability with which it is right, and all other classes
    equal shares, has the loss `high`; one that knows more about single images has less.
    """
    share = min(accuracy, SURE)
    high = -share * math.log(share) - (1 - share) * math.log((1 - share) / 9)
    low = (1 - accuracy) * math.log(2)
    text = f"{split} loss: {loss:.4g} at {accuracy:.1%}"
    if loss > 1.05 * high:
        text += f", should be below {high:.2f}: a softmax before the loss?"
    elif loss < low:
        text += f", cannot be below {low:.2f}: divided by the batch size?"
    return Verdict(low <= loss <= 1.05 * high, text)


class BatchStatistics(Hook):
    """After each epoch: the same test images with running and with their own statistics.

    `table` has a row for each epoch. The accuracies, in %, are those in training, on the test
    images with the running statistics of each batch norm, as always in evaluation, and with
    the mean and the variance of the test images themselves, as in training.
    """

    def __init__(self, test_batches: list):
        self.test_batches, self.rows = test_batches, []

    def on_epoch(self, state) -> None:
        row = state.history[-1]
        self.rows.append({
            "epoch": row["epoch"],
            "LR": row["lr"],
            "length of all filters": math.sqrt(sum(
                float(module.weight.detach().square().sum())
                for module in state.model.modules()
                if isinstance(module, torch.nn.Conv2d)
            )),
            "training": 100 * row["train_accuracy"],
            "test, running": 100 * row["test_accuracy"],
            "test, own": 100 * self._own(state).accuracy,
        })  # fmt: skip

    def _own(self, state) -> Predictions:
        norms = [m for m in state.model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        saved = [(norm.running_mean, norm.running_var) for norm in norms]
        for norm in norms:  # Without them, a batch norm uses the batch also in evaluation.
            norm.running_mean = norm.running_var = None
        try:
            return evaluate(state.model, self.test_batches, state.classes)
        finally:
            for norm, (mean, variance) in zip(norms, saved, strict=True):
                norm.running_mean, norm.running_var = mean, variance

    @property
    def table(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows)
