"""Sliders for the one-cycle schedule."""

import os
from functools import partial

from matplotlib.figure import Figure

from s10.plots.training import plot_schedule
from s10.recipe import Recipe
from s10.schedules import simulate_schedule

STEPS_PER_EPOCH = 98


def cycle_figure(
    peak_epoch: int = 5,
    lr_max: float = 0.01,
    div: float = 1000,
    momentum_max: float = 0.95,
    momentum_min: float = 0.85,
) -> Figure:
    """LR and momentum of one choice; LRMIN is `lr_max / div`, at the start and at the end."""
    recipe = Recipe(
        peak_epoch=peak_epoch,
        lr_max=lr_max,
        lr_min=lr_max / div,
        momentum_max=momentum_max,
        momentum_min=min(momentum_min, momentum_max),
    )
    make_scheduler = partial(recipe.make_scheduler, steps_per_epoch=STEPS_PER_EPOCH)
    rates, momenta = simulate_schedule(make_scheduler, recipe.epochs * STEPS_PER_EPOCH)
    return plot_schedule(rates, momenta, STEPS_PER_EPOCH)


def explore_one_cycle() -> None:
    """Show sliders for peak epoch, LRMAX, div and momentum, and the resulting schedule.

    Without ipywidgets, or with the environment variable S10_STATIC set (as when
    the notebooks are stored), one line says so.
    """
    from IPython.display import display

    try:
        import ipywidgets as widgets
    except ImportError:
        widgets = None
    if widgets is None or os.environ.get("S10_STATIC"):
        print("sliders appear here when the cell is run with ipywidgets (Colab has it)")
        return

    def slider(kind, value, low, high, description, **options):
        options |= {"description": description, "continuous_update": False}
        return kind(value, min=low, max=high, **options)

    sliders = {
        "peak_epoch": slider(widgets.IntSlider, 5, 1, Recipe().epochs, "peak epoch"),
        "lr_max": slider(widgets.FloatLogSlider, 0.01, -4, 0, "LRMAX"),
        "div": slider(widgets.FloatLogSlider, 1000, 0, 4, "div"),
        "momentum_max": slider(widgets.FloatSlider, 0.95, 0.5, 0.99, "β1 max", step=0.01),
        "momentum_min": slider(widgets.FloatSlider, 0.85, 0, 0.99, "β1 min", step=0.01),
    }
    figure = widgets.interactive_output(lambda **choice: display(cycle_figure(**choice)), sliders)
    display(widgets.VBox(list(sliders.values())), figure)
