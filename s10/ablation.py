"""What each ingredient of a recipe brings: the recipe with one of them taken away at a time."""

from dataclasses import replace

import numpy as np
import pandas as pd

from s10.errors import InputError
from s10.recipe import Recipe
from s10.recipes import RECIPES
from s10.reference import stored

# Recipe → ingredient → what stands in its place when it is taken away.
ABLATIONS = {
    "assignment": {
        "label smoothing": {"label_smoothing": 0.0},
        "decoupled weight decay": {"weight_decay": 0.0},
        "β2 of 0.99, not 0.999": {"beta2": 0.999},
        "momentum that mirrors the LR": {"momentum_max": 0.9, "momentum_min": 0.9},
        "mirrored border": {"pad_mode": "constant"},
    },
    "laptop": {
        "whitening layer": {"network": "trained_first_layer"},
        "filters that pass on": {"network": "random_filters"},
        # AdamW with the assignment's LR (LRMIN at the end), momenta and decay.
        "Muon": {
            name: getattr(Recipe(), name)
            for name in (
                "optimizer", "lr_max", "lr_min", "final_lr", "momentum_max", "momentum_min",
                "beta2", "weight_decay",
            )
        },
        "alternating flips": {"flip_alternately": False},
        "small pictures first": {"small_until": 0.0},
        "label smoothing": {"label_smoothing": 0.0},
    },
}  # fmt: skip


def without(name: str, ingredient: str | None = None) -> Recipe:
    """The recipe of that name without this ingredient; whole, if it is None.

    Raises:
        InputError: there is no ablation of that recipe, or no such ingredient.
    """
    if name not in ABLATIONS:
        raise InputError(f"no ablation of {name!r}; there are {', '.join(ABLATIONS)}")
    if ingredient is None:
        return RECIPES[name]
    if ingredient not in ABLATIONS[name]:
        raise InputError(
            f"no ingredient {ingredient!r} of {name}; there are {', '.join(ABLATIONS[name])}"
        )
    return replace(RECIPES[name], **ABLATIONS[name][ingredient])


def stored_ablation(name: str) -> pd.DataFrame:
    """What was measured: a row for each ingredient, the one that brings most first.

    Columns: ingredient, without (mean test accuracy without it, per cent), std
    (its deviation over the seeds; NaN with one), brings (points of test accuracy
    that the whole recipe has more), time (seconds without it by those of the
    whole recipe), seeds.
    """
    entries = {e["ingredient"]: e for e in stored()["ablation"] if e["recipe"] == name}
    if None not in entries:
        raise InputError(f"no ablation of {name!r} is stored")
    whole, table = entries.pop(None), []
    for ingredient, entry in entries.items():
        values = 100 * np.array(entry["test_accuracy"])
        table.append(
            {
                "ingredient": ingredient,
                "without": values.mean(),
                "std": values.std(ddof=1) if len(values) > 1 else np.nan,
                "brings": 100 * np.mean(whole["test_accuracy"]) - values.mean(),
                "time": np.median(entry["seconds"]) / np.median(whole["seconds"]),
                "seeds": len(values),
            }
        )
    table = pd.DataFrame(table)
    return table.sort_values("brings", ascending=False, ignore_index=True)


def whole_recipe(name: str) -> np.ndarray:
    """Test accuracies of the whole recipe in the same measurement, one for each seed, per cent."""
    for entry in stored()["ablation"]:
        if (entry["recipe"], entry["ingredient"]) == (name, None):
            return 100 * np.array(entry["test_accuracy"])
    raise InputError(f"no ablation of {name!r} is stored")
