"""What was measured of the submissions and of their traps, from `results/`."""

import numpy as np
import pandas as pd

from s10.recipe import Recipe
from s10.reference import stored, training_entry
from s10.submissions.published import SUBMISSIONS
from s10.submissions.traps import TRAPS


def submission_table() -> pd.DataFrame:
    """The five submissions: what each states and what was measured here, in per cent.

    The columns of what was measured are named after data and width, and hold
    the mean over the seeds, ± their deviation where there are several.
    """
    table = []
    for name, submission in SUBMISSIONS.items():
        row = {
            "submission": name,
            "parameters": f"{submission.parameters:,}",
            "stated train": submission.stated_train and _per_cent([submission.stated_train]),
            "stated test": submission.stated_test and _per_cent([submission.stated_test]),
        }
        for entry in stored()["submissions"]:
            if (entry["kind"], entry["name"]) == ("submission", name):
                column = f"{entry['data']}, width {entry['width']}"
                row[f"{column}: train"] = _per_cent(entry["train_accuracy"])
                row[f"{column}: test"] = _per_cent(entry["test_accuracy"])
        table.append(row)
    return pd.DataFrame(table)


def stored_submissions(data: str, width: int, *kinds: str) -> list[dict]:
    """The entries of reference.json for the submissions (or their traps, or variants of them)."""
    return [
        entry
        for entry in stored()["submissions"]
        if (entry["data"], entry["width"]) == (data, width)
        and entry["kind"] in (kinds or ("submission",))
    ]


def trap_costs(data: str, width: int) -> pd.DataFrame:
    """What each trap costs in points of test accuracy, the dearest first.

    A row for each: trap, test (mean accuracy over the seeds, per cent), std (its
    deviation; NaN with one seed), cost (the mean of the assignment's recipe
    minus it, in points), seeds (how many) and diverged (how many of them).
    """
    base, table = base_accuracies(data, width), []
    for trap in stored_submissions(data, width, "trap"):
        values = 100 * np.array([v for v in trap["test_accuracy"] if v is not None])
        table.append(
            {
                "trap": trap["name"],
                "test": values.mean() if len(values) else np.nan,
                "std": values.std(ddof=1) if len(values) > 1 else np.nan,
                "cost": base.mean() - values.mean() if len(values) else np.nan,
                "seeds": len(trap["seeds"]),
                "diverged": sum(trap["diverged"]),
            }
        )
    table = pd.DataFrame(table, columns=["trap", "test", "std", "cost", "seeds", "diverged"])
    return table.sort_values("cost", ascending=False, na_position="first", ignore_index=True)


def _per_cent(fractions: list[float | None]) -> str:
    """ "91.40" for one, "91.40 ± 0.21" for several; None stands for a run that diverged."""
    values = 100 * np.array([value for value in fractions if value is not None])
    if not len(values):
        return "diverged"
    spread = f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{spread}"


def base_accuracies(data: str, width: int) -> np.ndarray:
    """Test accuracies of the assignment's recipe, one for each seed, in per cent."""
    entry = training_entry(Recipe(width=width), data)
    return 100 * np.array([curve[-1] for curve in entry["test_accuracy"]])


def parts_and_whole(data: str, width: int) -> pd.DataFrame:
    """For each submission: what its traps cost alone, their sum, and what it loses in fact.

    All in points of test accuracy below the assignment's recipe. The parts need
    not add up to the whole: traps may hide or worsen one another, and a
    submission differs from the recipe in more than its traps: none has its label
    smoothing, decoupled decay and β2.
    """
    costs = trap_costs(data, width).set_index("trap")["cost"]
    base, rows = base_accuracies(data, width).mean(), []
    for entry in stored_submissions(data, width):
        mine = [n for n, trap in TRAPS.items() if trap.explains(entry["name"]) and n in costs]
        values = [value for value in entry["test_accuracy"] if value is not None]
        rows.append(
            {
                "submission": entry["name"],
                "traps": len(mine),
                "sum of the parts": costs[mine].sum(skipna=False) if mine else 0.0,
                "the whole": base - 100 * np.mean(values) if values else np.nan,
            }
        )
    return pd.DataFrame(rows, columns=["submission", "traps", "sum of the parts", "the whole"])


def first_epochs(name: str = "era1-s10-strided") -> pd.DataFrame:
    """The first epochs of a published log beside ours, the schedule stepped in two ways.

    Training and test accuracy in per cent, a row for each epoch, at the width in
    which they were published.
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
