"""Convert the recipes in JSON files from before version 0.2.0 to today's classes, in place.

    python tools/convert_recipes.py FILE_OR_FOLDER …

Until then one class had the fields of all recipes; now recipe.json names its class. Every
object in the files that looks like such a recipe is converted, and everything else stays as
it is, but for two keys of summary.json that were renamed. A file that is up to date does
not change.
"""

import argparse
import dataclasses
import json
import math
import sys
from pathlib import Path

from s10.cli.registry import CLASSES
from s10.runtime.errors import InputError
from s10.runtime.files import write_atomically

# The fields that are gone from Recipe, with the values they had in the assignment's.
ASSIGNMENT = {
    "network": "custom_resnet", "optimizer": "adam", "decoupled_weight_decay": True,
    "schedule": "one_cycle", "anneal": "linear", "final_lr": None, "std_of": "pixels",
    "cutout_probability": 1.0, "cutout_fill": "mean", "flip_alternately": False,
    "small_until": 0.0, "small_size": 24, "test_views": 1, "nesterov": True,
}  # fmt: skip
# Fields that are called differently today.
RENAMED = {
    "flip_alternately": "alternating_flips", "small_until": "low_res_fraction",
    "small_size": "low_res_size", "test_views": "tta_views", "final_lr": "final_lr",
}  # fmt: skip
MUON = {"optimizer": "muon"}
L2 = {"decoupled_weight_decay": False}
SGD = {"optimizer": "sgd", "nesterov": False, **L2}
# What a class implies where it differs from the assignment's recipe. final_lr as a fraction of
# lr_min, where the class has no such field.
IMPLIED = {
    "Recipe": {},
    "FastRecipe": MUON,
    "LaptopRecipe": {**MUON, "network": "whitened_net"},
    "WithoutWhitening": {**MUON, "network": "trained_first_layer"},
    "WithoutDirac": {**MUON, "network": "random_filters"},
    "WithoutMuon": {"network": "whitened_net"},
    "Era1S10Strided": {
        **L2, "network": "era1-s10-strided", "schedule": "one_cycle_stepped_once_an_epoch",
        "anneal": "cos", "final_lr": 1 / 100, "std_of": "images", "cutout_probability": 0.5,
        "cutout_fill": "black",
    },
    "Era1S10StridedPerBatch": {
        **L2, "network": "era1-s10-strided", "anneal": "cos", "final_lr": 1 / 100,
        "std_of": "images", "cutout_probability": 0.5, "cutout_fill": "black",
    },
    "Era1S10": {**L2, "anneal": "cos"},
    "Eva4S11": {**SGD, "schedule": "one_cycle_per_epoch"},
    "Eva8S8": {**SGD, "network": "eva8-s8", "final_lr": 1 / 50},
    "Eva6S9": {**SGD, "final_lr": 1 / 10},
    "L2InAdam": L2,
    "SGDInsteadOfAdam": {**SGD, "nesterov": True},
    "SoftmaxBeforeLoss": {"network": "softmax"},
    "ReluBeforeBN": {"network": "relu_before_bn"},
    "TwoBranches": {"network": "two_branches"},
    "PerImageStd": {"std_of": "images"},
    "SteppedOncePerEpoch": {"schedule": "one_cycle_stepped_once_an_epoch"},
    "Annihilation": {"final_lr": 1 / 100},
}  # fmt: skip


def convert(old: dict) -> dict:
    """The recipe as today's `to_dict()`; a seed that is not there stays away.

    Raises:
        InputError: no class of today trains like that.
    """
    old = {**ASSIGNMENT, **old}
    for name, changes in IMPLIED.items():
        fields = {field.name for field in dataclasses.fields(CLASSES[name])}
        implied = {
            field: value
            for field, value in {**ASSIGNMENT, **changes}.items()
            if RENAMED.get(field) not in fields
        }
        if all(_agrees(old, *item) for item in implied.items()):
            values = {RENAMED.get(field, field): value for field, value in old.items()}
            if "final_lr" in fields and old["final_lr"] is None:
                values["final_lr"] = old["lr_min"]
            kept = {field: value for field, value in values.items() if field in fields}
            recipe = CLASSES[name].from_dict(kept).to_dict()
            return {k: v for k, v in recipe.items() if k != "seed" or "seed" in old}
    different = {field: old[field] for field in ASSIGNMENT if old[field] != ASSIGNMENT[field]}
    raise InputError(f"no class of today trains with {different}")


def _agrees(old: dict, field: str, value: object) -> bool:
    if field == "final_lr":
        end = old["lr_min"] if old["final_lr"] is None else old["final_lr"]
        return math.isclose(end, old["lr_min"] * (1 if value is None else value), rel_tol=1e-9)
    if field == "nesterov" and old["optimizer"] != "sgd":
        return True
    # The number of views is an option of the command line; the size matters to smaller images.
    return field in ("test_views", "small_size") or old[field] == value


def converted(value):
    """The same JSON with its recipes, and the keys of a summary, as they are today."""
    if isinstance(value, list):
        return [converted(item) for item in value]
    if not isinstance(value, dict):
        return value
    if {"lr_max", "lr_min", "epochs", "width", "data"} <= set(value) and "dataset" not in value:
        return value if "class" in value else convert(value)
    if "test_accuracy_of_views" in value:
        views = value["recipe"]["test_views"]
        value = {
            "tta_test_accuracy" if key == "test_accuracy_of_views" else key: item
            for key, item in value.items()
        } | {"tta_views": views}
    return {key: converted(item) for key, item in value.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE_OR_FOLDER")
    failed = 0
    for path in parser.parse_args().paths:
        for file in sorted(path.rglob("*.json")) if path.is_dir() else [path]:
            try:
                text = file.read_text(encoding="utf-8")
                content = json.loads(text)
                if (new := converted(content)) != content:
                    indent = len(text.splitlines()[1]) - len(text.splitlines()[1].lstrip())
                    write_atomically(file, json.dumps(new, indent=indent) + "\n")
                    print(f"converted {file}")
            except (OSError, ValueError, InputError, KeyError) as error:
                print(f"{file}: {error}", file=sys.stderr)
                failed += 1
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
