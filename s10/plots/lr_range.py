"""The curve of an LR range test."""

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from s10.lr_finder import LRRange, valley
from s10.plots.style import MARK, PALETTE, TRAIN, new_figure, style_axes


def plot_lr_range(result: LRRange, guess: float | None = None) -> Figure:
    """Loss or accuracy against LR: the curve of each seed, their median, LRMIN and LRMAX.

    Of a loss also the valley of the median, and `guess`, the loss of a guess, if it is given.

    Over several seeds a band shows their range, and marks at the bottom show what
    each seed alone would choose: LRMAX, and below it the LR of the steepest slope.
    """
    is_loss = result.method == "per-batch"
    several = len(result.choices) > 1
    figure, axes = new_figure(9, 4)
    for number, (_, curve) in enumerate(result.curves.groupby("seed")):
        label = "each seed" if several and number == 0 else None
        axes.plot(curve["lr"], curve["value"], color=TRAIN, alpha=0.3, lw=0.8, label=label)
    by_lr = result.curves.groupby("lr")["smooth"]
    median, low, high = by_lr.median(), by_lr.min(), by_lr.max()
    label = "median and range" if several else "one seed"
    label += ", smoothed" if is_loss else ""
    axes.fill_between(median.index, low, high, color=TRAIN, alpha=0.2, linewidth=0)
    # A test by batches tries too many LRs to mark each.
    marker = None if is_loss else "o"
    axes.plot(median.index, median, marker=marker, color=TRAIN, linewidth=2, label=label)
    for name, rate, style in (("LRMIN", result.lr_min, ":"), ("LRMAX", result.lr_max, "--")):
        # Outside the range, or at its edge, nothing was found.
        if result.curves["lr"].min() < rate < result.curves["lr"].max():
            axes.axvline(rate, color=MARK, linestyle=style, label=f"{name} {rate:.2g}")
    if several:
        marks = {"markersize": 10, "markeredgewidth": 2, "transform": axes.get_xaxis_transform()}
        for column, height, color, label in (
            ("lr_max", 0.06, MARK, "LRMAX of each seed"),
            ("steepest", 0.02, PALETTE[7], "steepest slope of each seed"),
        ):
            rates = result.choices[column]
            axes.plot(rates, [height] * len(rates), "|", color=color, label=label, **marks)
    if is_loss:
        left, right = median.index[list(valley(median.to_numpy()))]
        axes.axvspan(left, right, color=PALETTE[2], alpha=0.15, lw=0, label="valley of the median")
        if guess is not None:
            axes.axhline(guess, color="0.5", lw=1, label=f"a guess: {guess:.2f}")
        # A diverging loss would flatten everything else.
        start, lowest = float(median.iloc[0]), float(low.min())
        axes.set(ylim=(0.9 * lowest, start + 0.6 * (start - lowest)), ylabel="training loss")
    else:
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set(ylabel="training accuracy after one epoch")
    axes.set(xscale="log", xlabel="LR (log scale)")
    what = "loss while the LR grows" if is_loss else "a new network for each LR"
    axes.set_title(f"LR range test, {result.method.replace('-', ' ')}: {what}", loc="left")
    # Beside the axes: LRMIN and LRMAX are lines of their whole height.
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)
    style_axes(axes)
    return figure
