"""Measure the gain of each ingredient of a recipe: without one of them at a time, over seeds.

    python benchmarks/ablation.py laptop --seeds 0 1 2
    python benchmarks/ablation.py assignment --width 16 --seeds 0 1

`s10/course/ablation.py` says what each is replaced by. The runs follow one another, the
full recipe first; each writes one row of runs.csv, and its curve and recipe into curves/.
What is there already is skipped, so this may be stopped at any time and started again; if it
is of another recipe, this is refused. Of the full recipe, a run that results/ already holds
(DATA-widthN/seedN, with the same recipe) is copied instead.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from common import (
    COLUMNS,
    RESULTS,
    append_rows,
    curve_file,
    make_parser,
    measure,
    missing_runs,
    prepare_device,
    recipe_file,
    scores,
)

from s10 import InputError, Recipe, load_dataset
from s10.course.ablation import ABLATIONS, without

FULL = ("whole", "the whole recipe")  # kind and name of the full recipe in the stored files


def copy_stored_run(recipe: Recipe, fingerprint: str, out: Path) -> bool:
    """Copy row and curve from a stored run of this recipe on these images, if there is one."""
    folder = RESULTS / f"{recipe.data}-width{recipe.width}" / f"seed{recipe.seed}"
    if not (folder / "summary.json").exists():
        return False
    found = json.loads((folder / "summary.json").read_text())
    if recipe.differences(found["recipe"]) or found["dataset"]["fingerprint"] != fingerprint:
        return False
    kind, name = FULL
    row = {
        **found["versions"], **found["recipe"], **found, **scores(found),
        "kind": kind, "name": name, "diverged": False, "seconds": round(found["train_seconds"]),
        "fingerprint": fingerprint,
    }  # fmt: skip
    curve = curve_file(out, name, recipe.seed)
    curve.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "metrics.csv", curve)
    recipe_file(out, name, recipe.seed).write_text(recipe.to_json())
    append_rows(out / "runs.csv", COLUMNS, [row])
    return True


def main(arguments: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("recipe", choices=ABLATIONS)
    parser.add_argument("--width", type=int, help="(the recipe's own)")
    parser.add_argument("--epochs", type=int, help="(the recipe's own)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", metavar="INGREDIENT", help="only without these")
    parser.add_argument("--out", type=Path, help="(results/ablation-RECIPE-DATA-widthN)")
    options = parser.parse_args(arguments)
    device = prepare_device(options.device)
    try:
        recipes = {FULL: without(options.recipe)}
        for ingredient in options.only or ABLATIONS[options.recipe]:
            recipes["without", ingredient] = without(options.recipe, ingredient)
        dataset = load_dataset(options.data, options.data_dir)
        width = options.width or recipes[FULL].width
        epochs = recipes[FULL].epochs if options.epochs is None else options.epochs
        out = options.out or RESULTS / f"ablation-{options.recipe}-{options.data}-width{width}"
        runs = [
            (*run, replace(recipe, data=options.data, width=width, seed=seed).with_epochs(epochs))
            for seed in dict.fromkeys(options.seeds)
            for run, recipe in recipes.items()
        ]
        missing = missing_runs(runs, dataset, out)
    except InputError as error:
        parser.error(str(error))
    for kind, name, recipe in missing:
        print(f"{name if kind == 'whole' else f'without {name}'}, seed {recipe.seed}", flush=True)
        if kind != "whole" or not copy_stored_run(recipe, dataset.fingerprint(), out):
            measure(kind, name, recipe, dataset, device, out)


if __name__ == "__main__":
    main()
