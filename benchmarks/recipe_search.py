"""Try a setting of a recipe on held-out training images, and store the result.

    python benchmarks/recipe_search.py --width 16 lr_max=0.02 label_smoothing=0.1
    python benchmarks/recipe_search.py --recipe laptop-94 --hold-out 5000 low_res_fraction=0

One run on CIFAR-10 without a sample of its training images, judged by that: the test images
must not choose anything. Appends a row to results/recipe-search.csv (or --csv FILE).
"""

from dataclasses import replace
from pathlib import Path

from common import RESULTS, append_rows, conditions, make_parser, prepare_device, train

from s10 import InputError, load_dataset
from s10.cli.arguments import recipe_from_options
from s10.cli.registry import find_recipe
from s10.runtime.device import pick_precision
from s10.speed.tta import evaluate_with_tta

COLUMNS = (
    "recipe", "changes", "width", "seed", "train_accuracy", "held_out_accuracy",
    "held_out_loss", "seconds", "commit", "held_out_images", "held_out_accuracy_of_views", "device",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("changes", nargs="*", metavar="FIELD=VALUE", help="fields of the recipe")
    parser.add_argument("--recipe", default="assignment", metavar="NAME", help="(assignment)")
    parser.add_argument("--width", type=int, help="(16 for the assignment, else the recipe's own)")
    parser.add_argument("--seed", type=int, help="(the recipe's own)")
    parser.add_argument("--hold-out", type=int, default=10_000, metavar="N", help="(10000)")
    parser.add_argument("--csv", type=Path, help="(for cifar10: results/recipe-search.csv)")
    options = parser.parse_intermixed_args(arguments)
    if options.csv is None and options.data != "cifar10":
        parser.error("results/recipe-search.csv is for CIFAR-10; name another file with --csv")
    device = prepare_device(options.device)
    try:
        recipe = find_recipe(options.recipe)
        if options.recipe == "assignment":
            recipe = replace(recipe, width=16)
        options.settings = [change.partition("=")[::2] for change in options.changes]
        recipe = recipe_from_options(options, recipe)
        dataset = load_dataset(options.data, options.data_dir)
        if not 0 < options.hold_out < len(dataset.train_images):
            parser.error(f"--hold-out must be from 1 to {len(dataset.train_images) - 1}")
        dataset = dataset.hold_out(options.hold_out)
        row = conditions(recipe, dataset, device)
        model, result = train(recipe, dataset, device)
    except InputError as error:
        parser.error(str(error))
    if result.interrupted:
        raise SystemExit("stopped; an unfinished run makes no row")
    last, views, tta_accuracy = result.history.iloc[-1], getattr(recipe, "tta_views", 1), ""
    if views > 1:
        tta_accuracy = evaluate_with_tta(
            model, recipe.test_loader(dataset, device), dataset.classes, views=views,
            precision=pick_precision(recipe.precision, device),
        ).accuracy  # fmt: skip
        tta_accuracy = round(tta_accuracy, 4)
    row |= {
        "recipe": options.recipe,
        "changes": " ".join(options.changes) or "none",
        "train_accuracy": round(last.train_accuracy, 4),
        "held_out_accuracy": round(last.test_accuracy, 4),
        "held_out_loss": round(last.test_loss, 4),
        "seconds": round(result.seconds),
        "held_out_images": options.hold_out,
        "held_out_accuracy_of_views": tta_accuracy,
    }
    append_rows(options.csv or RESULTS / "recipe-search.csv", COLUMNS, [row])
    print(", ".join(f"{name} {row[name]}" for name in COLUMNS if row[name] != ""))


if __name__ == "__main__":
    main()
