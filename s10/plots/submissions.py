"""The five submissions over one another, and what each of their differences costs."""

import itertools

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from s10.plots.style import PALETTE, TEST, TRAIN, new_figure, tidy
from s10.schedules import one_cycle, trace
from s10.submissions.published import SUBMISSIONS

LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))


def plot_five_schedules(steps_per_epoch: int = 98) -> Figure:
    """LR (on a log scale) and momentum of the five, over one another."""
    figure, (top, bottom) = new_figure(8, 4.8, 2, 1, sharex=True, height_ratios=(2, 1))
    for number, (name, submission) in enumerate(SUBMISSIONS.items()):
        recipe = submission.recipe
        rates, momenta = trace(
            lambda optimizer, recipe=recipe: one_cycle(optimizer, recipe, steps_per_epoch),
            recipe.epochs * steps_per_epoch,
        )
        epochs = (np.arange(len(rates)) + 1) / steps_per_epoch
        style = {"color": PALETTE[number], "linestyle": LINES[number]}
        label = f"{name} ({recipe.optimizer.upper() if recipe.optimizer == 'sgd' else 'Adam'})"
        top.semilogy(epochs, rates, label=label, **style)
        bottom.plot(epochs, momenta, **style)
    top.set_title("Five schedules for one assignment", loc="left")
    top.set_ylabel("LR")
    top.set_ylim(bottom=2e-7)  # Room for the legend below the lowest line.
    top.legend(frameon=False, fontsize=8, loc="lower left", ncols=2)
    bottom.set_ylabel("momentum (β1)")
    bottom.set_xlabel("epochs")
    for axis in (top, bottom):
        tidy(axis)
    return figure


def plot_published_curves(entries: list[dict]) -> Figure:
    """Published accuracies epoch by epoch beside those that were measured here.

    `entries`: the stored submissions of one data set and width, and variants of
    them, dashed (`s10.submissions.results.stored_submissions`); their mean over
    the seeds is drawn, and the range where there are several.
    """
    logs = {name: submission.log() for name, submission in SUBMISSIONS.items()}
    shown = {name: log for name, log in logs.items() if log is not None}
    figure, axes = new_figure(9.5, 3.2, 1, len(shown), sharey=True)
    for axis, (name, log) in zip(axes, shown.items(), strict=True):
        split = "test" if "test_accuracy_percent" in log else "train"
        axis.plot(
            log["epoch"], log[f"{split}_accuracy_percent"], "o-", color="0.25", markersize=3,
            label="published",
        )  # fmt: skip
        for entry in entries:
            of, _, variant = entry["name"].partition(", ")
            if of != name:
                continue
            curves = 100 * np.array(entry[f"{split}_curves"], dtype=float)
            epochs = np.arange(1, curves.shape[1] + 1)
            axis.plot(
                epochs, curves.mean(0), color=TRAIN if variant else TEST,
                linestyle="--" if variant else "-",
                label=f"ours, width {entry['width']}" + (f",\n{variant}" if variant else ""),
            )  # fmt: skip
            axis.fill_between(epochs, curves.min(0), curves.max(0), color=TEST, alpha=0.3)
        axis.set_title(f"{name}: {'test' if split == 'test' else 'training'}", loc="left")
        axis.set_xlabel("epoch")
        axis.legend(frameon=False, loc="lower right", fontsize=8)
        tidy(axis)
    axes[0].set_ylabel("accuracy, per cent")
    return figure


def plot_ablation(table: pd.DataFrame, spread: float = 0.0) -> Figure:
    """What each ingredient of a recipe brings (from `s10.ablation.stored_ablation`).

    `spread`: as in `plot_costs`.
    """
    costs = table.rename(columns={"ingredient": "trap", "brings": "cost"}).assign(diverged=0)
    figure = plot_costs(costs, spread)
    figure.axes[0].set_xlabel("points of test accuracy lost without it")
    return figure


def plot_costs(costs: pd.DataFrame, spread: float = 0.0) -> Figure:
    """What each trap costs, the dearest on top (from `s10.submissions.results.trap_costs`).

    Bars: points of test accuracy below the mean of the assignment's recipe, with
    the standard deviation over the seeds where there are several; a trap of
    which every run diverged has none. `spread`: the recipe's own standard
    deviation, drawn as a band around 0. A bar more than three times as long as
    the next is cut off, and says so: else none of the others could be read.
    """
    figure, axes = new_figure(8, 0.32 * len(costs) + 1.1)
    rows = costs.iloc[::-1].reset_index(drop=True)
    axes.axvspan(-spread, spread, color="0.85", label="± 1 standard deviation of the recipe")
    limit = _longest_to_be_shown(rows["cost"].dropna())
    lengths = rows["cost"].fillna(0).clip(upper=1.1 * limit)
    axes.barh(
        rows.index, lengths, xerr=rows["std"],
        color=[TRAIN if cost > 0 else TEST for cost in rows["cost"]], ecolor="0.3", capsize=2,
    )  # fmt: skip
    axes.set_yticks(rows.index, rows["trap"])
    ends = (lengths + rows["std"].fillna(0)).clip(lower=spread)
    for place, row in rows.iterrows():
        words = (
            f"{row['cost']:+.1f}".replace("-", "−")
            if row["diverged"] < row["seeds"]
            else "diverged"
        )
        if row["cost"] > limit:
            words += " (cut off)"
        axes.annotate(
            words, (max(ends[place], 0), place), xytext=(6, 0),
            textcoords="offset points", va="center", fontsize=8,
        )  # fmt: skip
    lowest = (rows["cost"] - rows["std"].fillna(0)).min()
    left = min(-1.5 * spread, 1.2 * lowest)
    whole = rows["cost"].isna() | (rows["cost"] <= limit)
    # Behind the last whisker there is room for words.
    axes.set_xlim(left, max(1.3 * limit, 1.1 * ends[whole].max() - 0.1 * left))
    axes.axvline(0, color="0.3", linewidth=0.8)
    axes.set_xlabel("points of test accuracy lost")
    if spread:
        # Above the bars: at any place among them there may be one.
        axes.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1))
    tidy(axes)
    return figure


def _longest_to_be_shown(costs: pd.Series) -> float:
    """The largest cost that is not more than three times the next one."""
    ordered = sorted(costs[costs > 0], reverse=True) or [1.0]
    for cost, following in itertools.pairwise(ordered):
        if cost <= 3 * following:
            return cost
    return ordered[-1]
