"""The curve of an LR range test."""

import numpy as np
from matplotlib.figure import Figure

from s10.lr_range import LRRange
from s10.plots.style import MARK, PALETTE, TRAIN, new_figure, tidy


def plot_lr_range(result: LRRange, title: str = "") -> Figure:
    """Loss or accuracy against LR: each seed, the band of all, LRMIN and LRMAX marked.

    The ticks below show what each seed alone would choose: above the rule's
    LRMAX, below the LR of the steepest slope. A single seed has neither band nor
    ticks of its own.
    """
    losses = result.method == "per-batch"
    several = len(result.choices) > 1
    figure, axes = new_figure(7.5, 4.2)
    for number, (_, curve) in enumerate(result.curves.groupby("seed")):
        axes.plot(
            curve["lr"], curve["value"], color=TRAIN, alpha=0.3, linewidth=0.8,
            label="each seed" if several and number == 0 else None,
        )  # fmt: skip
    by_lr = result.curves.groupby("lr")["smooth"]
    middle, low, high = by_lr.median(), by_lr.min(), by_lr.max()
    axes.fill_between(middle.index, low, high, color=TRAIN, alpha=0.2, linewidth=0)
    axes.plot(
        middle.index, middle, color=TRAIN, linewidth=2,
        label=("median" if several else "one seed")
        + (", smoothed" if losses else "")
        + ("; range of the seeds" if several else ""),
    )  # fmt: skip
    for name, rate, style in (("LRMIN", result.lr_min, ":"), ("LRMAX", result.lr_max, "--")):
        axes.axvline(rate, color=MARK, linestyle=style, label=f"{name} {rate:.2g}")
    ticks = result.choices if several else result.choices[:0]
    for column, height, colour, name in (
        ("lr_max", 0.06, MARK, "LRMAX of each seed"),
        ("steepest", 0.02, PALETTE[7], "steepest slope of each seed"),
    ):
        axes.plot(
            ticks[column], np.full(len(ticks), height), "|", color=colour, markersize=10,
            markeredgewidth=2, transform=axes.get_xaxis_transform(),
            label=name if several else None,
        )  # fmt: skip
    if losses:
        axes.set_xscale("log")
        # What happens after the explosion would flatten all that matters.
        start = float(middle.iloc[0])
        axes.set_ylim(0.9 * float(low.min()), start + 0.6 * (start - float(low.min())))
    axes.set_xlabel("LR" + (" (log scale)" if losses else ""))
    axes.set_ylabel("training loss" if losses else "training accuracy after one epoch")
    axes.set_title(title or f"LR range test: LRMAX {result.lr_max:.2g}", loc="left")
    axes.legend(frameon=False, fontsize=8)
    tidy(axes)
    return figure
