"""A run is a folder: recipe, metrics, weights, summary and pictures."""

import csv
import importlib.metadata
import io
import json
import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from s10.checkpoints import CheckpointFolder
from s10.errors import InputError
from s10.networks import make_network
from s10.recipe import Recipe
from s10.stopwatch import Stopwatch

COLUMNS = (
    "epoch",
    "lr",
    "momentum",
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "seconds",
)
# What a run writes: only these are removed when it is overwritten.
FILES = ("recipe.json", "metrics.csv", "model.safetensors", "summary.json")
PICTURES = (
    "schedule.png",
    "curves.png",
    "class_accuracy.png",
    "confusion.png",
    "misclassified.png",
)
MAX_BYTES = 1 << 21  # of metrics.csv; 10,000 epochs take less
CHECKPOINTS = "checkpoints"  # the folder of them within a run's
PACKAGES = ("torch", "torchvision", "albumentations", "numpy")


@dataclass(frozen=True)
class Run:
    """The folder of one run."""

    folder: Path

    @classmethod
    def start(cls, folder: str | Path, recipe: Recipe, overwrite: bool = False) -> "Run":
        """Make the folder and write recipe.json and the head of metrics.csv.

        Raises:
            InputError: the folder holds a run already (and `overwrite` is
                false), or cannot be written.
        """
        cls.check_free(folder, overwrite)
        folder = Path(folder).expanduser()
        present = cls(folder).present()
        run = cls(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Written first: where that fails, the old run is still whole.
            write_atomically(folder / "recipe.json", recipe.to_json())
            for path in present:
                if path.name != "recipe.json":
                    path.unlink()
            write_atomically(folder / "metrics.csv", ",".join(COLUMNS) + "\n")
        except OSError as error:
            raise InputError(
                f"cannot write to {folder}: {error.strerror}; name another folder with --out"
            ) from None
        return run

    @classmethod
    def find(cls, folder: str | Path) -> "Run":
        """The run in this folder, to go on with it.

        Raises:
            InputError: there is none, the folder cannot be written, or it has results
            and no checkpoint: going on would begin anew, and replace them.
        """
        run = cls(Path(folder).expanduser())
        if not (run.folder / "recipe.json").is_file():
            raise InputError(f"there is no run in {folder} to go on with (no recipe.json)")
        check_writable(run.folder, "a run goes on in its own folder")
        if not CheckpointFolder(run.checkpoints).files() and run.has_results():
            raise InputError(
                f"{folder} has results, and no checkpoint to go on with; to train it again from "
                f"the beginning: s10 train --recipe {folder} --out {folder} --overwrite"
            )
        return run

    def has_results(self) -> bool:
        """Whether there is more than the beginning of a run, which a new one would replace."""
        try:
            return (self.folder / "model.safetensors").exists() or len(self.history()) > 0
        except InputError:  # A metrics.csv that cannot be read is somebody's, too.
            return (self.folder / "metrics.csv").exists()

    def is_finished(self) -> bool:
        """Whether all its epochs are trained, and the results of that are written."""
        try:
            summary = json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))
            return summary["epochs"] == self.recipe().epochs and not summary["interrupted"]
        except (OSError, ValueError, KeyError, TypeError):
            return False

    @property
    def checkpoints(self) -> Path:
        """Where its checkpoints are."""
        return self.folder / CHECKPOINTS

    def present(self) -> list[Path]:
        """The files of a run that are there, checkpoints included."""
        files = [self.folder / name for name in FILES + PICTURES]
        return [p for p in files if p.exists()] + CheckpointFolder(self.checkpoints).files()

    @staticmethod
    def check_free(folder: str | Path, overwrite: bool = False) -> None:
        """Raise the InputError that `start` would, as far as can be seen without writing.

        For use before the data are loaded, which may mean a download.
        """
        folder = Path(folder).expanduser()
        if not overwrite and Run(folder).present():
            raise InputError(
                f"{folder} already holds a run; go on with it with --resume {folder}, name "
                "another folder with --out, or replace that run with --overwrite"
            )
        check_writable(folder)

    def add_epoch(self, row: dict) -> None:
        """Put one row of the history behind those of the epochs before it in metrics.csv."""
        try:
            before = self.history()
        except InputError:  # The checkpoints hold the history, too; the end writes it anew.
            before = pd.DataFrame(columns=COLUMNS)
        before = before[before["epoch"] < row["epoch"]]
        try:
            self.save_history([*before.to_dict("records"), row])
        except OSError as error:
            print(
                f"cannot write to {self.folder / 'metrics.csv'}: {error.strerror}; "
                "the training goes on",
                flush=True,
            )

    def save_history(self, rows: list[dict]) -> None:
        """Write metrics.csv, a row for each epoch so far, whole or not at all."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.folder / "metrics.csv", text.getvalue())

    def history(self) -> pd.DataFrame:
        """metrics.csv as a table: a row for each epoch, all columns of `COLUMNS`, float64.

        Raises:
            InputError: there is none, or it is damaged.
        """
        path = self.folder / "metrics.csv"
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ValueError("it is far too large")
            with open(path, newline="", encoding="utf-8") as file:
                head, *rows = csv.reader(file)
            if tuple(head) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
                raise ValueError("its columns are not those of a run")
            table = pd.DataFrame([[float(value) for value in row] for row in rows], columns=head)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from None
        except (ValueError, csv.Error) as error:
            raise InputError(f"{path} is damaged: {str(error).splitlines()[0]}") from None
        if list(table["epoch"]) != list(range(1, len(table) + 1)):
            raise InputError(f"{path} is damaged: its epochs do not count from 1")
        return table.astype({"epoch": int})

    def save_model(self, model: nn.Module, images) -> None:
        """Write model.safetensors, with the classes and the pixel statistics beside the weights."""
        notes = {
            "classes": list(images.classes),
            "mean": list(images.mean),
            "std": list(images.std),
        }
        weights = {name: value.contiguous() for name, value in model.state_dict().items()}
        temporary = self.folder / ".model.safetensors.part"
        # Under one name: safetensors writes several in an order that changes from run to
        # run, and equal runs should give equal files.
        save_file(weights, temporary, metadata={"s10": json.dumps(notes)})
        os.replace(temporary, self.folder / "model.safetensors")

    def save_summary(self, summary: dict) -> None:
        """Write summary.json."""
        write_atomically(self.folder / "summary.json", json.dumps(summary, indent=2) + "\n")

    def recipe(self) -> Recipe:
        """The recipe of the run."""
        return Recipe.from_file(self.folder / "recipe.json")

    def load_model(self) -> tuple[nn.Module, dict]:
        """The trained network and its notes: classes, mean, std.

        Raises:
            InputError: no weights here, or a damaged or foreign file.
        """
        path = self.folder / "model.safetensors"
        if not path.is_file():
            raise InputError(f"{self.folder} holds no trained network (no model.safetensors)")
        try:
            with safe_open(path, "pt") as file:
                notes = json.loads(file.metadata()["s10"])
                notes = {name: notes[name] for name in ("classes", "mean", "std")}
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            # Without memory of its own: a recipe.json may claim any width.
            with torch.device("meta"):
                model = make_network(self.recipe(), len(notes["classes"]))
            model.load_state_dict(weights, assign=True)
            model.requires_grad_()
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{path} is damaged or is no network of s10: {reason}") from None
        return model, notes


def new_folder(recipe: Recipe, root: str | Path = "runs") -> Path:
    """A folder for a run that the user gave no name: what it trains on what, and when."""
    data = recipe.data.rstrip("/").split("/")[-1].replace("folder:", "")
    name = f"{data}-width{recipe.width}-seed{recipe.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    return Path(root) / name


def check_writable(folder: Path, advice: str = "name another folder with --out") -> None:
    """Raise an InputError if `folder` plainly cannot be made or written; writes nothing."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise InputError(f"cannot write to {folder}: {there} is not a directory")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"cannot write to {folder}: no permission in {there}; {advice}")


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the new one, nothing between."""
    temporary = path.with_name(f".{path.name}.part")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def summarise(
    recipe: Recipe,
    images,
    model,
    fit,
    *,
    device: str,
    precision: str,
    stopwatch: Stopwatch,
    code: str,
) -> dict:
    """What summary.json holds; accuracies are fractions, those of the last epoch.

    `stopwatch` has the time of everything, `code` is the commit that was running.
    """
    last = fit.history.iloc[-1]
    classes = fit.predictions.class_accuracy()
    return {
        "test_accuracy": float(last.test_accuracy),
        "train_accuracy": float(last.train_accuracy),
        "test_loss": float(last.test_loss),
        "train_loss": float(last.train_loss),
        "class_accuracy": {
            row["class"]: None if np.isnan(row.accuracy) else row.accuracy
            for _, row in classes.iterrows()
        },
        "parameters": sum(p.numel() for p in model.parameters()),
        "epochs": len(fit.history),
        "interrupted": fit.interrupted,
        "batch_size": recipe.batch_size,
        "lr_max": recipe.lr_max,
        "lr_min": recipe.lr_min,
        # Of all epochs, also of those before an interruption.
        "train_seconds": round(float(fit.history["seconds"].sum()), 2),
        "total_seconds": round(stopwatch.total, 2),
        # Where they went; since the last interruption, if there was one.
        "seconds": {part: round(seconds, 2) for part, seconds in stopwatch.parts.items()},
        "dataset": images.describe(),
        "device": device,
        "precision": precision,
        "seed": recipe.seed,
        "recipe": asdict(recipe),
        "versions": versions(),
        "commit": code,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def versions() -> dict[str, str]:
    """The versions of s10, Python and the packages that a result depends on."""
    found = {"python": platform.python_version()}
    for package in ("s10", *PACKAGES):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    found["torch"] = torch.__version__  # With its build, such as +cu126.
    return found


def commit() -> str:
    """The git commit of the code that runs, "-dirty" added where it was changed, or "unknown".

    In a checkout git knows it, after `pip install git+…` pip does.
    """
    here = Path(__file__).resolve().parent
    try:
        head = _git(here, "rev-parse", "HEAD")
        # A checkout around site-packages is not ours: this very file must be in it.
        if head and _git(here, "ls-files", Path(__file__).name):
            return head + ("-dirty" if _git(here, "status", "--porcelain", "--", str(here)) else "")
    except (OSError, subprocess.SubprocessError):
        pass
    try:
        origin = importlib.metadata.distribution("s10").read_text("direct_url.json")
        return json.loads(origin or "{}")["vcs_info"]["commit_id"]
    except (importlib.metadata.PackageNotFoundError, KeyError, ValueError):
        return "unknown"


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""
