"""What single changes of a recipe cost or gain, as bars."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from s10.plots.style import TEST, TRAIN, new_figure, style_axes
from s10.plots.text import as_label

# A bar more than this many times as long as the next longest one is cut off.
LONGEST = 3


def plot_costs(costs: pd.DataFrame, std: float = 0.0) -> Figure:
    """What each pitfall costs, the costliest at the top.

    The error bars are standard deviations over the seeds, where there are several.
    A bar more than three times as long as the next one is cut off, and labeled so,
    to keep the others legible.

    Args:
        costs: a row for each pitfall, as from `s10.course.measured.pitfall_costs`:
            pitfall, cost (percentage points of test accuracy; NaN if all runs
            diverged), std (of the runs; NaN if there is one), seeds and diverged
            (numbers of runs).
        std: standard deviation of the recipe without pitfalls, drawn as a band around 0.
    """
    labels = (costs["cost"].round(1) + 0.0).map("{:+.1f}".format)  # + 0.0: no "-0.0"
    labels = labels.mask(costs["diverged"] == costs["seeds"], "diverged")
    return _plot_bars(costs, "pitfall", "cost", labels, std)


def plot_ablation(table: pd.DataFrame, std: float = 0.0) -> Figure:
    """What each ingredient of a recipe gains, drawn as `plot_costs` does; no bar is cut off.

    Args:
        table: a row for each ingredient, as from `s10.course.ablation.stored_ablation`:
            ingredient, gain (percentage points of test accuracy), std.
        std: standard deviation of the complete recipe.
    """
    labels = table["gain"].map("{:+.2f}".format)
    return _plot_bars(table, "ingredient", "gain", labels, std, longest=np.inf)


def _plot_bars(
    table: pd.DataFrame, name: str, value: str, labels: pd.Series, std: float, longest=LONGEST
) -> Figure:
    figure, axes = new_figure(8, 0.32 * len(table) + 1.1)
    axes.axvspan(-std, std, color="0.85", label="± 1 standard deviation of the recipe")
    values, rows = table[value], range(len(table))
    bars = values[values > 0].sort_values(ascending=False)
    limit = bars[bars <= longest * bars.shift(-1, fill_value=np.inf)].max() if len(bars) else 1.0
    is_cut = values > limit
    errors = table["std"].mask(is_cut)
    lengths = values.fillna(0).clip(upper=1.1 * limit)
    colors = [TRAIN if amount > 0 else TEST for amount in values]
    axes.barh(rows, lengths, xerr=errors, color=colors, ecolor="0.3", capsize=2)
    axes.set_yticks(rows, [as_label(text, 3) for text in table[name]])
    axes.invert_yaxis()
    ends = (lengths + errors.fillna(0)).clip(lower=max(std, 0))
    labels = (labels + is_cut.map({True: " (cut off)", False: ""})).str.replace("-", "−")
    for row, end, label in zip(rows, ends, labels, strict=True):
        axes.annotate(
            label, (end, row), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8
        )
    left = min(-1.5 * std, 1.2 * (values - errors.fillna(0)).min())
    # To the right of the last error bar there is room for its label.
    axes.set_xlim(left, max(1.4 * limit, 1.1 * ends[~is_cut].max() - 0.1 * left))
    axes.axvline(0, color="0.3", linewidth=0.8)
    axes.set_xlabel(f"{value} in test accuracy (percentage points)")
    if std:
        # Above the bars, for among them any place may be taken.
        axes.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1))
    style_axes(axes)
    return figure
