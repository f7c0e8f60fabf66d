"""The notebooks' short experiments over several seeds: the bands that learners compare with.

    python benchmarks/experiments.py --width 16 --out results/experiments-cifar10-width16

Writes experiments.json with the outcome of each variant and seed, and
depths.csv with the curves of the networks with and without shortcuts.
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
    compare_depths,
    compare_schedules,
    final_accuracy,
    final_loss,
)
from s10.runs import commit, versions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--data-dir")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    code, device = commit(), pick_device(options.device)
    if device.type == "cpu":
        keep_freed_memory()
    images = load_images(options.data, options.data_dir)
    few = images.subset(FEW_TRAIN, FEW_TEST)
    recipe = Recipe(width=options.width, data=images.name)
    outcomes = {
        "schedules": {"recipe": asdict(recipe.with_epochs(SCHEDULE_EPOCHS)), "values": {}},
        "depths": {"recipe": asdict(recipe.with_epochs(DEPTH_EPOCHS)), "values": {}},
    }
    curves = []
    for seed in range(options.seeds):
        print(f"seed {seed}")
        table = compare_schedules(
            few, replace(recipe.with_epochs(SCHEDULE_EPOCHS), seed=seed), device
        )
        for name, value in final_accuracy(table).items():
            outcomes["schedules"]["values"].setdefault(name, []).append(round(value, 4))
        table = compare_depths(few, replace(recipe.with_epochs(DEPTH_EPOCHS), seed=seed), device)
        curves.append(table.assign(seed=seed))
        for name, value in final_loss(table).items():
            outcomes["depths"]["values"].setdefault(name, []).append(round(value, 4))
    for outcome in outcomes.values():
        outcome["train_images"] = len(few.train_images)
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
    pd.concat(curves).to_csv(options.out / "depths.csv", index=False)


if __name__ == "__main__":
    main()
