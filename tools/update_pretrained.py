"""Write s10/cli/stored/, the runs that come with the package, from the folders of these runs.

    python tools/update_pretrained.py NAME=RUN [NAME=RUN …]

Of a run with logits.npz its logits are taken over, of another one the weights, rounded to
float16. Beside them is the run's summary.json: commit, device, versions, seed, data and
accuracy. For weights it also says, as "stored_test_accuracy", what the rounded network has
on the test images, in fp32 on a CPU; these must be at hand ($S10_DATA).
"""

import json
import shutil
import sys
from pathlib import Path

from s10 import evaluate, load_dataset
from s10.cli.pretrained import STORED
from s10.cli.runs import Run
from s10.loaders import eval_loader
from s10.runtime.files import write_atomically


def store(run: Path, folder: Path) -> None:
    """Write what is stored of this run."""
    folder.mkdir(parents=True, exist_ok=True)
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    if (run / "logits.npz").exists():
        shutil.copyfile(run / "logits.npz", folder / "logits.npz")
    else:
        shutil.copyfile(run / "recipe.json", folder / "recipe.json")
        model, metadata = Run(run).load_model()
        Run(folder).save_model(model.half(), **metadata)
        summary["stored_test_accuracy"] = accuracy(folder, summary)
    write_atomically(folder / "summary.json", json.dumps(summary, indent=2) + "\n")


def accuracy(folder: Path, summary: dict) -> float:
    """Of a stored network on the test images of its data set."""
    model, metadata = Run(folder).load_model()
    dataset = load_dataset(summary["dataset"]["name"])
    images, labels = dataset.test_images, dataset.test_labels
    batches = eval_loader(images, labels, metadata["mean"], metadata["std"])
    return evaluate(model, batches, dataset.classes).accuracy


def main(arguments: list[str], stored: Path = STORED) -> int:
    if not arguments or not all("=" in argument for argument in arguments):
        print(__doc__)
        return 2
    for argument in arguments:
        name, _, run = argument.partition("=")
        store(Path(run), stored / name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
