"""What comes trained with s10: a small network, and the predictions of the full-width one.

Both are runs of this repository, in `stored/`, each with its summary.json: commit, device,
versions, seed, data and accuracy. `tools/update_pretrained.py` writes them.
"""

import json
from pathlib import Path

import numpy as np
from torch import nn

from s10.cli.runs import Run
from s10.datasets import ImageDataset, load_dataset
from s10.predictions import Predictions
from s10.runtime.errors import InputError

STORED = Path(__file__).with_name("stored")
WEIGHTS, LOGITS = "model.safetensors", "logits.npz"


def load_pretrained(name: str = "assignment-width16") -> nn.Module:
    """A network that was trained on CIFAR-10, in eval mode on the CPU.

    "assignment-width16" is `CustomResNet(width=16)` after 24 epochs of the assignment's
    recipe, with weights rounded to float16.

    Raises:
        InputError: there is none of this name.
    """
    model, _ = Run(_stored(name, WEIGHTS)).load_model()
    return model.eval()


def stored_predictions(name: str = "assignment", dataset: ImageDataset | None = None):
    """The `Predictions` of a stored run on the test images of CIFAR-10.

    "assignment" is the full-width network after 24 epochs, with logits rounded to float16.
    The labels are those of `dataset`; default: CIFAR-10, loaded by `load_dataset`.

    Raises:
        InputError: there is none of this name, or the data set is not all of CIFAR-10.
    """
    folder = _stored(name, LOGITS)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    dataset = dataset or load_dataset(summary["dataset"]["name"])
    if dataset.fingerprint() != summary["dataset"]["fingerprint"]:
        raise InputError(
            f"the stored predictions are for all images of {summary['dataset']['name']}, not for "
            f"this data set ({dataset.name}, {len(dataset.test_labels):,} test images)"
        )
    with np.load(folder / LOGITS) as arrays:
        return Predictions(arrays["logits"], dataset.test_labels, dataset.classes)


def find_run(name: str | Path) -> Run:
    """The run in this folder, or the stored one of this name.

    Raises:
        InputError: there is neither.
    """
    run = Run(Path(name).expanduser())
    if run.folder.is_dir():
        return run
    if str(name) in _names(WEIGHTS):
        return Run(STORED / name)
    raise InputError(f"there is no run {run.folder}")


def _stored(name: str, file: str) -> Path:
    names = _names(file)
    if name not in names:
        kind = "network" if file == WEIGHTS else "run with predictions"
        raise InputError(f"no {kind} {name!r} comes with s10, only {', '.join(names)}")
    return STORED / name


def _names(file: str) -> list[str]:
    return sorted(path.parent.name for path in STORED.glob(f"*/{file}"))
