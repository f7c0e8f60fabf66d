"""The LR range test and the LR schedules, drawn and annotated."""

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from s10.course.figures.drawing import SMALL, tint
from s10.lr_finder import NEARLY_DONE, ONSET_FRACTION, choose_from_loss
from s10.plots.style import MARK, PALETTE, TEST, TRAIN, add_caption, new_figure, style_axes
from s10.recipe import Recipe
from s10.schedules import OneCycle, simulate_schedule, triangular

ASSIGNMENT = Recipe()


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
    _annotate(axes, lr_min, 1.3, text, (-7, 0), ha="right", va="center")
    text = f"LRMAX {lr_max:.2g}:\nmiddle of the valley"
    _annotate(axes, lr_max, 1.6, text, (0, 4), ha="center", va="bottom")
    axes.set_xscale("log")
    axes.set_xlim(rates[0], rates[-1])
    axes.set_ylim(lowest, highest)
    axes.set_xlabel("LR (log scale), growing with each batch")
    axes.set_ylabel("training loss")
    axes.set_title(
        f"LRMIN ({lr_min:.2g}) where the loss starts to fall, LRMAX ({lr_max:.2g}) in the valley",
        loc="left", fontsize=11,
    )  # fmt: skip
    style_axes(axes)
    axes.grid(False)
    return add_caption(figure, "idealized curve, not a measurement")


def one_cycle_arithmetic(recipe: Recipe = ASSIGNMENT, steps_per_epoch: int = 98) -> Figure:
    """LR and β1 at each step of a recipe's cycle, with its three corners and two slopes."""
    rates, momenta = simulate_schedule(
        partial(recipe.make_scheduler, steps_per_epoch=steps_per_epoch),
        recipe.epochs * steps_per_epoch,
    )
    peak, last = int(np.argmax(rates)), len(rates) - 1
    corners = sorted({0, peak, last})
    figure, (top, bottom) = new_figure(7, 4.4, 2, 1, sharex=True, height_ratios=(2, 1))
    for axes, values, color in ((top, rates, TRAIN), (bottom, momenta, TEST)):
        axes.plot(values, color=color, linewidth=2)
        marks = [values[step] for step in corners]
        axes.plot(corners, marks, "o", color=MARK, clip_on=False, zorder=3)
    start, high, end = rates[0], rates[peak], rates[-1]
    top.set_ylim(0, 1.22 * high)
    top.set_ylabel("LR")
    # An early peak leaves the room for text to its right, a late one to its left.
    is_early = peak <= last / 2
    is_linear = np.ptp(np.diff(rates[: peak + 1])) < 1e-6 * high
    average = "" if is_linear else "on average "
    title = f"The LR rises from {start:.3g} to {high:.3g} in {peak} steps"
    _annotate(top, 0, start, f"step 0: LR {start:.3g}", (24, 4) if is_early else (0, 44))
    text = f"step {peak} = {recipe.peak_epoch} × {steps_per_epoch} − 1: LR {high:.3g}"
    _annotate(top, peak, high, text, (0, 8), ha="left" if is_early else "right")
    text = f"{average}+{(high - start) / peak:.3g}\nper step"
    beside = {"offset": (10, -14)} if is_early else {"offset": (-10, 6), "ha": "right"}
    _annotate(top, 0.62 * peak, 0.62 * high, text, **beside)
    _annotate(bottom, 0, momenta[0], f"{momenta[0]:.3g}", (0, 7))
    _annotate(bottom, peak, momenta[peak], f"{momenta[peak]:.3g}", (0, -15), ha="center")
    if peak < last:
        title += f" and falls to {end:.3g} in {last - peak}"
        text = f"step {last} = {recipe.epochs} × {steps_per_epoch} − 1: LR {end:.3g}"
        beside = {"offset": (-42, 4)}
        if is_early and not is_linear:  # A cosine flattens out below the text.
            text, beside = text.replace(": ", ":\n"), {"offset": (0, 40)}
        _annotate(top, last, end, text, ha="right", **beside)
        text = f"{average}−{(high - end) / (last - peak):.3g} per step"
        beside = {"offset": (10, 8)} if is_early else {"offset": (-10, -14), "ha": "right"}
        _annotate(top, (peak + last) / 2, 0.5 * high, text, **beside)
        _annotate(bottom, last, momenta[-1], f"{momenta[-1]:.3g}", (0, 7), ha="right")
    top.set_title(title, loc="left", fontsize=11)
    bottom.set_ylim(min(momenta) - 0.035, max(momenta) + 0.03)
    bottom.set_ylabel("momentum (β1)")
    bottom.set_xlabel(f"step ({steps_per_epoch} per epoch)")
    style_axes(top, bottom)
    return figure


def triangular_and_annihilation(
    recipe: Recipe = ASSIGNMENT, steps_per_epoch: int = 98, cycles: int = 3
) -> Figure:
    """The triangular cyclic LR, and one cycle with and without annihilation.

    Half a cycle of the triangular LR takes as long as the rise of the one cycle.
    Annihilation ends at a tenth of lr_min.
    """
    half_cycle = recipe.peak_epoch * steps_per_epoch
    limits = {"lr_min": recipe.lr_min, "lr_max": recipe.lr_max}
    waves, _ = simulate_schedule(
        partial(triangular, half_cycle=half_cycle, **limits), 2 * half_cycle * cycles + 1
    )
    figure, (left, right) = new_figure(7, 3.7, 1, 2)
    left.plot(np.arange(len(waves)) / steps_per_epoch, waves, color=TRAIN, linewidth=2)
    left.set_ylim(0, 1.1 * recipe.lr_max)
    left.set_ylabel("LR")
    left.set_title(
        f"Triangular: {cycles} cycles\nof {2 * half_cycle} steps each", loc="left", fontsize=10
    )
    zoom = right.inset_axes((0.28, 0.36, 0.5, 0.36))
    ends = []
    for final_lr, color, label, marker, width in (
        (recipe.lr_min / 10, MARK, "with annihilation", "o", 2.6),
        (recipe.lr_min, TRAIN, "without", "s", 1.4),
    ):
        one_cycle = partial(
            OneCycle, epochs=recipe.epochs, steps_per_epoch=steps_per_epoch,
            peak_epoch=recipe.peak_epoch, final_lr=final_lr, **limits,
        )  # fmt: skip
        rates, _ = simulate_schedule(one_cycle, recipe.epochs * steps_per_epoch)
        steps = np.arange(len(rates))
        right.plot((steps + 1) / steps_per_epoch, rates, color=color, label=label, lw=width)
        zoom.plot(steps[-8:], rates[-8:], color=color, marker=marker, markersize=4)
        ends.append(rates[-1])
    right.set_title(
        f"One cycle: ends at {ends[1]:.1g},\nwith annihilation at {ends[0]:.1g}",
        loc="left", fontsize=10,
    )  # fmt: skip
    zoom.set_title("the last 8 steps", fontsize=SMALL)
    zoom.tick_params(labelsize=SMALL)
    right.set_ylabel("LR (log scale)")
    right.legend(frameon=False, fontsize=SMALL, loc="lower left")
    style_axes(left, right, zoom)
    for axes in (right, zoom):
        axes.set_yscale("log")
    for axes in (left, right):
        axes.set_xlabel("epochs")
    return figure


def _annotate(
    axes: Axes, x: float, y: float, text: str, offset: tuple[int, int], **options
) -> None:
    """Text at a point of the data, moved by an offset in typographic points."""
    axes.annotate(text, (x, y), xytext=offset, textcoords="offset points", fontsize=9, **options)
