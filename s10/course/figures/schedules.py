"""The LR range test and the LR schedules, drawn and annotated."""

from functools import partial

import numpy as np
from matplotlib.figure import Figure

from s10.course.figures.drawing import SMALL, tint
from s10.lr_finder import NEARLY_DONE, ONSET_FRACTION, choose_from_loss
from s10.plots.style import MARK, PALETTE, TEST, TRAIN, add_caption, new_figure, style_axes
from s10.recipe import Recipe
from s10.schedules import OneCycle, simulate_schedule, triangular

RECIPE, STEPS_PER_EPOCH = Recipe(), 98
# Of `Axes.annotate`: text beside a point of the data, moved by typographic points.
BESIDE = {"textcoords": "offset points", "fontsize": 9}


def lr_range_anatomy() -> Figure:
    """How to read an LR range test: where `choose_from_loss` finds LRMIN and LRMAX.

    The curve is idealized; the rule is applied to it as to a measured one.
    """
    exponents = np.linspace(-6, 0, 1000)
    rates = 10**exponents
    # ln 10, the loss of a guess among ten classes; then a fall; then divergence.
    losses = np.log(10) - 1.3 / (1 + np.exp(-(exponents + 3.4) / 0.25))
    losses = losses + np.exp((exponents + 0.95) / 0.12)
    choice = choose_from_loss(rates, losses)
    lr_min, lr_max = choice["lr_min"], choice["lr_max"]
    done = (losses[0] - losses) / (losses[0] - losses.min())
    valley = rates[done >= NEARLY_DONE]
    lowest, highest = 0.8, 3.0
    figure, axes = new_figure(7, 3.9)
    regions = (
        ("too small:\nloss is flat", rates[0], lr_min, PALETTE[7]),
        ("loss falls", lr_min, valley[0], TRAIN),
        (f"valley: at least\n{NEARLY_DONE:.0%} of the fall", valley[0], valley[-1], PALETTE[2]),
        ("diverges", valley[-1], rates[-1], MARK),
    )
    for name, left, right, color in regions:
        axes.axvspan(left, right, color=tint(color, 0.2), linewidth=0, zorder=0)
        # The last label is to the right of the diverging loss.
        middle = np.sqrt((1.8 * left if name == "diverges" else left) * right)
        axes.text(middle, highest - 0.07, name, ha="center", va="top", fontsize=9)
    axes.plot(rates, losses, color=TRAIN, linewidth=2.2)
    for rate, top, style in ((lr_min, 2.35, ":"), (lr_max, 1.6, "--")):
        axes.plot([rate, rate], [lowest, top], color=MARK, linestyle=style, linewidth=1.5)
        axes.plot(rate, np.interp(rate, rates, losses), "o", color=MARK)
    text = f"LRMIN {lr_min:.2g}:\n{ONSET_FRACTION:.0%} of the fall"
    axes.annotate(text, (lr_min, 1.3), (-7, 0), ha="right", va="center", **BESIDE)
    text = f"LRMAX {lr_max:.2g}:\nmiddle of the valley"
    axes.annotate(text, (lr_max, 1.6), (0, 4), ha="center", va="bottom", **BESIDE)
    axes.set(xscale="log", xlim=(rates[0], rates[-1]), ylim=(lowest, highest))
    axes.set(xlabel="LR (log scale), growing with each batch", ylabel="training loss")
    title = (
        f"LRMIN ({lr_min:.2g}) where the loss starts to fall, LRMAX ({lr_max:.2g}) in the valley"
    )
    axes.set_title(title, loc="left", fontsize=11)
    style_axes(axes)
    axes.grid(False)
    return add_caption(figure, "idealized curve, not a measurement")


def one_cycle_arithmetic() -> Figure:
    """LR and β1 at each step of the assignment's cycle, with its three corners and two slopes."""
    make_scheduler = partial(RECIPE.make_scheduler, steps_per_epoch=STEPS_PER_EPOCH)
    rates, momenta = simulate_schedule(make_scheduler, RECIPE.epochs * STEPS_PER_EPOCH)
    peak, last = int(np.argmax(rates)), len(rates) - 1
    figure, (top, bottom) = new_figure(7, 4.4, 2, 1, sharex=True, height_ratios=(2, 1))
    for axes, values, color in ((top, rates, TRAIN), (bottom, momenta, TEST)):
        axes.plot(values, color=color, linewidth=2)
        corners = {step: values[step] for step in (0, peak, last)}
        axes.plot(corners.keys(), corners.values(), "o", color=MARK, clip_on=False, zorder=3)
    start, high, end = rates[0], rates[peak], rates[-1]
    at_peak = f"step {peak} = {RECIPE.peak_epoch} × {STEPS_PER_EPOCH} − 1: LR {high:.3g}"
    at_end = f"step {last} = {RECIPE.epochs} × {STEPS_PER_EPOCH} − 1: LR {end:.3g}"
    rise, fall = (high - start) / peak, (high - end) / (last - peak)
    middle = (peak + last) / 2
    for axes, text, point, offset, align in (
        (top, f"step 0: LR {start:.3g}", (0, start), (24, 4), "left"),
        (top, at_peak, (peak, high), (0, 8), "left"),
        (top, at_end, (last, end), (-42, 4), "right"),
        (top, f"+{rise:.3g}\nper step", (0.62 * peak, 0.62 * high), (10, -14), "left"),
        (top, f"−{fall:.3g} per step", (middle, 0.5 * high), (10, 8), "left"),
        (bottom, f"{momenta[0]:.3g}", (0, momenta[0]), (0, 7), "left"),
        (bottom, f"{momenta[peak]:.3g}", (peak, momenta[peak]), (0, -15), "center"),
        (bottom, f"{momenta[-1]:.3g}", (last, momenta[-1]), (0, 7), "right"),
    ):
        axes.annotate(text, point, offset, ha=align, **BESIDE)
    title = f"The LR rises from {start:.3g} to {high:.3g} in {peak} steps"
    title += f" and falls to {end:.3g} in {last - peak}"
    top.set_title(title, loc="left", fontsize=11)
    top.set(ylim=(0, 1.22 * high), ylabel="LR")
    bottom.set(ylim=(min(momenta) - 0.035, max(momenta) + 0.03), ylabel="momentum (β1)")
    bottom.set_xlabel(f"step ({STEPS_PER_EPOCH} per epoch)")
    style_axes(top, bottom)
    return figure


def triangular_and_annihilation() -> Figure:
    """The triangular cyclic LR, and one cycle with and without annihilation.

    Half a cycle of the triangular LR takes as long as the rise of the one cycle.
    Annihilation ends at a tenth of lr_min.
    """
    cycles, half_cycle = 3, RECIPE.peak_epoch * STEPS_PER_EPOCH
    limits = {"lr_min": RECIPE.lr_min, "lr_max": RECIPE.lr_max}
    waves, _ = simulate_schedule(
        partial(triangular, half_cycle=half_cycle, **limits), 2 * half_cycle * cycles + 1
    )
    figure, (left, right) = new_figure(7, 3.7, 1, 2)
    left.plot(np.arange(len(waves)) / STEPS_PER_EPOCH, waves, color=TRAIN, linewidth=2)
    left.set(xlabel="epochs", ylabel="LR", ylim=(0, 1.1 * RECIPE.lr_max))
    title = f"Triangular: {cycles} cycles\nof {2 * half_cycle} steps each"
    left.set_title(title, loc="left", fontsize=10)
    zoom = right.inset_axes((0.28, 0.36, 0.5, 0.36))
    ends = []
    for final_lr, color, label, marker, width in (
        (RECIPE.lr_min / 10, MARK, "with annihilation", "o", 2.6),
        (RECIPE.lr_min, TRAIN, "without", "s", 1.4),
    ):
        one_cycle = partial(
            OneCycle, epochs=RECIPE.epochs, steps_per_epoch=STEPS_PER_EPOCH,
            peak_epoch=RECIPE.peak_epoch, final_lr=final_lr, **limits,
        )  # fmt: skip
        rates, _ = simulate_schedule(one_cycle, RECIPE.epochs * STEPS_PER_EPOCH)
        steps = np.arange(len(rates))
        right.plot((steps + 1) / STEPS_PER_EPOCH, rates, color=color, label=label, lw=width)
        zoom.plot(steps[-8:], rates[-8:], color=color, marker=marker, markersize=4)
        ends.append(rates[-1])
    title = f"One cycle: ends at {ends[1]:.1g},\nwith annihilation at {ends[0]:.1g}"
    right.set_title(title, loc="left", fontsize=10)
    right.legend(frameon=False, fontsize=SMALL, loc="lower left")
    style_axes(left, right, zoom)
    right.set(xlabel="epochs", ylabel="LR (log scale)", yscale="log")
    zoom.set_title("the last 8 steps", fontsize=SMALL)
    zoom.tick_params(labelsize=SMALL)
    zoom.set_yscale("log")
    return figure
