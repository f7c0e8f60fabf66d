"""Schedules and learning curves."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from s10.plots.style import MARK, PALETTE, TEST, TRAIN, check_not_empty, new_figure, style_axes
from s10.plots.text import as_label, as_title


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
    top.set(ylabel="LR", ylim=(0, rates.max() * 1.2))
    what = f"LR: start {rates[0]:.2g}, peak {rates[peak]:.4g}, end {rates[-1]:.2g}"
    top.set_title(as_title(title or what, 6.3, 12), loc="left")
    if momenta is not None:
        bottom.plot(epochs, momenta, color=TEST)
        limits = min(momenta) - 0.03, min(1, max(momenta) + 0.03)
        bottom.set(ylabel="momentum (β1)", ylim=limits)
    bottom.set_xlabel("epochs")
    style_axes(*axes.flat)
    return figure


def plot_curves(history: pd.DataFrame) -> Figure:
    """Loss and accuracy on training and test images after each epoch (a `FitResult.history`)."""
    check_not_empty(history)
    figure, (left, right) = _loss_and_accuracy()
    for split, color, marker in (("train", TRAIN, "o"), ("test", TEST, "s")):
        style = {"color": color, "marker": marker, "markersize": 3, "label": split}
        left.plot(history["epoch"], history[f"{split}_loss"], **style)
        right.plot(history["epoch"], 100 * history[f"{split}_accuracy"], **style)
    last = history.iloc[-1]
    title = f"Final accuracy: test {last.test_accuracy:.2%}, training {last.train_accuracy:.2%}"
    left.set_title("Loss (cross-entropy)", loc="left")
    right.set_title(title, loc="left", fontsize="medium")
    left.legend(frameon=False)
    right.legend(frameon=False)
    return figure


def plot_schedules(table: pd.DataFrame, by: str = "schedule") -> Figure:
    """Training loss and test accuracy of several runs, one over the other.

    Args:
        table: their histories one below the other, as from
            `s10.course.experiments.compare_schedules` or `compare_variants`. With a column
            `seed`, thin lines are the seeds, the thick one is their mean.
        by: the column that names the run, such as "schedule" or "variant".
    """
    check_not_empty(table)
    figure, panels = _loss_and_accuracy()
    columns = {"train_loss": "Training loss", "test_accuracy": "Test accuracy"}
    table = table.assign(test_accuracy=100 * table["test_accuracy"])
    if "seed" not in table:
        table = table.assign(seed=0)
    for number, (name, runs) in enumerate(table.groupby(by, sort=False)):
        label, color = as_label(name, 2.5, 8), PALETTE[number % 10]
        style = {"color": color, "marker": "os^v"[number % 4], "markersize": 4}
        for axes, column in zip(panels, columns, strict=True):
            axes.plot(runs.groupby("epoch")[column].mean(), label=label, **style)
            if runs["seed"].nunique() > 1:
                for _, run in runs.groupby("seed"):
                    axes.plot(run["epoch"], run[column], color=color, alpha=0.4, linewidth=0.8)
    seeds = table["seed"].nunique()
    suffix = f", mean of {seeds} seeds (thin: each)" if seeds > 1 else ""
    for axes, title in zip(panels, columns.values(), strict=True):
        axes.set_title(title + suffix, loc="left", fontsize="medium")
    panels[0].legend(frameon=False, fontsize=8)  # Falling curves leave room at the top.
    return figure


def _loss_and_accuracy() -> tuple[Figure, np.ndarray]:
    """An empty figure of two panels whose x axes count whole epochs."""
    figure, panels = new_figure(9, 3.4, 1, 2)
    for axes in panels:
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[1].set_ylabel("accuracy (%)")
    style_axes(*panels)
    return figure, panels
