"""Measure the five submissions, and each of their differences alone in the assignment's recipe.

    python benchmarks/submissions.py --width 16 --seeds 0
    python benchmarks/submissions.py --width 16 --seeds 0 1 2 --only "ReLU before BN"

One run after the other, first the five, then the differences. Each writes one
row of runs.csv and its curve into curves/; what is there already is skipped, so
this may be stopped at any time and started again.
"""

import argparse
import csv
import os
from dataclasses import asdict, replace
from pathlib import Path

import torch

from s10 import (
    Recipe,
    TrainingDiverged,
    eval_batches,
    fit,
    load_images,
    seed_everything,
    train_batches,
)
from s10.device import describe, keep_freed_memory, pick_device, pick_precision
from s10.networks import initial_network
from s10.runs import COLUMNS as CURVE_COLUMNS
from s10.runs import commit, versions
from s10.submissions import SUBMISSIONS
from s10.submissions.traps import TRAPS

COLUMNS = (
    "kind", "name", "seed", "width", "epochs", "parameters", "train_accuracy", "test_accuracy",
    "train_loss", "test_loss", "diverged", "seconds", "data", "fingerprint", "device",
    "precision", "python", "torch", "numpy", "commit",
)  # fmt: skip

# What a submission would have been by its README alone.
VARIANTS = {
    "era1-s10-strided, stepped every batch": replace(
        SUBMISSIONS["era1-s10-strided"].recipe, schedule="one_cycle"
    )
}


def jobs(data: str, width: int, epochs: int) -> list[tuple[str, str, Recipe]]:
    """(kind, name, recipe) of everything that is measured, in the order of its weight."""
    recipes = [("submission", name, system.recipe) for name, system in SUBMISSIONS.items()]
    recipes += [("trap", name, trap.recipe(Recipe())) for name, trap in TRAPS.items()]
    recipes += [("variant", name, recipe) for name, recipe in VARIANTS.items()]
    return [
        (kind, name, replace(recipe, data=data, width=width).with_epochs(epochs))
        for kind, name, recipe in recipes
    ]


def slug(name: str) -> str:
    """A name for a file."""
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-")


def done(path: Path) -> set[tuple[str, str, int]]:
    """(kind, name, seed) of the rows that are there."""
    if not path.exists():
        return set()
    with open(path, newline="") as file:
        return {(row["kind"], row["name"], int(row["seed"])) for row in csv.DictReader(file)}


def append(path: Path, columns, rows: list[dict]) -> None:
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)
        file.flush()
        os.fsync(file.fileno())


def measure(kind: str, name: str, recipe: Recipe, images, device: torch.device, out: Path) -> None:
    """One run: its curve, then its row."""
    code = commit()
    images = images.normalised_by(recipe.std_of)
    seed_everything(recipe.seed)
    model = initial_network(recipe, images, device)
    rows, diverged, seconds = [], False, 0.0
    try:
        result = fit(
            model,
            train_batches(images, recipe, device),
            eval_batches(images, device),
            recipe,
            images.classes,
            on_epoch=rows.append,
        )
        seconds = result.seconds
        if result.interrupted:
            raise KeyboardInterrupt
    except TrainingDiverged as error:
        print(error, flush=True)
        diverged = True
    curve = out / "curves" / f"{slug(name)}-seed{recipe.seed}.csv"
    curve.parent.mkdir(parents=True, exist_ok=True)
    curve.unlink(missing_ok=True)
    append(curve, CURVE_COLUMNS, rows)
    last = rows[-1] if rows and not diverged else {}
    found = versions()
    row = {
        "kind": kind,
        "name": name,
        "parameters": sum(p.numel() for p in model.parameters()),
        "diverged": diverged,
        "seconds": round(seconds),
        "fingerprint": images.fingerprint(),
        "device": describe(device),
        "precision": pick_precision(recipe.precision, device).name,
        "commit": code,
        **{name: asdict(recipe)[name] for name in ("seed", "width", "epochs", "data")},
        **{name: found[name] for name in ("python", "torch", "numpy")},
        **{
            name: round(last[name], 5) if last else ""
            for name in ("train_accuracy", "test_accuracy", "train_loss", "test_loss")
        },
    }
    append(out / "runs.csv", COLUMNS, [row])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--data-dir")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="(results/submissions-DATA-widthN)")
    options = parser.parse_args()
    device = pick_device(options.device)
    if device.type == "cpu":
        keep_freed_memory()
    results = Path(__file__).resolve().parent.parent / "results"
    out = options.out or results / f"submissions-{options.data}-width{options.width}"
    out.mkdir(parents=True, exist_ok=True)
    everything = jobs(options.data, options.width, options.epochs)
    chosen = [job for job in everything if not options.only or job[1] in options.only]
    if unknown := set(options.only or ()) - {name for _, name, _ in chosen}:
        parser.error(
            f"no {', '.join(unknown)}; there are {', '.join(job[1] for job in everything)}"
        )
    images = load_images(options.data, options.data_dir)
    for seed in options.seeds:
        for kind, name, recipe in chosen:
            if (kind, name, seed) in done(out / "runs.csv"):
                continue
            print(f"{kind} {name}, seed {seed}", flush=True)
            measure(kind, name, replace(recipe, seed=seed), images, device, out)


if __name__ == "__main__":
    main()
