"""Several runs, compared seed by seed."""

import pandas as pd
from matplotlib.figure import Figure

from s10.course.experiments import differences_by_epoch
from s10.plots.style import PALETTE, check_not_empty, new_figure, style_axes
from s10.plots.text import as_label
from s10.runtime.errors import InputError


def seed_by_seed(table: pd.DataFrame, by: str = "variant") -> Figure:
    """How far each run is from the first one of the same seed, epoch by epoch.

    A column of panels for each name but the first: training loss, and below it test accuracy
    in percentage points.

    Args:
        table: histories, as from `s10.course.experiments.compare_variants` or
            `s10.course.reference.stored_curves`.
        by: the column that names the run.

    Raises:
        InputError: there is nothing to compare.
    """
    check_not_empty(table)
    first, *others = table[by].unique()
    if not others:
        raise InputError(f"nothing to compare “{first}” with; switch on another run, too")
    options = {"sharex": True, "sharey": "row", "squeeze": False}
    figure, panels = new_figure(max(7, 1 + 2.1 * len(others)), 4.4, 2, len(others), **options)
    table = table.assign(test_accuracy=100 * table["test_accuracy"])
    for row, column in zip(panels, ("train_loss", "test_accuracy"), strict=True):
        differences = differences_by_epoch(table, column, by)
        for axes, name in zip(row, others, strict=True):
            axes.axhline(0, color="0.4", linewidth=1)
            for number, (seed, values) in enumerate(differences.loc[name].iterrows()):
                style = {"color": PALETTE[number % 10], "marker": "os^v"[number % 4]}
                axes.plot(values, label=f"seed {seed}", markersize=4, linewidth=1.2, **style)
    for axes, name in zip(panels[0], others, strict=True):
        axes.set_title(as_label(name, 2, 9), loc="left", fontsize=9)
    for axes in panels[1]:
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[0, 0].set_ylabel("training loss")
    panels[1, 0].set_ylabel("test accuracy (points)")
    panels[0, -1].legend(frameon=False, fontsize=8)
    title = f"Each run minus “{as_label(first, 3, 11)}” of the same seed"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    style_axes(*panels.flat)
    return figure
