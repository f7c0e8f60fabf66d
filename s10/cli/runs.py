"""A run is a folder: recipe, metrics, weights, summary, figures and checkpoints."""

import contextlib
import importlib.metadata
import json
import platform
import re
import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from s10.cli.registry import load_recipe
from s10.datasets import ImageDataset, absolute_source
from s10.metrics import COLUMNS
from s10.recipe import Recipe
from s10.runtime.checkpoint_files import CheckpointFolder
from s10.runtime.device import describe_device, pick_precision
from s10.runtime.errors import InputError, S10Error
from s10.runtime.files import check_writable, lock_folder, write_atomically

# What a run writes: only these are removed when it is overwritten.
FILES = ("recipe.json", "metrics.csv", "model.safetensors", "summary.json")
FIGURES = (
    "schedule.png",
    "curves.png",
    "class_accuracy.png",
    "confusion.png",
    "misclassified.png",
)
PACKAGES = ("torch", "torchvision", "albumentations", "numpy")


@dataclass(frozen=True)
class Run:
    """The folder of one run."""

    folder: Path

    @classmethod
    def start(cls, folder: str | Path, recipe: Recipe, overwrite: bool = False) -> "Run":
        """Create the folder, with recipe.json and a metrics.csv without rows.

        Raises:
            InputError: the folder holds a run already (and `overwrite` is
                false), or cannot be written.
            S10Error: writing fails, on a full disk, say.
        """
        cls.check_free(folder, overwrite)
        run = cls(Path(folder).expanduser())
        existing = run.existing_files()
        with report_write_errors(run.folder, "name another folder with --out"):
            run.folder.mkdir(parents=True, exist_ok=True)
            # Written first: where that fails, the old run is still complete.
            write_atomically(run.folder / "recipe.json", recipe.to_json())
            for path in existing:
                if path.name != "recipe.json":
                    path.unlink()
            run.save_history([])
        return run

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """The run in this folder, to be resumed.

        Raises:
            InputError: there is none, the folder cannot be written, or it has results
                and no checkpoint: resuming would start from scratch, and replace them.
        """
        run = cls(Path(folder).expanduser())
        if not (run.folder / "recipe.json").is_file():
            raise InputError(f"there is no run in {folder} to resume (no recipe.json)")
        check_writable(run.folder, "a run is resumed in its own folder")
        # A run that was killed before its first checkpoint may have a few epochs' metrics, too.
        results = [run.folder / name for name in ("model.safetensors", "summary.json")]
        if any(path.exists() for path in results) and not CheckpointFolder(run.checkpoints).files():
            raise InputError(
                f"{folder} has results, and no checkpoint to resume from; to train it again from "
                f"scratch: s10 train --recipe {folder} --out {folder} --overwrite"
            )
        return run

    @staticmethod
    def check_free(folder: str | Path, overwrite: bool = False) -> None:
        """Raise the InputError that `start` would, as far as can be seen without writing.

        For use before the data are loaded, which may mean a download.
        """
        folder = Path(folder).expanduser()
        if not overwrite and Run(folder).existing_files():
            raise InputError(
                f"{folder} already holds a run; resume it with --resume {folder}, name "
                "another folder with --out, or replace that run with --overwrite"
            )
        check_writable(folder)
        if (checkpoints := Run(folder).checkpoints).is_dir():
            with lock_folder(checkpoints):
                """Otherwise another process is training the run that would be replaced."""

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints."""
        return self.folder / "checkpoints"

    def existing_files(self) -> list[Path]:
        """Those files of a run that exist, checkpoints included."""
        files = [self.folder / name for name in FILES + FIGURES]
        return [p for p in files if p.exists()] + CheckpointFolder(self.checkpoints).files()

    def is_finished(self) -> bool:
        """Whether all its epochs are trained, and the results of that are written."""
        try:
            summary = json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))
            return summary["epochs"] == self.recipe().epochs and not summary["interrupted"]
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def recipe(self) -> Recipe:
        """The recipe of the run."""
        return load_recipe(self.folder / "recipe.json")

    def save_history(self, history: pd.DataFrame | list[dict]) -> None:
        """Write metrics.csv, a row for each epoch."""
        table = pd.DataFrame(history, columns=COLUMNS)
        text = table.to_csv(index=False, na_rep="nan", lineterminator="\n")
        write_atomically(self.folder / "metrics.csv", text)

    def save_model(
        self, model: nn.Module, classes: Sequence[str], mean: Sequence[float], std: Sequence[float]
    ) -> None:
        """Write model.safetensors: the weights, and as metadata what their input must be like."""
        metadata = {"classes": list(classes), "mean": list(mean), "std": list(std)}
        weights = {name: value.contiguous() for name, value in model.state_dict().items()}
        # Under one key: safetensors writes several in an order that changes from run to
        # run, and equal runs should write equal files.
        content = save(weights, metadata={"s10": json.dumps(metadata)})
        write_atomically(self.folder / "model.safetensors", content)

    def load_model(self) -> tuple[nn.Module, dict]:
        """The trained network, on the CPU, and its metadata: classes, mean, std.

        Raises:
            InputError: there are no weights, or the file is damaged or something else.
        """
        path, recipe = self.folder / "model.safetensors", self.recipe()
        if not path.is_file():
            raise InputError(f"{self.folder} holds no trained network (no model.safetensors)")
        try:
            with safe_open(path, "pt") as file:
                metadata = json.loads(file.metadata()["s10"])
                metadata = {name: metadata[name] for name in ("classes", "mean", "std")}
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            # Without memory of its own: a recipe.json may claim any width.
            with torch.device("meta"):
                model = recipe.make_model(len(metadata["classes"]))
            model.load_state_dict(weights, assign=True)
            model.float().requires_grad_()  # Stored networks have float16.
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{path} is damaged or not a network of s10: {reason}") from None
        return model, metadata

    def save_summary(self, summary: dict) -> None:
        """Write summary.json."""
        write_atomically(self.folder / "summary.json", json.dumps(summary, indent=2) + "\n")


@contextlib.contextmanager
def report_write_errors(folder: Path, advice: str | None = None):
    """Where writing fails, say so and what to do: by default, make room and resume the run."""
    try:
        yield
    except OSError as error:
        resume = f"make room there, then {shlex.join(['s10', 'train', '--resume', str(folder)])}"
        raise S10Error(
            f"cannot write to {folder}: {error.strerror or error}; {advice or resume}"
        ) from None


def new_folder(recipe: Recipe) -> Path:
    """A folder for a run to which the user gave no name: data, width, seed and time.

    Of a path the last part counts, as far as it makes a name on any system.
    """
    last = re.split(r"[/\\:]", absolute_source(recipe.data).rstrip("/\\:"))[-1]
    data = re.sub(r"[^\w.-]+", "-", last).strip("-.")[:40] or "images"
    name = f"{data}-width{recipe.width}-seed{recipe.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    return Path("runs") / name


def on_this_device(recipe: Recipe, device: torch.device) -> Recipe:
    """A run's recipe where it is resumed or evaluated: on a CPU without fp16, which is printed."""
    if recipe.precision != "fp16" or device.type != "cpu":
        return recipe
    print(f"fp16 is for GPUs: continuing in {pick_precision('auto', device).name}")
    return replace(recipe, precision="auto")


def describe_conditions(recipe: Recipe, dataset: ImageDataset, device: torch.device) -> dict:
    """What a result depends on, for its summary."""
    return {
        "recipe": recipe.to_dict(),
        "dataset": dataset.describe(),
        "device": describe_device(device),
        "precision": pick_precision(recipe.precision, device).name,
        "versions": versions(),
        "commit": commit(),
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
    package = Path(__file__).resolve().parent.parent
    try:
        head = _git(package, "rev-parse", "HEAD")
        # A checkout around site-packages is not ours: this very package must be in it.
        if head and _git(package, "ls-files", "__init__.py"):
            changes = _git(package, "status", "--porcelain", "--", str(package))
            return head + ("-dirty" if changes else "")
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
