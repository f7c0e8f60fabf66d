"""Which schedule made the log of era1-s10-strided? Its first epochs, trained in both ways.

    python benchmarks/first_epochs.py

At full width, as published. Its README does not show the training loop, so the schedule
may have been stepped after every batch, as it is meant to be, or once per epoch. Writes a
row for each epoch; a way that is finished is skipped.
"""

from dataclasses import replace
from pathlib import Path

from common import (
    RESULTS,
    append_rows,
    check_row,
    conditions,
    make_parser,
    prepare_device,
    read_rows,
    scores,
    train,
)

from s10 import Hook, InputError, load_dataset
from s10.submissions.recipes import Era1S10Strided, Era1S10StridedPerBatch

NAME = "era1-s10-strided"
WAYS = {"every batch": Era1S10StridedPerBatch(), "once an epoch": Era1S10Strided()}
COLUMNS = (
    "name", "stepped", "epoch", "lr", "train_accuracy", "test_accuracy", "train_loss", "test_loss",
    "seconds", "seed", "width", "data", "fingerprint", "device", "precision", "python", "torch",
    "numpy", "commit",
)  # fmt: skip


class StopAfter(Hook):
    """Ends the run after so many epochs."""

    def __init__(self, epochs: int):
        self.epochs = epochs

    def on_epoch(self, state) -> None:
        state.stop = state.stop or len(state.history) == self.epochs


def main(arguments: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2, help="how many of the 24 (2)")
    parser.add_argument("--out", type=Path, help="(results/first-epochs-DATA-widthN)")
    options = parser.parse_args(arguments)
    if not 1 <= options.epochs <= Era1S10Strided.epochs:
        parser.error(f"--epochs must be from 1 to {Era1S10Strided.epochs}, not {options.epochs}")
    device = prepare_device(options.device)
    out = options.out or RESULTS / f"first-epochs-{options.data}-width{options.width}"
    recipes = {
        stepped: replace(recipe, width=options.width, data=options.data)
        for stepped, recipe in WAYS.items()
    }
    # The last epoch of each way that is finished.
    finished = {row["stepped"]: row for row in read_rows(out / "runs.csv")}
    try:
        dataset = load_dataset(options.data, options.data_dir)
        for stepped, row in finished.items():
            check_row(row, recipes[stepped], dataset.fingerprint(), out)
            if int(row["epoch"]) < options.epochs:
                raise InputError(f"{out} has only {row['epoch']} epochs; name another with --out")
    except InputError as error:
        parser.error(str(error))
    for stepped, recipe in recipes.items():
        if stepped in finished:
            continue
        print(f"the schedule stepped {stepped}", flush=True)
        shared = {"name": NAME, "stepped": stepped, **conditions(recipe, dataset, device)}
        _, result = train(recipe, dataset, device, [StopAfter(options.epochs)])
        if len(result.history) < options.epochs:
            raise KeyboardInterrupt
        rows = [
            {**shared, **row, **scores(row), "seconds": round(row["seconds"])}
            for row in result.history.to_dict("records")
        ]
        append_rows(out / "runs.csv", COLUMNS, rows)


if __name__ == "__main__":
    main()
