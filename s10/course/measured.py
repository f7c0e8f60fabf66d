"""What was measured of the submissions and their pitfalls, from `results/`."""

import numpy as np
import pandas as pd

from s10.course.reference import stored, training_entry
from s10.recipe import Recipe
from s10.submissions import PITFALLS, SUBMISSIONS


def submission_table() -> pd.DataFrame:
    """The five submissions: what each states and what was measured here, in %.

    The columns of measured values are named after data set and width. They hold the mean
    over the seeds, ± the standard deviation if there are several.
    """
    table = []
    for name, submission in SUBMISSIONS.items():
        row = {
            "submission": name,
            "parameters": f"{submission.parameters:,}",
            "stated train": submission.stated_train and _percent([submission.stated_train]),
            "stated test": submission.stated_test and _percent([submission.stated_test]),
        }
        for entry in stored()["submissions"]:
            if (entry["kind"], entry["name"]) == ("submission", name):
                column = f"{entry['data']}, width {entry['width']}"
                row[f"{column}: train"] = _percent(entry["train_accuracy"])
                row[f"{column}: test"] = _percent(entry["test_accuracy"])
        table.append(row)
    return pd.DataFrame(table)


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


def pitfall_costs(data: str, width: int) -> pd.DataFrame:
    """The cost of each pitfall in percentage points of test accuracy, the costliest first.

    Columns: pitfall, test (mean accuracy over the seeds, %), std (standard deviation; NaN
    with one seed), cost (mean of the assignment's recipe minus `test`), seeds (how many)
    and diverged (how many of them).
    """
    base, rows = base_accuracies(data, width).mean(), []
    for entry in stored_submissions(data, width, "trap"):
        values = _in_percent(entry["test_accuracy"])
        mean, std = values.mean(), values.std()
        seeds, diverged = len(entry["seeds"]), sum(entry["diverged"])
        rows.append((entry["name"], mean, std, base - mean, seeds, diverged))
    table = pd.DataFrame(rows, columns=["pitfall", "test", "std", "cost", "seeds", "diverged"])
    return table.sort_values("cost", ascending=False, na_position="first", ignore_index=True)


def base_accuracies(data: str, width: int) -> np.ndarray:
    """Test accuracies of the assignment's recipe, one for each seed, in %."""
    entry = training_entry(Recipe(width=width), data)
    return 100 * np.array([curve[-1] for curve in entry["test_accuracy"]])


def parts_and_whole(data: str, width: int) -> pd.DataFrame:
    """For each submission: the cost of its pitfalls alone, their sum, and its actual loss.

    All in percentage points of test accuracy below the assignment's recipe. The parts need
    not add up to the whole: pitfalls may hide or aggravate one another, and no submission
    has the recipe's label smoothing, decoupled decay and β2.
    """
    costs = pitfall_costs(data, width).set_index("pitfall")["cost"]
    base, rows = base_accuracies(data, width).mean(), []
    for entry in stored_submissions(data, width):
        parts = [
            name
            for name, pitfall in PITFALLS.items()
            if pitfall.explains(entry["name"]) and name in costs
        ]
        total = costs[parts].sum(skipna=False) if parts else 0.0
        whole = base - _in_percent(entry["test_accuracy"]).mean()
        rows.append((entry["name"], len(parts), total, whole))
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


def _in_percent(fractions: list[float | None]) -> pd.Series:
    """Without None, which stands for a run that diverged. The mean of nothing is NaN."""
    return 100 * pd.Series(fractions, dtype=float).dropna()
