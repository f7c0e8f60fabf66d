"""The notebooks' short experiments over several seeds: the bands that learners compare with.

    python benchmarks/experiments.py --width 16 --out results/experiments-cifar10-width16
    python benchmarks/experiments.py --only traps --out results/experiments-traps-cifar10-width16

Writes experiments.json with the outcome of each variant and seed, and the
curves of each experiment as CSV.
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd

from s10 import Recipe, load_images
from s10.device import describe, keep_freed_memory, pick_device, pick_precision
from s10.experiments import (
    DEPTH_EPOCHS,
    FEW_TEST,
    FEW_TRAIN,
    SCHEDULE_EPOCHS,
    TRAP_EPOCHS,
    compare_depths,
    compare_schedules,
    compare_traps,
    final_accuracy,
    final_loss,
)
from s10.runs import commit, versions

# name → epochs, (images, recipe, device) → table, table → the outcome of each variant
EXPERIMENTS = {
    "schedules": (
        SCHEDULE_EPOCHS,
        lambda images, recipe, device: compare_schedules(
            images, recipe.with_epochs(SCHEDULE_EPOCHS), device
        ),
        final_accuracy,
    ),
    "depths": (
        DEPTH_EPOCHS,
        lambda images, recipe, device: compare_depths(
            images, recipe.with_epochs(DEPTH_EPOCHS), device
        ),
        final_loss,
    ),
    "traps": (
        TRAP_EPOCHS,
        lambda images, recipe, device: compare_traps(images, recipe, device=device),
        lambda table: final_accuracy(table, by="trap"),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--data-dir")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    code, device = commit(), pick_device(options.device)
    if device.type == "cpu":
        keep_freed_memory()
    images = load_images(options.data, options.data_dir)
    few = images.subset(FEW_TRAIN, FEW_TEST)
    recipe = Recipe(width=options.width, data=images.name)
    outcomes, curves = {}, {name: [] for name in options.only}
    for name in options.only:
        epochs, run, outcome = EXPERIMENTS[name]
        values = {}
        for seed in range(options.seeds):
            print(f"{name}, seed {seed}")
            table = run(few, replace(recipe, seed=seed), device)
            curves[name].append(table.assign(seed=seed))
            for variant, value in outcome(table).items():
                values.setdefault(variant, []).append(round(value, 4))
        outcomes[name] = {
            "recipe": asdict(recipe.with_epochs(epochs)),
            "values": values,
            "train_images": len(few.train_images),
        }
    found = {
        "outcomes": outcomes,
        "seeds": list(range(options.seeds)),
        "dataset": few.describe(),
        "device": describe(device),
        "precision": pick_precision(recipe.precision, device).name,
        "versions": versions(),
        "commit": code,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "experiments.json").write_text(json.dumps(found, indent=2) + "\n")
    for name, tables in curves.items():
        pd.concat(tables).to_csv(options.out / f"{name}.csv", index=False)


if __name__ == "__main__":
    main()
