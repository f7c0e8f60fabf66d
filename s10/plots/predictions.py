"""The accuracy of each class and the confusion matrix."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from s10.plots.style import MARK, TRAIN, check_not_empty, new_figure, style_axes
from s10.plots.text import as_label, as_title, text_width
from s10.predictions import Predictions

NAME = 1.6  # inches for the name of a class


def plot_class_accuracy(predictions: Predictions) -> Figure:
    """The accuracy of each class with its 95% Wilson interval, highest first.

    Of more than 40 classes, the 20 highest and the 20 lowest.
    """
    check_not_empty(predictions)
    table = predictions.class_accuracy().dropna()
    table = table.sort_values("accuracy", ascending=False, ignore_index=True)
    shown = table.drop(range(20, len(table) - 20))
    figure, axes = new_figure(7, 1.2 + 0.28 * len(shown))
    error = 100 * np.array([shown.accuracy - shown.low, shown.high - shown.accuracy])
    position = np.arange(len(shown))
    axes.errorbar(100 * shown.accuracy, position, xerr=error, fmt="o", color=TRAIN, capsize=3)
    axes.axvline(100 * predictions.accuracy, color=MARK, linestyle="--", linewidth=1)
    names = [as_label(name, NAME) for name in shown["class"]]
    axes.set_yticks(position, names)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    if len(shown) < len(table):
        axes.set_ylabel(f"the 20 highest and the 20 lowest of {len(table)} classes")
    axes.set_xlabel("accuracy (%) with 95% confidence interval")
    best, worst = table.iloc[0], table.iloc[-1]
    title = f"Lowest: {worst['class']} ({worst.accuracy:.1%}), "
    title += f"highest: {best['class']} ({best.accuracy:.1%}), "
    title += f"overall: {predictions.accuracy:.2%} (dashed)"
    title = as_title(title, 6.7 - max(map(text_width, names)))
    axes.set_title(title, loc="left", fontsize="medium")
    style_axes(axes)
    return figure


def plot_confusion(predictions: Predictions) -> Figure:
    """The confusion matrix as counts; only the mistakes are colored, so that they stand out.

    Of more than 30 classes, the colors alone, and only the names that have room.
    """
    # With scipy.stats, which it imports, seaborn takes most of a second; only this needs it.
    import seaborn as sns

    check_not_empty(predictions)
    matrix = predictions.confusion_matrix()
    names = [as_label(name, NAME) for name in predictions.classes]
    few = len(names) <= 30
    mistakes = matrix.copy()
    np.fill_diagonal(mistakes, -1)  # Below vmin, so white.
    colors = colormaps["YlOrBr"].with_extremes(under="white")
    width = 0.46 * min(max(len(names), 10), 20)
    side = width + 0.8 + max(0.8, *map(text_width, names))
    figure, axes = new_figure(side + 1, side)
    sns.heatmap(
        pd.DataFrame(mistakes, index=names, columns=names), fmt="d", cmap=colors, vmin=0,
        annot=matrix if few else None, annot_kws={"fontsize": 8}, linewidths=0.5 if few else 0,
        cbar_kws={"label": "mistakes", "shrink": 0.8, "ticks": MaxNLocator(integer=True)},
        square=True, ax=axes,
    )  # fmt: skip
    for diagonal in axes.texts[:: len(names) + 1]:
        diagonal.set_weight("bold")
    axes.set(xlabel="predicted class", ylabel="true class")
    for label in axes.get_xticklabels():
        label.set(rotation=60, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="y", rotation=0)
    title, pairs = "No mistakes", predictions.confused_pairs()
    if len(pairs):
        top = pairs.iloc[0]
        title = f"Most frequent: {top.true} misclassified as {top.predicted}, {top['count']}×"
    axes.set_title(as_title(title, width), loc="left", fontsize="medium")
    return figure
