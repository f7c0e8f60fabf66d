"""The LR range test and the LR schedules, drawn and annotated."""

from dataclasses import replace
from functools import partial

import numpy as np
from matplotlib.figure import Figure
from torch.optim.lr_scheduler import OneCycleLR

from s10.course.figures.drawing import tint
from s10.lr_finder import NEARLY_DONE, ONSET_FRACTION, choose_from_loss
from s10.plots.style import MARK, PALETTE, TEST, TRAIN, add_caption, new_figure, style_axes
from s10.plots.text import as_label
from s10.recipe import Recipe
from s10.schedules import simulate_schedule

RECIPE, STEPS_PER_EPOCH = Recipe(), 98
# Of `Axes.annotate`: text beside a point of the data, moved by typographic points.
BESIDE = {"textcoords": "offset points", "fontsize": 9}


def lr_range_anatomy() -> Figure:
    """How to read an LR range test: where `choose_from_loss` finds LRMIN and LRMAX.

    The curve is idealized, after those measured with this network; the rule is applied to it as
    to a measured one. The LRs are not written down: notebook 1 asks for them.
    """
    from scipy.interpolate import pchip_interpolate  # Here, as importing it takes 0.4 seconds.

    exponents = np.linspace(-6, 0, 1000)
    rates = 10**exponents
    losses = pchip_interpolate(
        (-6, -5, -4, -3.4, -2.9, -2.4, -1.9, -1.65, -1.35, -0.7, 0),
        (3.3, 3.1, 2.5, 2.1, 1.84, 1.72, 1.66, 1.75, 2.28, 2.4, 2.35),
        exponents,
    )
    choice, guess = choose_from_loss(rates, losses), np.log(10)
    done = (losses[0] - losses) / (losses[0] - losses.min())
    valley = rates[done >= NEARLY_DONE]
    learning = rates[np.argmax(losses < guess)]
    lowest, highest = 1.4, 3.7
    figure, axes = new_figure(7, 3.9)
    regions = (
        ("confidently wrong:\nworse than a guess", rates[0], learning, PALETTE[7]),
        ("learning", learning, valley[0], TRAIN),
        (f"valley: at least\n{NEARLY_DONE:.0%} of the fall", valley[0], valley[-1], PALETTE[2]),
        ("too large", valley[-1], rates[-1], MARK),
    )
    for name, left, right, color in regions:
        axes.axvspan(left, right, color=tint(color, 0.2), linewidth=0, zorder=0)
        middle = np.sqrt(left * right)
        axes.text(middle, highest - 0.07, name, ha="center", va="top", fontsize=9)
    axes.axhline(guess, color="0.5", linewidth=1)
    axes.text(0.9, guess - 0.04, "a guess: ln 10 = 2.30", ha="right", va="top", fontsize=9)
    axes.plot(rates, losses, color=TRAIN, linewidth=2.2)
    for name, style, text, offset, align in (
        ("lr_min", ":", f"LRMIN: {ONSET_FRACTION:.0%} of the fall", (8, 6), "left"),
        ("lr_max", "--", "LRMAX: middle\nof the valley", (0, 12), "center"),
    ):
        loss = np.interp(choice[name], rates, losses)
        axes.plot([choice[name]] * 2, [lowest, loss], color=MARK, linestyle=style, linewidth=1.5)
        axes.plot(choice[name], loss, "o", color=MARK)
        axes.annotate(text, (choice[name], loss), offset, ha=align, **BESIDE)
    axes.set(xscale="log", xlim=(rates[0], rates[-1]), ylim=(lowest, highest))
    axes.set(xlabel="LR (log scale), growing with each batch", ylabel="training loss", xticks=[])
    axes.minorticks_off()
    axes.set_title("The loss falls to a valley and rises again", loc="left", fontsize=11)
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


def annihilation() -> Figure:
    """One cycle that ends at LRMIN, and two in which annihilation follows.

    LRMIN is a tenth of LRMAX here, so that it can be told from 0.
    """
    recipe = replace(RECIPE, lr_min=RECIPE.lr_max / 10)
    steps = recipe.epochs * STEPS_PER_EPOCH
    options = {"cycle_momentum": False, "total_steps": steps, "anneal_strategy": "linear"}
    pytorchs = partial(OneCycleLR, max_lr=recipe.lr_max, div_factor=10, **options)
    peak = recipe.peak_epoch / recipe.epochs
    schedulers = {
        "as the assignment asks": (
            partial(recipe.make_scheduler, steps_per_epoch=STEPS_PER_EPOCH), TRAIN, 2.2,
        ),
        "one fall, to PyTorch's default end": (partial(pytorchs, pct_start=peak), MARK, 1.6),
        "three phases: a cycle over 9/10 of the run, then annihilation": (
            partial(pytorchs, pct_start=0.45, three_phase=True), PALETTE[2], 1.6,
        ),
    }  # fmt: skip
    figure, axes = new_figure(7, 3.4)
    for label, (make_scheduler, color, width) in schedulers.items():
        rates, _ = simulate_schedule(make_scheduler, steps)
        epochs = (np.arange(steps) + 1) / STEPS_PER_EPOCH
        label += f" (ends at {rates[-1]:.2g})"
        axes.plot(epochs, rates, color=color, linewidth=width, label=label)
    axes.axhline(recipe.lr_min, color="0.5", linewidth=1, linestyle=":")
    axes.text(14, 0.9 * recipe.lr_min, "LRMIN", va="top", fontsize=9, color="0.35")
    axes.set_title("Annihilation takes the LR below LRMIN, almost to 0", loc="left", fontsize=11)
    axes.set(xlabel="epochs", ylabel="LR", ylim=(0, 1.5 * recipe.lr_max))
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    style_axes(axes)
    return figure


def planned_lrs(recipes: dict[str, Recipe], steps_per_epoch: int) -> Figure:
    """The LR of each step by each recipe's schedule, without training; name → recipe.

    A panel for each recipe but the first, whose LR is drawn in all of them, in grey.
    """
    first, *others = recipes
    others = others or [first]
    rows, columns = -(-len(others) // 4), min(4, len(others))
    options = {"sharex": True, "sharey": True, "squeeze": False}
    figure, panels = new_figure(1 + 2 * columns, 0.6 + 1.9 * rows, rows, columns, **options)
    for axes in panels.flat[len(others) :]:
        axes.remove()
    for axes, name in zip(panels.flat, others, strict=False):
        for shown, color, width in ((first, "0.75", 4), (name, TRAIN, 1.8)):
            recipe = recipes[shown]
            make_scheduler = partial(recipe.make_scheduler, steps_per_epoch=steps_per_epoch)
            rates, _ = simulate_schedule(make_scheduler, recipe.epochs * steps_per_epoch)
            epochs = (np.arange(len(rates)) + 1) / steps_per_epoch
            axes.plot(epochs, rates, color=color, linewidth=width)
        axes.set_title(as_label(name, 1.9, 9), loc="left", fontsize=9)
        style_axes(axes)
    panels[0, 0].set_ylim(0, None)
    panels[0, 0].locator_params("x", nbins=5, integer=True)
    title = f"The LR of each step; grey: that of “{as_label(first, 3, 11)}”"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    figure.supxlabel("epochs", fontsize=10)
    figure.supylabel("LR", fontsize=10)
    return figure
