"""Which schedule made the log of era1-s10-strided? Its first epochs, trained both ways.

    python benchmarks/first_epochs.py

At full width, as published. Its README does not show the training loop, so the
schedule may have been stepped after every batch, as it was made for, or once an
epoch. Writes a row for each epoch; a way that is finished is skipped.
"""

import argparse
import csv
import os
from dataclasses import replace
from pathlib import Path

from s10 import eval_batches, fit, load_images, seed_everything, train_batches
from s10.device import describe, keep_freed_memory, pick_device, pick_precision
from s10.networks import make_network
from s10.runs import commit, versions
from s10.submissions import SUBMISSIONS

NAME = "era1-s10-strided"
WAYS = {"every batch": "one_cycle", "once an epoch": "one_cycle_stepped_once_an_epoch"}
COLUMNS = (
    "name", "stepped", "epoch", "lr", "train_accuracy", "test_accuracy", "train_loss", "test_loss",
    "seconds", "seed", "width", "data", "fingerprint", "device", "precision", "python", "torch",
    "numpy", "commit",
)  # fmt: skip


def done(path: Path) -> dict[str, int]:
    """Way → how many epochs of it are there."""
    counts = dict.fromkeys(WAYS, 0)
    if path.exists():
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                counts[row["stepped"]] += 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--data-dir")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2, help="how many of the 24 (2)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="(results/first-epochs-DATA-widthN)")
    options = parser.parse_args()
    device = pick_device(options.device)
    if device.type == "cpu":
        keep_freed_memory()
    results = Path(__file__).resolve().parent.parent / "results"
    out = options.out or results / f"first-epochs-{options.data}-width{options.width}"
    out.mkdir(parents=True, exist_ok=True)
    images, code, found = load_images(options.data, options.data_dir), commit(), versions()
    for stepped, schedule in WAYS.items():
        if done(out / "runs.csv")[stepped] >= options.epochs:
            continue
        recipe = replace(
            SUBMISSIONS[NAME].recipe, schedule=schedule, width=options.width, data=images.name
        )
        normalised = images.normalised_by(recipe.std_of)
        rows = []

        def keep(row, rows=rows):
            rows.append(row)
            if len(rows) == options.epochs:  # `fit` ends here as it does at Ctrl-C.
                raise KeyboardInterrupt

        print(f"the schedule stepped {stepped}", flush=True)
        seed_everything(recipe.seed)
        model = make_network(recipe, len(images.classes)).to(device)
        fit(
            model, train_batches(normalised, recipe, device), eval_batches(normalised, device),
            recipe, images.classes, on_epoch=keep,
        )  # fmt: skip
        if len(rows) < options.epochs:
            raise KeyboardInterrupt
        new = not (out / "runs.csv").exists()
        with open(out / "runs.csv", "a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", extrasaction="ignore")
            if new:
                writer.writeheader()
            for row in rows:
                accuracies = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")
                writer.writerow(
                    {
                        **row,
                        **{name: round(row[name], 5) for name in accuracies},
                        "seconds": round(row["seconds"]),
                        "name": NAME, "stepped": stepped, "seed": recipe.seed,
                        "width": recipe.width, "data": images.name,
                        "fingerprint": images.fingerprint(), "device": describe(device),
                        "precision": pick_precision(recipe.precision, device).name,
                        "commit": code, **{n: found[n] for n in ("python", "torch", "numpy")},
                    }
                )  # fmt: skip
            file.flush()
            os.fsync(file.fileno())


if __name__ == "__main__":
    main()
