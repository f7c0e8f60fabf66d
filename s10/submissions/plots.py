"""The schedules and the learning curves of the five submissions, side by side."""

from functools import partial

import numpy as np
from matplotlib.figure import Figure
from torch import nn

from s10.plots.style import PALETTE, TEST, TRAIN, new_figure, style_axes
from s10.recipe import Recipe
from s10.schedules import simulate_schedule
from s10.submissions.published import SUBMISSIONS
from s10.submissions.recipes import Era1S10StridedPerBatch

# As the READMEs state it; that of eva8-s8 with the numbers of its log.
STATED = {
    **{name: submission.recipe for name, submission in SUBMISSIONS.items()},
    "era1-s10-strided": Era1S10StridedPerBatch(),
}
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))


def plot_submission_schedules(
    recipes: dict[str, Recipe] = STATED,
    title: str = "The five schedules, as we rebuilt them",
    steps_per_epoch: int = 98,
) -> Figure:
    """LR (on a log scale) and momentum of these recipes, by default the five, in one figure."""
    figure, (top, bottom) = new_figure(8, 4.8, 2, 1, sharex=True, height_ratios=(2, 1))
    for number, (name, recipe) in enumerate(recipes.items()):
        rates, momenta = simulate_schedule(
            partial(recipe.make_scheduler, steps_per_epoch=steps_per_epoch),
            recipe.epochs * steps_per_epoch,
        )
        epochs = (np.arange(len(rates)) + 1) / steps_per_epoch
        style = {"color": PALETTE[number], "linestyle": LINES[number]}
        optimizer = type(recipe.make_optimizer(nn.Linear(1, 1))).__name__
        top.semilogy(epochs, rates, label=f"{name} ({optimizer})", **style)
        bottom.plot(epochs, momenta, **style)
    top.set_title(title, loc="left")
    top.set_ylabel("LR (log scale)")
    top.set_ylim(bottom=1e-7)  # Room for the legend below the start of the lowest line.
    top.legend(frameon=False, fontsize=8, loc="lower left", ncols=2)
    bottom.set_ylabel("momentum or β1")
    bottom.set_xlabel("epochs")
    style_axes(top, bottom)
    return figure


def plot_published_curves(entries: list[dict]) -> Figure:
    """The published accuracies of each epoch and those of our own runs.

    Args:
        entries: the stored runs of submissions, and of variants of them (drawn
            dashed), on one data set at one width, as from
            `s10.course.measured.stored_submissions`. The line is the mean over
            the seeds, the band their range.
    """
    logs = {name: submission.log() for name, submission in SUBMISSIONS.items()}
    shown = {name: log for name, log in logs.items() if log is not None}
    figure, panels = new_figure(9.5, 3.2, 1, len(shown), sharey=True)
    for axes, (name, log) in zip(panels, shown.items(), strict=True):
        split = "test" if "test_accuracy_percent" in log else "train"
        published = log[f"{split}_accuracy_percent"]
        axes.plot(log["epoch"], published, "o-", color="0.25", markersize=3, label="published")
        for entry in entries:
            submission, _, variant = entry["name"].partition(", ")
            if submission != name:
                continue
            curves = 100 * np.array(entry[f"{split}_curves"], dtype=float)
            epochs = np.arange(1, curves.shape[1] + 1)
            color, line = (TRAIN, "--") if variant else (TEST, "-")
            # Not how it is stepped: the notebook asks that afterwards.
            label = f"ours, width {entry['width']}" + ",\nas its README says" * bool(variant)
            axes.plot(epochs, curves.mean(0), color=color, linestyle=line, label=label)
            axes.fill_between(epochs, curves.min(0), curves.max(0), color=color, alpha=0.3)
        split = "test" if split == "test" else "training (no test in its log)"
        axes.set_title(f"{name}: {split}", loc="left", fontsize="medium")
        axes.set_xlabel("epoch")
        axes.legend(frameon=False, loc="lower right", fontsize=8)
    panels[0].set_ylabel("accuracy (%)")
    style_axes(*panels)
    return figure


def plot_anonymous_runs(runs: dict[str, dict]) -> Figure:
    """Training loss above, training and test accuracy below; the last run is drawn in each panel.

    Args:
        runs: letter → the stored run, with train_curves, test_curves and loss_curves of which
            the first is shown, as from `s10.course.measured.anonymous_runs`.
    """
    *letters, reference = runs
    figure, panels = new_figure(9.5, 5, 2, len(letters), sharex=True, sharey="row")
    for (top, bottom), letter in zip(panels.T, letters, strict=True):
        for name, color in ((reference, "0.7"), (letter, TEST)):
            train, test, loss = (
                np.array(runs[name][f"{kind}_curves"][0]) for kind in ("train", "test", "loss")
            )
            epochs = np.arange(1, len(loss) + 1)
            top.plot(epochs, loss, "--", color=color, label=name)
            bottom.plot(epochs, 100 * train, "--", color=color, label=f"{name}: training")
            bottom.plot(epochs, 100 * test, "-", color=color, label=f"{name}: test")
        top.set_title(letter, loc="left")
        bottom.set_xlabel("epoch")
        bottom.legend(frameon=False, loc="lower right", fontsize=8)
    panels[0, 0].set_ylabel("training loss")
    panels[1, 0].set_ylabel("accuracy (%)")
    style_axes(*panels.flat)
    return figure
