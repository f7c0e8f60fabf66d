"""The gain of each ingredient of a recipe, measured by leaving out one of them at a time."""

from dataclasses import replace

import numpy as np
import pandas as pd

from s10.course.experiments import NormBeforePooling, WithoutShortcuts
from s10.course.reference import stored
from s10.recipe import Recipe
from s10.runtime.errors import InputError
from s10.speed.ablations import WithoutDirac, WithoutMuon, WithoutWhitening
from s10.speed.recipes import LAPTOP

FULL_RECIPES = {
    "assignment": Recipe(),
    "residuals": Recipe(),
    "laptop": LAPTOP,
    "laptop-at-equal-time": LAPTOP,
}
# Recipe → ingredient, named as in results/ → the recipe without it.
ABLATIONS = {
    "assignment": {
        "label smoothing": Recipe(label_smoothing=0.0),
        "decoupled weight decay": Recipe(weight_decay=0.0),
        "β2 of 0.99, not 0.999": Recipe(beta2=0.999),
        "momentum that mirrors the LR": Recipe(momentum_max=0.9, momentum_min=0.9),
        "mirrored border": Recipe(pad_mode="constant"),
    },
    "residuals": {
        "shortcuts": WithoutShortcuts(),
        "batch norm after the pooling": NormBeforePooling(),
    },
    "laptop": {
        "whitening layer": WithoutWhitening(),
        "filters that pass on": WithoutDirac(),
        "Muon": WithoutMuon(),
        "alternating flips": replace(LAPTOP, alternating_flips=False),
        "small pictures first": replace(LAPTOP, low_res_fraction=0.0),
        "label smoothing": replace(LAPTOP, label_smoothing=0.0),
    },
    # In about the time of the full recipe, by the seconds of the runs above.
    "laptop-at-equal-time": {
        "Muon at equal time": WithoutMuon().with_epochs(8),
        "low resolution at equal time": replace(LAPTOP, low_res_fraction=0.0).with_epochs(6),
    },
}
# The standard terms, where the names in results/ are others.
TERMS = {
    "momentum that mirrors the LR": "inverse momentum cycling",
    "mirrored border": "reflect padding",
    "filters that pass on": "Dirac initialization",
    "small pictures first": "low resolution first",
}


def stored_ablation(
    name: str, width: int | None = None, score: str = "test_accuracy"
) -> pd.DataFrame:
    """What was measured: a row for each ingredient, the largest gain first.

    If it was measured at several widths, name one. The score may be "train_accuracy", too.

    Columns: ingredient, without (mean score without it, %), gain (what the full
    recipe has more with the same seed, in percentage points: the mean), std (of the gains
    over the seeds; NaN with one), the gain with each seed ("seed 0", …), time (training
    time without it relative to that of the full recipe), seeds (how many).

    Raises:
        InputError: no ablation of that recipe is stored.
    """
    entries = _stored_entries(name, width)
    full, rows = entries.pop(None), []
    accuracies = 100 * pd.Series(full[score], full["seeds"])
    for ingredient, entry in entries.items():
        values = 100 * pd.Series(entry[score], entry["seeds"])
        gains = (accuracies - values).dropna()
        rows.append(
            {
                "ingredient": TERMS.get(ingredient, ingredient),
                "without": values.mean(),
                "gain": gains.mean(),
                "std": gains.std(),
                **gains.add_prefix("seed "),
                "time": np.median(entry["seconds"]) / np.median(full["seconds"]),
                "seeds": len(gains),
            }
        )
    return pd.DataFrame(rows).sort_values("gain", ascending=False, ignore_index=True)


def full_recipe_accuracies(name: str, width: int | None = None) -> np.ndarray:
    """Test accuracies (%) of the full recipe in the same measurement, one for each seed."""
    return 100 * np.array(_stored_entries(name, width)[None]["test_accuracy"])


def _stored_entries(name: str, width: int | None = None) -> dict[str | None, dict]:
    """Ingredient (None: the full recipe) → its entry in reference.json."""
    found = [entry for entry in stored()["ablation"] if entry["recipe"] == name]
    widths = sorted({e["width"] for e in found if width in (None, e["width"])})
    if not widths:
        raise InputError(f"no ablation of {name!r} is stored")
    if len(widths) > 1:
        raise InputError(f"{name!r} is stored for widths {widths}: name one of them")
    return {entry["ingredient"]: entry for entry in found if entry["width"] == widths[0]}
