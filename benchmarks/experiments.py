"""The notebooks' short experiments over several seeds: what learners compare their results with.

    python benchmarks/experiments.py --width 16 --out results/experiments-cifar10-width16
    python benchmarks/experiments.py --only pitfalls --out results/experiments-traps-cifar10-width16
    python benchmarks/experiments.py --only residuals \
        --out results/experiments-residuals-cifar10-width16

`residuals` trains on all images for 24 epochs, the others on few and for some; of the
assignment's own network, runs that results/ already holds (DATA-widthN/seedN) are taken. Writes
experiments.json with the result of each variant and seed, and the curves of each experiment
as CSV.
"""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
from common import make_parser, prepare_device, stored_run

from s10 import ImageDataset, InputError, Recipe, load_dataset
from s10.cli.runs import describe_conditions
from s10.course.experiments import (
    DEPTH_EPOCHS,
    PITFALL_EPOCHS,
    SCHEDULE_EPOCHS,
    TEST_IMAGES,
    TRAIN_IMAGES,
    compare_depths,
    compare_pitfalls,
    compare_schedules,
    compare_variants,
    final_accuracy,
    final_loss,
    residual_variants,
)

# Name → epochs; (dataset, recipe, device) → table of curves; table → result of each variant.
EXPERIMENTS = {
    "schedules": (
        SCHEDULE_EPOCHS,
        lambda dataset, recipe, device: compare_schedules(
            dataset, recipe.with_epochs(SCHEDULE_EPOCHS), device
        ),
        final_accuracy,
    ),
    "depths": (
        DEPTH_EPOCHS,
        lambda dataset, recipe, device: compare_depths(
            dataset, recipe.with_epochs(DEPTH_EPOCHS), device
        ),
        final_loss,
    ),
    "pitfalls": (
        PITFALL_EPOCHS,
        lambda dataset, recipe, device: compare_pitfalls(dataset, recipe, device=device),
        lambda table: final_accuracy(table, by="pitfall"),
    ),
    "residuals": (
        Recipe.epochs,
        lambda dataset, recipe, device: measure_residuals(dataset, recipe, device),
        lambda table: final_accuracy(table, by="variant"),
    ),
}
SHORT = [name for name in EXPERIMENTS if name != "residuals"]  # on few images


def measure_residuals(dataset: ImageDataset, recipe: Recipe, device) -> pd.DataFrame:
    """The curves of `residual_variants`, that of the assignment's network from results/."""
    variants, curves = residual_variants(recipe), []
    folder = stored_run(recipe, dataset.fingerprint())
    if folder:
        name = next(name for name, variant in variants.items() if variant == recipe)
        del variants[name]
        curves = [pd.read_csv(folder / "metrics.csv").assign(variant=name, seed=recipe.seed)]
    curves.append(compare_variants(variants, dataset, device, seeds=1))
    return pd.concat(curves, ignore_index=True)


def main(arguments: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=SHORT)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    device = prepare_device(options.device)
    if "residuals" in options.only and len(options.only) > 1:
        raise InputError("residuals trains on all images: measure it by itself, --only residuals")
    images = load_dataset(options.data, options.data_dir)
    if "residuals" not in options.only:
        images = images.subset(TRAIN_IMAGES, TEST_IMAGES)
    recipe = Recipe(width=options.width, data=options.data)
    conditions = describe_conditions(recipe, images, device)
    del conditions["recipe"]  # Each experiment has its own.
    outcomes, curves = {}, {}
    for name in options.only:
        epochs, run, results_of = EXPERIMENTS[name]
        values, tables = {}, []
        for seed in range(options.seeds):
            print(f"{name}, seed {seed}")
            table = run(images, replace(recipe, seed=seed), device)
            tables.append(table.assign(seed=seed))
            for variant, value in results_of(table).items():
                values.setdefault(variant, []).append(round(value, 4))
        curves[name] = pd.concat(tables)
        outcomes[name] = {
            "recipe": recipe.with_epochs(epochs).to_dict(),
            "values": values,
            "train_images": len(images.train_images),
        }
    found = {"outcomes": outcomes, "seeds": list(range(options.seeds)), **conditions}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "experiments.json").write_text(json.dumps(found, indent=2) + "\n")
    for name, table in curves.items():
        table.to_csv(options.out / f"{name}.csv", index=False)


if __name__ == "__main__":
    main()
