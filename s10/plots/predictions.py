"""The accuracy of each class and the confusion matrix."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure

from s10.plots.style import MARK, TRAIN, new_figure, style_axes
from s10.predictions import Predictions


def plot_class_accuracy(predictions: Predictions) -> Figure:
    """The accuracy of each class with its 95% Wilson interval, highest first."""
    table = predictions.class_accuracy().dropna()
    table = table.sort_values("accuracy", ascending=False, ignore_index=True)
    figure, axes = new_figure(7, 1.2 + 0.28 * len(table))
    error = 100 * np.array([table.accuracy - table.low, table.high - table.accuracy])
    position = np.arange(len(table))
    axes.errorbar(100 * table.accuracy, position, xerr=error, fmt="o", color=TRAIN, capsize=3)
    axes.axvline(100 * predictions.accuracy, color=MARK, linestyle="--", linewidth=1)
    axes.set_yticks(position, table["class"])
    axes.invert_yaxis()
    axes.set_xlabel("accuracy (%) with 95% confidence interval")
    best, worst = table.iloc[0], table.iloc[-1]
    title = f"Lowest: {worst['class']} ({worst.accuracy:.1%}), "
    title += f"highest: {best['class']} ({best.accuracy:.1%}), "
    title += f"overall: {predictions.accuracy:.2%} (dashed)"
    axes.set_title(title, loc="left", fontsize="medium")
    style_axes(axes)
    return figure


def plot_confusion(predictions: Predictions) -> Figure:
    """The confusion matrix as counts; only the mistakes are colored, so that they stand out."""
    # With scipy.stats, which it imports, seaborn takes most of a second; only this needs it.
    import seaborn as sns

    matrix = predictions.confusion_matrix()
    names = predictions.classes
    mistakes = matrix.copy()
    np.fill_diagonal(mistakes, -1)  # Below vmin, so white.
    colors = colormaps["YlOrBr"].with_extremes(under="white")
    side = 1.6 + 0.46 * len(names)
    figure, axes = new_figure(side + 1, side)
    sns.heatmap(
        pd.DataFrame(mistakes, index=names, columns=names), annot=matrix, fmt="d", cmap=colors,
        vmin=0, linewidths=0.5, square=True, cbar_kws={"label": "mistakes", "shrink": 0.8},
        ax=axes, annot_kws={"fontsize": 8},
    )  # fmt: skip
    for diagonal in axes.texts[:: len(names) + 1]:
        diagonal.set_weight("bold")
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.tick_params(axis="x", rotation=60)
    axes.tick_params(axis="y", rotation=0)
    title, pairs = "No mistakes", predictions.confused_pairs()
    if len(pairs):
        top = pairs.iloc[0]
        title = f"Most frequent: {top.true} misclassified as {top.predicted}, {top['count']}×"
    axes.set_title(title, loc="left", fontsize="medium")
    return figure
