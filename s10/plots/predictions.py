"""What the network gets right, what it confuses, and the images that it gets wrong."""

import textwrap

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from s10.plots.images import show_image
from s10.plots.style import MARK, TRAIN, new_figure, tidy
from s10.predictions import Predictions


def plot_class_accuracy(predictions: Predictions, title: str = "") -> Figure:
    """The accuracy of each class with its 95 % Wilson interval, best class first."""
    table = predictions.class_accuracy().dropna()
    table = table.sort_values("accuracy", ascending=False, ignore_index=True)
    figure, axes = new_figure(7, 1.2 + 0.28 * len(table))
    error = 100 * np.array([table.accuracy - table.low, table.high - table.accuracy])
    position = np.arange(len(table))
    axes.errorbar(100 * table.accuracy, position, xerr=error, fmt="o", color=TRAIN, capsize=3)
    axes.axvline(100 * predictions.accuracy, color=MARK, linestyle="--", linewidth=1)
    axes.set_yticks(position, table["class"])
    axes.invert_yaxis()
    axes.set_xlabel("per cent correct, with the 95 % interval")
    best, worst = table.iloc[0], table.iloc[-1]
    axes.set_title(
        title
        or f"{worst['class']} is the hardest ({worst.accuracy:.1%}), {best['class']} the "
        f"easiest ({best.accuracy:.1%}); all: {predictions.accuracy:.2%} (dashed)",
        loc="left",
        fontsize="medium",
    )
    tidy(axes)
    return figure


def plot_confusion(predictions: Predictions, title: str = "") -> Figure:
    """The confusion matrix as counts. Only the mistakes are coloured, so that they show."""
    matrix = predictions.confusion_matrix()
    names = predictions.classes
    frame = pd.DataFrame(matrix, index=names, columns=names)
    mistakes = frame.mask(np.eye(len(names), dtype=bool))
    side = 1.6 + 0.46 * len(names)
    figure, axes = new_figure(side + 1, side)
    sns.heatmap(
        mistakes, annot=frame, fmt="d", cmap="YlOrBr", linewidths=0.5, square=True,
        cbar_kws={"label": "mistakes", "shrink": 0.8}, ax=axes, annot_kws={"fontsize": 8},
    )  # fmt: skip
    # seaborn leaves masked cells without their number; the hits belong there.
    for index in range(len(names)):
        axes.text(
            index + 0.5, index + 0.5, matrix[index, index], ha="center", va="center", fontsize=8,
            weight="bold",
        )  # fmt: skip
    axes.set_xlabel("taken for")
    axes.set_ylabel("true class")
    axes.tick_params(axis="x", rotation=60)
    axes.tick_params(axis="y", rotation=0)
    pairs = predictions.confused_pairs()
    seen = "no mistakes"
    if len(pairs):
        top = pairs.iloc[0]
        seen = f"most often confused: {top.true} taken for {top.predicted}, {top['count']} times"
    axes.set_title(title or seen, loc="left", fontsize="medium")
    return figure


def plot_misclassified(
    images: np.ndarray,
    predictions: Predictions,
    *,
    true: str | None = None,
    predicted: str | None = None,
    count: int = 20,
    columns: int = 5,
    title: str = "",
) -> Figure:
    """The misclassified images, most confident mistakes first.

    Args:
        images: uint8 (N, 32, 32, 3), in the order of the predictions.
        true, predicted: only those of this true class, or taken for that one.
        count: how many at the most.
    """
    table = predictions.mistakes(true, predicted)
    shown = table.head(count)
    rows = max(1, -(-len(shown) // columns))
    figure, axes = new_figure(1.75 * columns, 0.5 + 2.05 * rows, rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, mistake in zip(axes.flat, shown.itertuples(), strict=False):
        show_image(axis, images[mistake.index])
        axis.set_title(
            f"{mistake.predicted} {mistake.probability:.0%}\nis {mistake.true} "
            f"({mistake.probability_true:.0%})",
            fontsize=9,
        )
    wrong = f"{len(table)} of {len(predictions.labels)} images are wrong"
    if true or predicted:
        times = f"{len(table)} time{'' if len(table) == 1 else 's'}"
        wrong = f"{true or 'any class'} taken for {predicted or 'another'} {times}"
    seen = f"{wrong}; the {len(shown)} surest mistakes, each with what was said and what it is"
    # A figure does not wrap its title; at this size about 11 letters take an inch.
    title = title or "\n".join(textwrap.wrap(seen, int(11 * figure.get_figwidth())))
    figure.suptitle(title, x=0.01, ha="left")
    return figure
