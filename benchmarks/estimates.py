"""Compare the estimated time of a run with the time that it takes.

    python benchmarks/estimates.py laptop
    python benchmarks/estimates.py assignment --width 16 --epochs 4

The estimate is that of `s10 info` and of the notebooks' set-up; the run is on CIFAR-10, with its
tests, without loading the images. Appends a row to results/estimates.csv.
"""

import os
import time
from dataclasses import replace
from pathlib import Path

from common import RESULTS, append_rows, conditions, make_parser, prepare_device, train

from s10 import InputError, load_dataset
from s10.cli.registry import find_recipe
from s10.course.timing import predicted_minutes

COLUMNS = (
    "recipe", "width", "epochs", "estimated", "measured", "seconds_of_the_estimate", "device",
    "precision", "instructions", "python", "torch", "numpy", "commit",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("recipe", metavar="RECIPE")
    parser.add_argument("--width", type=int, help="(the recipe's own)")
    parser.add_argument("--epochs", type=int, help="(the recipe's own)")
    parser.add_argument("--csv", type=Path, default=RESULTS / "estimates.csv")
    options = parser.parse_args(arguments)
    device = prepare_device(options.device)
    try:
        recipe = find_recipe(options.recipe)
        recipe = replace(recipe, data=options.data, width=options.width or recipe.width)
        recipe = recipe.with_epochs(options.epochs or recipe.epochs)
        dataset = load_dataset(options.data, options.data_dir)
    except InputError as error:
        parser.error(str(error))
    row = {"recipe": options.recipe, **conditions(recipe, dataset, device)}
    start = time.perf_counter()
    row["estimated"] = round(60 * predicted_minutes(recipe, device), 1)
    row["seconds_of_the_estimate"] = round(time.perf_counter() - start, 1)
    # What restricts a CPU to less than it has, as results/README.md says.
    row["instructions"] = os.environ.get("DNNL_MAX_CPU_ISA", "all")
    _, result = train(recipe, dataset, device)
    if result.interrupted:
        raise SystemExit("stopped; an unfinished run makes no row")
    row["measured"] = round(result.seconds, 1)
    append_rows(options.csv, COLUMNS, [row])
    print(", ".join(f"{name} {row[name]}" for name in COLUMNS))


if __name__ == "__main__":
    main()
