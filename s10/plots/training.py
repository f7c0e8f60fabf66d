"""Schedules and curves."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from s10.plots.style import MARK, PALETTE, TEST, TRAIN, new_figure, tidy


def plot_schedule(
    rates: Sequence[float], momenta: Sequence[float] | None, steps_per_epoch: int, title: str = ""
) -> Figure:
    """LR and (unless None) momentum at each step, against epochs; the LR's peaks are marked.

    Takes what `s10.schedules.trace` gives.
    """
    rates = np.asarray(rates)
    # Batch k is the (k+1)-th: after it, (k+1)/steps_per_epoch epochs are over.
    epochs = (np.arange(len(rates)) + 1) / steps_per_epoch
    panels = 1 if momenta is None else 2
    figure, axes = new_figure(7, 2.2 + 1.8 * (panels - 1), panels, 1, sharex=True, squeeze=False)
    peak = int(rates.argmax())
    top = axes[0, 0]
    top.plot(epochs, rates, color=TRAIN)
    # A constant LR has no peak.
    tops = np.isclose(rates, rates[peak], rtol=1e-6) & (rates.max() > rates.min())
    top.plot(epochs[tops], rates[tops], "o", color=MARK)
    if tops.sum() == 1:  # Several cycles have no one peak.
        when = f"at the end of epoch {epochs[peak]:g}"
        if epochs[peak] % 1:
            when = f"in epoch {int(np.ceil(epochs[peak]))}"
        top.annotate(
            f"  {rates[peak]:.4g} {when}", (epochs[peak], rates[peak]), va="bottom", ha="left"
        )
    top.set_ylabel("LR")
    top.set_ylim(0, rates.max() * 1.2)
    top.set_title(
        title or f"LR: from {rates[0]:.2g} up to {rates[peak]:.4g}, at the end {rates[-1]:.2g}",
        loc="left",
    )
    if momenta is not None:
        axes[1, 0].plot(epochs, momenta, color=TEST)
        axes[1, 0].set_ylabel("momentum (β1)")
        axes[1, 0].set_ylim(min(momenta) - 0.03, min(1, max(momenta) + 0.03))
    axes[-1, 0].set_xlabel("epochs")
    for axis in axes.flat:
        tidy(axis)
    return figure


def plot_curves(history: pd.DataFrame, title: str = "") -> Figure:
    """Loss and accuracy of training and test images, epoch by epoch (a `Fit.history`)."""
    figure, (left, right) = new_figure(9, 3.4, 1, 2)
    style = {"train": (TRAIN, "o"), "test": (TEST, "s")}
    for split, (colour, marker) in style.items():
        options = {"color": colour, "marker": marker, "markersize": 3, "label": split}
        left.plot(history["epoch"], history[f"{split}_loss"], **options)
        right.plot(history["epoch"], 100 * history[f"{split}_accuracy"], **options)
    last = history.iloc[-1]
    left.set_title("Loss (cross-entropy)", loc="left")
    right.set_title(
        f"Accuracy: test {last.test_accuracy:.2%}, training {last.train_accuracy:.2%} at the end",
        loc="left",
        fontsize="medium",
    )
    right.set_ylabel("per cent")
    for axis in (left, right):
        axis.set_xlabel("epoch")
        axis.legend(frameon=False)
        axis.xaxis.get_major_locator().set_params(integer=True)
        tidy(axis)
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure


def plot_history_lr(history: pd.DataFrame, title: str = "") -> Figure:
    """LR and momentum at the end of each epoch, as they were in training."""
    figure, (top, bottom) = new_figure(7, 4, 2, 1, sharex=True)
    top.plot(history["epoch"], history["lr"], color=PALETTE[0], marker="o", markersize=3)
    bottom.plot(history["epoch"], history["momentum"], color=PALETTE[1], marker="o", markersize=3)
    top.set_ylabel("LR")
    bottom.set_ylabel("momentum (β1)")
    bottom.set_xlabel("epoch")
    top.set_title(title or "LR and momentum in each epoch's last step", loc="left")
    for axis in (top, bottom):
        axis.xaxis.get_major_locator().set_params(integer=True)
        tidy(axis)
    return figure


def plot_schedules(table: pd.DataFrame, title: str = "", by: str = "schedule") -> Figure:
    """Training loss and test accuracy of several runs over one another.

    `table` is from `compare_schedules`, or, with `by="trap"`, from `compare_traps`;
    `by` is the column that names the runs.
    """
    figure, (left, right) = new_figure(9, 3.4, 1, 2)
    markers = "os^v"
    for number, (name, history) in enumerate(table.groupby(by, sort=False)):
        style = {"color": PALETTE[number], "marker": markers[number % 4], "markersize": 4}
        left.plot(history["epoch"], history["train_loss"], label=name, **style)
        right.plot(history["epoch"], 100 * history["test_accuracy"], label=name, **style)
    last = table.groupby(by, sort=False)["test_accuracy"].last()
    left.set_title("Training loss", loc="left")
    # Between traps a short run on few images cannot decide; that is not for a headline.
    best = f": {last.idxmax()} ends highest" if by == "schedule" else ""
    right.set_title(f"Test accuracy{best}", loc="left", fontsize="medium")
    right.set_ylabel("per cent")
    left.legend(frameon=False, fontsize=8)  # Falling curves leave room on top.
    for axis in (left, right):
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        tidy(axis)
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure
