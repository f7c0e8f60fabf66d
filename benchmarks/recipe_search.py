"""Try a setting of the recipe on held-out training images, and write down what it gave.

    python benchmarks/recipe_search.py --width 16 lr_max=0.02 label_smoothing=0.1

One run on CIFAR-10 without its last 10,000 training images, judged by those:
the test images must not choose anything. Appends a row to
results/recipe-search.csv (or --csv FILE).
"""

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path

from s10 import CustomResNet, Recipe, eval_batches, fit, load_images, seed_everything, train_batches
from s10.device import keep_freed_memory, pick_device
from s10.runs import commit

COLUMNS = (
    "changes", "width", "seed", "train_accuracy", "held_out_accuracy", "held_out_loss", "seconds",
    "commit",
)  # fmt: skip
HELD_OUT = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("changes", nargs="*", metavar="FIELD=VALUE", help="fields of the recipe")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir")
    parser.add_argument("--device", default="auto")
    results = Path(__file__).resolve().parent.parent / "results"
    parser.add_argument("--csv", type=Path, default=results / "recipe-search.csv")
    options = parser.parse_args()

    changes = {}
    for change in options.changes:
        name, _, value = change.partition("=")
        try:
            changes[name] = json.loads(value)
        except ValueError:
            changes[name] = value  # A word, such as cos.
    # Checked as a recipe file is: an unknown field is named, with the nearest right one.
    recipe = Recipe.from_dict(changes, "the change")
    recipe = replace(recipe, width=options.width, seed=options.seed)
    device = pick_device(options.device)
    if device.type == "cpu":
        keep_freed_memory()
    code = commit()
    images = load_images("cifar10", options.data_dir).hold_out(HELD_OUT)
    seed_everything(recipe.seed)
    model = CustomResNet(10, recipe.width).to(device)
    result = fit(
        model,
        train_batches(images, recipe, device),
        eval_batches(images, device),
        recipe,
        images.classes,
    )
    last = result.history.iloc[-1]
    row = {
        "changes": " ".join(options.changes) or "none",
        "width": recipe.width,
        "seed": recipe.seed,
        "train_accuracy": round(last.train_accuracy, 4),
        "held_out_accuracy": round(last.test_accuracy, 4),
        "held_out_loss": round(last.test_loss, 4),
        "seconds": round(result.seconds),
        "commit": code,
    }
    new = not options.csv.exists()
    with open(options.csv, "a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    main()
