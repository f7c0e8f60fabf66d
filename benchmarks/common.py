"""What the benchmarks share: options, one run, and tables that grow by a row for each run."""

import argparse
import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from s10 import (
    FitResult,
    Hook,
    ImageDataset,
    InputError,
    Recipe,
    TrainingDiverged,
    fit,
    seed_everything,
)
from s10.cli.runs import describe_conditions
from s10.metrics import COLUMNS as CURVE_COLUMNS
from s10.runtime.device import pick_device, tune_malloc

RESULTS = Path(__file__).resolve().parent.parent / "results"
SCORES = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")
COLUMNS = (
    "kind", "name", "seed", "width", "epochs", "parameters", "train_accuracy", "test_accuracy",
    "train_loss", "test_loss", "diverged", "seconds", "data", "fingerprint", "device",
    "precision", "python", "torch", "numpy", "commit",
)  # fmt: skip


def make_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the options --data, --data-dir and --device."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--data-dir")
    parser.add_argument("--device", default="auto")
    return parser


def prepare_device(name: str) -> torch.device:
    """The device of that name, set up as `s10 train` does."""
    device = pick_device(name)
    if device.type == "cpu":
        tune_malloc()
    return device


def train(
    recipe: Recipe, dataset: ImageDataset, device: torch.device, hooks: Sequence[Hook] = ()
) -> tuple[nn.Module, FitResult]:
    """One run: the trained network, and what `fit` returns.

    Raises:
        TrainingDiverged: the loss is not finite.
    """
    seed_everything(recipe.seed)
    model = recipe.initial_model(dataset).to(device)
    train_loader = recipe.train_loader(dataset, device)
    test_loader = recipe.test_loader(dataset, device)
    return model, fit(model, train_loader, test_loader, recipe, dataset.classes, hooks=hooks)


def measure(
    kind: str, name: str, recipe: Recipe, dataset: ImageDataset, device: torch.device, out: Path
) -> None:
    """One run: its curve into curves/, then its row into runs.csv; nothing if it is stopped."""
    row = {"kind": kind, "name": name, **conditions(recipe, dataset, device)}
    network = recipe.make_model(len(dataset.classes))
    row |= {"parameters": sum(weight.numel() for weight in network.parameters())}
    history = CollectHistory()
    try:
        _, result = train(recipe, dataset, device, [history])
        if result.interrupted:
            raise KeyboardInterrupt
        row |= {"diverged": False, "seconds": round(result.seconds), **scores(history.rows[-1])}
    except TrainingDiverged as error:
        print(error, flush=True)
        row |= {"diverged": True, "seconds": 0, **dict.fromkeys(SCORES, "")}
    curve = curve_file(out, name, recipe.seed)
    curve.unlink(missing_ok=True)
    append_rows(curve, CURVE_COLUMNS, history.rows)
    recipe_file(out, name, recipe.seed).write_text(recipe.to_json())
    append_rows(out / "runs.csv", COLUMNS, [row])


class CollectHistory(Hook):
    """Keeps the rows of the finished epochs, also of a run that diverges later."""

    def __init__(self):
        self.rows = []

    def on_epoch(self, state) -> None:
        self.rows.append(state.history[-1])


def conditions(recipe: Recipe, dataset: ImageDataset, device: torch.device) -> dict:
    """What the row of a run says about its conditions.

    To be called before the run, during which the checkout may change.
    """
    found = describe_conditions(recipe, dataset, device)
    return {
        **{name: found["recipe"][name] for name in ("seed", "width", "epochs", "data")},
        **{name: found["versions"][name] for name in ("python", "torch", "numpy")},
        **{name: found[name] for name in ("device", "precision", "commit")},
        "fingerprint": found["dataset"]["fingerprint"],
    }


def scores(row: dict) -> dict:
    """Losses and accuracies of an epoch, or of a summary, rounded to five digits."""
    return {name: round(row[name], 5) for name in SCORES}


def missing_runs(
    runs: list[tuple[str, str, Recipe]], dataset: ImageDataset, out: Path
) -> list[tuple[str, str, Recipe]]:
    """Those of the runs, each a kind, a name and a recipe, that have no row in runs.csv.

    Raises:
        InputError: a run has the row of another recipe, or of other images.
    """
    rows = {(row["kind"], row["name"], row["seed"]): row for row in read_rows(out / "runs.csv")}
    fingerprint, missing = dataset.fingerprint(), []
    for kind, name, recipe in runs:
        row = rows.get((kind, name, str(recipe.seed)))
        if row is None:
            missing.append((kind, name, recipe))
        else:
            check_row(row, recipe, fingerprint, out)
    return missing


def check_row(row: dict, recipe: Recipe, fingerprint: str, out: Path) -> None:
    """Raise an InputError unless a row in `out` is of this recipe and of these images."""
    ours, stored = recipe.to_dict(), recipe_file(out, row["name"], row["seed"])
    # Rows until version 0.2 have no such file, and say only this of their recipe.
    said = {
        name: type(ours[name])(row[name]) for name in ("data", "width", "epochs") if name in row
    }
    theirs = json.loads(stored.read_text()) if stored.exists() else {**ours, **said}
    changes = recipe.differences(theirs)
    if row["fingerprint"] != fingerprint:
        changes.append("the images are others")
    if changes:
        raise InputError(
            f"{out} has another run of {row['name']}, seed {row['seed']}: {'; '.join(changes)}; "
            "name another folder with --out"
        )


def curve_file(out: Path, name: str, seed: int) -> Path:
    """Where the curve of a run is stored."""
    letters = (letter if letter.isalnum() else "-" for letter in name.lower())
    return out / "curves" / f"{''.join(letters).strip('-')}-seed{seed}.csv"


def recipe_file(out: Path, name: str, seed: int) -> Path:
    """Where its recipe is stored, beside the curve."""
    return curve_file(out, name, seed).with_suffix(".json")


def read_rows(path: Path) -> list[dict]:
    """The rows of a CSV file; none if it does not exist yet."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def append_rows(path: Path, columns: Sequence[str], rows: list[dict]) -> None:
    """Add rows to a CSV file, which is on the disk afterwards.

    A new file begins with the names of the columns. A row may have other keys, too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows({name: row[name] for name in columns} for row in rows)
        file.flush()
        os.fsync(file.fileno())
