"""Measure the gain of each ingredient of a recipe: without one of them at a time, over seeds.

    python benchmarks/ablation.py laptop --seeds 0 1 2
    python benchmarks/ablation.py assignment --width 16 --seeds 0 1

`s10/course/ablation.py` says what each is replaced by. Of some replacements (TUNED) the
LRMAX is chosen first: the best of FACTORS on held-out training images, one run each, whose rows
go into held-out.csv. The runs follow one another, the full recipe first; each writes one row of
runs.csv, and its curve and recipe into curves/. What is there already is skipped, so this may be
stopped at any time and started again; if it is of another recipe, this is refused. Of the full
recipe, a run that results/ already holds (DATA-widthN/seedN, with the same recipe) is copied
instead.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from common import (
    COLUMNS,
    RESULTS,
    append_rows,
    conditions,
    curve_file,
    make_parser,
    measure,
    missing_runs,
    prepare_device,
    read_rows,
    recipe_file,
    scores,
    train,
)

from s10 import ImageDataset, InputError, Recipe, TrainingDiverged, load_dataset
from s10.course.ablation import ABLATIONS, FULL_RECIPES

# Their LRMAX is chosen on held-out training images before they are measured.
TUNED = ("Muon at equal time",)
FACTORS = (0.25, 0.5, 1, 2, 4)  # of the LRMAX of a replacement that is tuned
HELD_OUT = 5000  # training images, at most a tenth, that choose among them
TUNING_COLUMNS = (
    "name", "lr_max", "held_out_accuracy", "seconds", "seed", "width", "epochs", "fingerprint",
    "device", "precision", "python", "torch", "numpy", "commit",
)  # fmt: skip
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


def tuned(name: str, recipe: Recipe, dataset: ImageDataset, device, out: Path) -> Recipe:
    """The recipe with the LRMAX of FACTORS that is best on held-out training images."""
    dataset = dataset.hold_out(min(HELD_OUT, len(dataset.train_images) // 10))
    file, found = out / "held-out.csv", {}
    for factor in FACTORS:
        trial = recipe.with_lr_max(recipe.lr_max * factor)
        row = {"name": name, "lr_max": trial.lr_max, **conditions(trial, dataset, device)}
        same = ("name", "lr_max", "seed", "width", "epochs", "fingerprint")
        stored = [r for r in read_rows(file) if all(r[key] == str(row[key]) for key in same)]
        if not stored:
            print(f"without {name}: LRMAX {trial.lr_max:g} on held-out images", flush=True)
            try:
                _, result = train(trial, dataset, device)
                if result.interrupted:
                    raise KeyboardInterrupt
                accuracy, seconds = result.history["test_accuracy"].iloc[-1], result.seconds
            except TrainingDiverged:
                accuracy, seconds = 0.0, 0
            row |= {"held_out_accuracy": round(accuracy, 4), "seconds": round(seconds)}
            append_rows(file, TUNING_COLUMNS, [row])
            stored = [row]
        found[trial] = float(stored[0]["held_out_accuracy"])
    return max(found, key=found.get)


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
        recipes, ablations = {FULL: FULL_RECIPES[options.recipe]}, ABLATIONS[options.recipe]
        for ingredient in options.only or ablations:
            if ingredient not in ablations:
                raise InputError(f"no ingredient {ingredient!r}; there are {', '.join(ablations)}")
            recipes["without", ingredient] = ablations[ingredient]
        dataset = load_dataset(options.data, options.data_dir)
        width = options.width or recipes[FULL].width
        out = options.out or RESULTS / f"ablation-{options.recipe}-{options.data}-width{width}"
        for run, recipe in recipes.items():
            recipe = replace(recipe, data=options.data, width=width)
            if options.epochs is not None:
                recipe = recipe.with_epochs(options.epochs)
            if run[1] in TUNED:
                recipe = tuned(run[1], recipe, dataset, device, out)
            recipes[run] = recipe
        runs = [
            (*run, replace(recipe, seed=seed))
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
