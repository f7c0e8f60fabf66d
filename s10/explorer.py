"""Sliders for the one-cycle schedule, and a still picture where sliders cannot run."""

import os
from dataclasses import replace

from matplotlib.figure import Figure

from s10.plots.training import plot_schedule
from s10.recipe import Recipe
from s10.schedules import one_cycle, trace


def cycle_figure(
    peak_epoch: int = 5,
    lr_max: float = 0.01,
    div: float = 1000,
    momentum_max: float = 0.95,
    momentum_min: float = 0.85,
    *,
    epochs: int = 24,
    steps_per_epoch: int = 98,
) -> Figure:
    """The curves of one choice: LRMIN is `lr_max / div`, at the start and at the end."""
    recipe = replace(
        Recipe(),
        epochs=epochs,
        peak_epoch=peak_epoch,
        lr_max=lr_max,
        lr_min=lr_max / div,
        momentum_max=momentum_max,
        momentum_min=min(momentum_min, momentum_max),
    )
    curves = trace(
        lambda optimizer: one_cycle(optimizer, recipe, steps_per_epoch), epochs * steps_per_epoch
    )
    return plot_schedule(*curves, steps_per_epoch)


def explore_one_cycle(epochs: int = 24, steps_per_epoch: int = 98) -> None:
    """Show sliders for peak epoch, LRMAX, div and momentum, and the curve that they give.

    Without ipywidgets, or with the environment variable S10_STATIC set (as when
    the notebooks are stored), the picture of the assignment's choice is shown.
    """
    from IPython.display import display

    sizes = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    try:
        import ipywidgets as widgets
    except ImportError:
        widgets = None
    if widgets is None or os.environ.get("S10_STATIC"):
        print("sliders appear here when the cell is run with ipywidgets (Colab has it)")
        display(cycle_figure(**sizes))
        return
    options = {"continuous_update": False}
    sliders = {
        "peak_epoch": widgets.IntSlider(5, 1, epochs, description="peak epoch", **options),
        "lr_max": widgets.FloatLogSlider(0.01, min=-4, max=0, description="LRMAX", **options),
        "div": widgets.FloatLogSlider(1000, min=0, max=4, description="div", **options),
        "momentum_max": widgets.FloatSlider(
            0.95, min=0.5, max=0.99, step=0.01, description="β1 max", **options
        ),
        "momentum_min": widgets.FloatSlider(
            0.85, min=0, max=0.99, step=0.01, description="β1 min", **options
        ),
    }
    picture = widgets.interactive_output(
        lambda **choice: display(cycle_figure(**choice, **sizes)), sliders
    )
    display(widgets.VBox(list(sliders.values())), picture)
