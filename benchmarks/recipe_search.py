"""Try a setting of a recipe on held-out training images, and write down what it gave.

    python benchmarks/recipe_search.py --width 16 lr_max=0.02 label_smoothing=0.1
    python benchmarks/recipe_search.py --recipe laptop-94 --hold-out 5000 epochs=9 small_until=0

One run on CIFAR-10 without its last training images, judged by those: the test
images must not choose anything. Appends a row to results/recipe-search.csv (or --csv
FILE).
"""

import argparse
import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

from s10 import Recipe, eval_batches, evaluate, fit, load_images, seed_everything, train_batches
from s10.device import describe, keep_freed_memory, pick_device, pick_precision
from s10.errors import InputError
from s10.networks import initial_network
from s10.recipes import find_recipe
from s10.runs import commit

COLUMNS = (
    "recipe", "changes", "width", "seed", "train_accuracy", "held_out_accuracy",
    "held_out_loss", "seconds", "commit", "held_out_images", "held_out_accuracy_of_views", "device",
)  # fmt: skip
RESULTS = Path(__file__).resolve().parent.parent / "results"


def changed(base: Recipe, changes: list[str]) -> Recipe:
    """The recipe with some fields changed, each given as "field=value", the value as in JSON.

    Raises:
        InputError: there is no such field (names the nearest), or its value is none.
    """
    values = asdict(base)
    for change in changes:
        name, _, value = change.partition("=")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value  # A word, such as cos.
    return Recipe.from_dict(values, "the change")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("changes", nargs="*", metavar="FIELD=VALUE", help="fields of the recipe")
    parser.add_argument("--recipe", default="assignment", metavar="NAME", help="(assignment)")
    parser.add_argument("--width", type=int, help="(16 for the assignment, else the recipe's own)")
    parser.add_argument("--seed", type=int, help="(the recipe's own)")
    parser.add_argument("--hold-out", type=int, default=10_000, metavar="N", help="(10000)")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--data-dir")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--csv", type=Path, help="(for cifar10: results/recipe-search.csv)")
    options = parser.parse_intermixed_args()
    if options.csv is None and options.data != "cifar10":
        parser.error("results/recipe-search.csv is for CIFAR-10; name another file with --csv")
    path = options.csv or RESULTS / "recipe-search.csv"
    device = pick_device(options.device)
    try:
        recipe = find_recipe(options.recipe)
        if options.recipe == "assignment":
            recipe = replace(recipe, width=16)
        recipe = replace(changed(recipe, options.changes), data=options.data)
        for name in ("width", "seed"):
            if (value := getattr(options, name)) is not None:
                recipe = replace(recipe, **{name: value})
        images = load_images(options.data, options.data_dir).normalised_by(recipe.std_of)
    except InputError as error:
        parser.error(str(error))
    if not 0 < options.hold_out < len(images.train_images):
        parser.error(f"--hold-out must be from 1 to {len(images.train_images) - 1}")
    images = images.hold_out(options.hold_out)
    if device.type == "cpu":
        keep_freed_memory()
    code = commit()
    seed_everything(recipe.seed)
    held_out = eval_batches(images, device)
    try:
        model = initial_network(recipe, images, device)
        result = fit(model, train_batches(images, recipe, device), held_out, recipe, images.classes)
    except InputError as error:
        parser.error(str(error))
    if result.interrupted:
        raise SystemExit("stopped; a run that is not finished makes no row")
    last, of_views = result.history.iloc[-1], ""
    if recipe.test_views > 1:
        precision = pick_precision(recipe.precision, device)
        of_views = evaluate(
            model, held_out, images.classes, precision=precision, views=recipe.test_views
        ).accuracy
    row = {
        "recipe": options.recipe,
        "changes": " ".join(options.changes) or "none",
        "width": recipe.width,
        "seed": recipe.seed,
        "train_accuracy": round(last.train_accuracy, 4),
        "held_out_accuracy": round(last.test_accuracy, 4),
        "held_out_loss": round(last.test_loss, 4),
        "seconds": round(result.seconds),
        "commit": code,
        "held_out_images": options.hold_out,
        "held_out_accuracy_of_views": of_views and round(of_views, 4),
        "device": describe(device),
    }
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(", ".join(f"{name} {value}" for name, value in row.items() if value != ""))


if __name__ == "__main__":
    main()
