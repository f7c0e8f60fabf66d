"""Schedules and learning curves."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from s10.plots.style import MARK, PALETTE, TEST, TRAIN, new_figure, style_axes


def plot_schedule(
    rates: Sequence[float], momenta: Sequence[float] | None, steps_per_epoch: int, title: str = ""
) -> Figure:
    """LR and (unless None) momentum of each step against epochs, with the peak of the LR marked.

    `rates` and `momenta` as from `s10.schedules.simulate_schedule`.
    """
    rates = np.asarray(rates)
    # After step k, counted from 0, (k + 1) / steps_per_epoch epochs are done.
    epochs = (np.arange(len(rates)) + 1) / steps_per_epoch
    panels = 1 if momenta is None else 2
    figure, axes = new_figure(7, 0.4 + 1.8 * panels, panels, 1, sharex=True, squeeze=False)
    top, bottom = axes[0, 0], axes[-1, 0]
    peak = int(rates.argmax())
    top.plot(epochs, rates, color=TRAIN)
    # A constant LR has no peak.
    peaks = np.isclose(rates, rates[peak], rtol=1e-6) & (rates.max() > rates.min())
    top.plot(epochs[peaks], rates[peaks], "o", color=MARK)
    if peaks.sum() == 1:  # Of several cycles, no peak is more than the others.
        when = f"at the end of epoch {epochs[peak]:g}"
        if epochs[peak] % 1:
            when = f"in epoch {int(np.ceil(epochs[peak]))}"
        top.annotate(f"  {rates[peak]:.4g} {when}", (epochs[peak], rates[peak]), va="bottom")
    top.set_ylabel("LR")
    top.set_ylim(0, rates.max() * 1.2)
    top.set_title(
        title or f"LR: start {rates[0]:.2g}, peak {rates[peak]:.4g}, end {rates[-1]:.2g}",
        loc="left",
    )
    if momenta is not None:
        bottom.plot(epochs, momenta, color=TEST)
        bottom.set_ylabel("momentum (β1)")
        bottom.set_ylim(min(momenta) - 0.03, min(1, max(momenta) + 0.03))
    bottom.set_xlabel("epochs")
    style_axes(*axes.flat)
    return figure


def plot_curves(history: pd.DataFrame, title: str = "") -> Figure:
    """Loss and accuracy on training and test images after each epoch (a `FitResult.history`)."""
    figure, (left, right) = new_figure(9, 3.4, 1, 2)
    for split, color, marker in (("train", TRAIN, "o"), ("test", TEST, "s")):
        style = {"color": color, "marker": marker, "markersize": 3, "label": split}
        left.plot(history["epoch"], history[f"{split}_loss"], **style)
        right.plot(history["epoch"], 100 * history[f"{split}_accuracy"], **style)
    last = history.iloc[-1]
    left.set_title("Loss (cross-entropy)", loc="left")
    right.set_title(
        f"Final accuracy: test {last.test_accuracy:.2%}, training {last.train_accuracy:.2%}",
        loc="left",
        fontsize="medium",
    )
    right.set_ylabel("accuracy (%)")
    left.legend(frameon=False)
    right.legend(frameon=False)
    _style_epochs(left, right)
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure


def plot_history_lr(history: pd.DataFrame, title: str = "") -> Figure:
    """LR and momentum at the end of each epoch, as recorded during the run."""
    figure, (top, bottom) = new_figure(7, 4, 2, 1, sharex=True)
    top.plot(history["epoch"], history["lr"], color=TRAIN, marker="o", markersize=3)
    bottom.plot(history["epoch"], history["momentum"], color=TEST, marker="o", markersize=3)
    top.set_ylabel("LR")
    bottom.set_ylabel("momentum (β1)")
    top.set_title(title or "LR and momentum in the last step of each epoch", loc="left")
    _style_epochs(top, bottom)
    top.set_xlabel("")
    return figure


def plot_schedules(table: pd.DataFrame, title: str = "", by: str = "schedule") -> Figure:
    """Training loss and test accuracy of several runs, one over the other.

    Args:
        table: their histories one below the other, as from
            `s10.course.experiments.compare_schedules` or `compare_pitfalls`.
        by: the column that names the run, such as "schedule" or "pitfall".
    """
    figure, (left, right) = new_figure(9, 3.4, 1, 2)
    markers = "os^v"
    for number, (name, history) in enumerate(table.groupby(by, sort=False)):
        style = {"color": PALETTE[number], "marker": markers[number % 4], "markersize": 4}
        left.plot(history["epoch"], history["train_loss"], label=name, **style)
        right.plot(history["epoch"], 100 * history["test_accuracy"], label=name, **style)
    left.set_title("Training loss", loc="left")
    # Pitfalls differ by too little for a short run on few images to say which is best.
    final = table.groupby(by, sort=False)["test_accuracy"].last()
    best = f": {final.idxmax()} ends highest" if by == "schedule" else ""
    right.set_title(f"Test accuracy{best}", loc="left", fontsize="medium")
    right.set_ylabel("accuracy (%)")
    left.legend(frameon=False, fontsize=8)  # Falling curves leave room at the top.
    _style_epochs(left, right)
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure


def _style_epochs(*panels: Axes) -> None:
    """The x axis counts whole epochs."""
    for axes in panels:
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    style_axes(*panels)
