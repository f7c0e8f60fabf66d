""" "Is my number normal?": a learner's result against the stored runs of this repository.

The stored runs come from `results/` (see there for device, versions and
commit); `tools/update_reference.py` writes them to `reference.json`.
"""

import functools
import json
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from s10.plots.style import MARK, TEST, new_figure, style_axes
from s10.recipe import Recipe

# They change how fast a run is, or which of equal runs it is, but not what to expect of it.
IRRELEVANT = ("seed", "precision", "augment")


def prediction_interval(values: list[float]) -> tuple[float, float]:
    """Student's 95 % prediction interval, in which 19 of 20 further runs lie.

    `values` are of runs that differ only in their seed, two at least.
    """
    from scipy.stats import t  # Here, as importing it takes 0.7 seconds.

    spread = np.std(values, ddof=1) * np.sqrt(1 + 1 / len(values))
    return t.interval(0.95, len(values) - 1, np.mean(values), spread)


def side(value: float, values: list[float]) -> int:
    """−1 below the prediction interval, 0 inside, 1 above; NaN counts as below."""
    low, high = prediction_interval(values)
    return 1 if value > high else 0 if value >= low else -1


@functools.cache
def stored() -> dict:
    """The content of reference.json: subject → a list of entries."""
    return json.loads(Path(__file__).with_name("reference.json").read_text(encoding="utf-8"))


def compare_training(history: pd.DataFrame, recipe: Recipe, data: str) -> str:
    """Whether the test accuracy of this run's last epoch is what stored runs had, in a sentence.

    Args:
        history: `FitResult.history`. recipe: of the run. data: the name of its data set.
    """
    if history.empty:
        return "No epoch is finished, so there is nothing to compare yet."
    accuracy = float(history["test_accuracy"].iloc[-1])
    result = f"Your test accuracy on {data} is {accuracy:.2%}. "
    entry = training_entry(recipe, data)
    if entry is None:
        return result + (
            f"There are no stored runs of width {recipe.width} on {data} to compare it with."
        )
    if differences := _differences(recipe, entry):
        return result + (
            f"The stored runs had another recipe ({'; '.join(differences)}), so it cannot be "
            "judged by them."
        )
    curves = np.array(entry["test_accuracy"])  # (runs, epochs)
    done, epochs = len(history), curves.shape[1]
    runs = curves[:, min(done, epochs) - 1]
    if done < epochs:
        return (
            f"Stopped after {done} of {epochs} epochs at {accuracy:.2%} on {data}; the stored runs "
            f"were between {runs.min():.2%} and {runs.max():.2%} then."
        )
    if len(runs) == 1:
        return result + (
            f"One stored run had {runs[0]:.2%}; one seed says nothing about the next, so yours "
            "cannot be judged by it."
        )
    low, high = prediction_interval(runs)
    verdicts = {
        -1: "yours is below. Usual reasons: training stopped early; another LR, or a scheduler "
        "that steps once per epoch instead of once per batch; images not normalized as in "
        "training; model.eval() forgotten; labels and images in different orders.",
        0: "yours is normal.",
        1: "yours is above. Run a second seed before you believe it; then make sure that no test "
        "image was used in training.",
    }
    return result + (
        f"{len(runs)} stored runs had {runs.mean():.2%} ± {runs.std(ddof=1):.2%}, so 19 of 20 "
        f"should lie from {low:.2%} to {min(high, 1):.2%}: {verdicts[side(accuracy, runs)]}"
    )


def plot_reference_runs(history: pd.DataFrame, recipe: Recipe, data: str) -> Figure:
    """Test accuracy of each epoch, together with the range of the stored runs, if there are any."""
    figure, axes = new_figure(7, 3.4)
    entry = training_entry(recipe, data)
    if entry is not None:
        suffix = " of another recipe" if _differences(recipe, entry) else ""
        curves = 100 * np.array(entry["test_accuracy"])
        epochs = np.arange(1, curves.shape[1] + 1)
        count = "one stored run" if len(curves) == 1 else f"{len(curves)} stored runs"
        # Its edge shows a single run, too.
        band = {"color": TEST, "alpha": 0.3, "label": f"{count}{suffix}"}
        axes.fill_between(epochs, curves.min(0), curves.max(0), **band)
    yours = 100 * history["test_accuracy"]
    axes.plot(history["epoch"], yours, "o-", color=MARK, markersize=3, label="your run")
    axes.set(xlabel="epoch", ylabel="test accuracy (%)")
    title = "Your run and the stored ones" if entry else "Your run; there are no stored ones of it"
    axes.set_title(title, loc="left")
    axes.legend(frameon=False, loc="lower right")
    style_axes(axes)
    return figure


def compare_lr(name: str, value: float, *, method: str, recipe: Recipe, data: str) -> str:
    """Whether this LRMIN or LRMAX is what stored range tests found, in a sentence.

    Args:
        name: "lr_min" or "lr_max". method: "per-batch" or "per-epoch".
    """
    shown = {"lr_min": "LRMIN", "lr_max": "LRMAX"}[name]
    asked = {"method": method, "data": data, "width": recipe.width}
    entry = next((entry for entry in stored()["lr_range"] if asked.items() <= entry.items()), None)
    if entry is None:
        return (
            f"{shown} {value:.2g}: there is no stored range test of width {recipe.width} on {data} "
            "to compare it with."
        )
    low, high = min(entry[name]), max(entry[name])
    result = f"{shown} {value:.2g} on {data}; the stored seeds gave {low:.2g} to {high:.2g}: "
    if low / 2 <= value <= 2 * high:
        return result + "yours is within a factor of two of them, as close as this test can tell."
    if value < low:
        return result + (
            "yours is smaller. Usual reasons: too few batches, so that the loss had no time to "
            "fall; a range that ends too early."
        )
    return result + (
        "yours is larger. Usual reasons: a momentum so large that it lags behind the growing LR; "
        "too few batches; a smaller batch size would make it smaller, a larger one larger."
    )


def compare_experiment(name: str, values: dict[str, float], recipe: Recipe, data: str) -> str:
    """A line for each variant: its result, the range of the stored seeds, and what is usual.

    Args:
        name: "schedules", "depths" or "pitfalls". values: variant → result, as from
            `final_accuracy` or `final_loss` in `s10.course.experiments`.
    """
    stored_values = stored_experiment(name, recipe, data)
    if not stored_values:
        return f"There is no such stored experiment of width {recipe.width} on {data}."
    is_loss = name == "depths"
    unit = "" if is_loss else " %"
    lines = []
    for variant, value in values.items():
        seeds = stored_values.get(variant)
        if seeds is None:
            lines.append(f"{variant}: {value:.2f}, not stored")
            continue
        words = {-1: "below what is usual", 0: "normal", 1: "above what is usual"}
        # No loss is negative; and these losses may be above 1, but no accuracy.
        low, high = np.clip(prediction_interval(seeds), 0, np.inf if is_loss else 1)
        yours, least, most, low, high = (
            f"{number:.4f}" if is_loss else f"{100 * number:.2f}"
            for number in (value, min(seeds), max(seeds), low, high)
        )
        lines.append(
            f"{variant} on {data}: yours {yours}, {len(seeds)} stored seeds {least} to {most}, "
            f"usual {low} to {high}{unit}: {words[side(value, seeds)]}"
        )
    return "\n".join(lines)


def stored_experiment(name: str, recipe: Recipe, data: str) -> dict[str, list[float]]:
    """Variant → its result with each stored seed, as in `compare_experiment`; {} if not stored."""
    return _experiment(name, recipe, data).get("values", {})


def stored_curves(recipe: Recipe, data: str) -> pd.DataFrame:
    """What `compare_schedules` returned for each stored seed; no rows if not stored.

    Columns: schedule, seed, epoch, train_loss and test_accuracy (a fraction).
    """
    entry = _experiment("schedules", recipe, data)
    rows = [
        (schedule, seed, epoch, *values)
        for schedule, losses in entry.get("loss_curves", {}).items()
        for seed, *curves in zip(
            entry["seeds"], losses, entry["test_curves"][schedule], strict=True
        )
        for epoch, values in enumerate(zip(*curves, strict=True), start=1)
    ]
    columns = ["schedule", "seed", "epoch", "train_loss", "test_accuracy"]
    return pd.DataFrame(rows, columns=columns)


def training_entry(recipe: Recipe, data: str) -> dict | None:
    """The stored runs of the recipe of this class and width that is most like this one, if any."""
    ours = (type(recipe).__name__, recipe.width, data)
    entries = [
        entry
        for entry in stored()["training"]
        if (entry["recipe"]["class"], entry["recipe"]["width"], entry["data"]) == ours
    ]
    return min(entries, key=lambda entry: len(_differences(recipe, entry)), default=None)


def _experiment(name: str, recipe: Recipe, data: str) -> dict:
    """The stored entry of this experiment, {} if there is none."""
    for entry in stored()["experiments"]:
        same = (entry["experiment"], entry["data"]) == (name, data)
        if same and not _differences(recipe, entry):
            return entry
    return {}


def _differences(recipe: Recipe, entry: dict) -> list[str]:
    """How the recipe differs from that of the stored runs, such as "lr_max is 0.1, was 0.01"."""
    irrelevant = {name: getattr(recipe, name) for name in IRRELEVANT}
    return recipe.differences({**entry["recipe"], **irrelevant})
