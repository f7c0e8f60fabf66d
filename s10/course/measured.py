"""What was measured of the submissions and their pitfalls, from `results/`."""

import pandas as pd

from s10.course.reference import stored, training_entry
from s10.recipe import Recipe
from s10.submissions import PITFALLS, SUBMISSIONS

RECIPE = "our recipe"


def submission_table(data: str = "cifar10", width: int = 64) -> pd.DataFrame:
    """The five submissions and our recipe: what each states and what was measured here, in %.

    Measured values are the mean over the seeds, ± the standard deviation if there are
    several. The example in the README of eva6-s9 is not its result, so it is left out.
    """
    measured = {entry["name"]: entry for entry in stored_submissions(data, width)}
    table = []
    for name, submission in SUBMISSIONS.items():
        row = {
            "submission": name,
            "parameters": f"{submission.parameters:,}",
            "stated train": submission.stated_train and _percent([submission.stated_train]),
            "stated test": submission.stated_test and _percent([submission.stated_test]),
        }
        if name in measured and not submission.is_example:
            row |= _measured(measured[name])
        table.append(row)
    ours = training_entry(Recipe(width=width), data)
    last = {f"{split}_accuracy": [curve[-1] for curve in ours[f"{split}_accuracy"]]
            for split in ("train", "test")}  # fmt: skip
    table.append({"submission": RECIPE, "parameters": "6,573,130", **_measured({**ours, **last})})
    return pd.DataFrame(table)


def _measured(entry: dict) -> dict:
    """The measured columns of `submission_table`."""
    return {
        "measured train": _percent(entry["train_accuracy"]),
        "measured test": _percent(entry["test_accuracy"]),
        "seeds": f"{len(entry['seeds'])}",
    }


def anonymous_runs() -> dict[str, dict]:
    """Three stored runs with one mistake each, as A, B and C, and our recipe, seed 0 of each."""
    names = ("schedule stepped once an epoch", "no padding before the crop",
             "softmax before the loss")  # fmt: skip
    entries = {entry["name"]: entry for entry in stored_submissions("cifar10", 16, "trap")}
    runs = {letter: entries[name] for letter, name in zip("ABC", names, strict=True)}
    ours = training_entry(Recipe(width=16), "cifar10")
    runs[RECIPE] = {"train_curves": ours["train_accuracy"], "test_curves": ours["test_accuracy"],
                    "loss_curves": ours["train_loss"]}  # fmt: skip
    return runs


def pitfall_history(name: str) -> pd.DataFrame:
    """The 24 epochs of a stored run with this pitfall, seed 0, as in `FitResult.history`.

    Stored are those of `anonymous_runs`, and L2. There are no LRs and no test losses.
    """
    entries = stored_submissions("cifar10", 16, "trap")
    (entry,) = [entry for entry in entries if entry["name"] == name]
    columns = {"train_accuracy": "train_curves", "test_accuracy": "test_curves",
               "train_loss": "loss_curves"}  # fmt: skip
    return pd.DataFrame({column: entry[curves][0] for column, curves in columns.items()})


def stored_submissions(data: str, width: int, *kinds: str) -> list[dict]:
    """The entries of reference.json for the submissions, or for other kinds of runs.

    Args:
        kinds: "submission" (the default), "variant" or "trap", a pitfall.
    """
    return [
        entry
        for entry in stored()["submissions"]
        if (entry["data"], entry["width"]) == (data, width)
        and entry["kind"] in (kinds or ("submission",))
    ]


def pitfall_costs(data: str, width: int, *, demonstrations: bool = False) -> pd.DataFrame:
    """The cost of each pitfall in percentage points of test accuracy, the costliest first.

    Each run is compared with that of our recipe of the same seed. Columns: pitfall, choice (the
    task leaves it open), test (mean accuracy, %), cost (mean over the seeds), std (of the costs;
    NaN with one seed), each (the cost of every seed), seeds (how many) and diverged (how many).

    Args:
        demonstrations: only those that nobody did, instead of all others.
    """
    base, rows = base_accuracies(data, width), []
    for entry in stored_submissions(data, width, "trap"):
        pitfall = PITFALLS[entry["name"]]
        if pitfall.is_demonstration != demonstrations:
            continue
        values = _in_percent(entry["test_accuracy"], entry["seeds"])
        costs = (base - values).dropna()
        rows.append({
            "pitfall": entry["name"], "choice": "yes" if pitfall.is_choice else "",
            "test": values.mean(), "cost": costs.mean(), "std": costs.std(),
            "each": ", ".join(f"{cost:+.2f}" for cost in costs),
            "seeds": len(entry["seeds"]), "diverged": sum(entry["diverged"]),
        })  # fmt: skip
    columns = ["pitfall", "choice", "test", "cost", "std", "each", "seeds", "diverged"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("cost", ascending=False, na_position="first", ignore_index=True)


def base_accuracies(data: str, width: int) -> pd.Series:
    """Test accuracies of the assignment's recipe in %, by seed."""
    entry = training_entry(Recipe(width=width), data)
    return _in_percent([curve[-1] for curve in entry["test_accuracy"]], entry["seeds"])


def parts_and_whole(data: str, width: int) -> pd.DataFrame:
    """For each submission: the cost of its pitfalls alone, their sum, and its actual loss.

    All in percentage points of test accuracy below our recipe with the same seeds. The parts
    need not add up to the whole: pitfalls may hide or aggravate one another.
    """
    costs = pitfall_costs(data, width).set_index("pitfall")["cost"]
    base, rows = base_accuracies(data, width), []
    for entry in stored_submissions(data, width):
        name = entry["name"]
        if SUBMISSIONS[name].is_example:
            continue
        parts = [each for each, pitfall in PITFALLS.items()
                 if pitfall.explains(name) and each in costs]  # fmt: skip
        total = costs[parts].sum(skipna=False) if parts else 0.0
        whole = (base - _in_percent(entry["test_accuracy"], entry["seeds"])).mean()
        rows.append((name, len(parts), total, whole))
    return pd.DataFrame(rows, columns=["submission", "pitfalls", "sum of the parts", "the whole"])


def first_epochs(name: str = "era1-s10-strided") -> pd.DataFrame:
    """The first epochs of a published log beside ours, with the schedule stepped in two ways.

    Training and test accuracy in %, a row for each epoch, at the published width.
    """
    log = SUBMISSIONS[name].log().set_index("epoch")
    table = {}
    for split in ("train", "test"):
        table[f"{split}: published"] = log[f"{split}_accuracy_percent"]
        for entry in stored()["first_epochs"]:
            if entry["name"] == name:
                values = [100 * value for value in entry[f"{split}_accuracy"]]
                column = f"{split}: stepped {entry['stepped']}"
                table[column] = pd.Series(values, index=range(1, len(values) + 1))
    return pd.DataFrame(table).dropna().rename(index="epoch {}".format)


def _percent(fractions: list[float | None]) -> str:
    """ "91.40" for one, "91.40 ± 0.21" for several, "diverged" if all runs did."""
    values = _in_percent(fractions)
    if values.empty:
        return "diverged"
    spread = f" ± {values.std():.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{spread}"


def _in_percent(fractions: list[float | None], seeds: list[int] | None = None) -> pd.Series:
    """Without None, which stands for a run that diverged. The mean of nothing is NaN."""
    return 100 * pd.Series(fractions, seeds, dtype=float).dropna()
