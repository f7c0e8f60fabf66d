"""The notebooks' short experiments over several seeds: what learners compare their results with.

    python benchmarks/experiments.py --width 16 --out results/experiments-cifar10-width16
    python benchmarks/experiments.py --only pitfalls --out results/experiments-traps-cifar10-width16

Writes experiments.json with the result of each variant and seed, and the curves of each experiment
as CSV.
"""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
from common import make_parser, prepare_device

from s10 import Recipe, load_dataset
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
    final_accuracy,
    final_loss,
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
}


def main(arguments: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    device = prepare_device(options.device)
    images = load_dataset(options.data, options.data_dir).subset(TRAIN_IMAGES, TEST_IMAGES)
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
