""" "Is my number normal?": a learner's result against the stored runs of this repository.

The stored runs come from `results/` (see there for device, versions and
commit); `results/update_reference.py` writes them to `reference.json`.
"""

import functools
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from s10.plots.style import MARK, TEST, new_figure, tidy
from s10.recipe import Recipe

# They change how fast a run is, or which of equal runs it is, and not what one expects of it.
IRRELEVANT = ("seed", "precision", "augment")


@dataclass(frozen=True)
class Band:
    """The same quantity from stored runs that differ in nothing but the seed.

    One run alone has no spread; then `others`, the runs of other recipes (a tuple
    of values each), lend theirs, pooled.
    """

    values: tuple[float, ...]
    others: tuple[tuple[float, ...], ...] = ()

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def _groups(self) -> tuple[tuple[float, ...], ...]:
        return (self.values,) if len(self.values) > 1 else self.others

    @property
    def freedom(self) -> int:
        """Degrees of freedom of `std`; 0 if there is nothing to tell a spread from."""
        return sum(len(group) - 1 for group in self._groups)

    @property
    def std(self) -> float:
        """Standard deviation over the runs (n − 1, pooled over several recipes); may be NaN."""
        if not self.freedom:
            return float("nan")
        squares = sum(np.var(group) * len(group) for group in self._groups)
        return float(np.sqrt(squares / self.freedom))

    @property
    def interval(self) -> tuple[float, float]:
        """Where 19 of 20 further runs fall: Student's 95 % prediction interval, ends included."""
        reach = stats.t.ppf(0.975, self.freedom) * self.std * np.sqrt(1 + 1 / len(self.values))
        return self.mean - float(reach), self.mean + float(reach)

    def side(self, value: float) -> int:
        """−1 below the interval, 0 inside, 1 above; NaN counts as below."""
        low, high = self.interval
        return 1 if value > high else 0 if value >= low else -1


@functools.cache
def stored() -> dict:
    """The content of reference.json: under each subject a list of entries."""
    return json.loads(Path(__file__).with_name("reference.json").read_text(encoding="utf-8"))


def judge_training(history: pd.DataFrame, recipe: Recipe, data: str) -> str:
    """In words: does the test accuracy of this run's last epoch lie where it should?

    Args:
        history: `Fit.history`. recipe: of the run. data: the name of its images.
    """
    if history.empty:
        return "No epoch is finished, so there is nothing to compare yet."
    accuracy = float(history["test_accuracy"].iloc[-1])
    entry = training_entry(recipe, data)
    if entry is None:
        return (
            f"Your test accuracy on {data} is {accuracy:.2%}. There are no stored runs of width "
            f"{recipe.width} on {data} to compare it with."
        )
    differences = _differences(entry["recipe"], asdict(recipe))
    if differences:
        return (
            f"Your test accuracy on {data} is {accuracy:.2%}. The stored runs had another recipe "
            f"({'; '.join(differences)}), so it cannot be judged by them."
        )
    epoch = len(history)
    curves = np.array(entry["test_accuracy"])
    if epoch < curves.shape[1]:
        here = curves[:, epoch - 1]
        stood = (
            f"stored runs stood between {here.min():.2%} and {here.max():.2%}"
            if len(here) > 1
            else f"stored run stood at {here[0]:.2%}"
        )
        return (
            f"Stopped after {epoch} of {curves.shape[1]} epochs at {accuracy:.2%} on {data}; the "
            f"{stood} there."
        )
    band = Band(tuple(curves[:, -1]), _others(entry))
    words = f"Your test accuracy on {data} is {accuracy:.2%}. "
    if not band.freedom:
        return words + (
            f"One stored run gave {band.mean:.2%}; one seed says nothing of the next, so yours "
            "cannot be judged by it."
        )
    low, high = band.interval
    if len(band.values) > 1:
        words += f"{len(band.values)} stored runs gave {band.mean:.2%} ± {band.std:.2%}"
    else:
        words += (
            f"One stored run gave {band.mean:.2%}; from seed to seed, other stored recipes "
            f"differ by ± {band.std:.2%} on {data}"
        )
    words += f", so 19 of 20 should lie from {low:.2%} to {min(high, 1):.2%}: "
    return (
        words
        + (
            "yours is below. Usual reasons: training stopped early; another LR, or a scheduler "
            "that steps once an epoch instead of once a batch; images not normalised as in "
            "training; model.eval() forgotten; labels and images in different orders.",
            "yours is normal.",
            "yours is above. Run a second seed before you believe it; then make sure that no test "
            "image was used in training.",
        )[1 + band.side(accuracy)]
    )


def plot_training_band(history: pd.DataFrame, recipe: Recipe, data: str) -> Figure:
    """The test accuracy of each epoch over the range of the stored runs, if there are any."""
    figure, axes = new_figure(7, 3.4)
    entry = training_entry(recipe, data)
    if entry is not None:
        curves = 100 * np.array(entry["test_accuracy"])
        epochs = np.arange(1, curves.shape[1] + 1)
        if len(curves) > 1:
            axes.fill_between(
                epochs, curves.min(0), curves.max(0), color=TEST, alpha=0.3, linewidth=0,
                label=f"{len(curves)} stored runs",
            )  # fmt: skip
        else:  # A band without width could not be seen.
            axes.plot(epochs, curves[0], color=TEST, label="one stored run")
    axes.plot(
        history["epoch"], 100 * history["test_accuracy"], "o-", color=MARK, markersize=3,
        label="your run",
    )  # fmt: skip
    axes.set_xlabel("epoch")
    axes.set_ylabel("test accuracy, per cent")
    axes.set_title(
        "Your run and the stored ones" if entry else "Your run; nothing is stored to compare it",
        loc="left",
    )
    axes.legend(frameon=False, loc="lower right")
    tidy(axes)
    return figure


def judge_lr(name: str, value: float, *, method: str, recipe: Recipe, data: str) -> str:
    """In words: does this LRMIN or LRMAX lie where the stored range tests put it?

    Args:
        name: "lr_min" or "lr_max". method: "per-batch" or "per-epoch".
    """
    shown = {"lr_min": "LRMIN", "lr_max": "LRMAX"}[name]
    for entry in stored()["lr_range"]:
        if (entry["method"], entry["data"], entry["width"]) == (method, data, recipe.width):
            break
    else:
        return (
            f"{shown} {value:.2g}: no range test of width {recipe.width} on {data} is stored to "
            "compare it with."
        )
    values = entry[name]
    words = (
        f"{shown} {value:.2g} on {data}; the stored seeds gave {min(values):.2g} to "
        f"{max(values):.2g}: "
    )
    if min(values) / 2 <= value <= 2 * max(values):
        return words + "yours is within a factor of two of them, as close as this test can tell."
    if value < min(values):
        return words + (
            "yours is smaller. Usual reasons: too few batches, so that the loss had no time to "
            "fall; a range that ends too early."
        )
    return words + (
        "yours is larger. Usual reasons: a momentum so large that it lags behind the growing LR; "
        "too few batches; a smaller batch size would make it smaller, a larger one larger."
    )


def judge_experiment(name: str, values: dict[str, float], recipe: Recipe, data: str) -> str:
    """In words, a line for each variant: its result against the stored seeds' range.

    Args:
        name: "schedules", "depths" or "traps". values: the variant's name → what was measured.
    """
    lines = []
    for entry in stored()["experiments"]:
        same = (entry["experiment"], entry["data"]) == (name, data)
        if same and not _differences(entry["recipe"], asdict(recipe)):
            break
    else:
        return f"No such experiment is stored for width {recipe.width} on {data}."
    for variant, value in values.items():
        seeds = entry["values"].get(variant)
        if seeds is None:
            lines.append(f"{variant}: {value:.2f}, not stored")
            continue
        side = Band(tuple(seeds)).side(value)
        verdict = ("below what is usual", "normal", "above what is usual")[1 + side]
        lines.append(
            f"{variant} on {data}: yours {value:.4f}, stored {min(seeds):.4f} to "
            f"{max(seeds):.4f} over {len(seeds)} seeds: {verdict}"
        )
    return "\n".join(lines)


def training_entry(recipe: Recipe, data: str) -> dict | None:
    """The stored runs of the recipe with this one's network and width, if there are any."""
    for entry in stored()["training"]:
        # A field that is younger than the stored run had its default then.
        theirs = Recipe.from_dict(entry["recipe"])
        same = (theirs.network, theirs.width) == (recipe.network, recipe.width)
        if entry["data"] == data and same:
            return entry
    return None


def _others(entry: dict) -> tuple[tuple[float, ...], ...]:
    """The last test accuracies of all other recipes on the same images, a tuple for each."""
    return tuple(
        tuple(curve[-1] for curve in other["test_accuracy"])
        for other in stored()["training"]
        if other is not entry and other["data"] == entry["data"]
    )


def _differences(ours: dict, theirs: dict) -> list[str]:
    """What is different in their recipe, such as "lr_max 0.1 instead of 0.01"."""
    # A field that is younger than the stored run had its default then.
    ours = asdict(Recipe.from_dict(ours))
    return [
        f"{name} {theirs[name]} instead of {value}"
        for name, value in ours.items()
        if name not in IRRELEVANT and theirs[name] != value
    ]
