"""What comes trained with s10: a small network, and the predictions of the full-width one.

Both are runs of this repository, in `stored/`, each with its summary.json: commit, device,
versions, seed, data and accuracy. `tools/update_pretrained.py` writes them.
"""

import contextlib
import json
from pathlib import Path

import numpy as np
from torch import nn

from s10.cli.runs import Run
from s10.datasets import ImageDataset, load_dataset
from s10.predictions import Predictions
from s10.runtime.errors import InputError

STORED = Path(__file__).with_name("stored")


def load_pretrained(name: str = "assignment-width16") -> nn.Module:
    """A network that was trained on CIFAR-10, in eval mode on the CPU.

    "assignment-width16" is `CustomResNet(width=16)` after 24 epochs of the assignment's
    recipe, with weights rounded to float16.

    Raises:
        InputError: there is none of this name.
    """
    model, _ = Run(_stored(name, "model.safetensors")).load_model()
    return model.eval()


def stored_predictions(name: str = "assignment", dataset: ImageDataset | None = None):
    """The `Predictions` of a stored run on the test images of CIFAR-10.

    "assignment" is the full-width network after 24 epochs, with logits rounded to float16.
    The labels are those of `dataset`; default: CIFAR-10, loaded by `load_dataset`.

    Raises:
        InputError: there is none of this name, or the data set is not all of CIFAR-10.
    """
    folder = _stored(name, "logits.npz")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    dataset = dataset or load_dataset(summary["dataset"]["name"])
    if dataset.fingerprint() != summary["dataset"]["fingerprint"]:
        raise InputError(
            f"the stored predictions are for all images of {summary['dataset']['name']}, not for "
            f"this data set ({dataset.name}, {len(dataset.test_labels):,} test images)"
        )
    with np.load(folder / "logits.npz") as arrays:
        return Predictions(arrays["logits"], dataset.test_labels, dataset.classes)


def find_run(name: str | Path) -> Run:
    """The run in this folder, or the stored one of this name; an InputError if there is neither."""
    run = Run(Path(name).expanduser())
    if run.folder.is_dir():
        return run
    with contextlib.suppress(InputError):
        return Run(_stored(str(name), "model.safetensors"))
    raise InputError(f"there is no run {run.folder}")


def _stored(name: str, file: str) -> Path:
    """The folder of this name, which must have this file."""
    found = {path.parent.name: path.parent for path in STORED.glob(f"*/{file}")}
    if name not in found:
        raise InputError(f"{name!r} does not come with s10, only {', '.join(found)}")
    return found[name]
