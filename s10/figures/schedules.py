"""The LR range test and the LR's schedules, drawn and annotated."""

import dataclasses

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from s10.figures.drawing import SMALL, tint
from s10.lr_range import BEGUN, NEARLY_DONE, choose_from_loss
from s10.plots.style import MARK, PALETTE, TEST, TRAIN, new_figure, sign, tidy
from s10.recipe import Recipe
from s10.schedules import one_cycle, trace, triangular

ASSIGNMENT = Recipe()


def lr_range_anatomy() -> Figure:
    """How to read an LR range test, on an idealised curve: where s10's rule finds LRMIN and LRMAX.

    The curve is invented; the rule, `choose_from_loss`, is applied to it as to a real one.
    """
    exponents = np.linspace(-6, 0, 1000)
    rates = 10**exponents
    # ln 10 at first, as by guessing among ten classes; a fall; an explosion.
    losses = np.log(10) - 1.3 / (1 + np.exp(-(exponents + 3.4) / 0.25))
    losses = losses + np.exp((exponents + 0.95) / 0.12)
    choice = choose_from_loss(rates, losses)
    done = (losses[0] - losses) / (losses[0] - losses.min())
    valley = rates[done >= NEARLY_DONE]
    borders = [rates[0], choice["lr_min"], valley[0], valley[-1], rates[-1]]
    names = (
        "too small:\nnothing learnt", "learning", "as good as it gets:\nLRMAX from here", "diverges"
    )  # fmt: skip

    figure, axes = new_figure(7, 3.9)
    lowest, highest = 0.8, 3.0
    for number, (name, left, right) in enumerate(
        zip(names, borders[:-1], borders[1:], strict=True)
    ):
        colour = (PALETTE[7], TRAIN, PALETTE[2], MARK)[number]
        axes.axvspan(left, right, color=tint(colour, 0.2), linewidth=0, zorder=0)
        # The last one's text stands behind the explosion.
        middle = np.sqrt((1.8 * left if name == "diverges" else left) * right)
        axes.text(middle, highest - 0.07, name, ha="center", va="top", fontsize=9)
    axes.plot(rates, losses, color=TRAIN, linewidth=2.2)
    marks = (
        ("lr_min", f"where {BEGUN:.0%} of\nthe fall is done", ":", 1.3, (-7, 0)),
        ("lr_max", f"middle of where\n{NEARLY_DONE:.0%} of it is done", "--", 1.6, (0, 4)),
    )
    for name, reason, style, height, offset in marks:
        place = ("right", "center") if name == "lr_min" else ("center", "bottom")
        rate = choice[name]
        top = 2.35 if name == "lr_min" else height
        axes.plot([rate, rate], [lowest, top], color=MARK, linestyle=style, linewidth=1.5)
        axes.plot(rate, np.interp(rate, rates, losses), "o", color=MARK)
        words = f"{name.replace('_', '').upper()} {rate:.2g}:\n{reason}"
        _say(axes, rate, height, words, offset, ha=place[0], va=place[1])
    axes.set_xscale("log")
    axes.set_xlim(rates[0], rates[-1])
    axes.set_ylim(lowest, highest)
    axes.set_xlabel("LR (log scale), growing with each batch")
    axes.set_ylabel("training loss")
    axes.set_title(
        f"The valley gives LRMAX ({choice['lr_max']:.2g}), the start of the fall LRMIN "
        f"({choice['lr_min']:.2g})",
        loc="left", fontsize=11,
    )  # fmt: skip
    tidy(axes)
    axes.grid(False)
    return sign(figure, "the curve is a drawing, not a measurement")


def one_cycle_arithmetic(recipe: Recipe = ASSIGNMENT, steps_per_epoch: int = 98) -> Figure:
    """LR and β1 at each step of a recipe's cycle, with its three corners and its two slopes."""
    steps = recipe.epochs * steps_per_epoch
    rates, momenta = _cycle(recipe, steps_per_epoch)
    peak, last = int(np.argmax(rates)), steps - 1
    figure, (top, bottom) = new_figure(7, 4.4, 2, 1, sharex=True, height_ratios=(2, 1))
    for axes, values, colour in ((top, rates, TRAIN), (bottom, momenta, TEST)):
        axes.plot(values, color=colour, linewidth=2)
        corners = sorted({0, peak, last})
        axes.plot(
            corners, [values[step] for step in corners], "o", color=MARK, clip_on=False, zorder=3
        )
        tidy(axes)
    high = rates[peak]
    top.set_ylim(0, 1.22 * high)
    top.set_ylabel("LR")
    # An early peak leaves the room for text to its right, a late one to its left.
    early, linear = peak <= steps / 2, recipe.anneal == "linear"
    mean = "" if linear else "on average "
    up = (high - rates[0]) / peak
    where = f"step {peak} = {recipe.peak_epoch} × {steps_per_epoch} − 1: LR {high:.3g}"
    _say(top, 0, rates[0], f"step 0: LR {rates[0]:.3g}", (24, 4) if early else (0, 44))
    _say(top, peak, high, where, (0, 8), ha="left" if early else "right")
    beside = {"offset": (10, -14)} if early else {"offset": (-10, 6), "ha": "right"}
    _say(top, 0.62 * peak, 0.62 * high, f"{mean}+{up:.3g}\nper step", **beside)
    _say(bottom, 0, momenta[0], f"{momenta[0]:.3g}", (0, 7))
    _say(bottom, peak, momenta[peak], f"{momenta[peak]:.3g}", (0, -15), ha="center")
    title = f"The LR rises from {rates[0]:.3g} to {high:.3g} in {peak} steps"
    if peak < last:
        down = (high - rates[-1]) / (last - peak)
        where = f"step {last} = {recipe.epochs} × {steps_per_epoch} − 1:", f"LR {rates[-1]:.3g}"
        if linear or not early:
            _say(top, last, rates[-1], " ".join(where), (-42, 4), ha="right")
        else:  # A cosine runs out flat, below the text.
            _say(top, last, rates[-1], "\n".join(where), (0, 40), ha="right")
        beside = {"offset": (10, 8)} if early else {"offset": (-10, -14), "ha": "right"}
        _say(top, (peak + last) / 2, 0.5 * high, f"{mean}−{down:.3g} per step", **beside)
        _say(bottom, last, momenta[-1], f"{momenta[-1]:.3g}", (0, 7), ha="right")
        title += f" and falls to {rates[-1]:.3g} in {last - peak}"
    top.set_title(title, loc="left", fontsize=11)
    bottom.set_ylim(min(momenta) - 0.035, max(momenta) + 0.03)
    bottom.set_ylabel("momentum (β1)")
    bottom.set_xlabel(f"step ({steps_per_epoch} in an epoch)")
    return figure


def triangular_and_annihilation(
    recipe: Recipe = ASSIGNMENT, steps_per_epoch: int = 98, cycles: int = 3
) -> Figure:
    """The triangular cyclic LR, and one cycle without and with annihilation.

    A half cycle of the triangle takes as long as the recipe's rise. Annihilation
    ends below lr_min: at the recipe's final_lr, or else at a tenth of lr_min.
    """
    half_cycle = recipe.peak_epoch * steps_per_epoch
    waves, _ = trace(
        lambda optimizer: triangular(
            optimizer, lr_min=recipe.lr_min, lr_max=recipe.lr_max, half_cycle=half_cycle
        ),
        2 * half_cycle * cycles + 1,
    )
    final_lr = recipe.final_lr or recipe.lr_min / 10
    without, _ = _cycle(dataclasses.replace(recipe, final_lr=None), steps_per_epoch)
    with_it, _ = _cycle(dataclasses.replace(recipe, final_lr=final_lr), steps_per_epoch)

    figure, (left, right) = new_figure(7, 3.7, 1, 2)
    left.plot(np.arange(len(waves)) / steps_per_epoch, waves, color=TRAIN, linewidth=2)
    left.set_ylim(0, 1.1 * recipe.lr_max)
    left.set_ylabel("LR")
    left.set_title(
        f"Triangular: {cycles} cycles,\neach of {2 * half_cycle} steps", loc="left", fontsize=10
    )
    zoom = right.inset_axes((0.28, 0.36, 0.5, 0.36))
    lines = (
        (with_it, MARK, "with annihilation", "o", 2.6),
        (without, TRAIN, "without", "s", 1.4),
    )
    for rates, colour, label, marker, width in lines:
        steps = np.arange(len(rates))
        right.plot((steps + 1) / steps_per_epoch, rates, color=colour, label=label, lw=width)
        zoom.plot(steps[-8:], rates[-8:], color=colour, marker=marker, markersize=4)
    right.set_title(
        f"One cycle: it ends at {without[-1]:.1g},\nwith annihilation at {with_it[-1]:.1g}",
        loc="left", fontsize=10,
    )  # fmt: skip
    zoom.set_title("the last 8 steps", fontsize=SMALL)
    zoom.tick_params(labelsize=SMALL)
    right.set_ylabel("LR (log scale)")
    for axes in (left, right, zoom):
        tidy(axes)
    for axes in (right, zoom):
        axes.set_yscale("log")
    for axes in (left, right):
        axes.set_xlabel("epochs")
    right.legend(frameon=False, fontsize=SMALL, loc="lower left")
    return figure


def _cycle(recipe: Recipe, steps_per_epoch: int) -> tuple[list[float], list[float]]:
    """LR and momentum at each step of a recipe's run."""
    return trace(
        lambda optimizer: one_cycle(optimizer, recipe, steps_per_epoch),
        recipe.epochs * steps_per_epoch,
    )


def _say(axes: Axes, x: float, y: float, text: str, offset: tuple[int, int], **options) -> None:
    """Text at a point of the data, moved by an offset in typographic points."""
    axes.annotate(text, (x, y), xytext=offset, textcoords="offset points", fontsize=9, **options)
