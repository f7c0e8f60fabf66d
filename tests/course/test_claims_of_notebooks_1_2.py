"""What the notebooks state about results holds for every stored seed.

Each row: the notebook, its sentence, and whether the stored results bear it out. A sentence that
is changed in the notebook must be changed here, too, and one that a new measurement
contradicts fails.
"""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import s10
from s10.lr_finder import NEARLY_DONE, ONSET_FRACTION
from s10.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"


def range_test_curves():
    """The smoothed loss of the stored range test on CIFAR-10: rows are LRs, columns seeds."""
    curves = pd.read_csv(RESULTS / "lr-range-cifar10-width16" / "lr_range.csv")
    return curves.pivot_table(index="lr", columns="seed", values="smooth")


def starts_above_a_guess():
    curves, guess = range_test_curves(), np.log(10)
    crossings = (curves < guess).idxmax()
    return (
        len(curves.columns) >= 3
        and (curves.iloc[0] > guess).all()
        and crossings.between(1e-4, 4e-4).all()
        and curves.idxmin().between(2e-3, 2e-2).all()
    )


def spreads():
    """Largest / smallest of the seeds, of LRMAX, the LR of the steepest slope, and LRMIN."""
    found = json.loads((RESULTS / "lr-range-cifar10-width16" / "lr_range.json").read_text())
    lows = [choice["lr_min"] for choice in found["choices"]]
    values = (found["spread"], found["steepest_spread"], max(lows) / min(lows))
    return [round(value, 1) for value in values]


def by_epoch():
    """LRMAX of each seed of the stored range test by epochs."""
    rows = json.loads((ROOT / "s10" / "course" / "reference.json").read_text())["lr_range"]
    (found,) = [row["lr_max"] for row in rows if row["method"] == "per-epoch"]
    return [round(lr, 4) for lr in sorted(found)]


def held_out():
    """Held-out accuracies in %, of the assignment's recipe with other LRMAX: LRMAX → by seed."""
    rows = pd.read_csv(RESULTS / "assignment-search-h200.csv")
    rows = rows[rows["averaged"].isna()].set_index("changes")
    names = {0.005: "lr_max=0.005 lr_min=5e-06", 0.01: "none", 0.02: "lr_max=0.02 lr_min=2e-05"}
    return {
        lr: 100 * rows.loc[name].set_index("seed")["held_out_accuracy"]
        for lr, name in names.items()
    }


def table_of_held_out_accuracies():
    """Whether the notebook's table is that of the CSV."""
    text = (ROOT / "notebooks" / "01_lr_range_test.py").read_text()
    return all(
        all(f"{value:.2f} %" in re.search(rf"^# \| {lr} \|.*$", text, re.M)[0] for value in values)
        for lr, values in held_out().items()
    )


def schedules():
    """Final accuracies of the stored schedules on CIFAR-10: a row for each seed."""
    path = RESULTS / "experiments-cifar10-width16" / "experiments.json"
    values = pd.DataFrame(json.loads(path.read_text())["outcomes"]["schedules"]["values"])
    assert len(values) >= 3
    return values


STATEMENTS = [
    ("01", "each seed begins above ln 10, falls below it between 1e-4 and 4e-4, and is lowest "
     "between 2e-3 and 2e-2.", starts_above_a_guess),
    ("01", "its LRMAX moves by a factor of 1.4 from seed to seed, the LR of the steepest slope "
     "by 2.7. (LRMIN, a single crossing where the curve is still flat, moves by 2.0.)",
     lambda: spreads() == [1.4, 2.7, 2.0]),
    ("01", "LRMIN** is the first LR with a tenth of the fall done.", lambda: ONSET_FRACTION == 0.1),
    ("01", "LRs with at least nine tenths of the fall done.", lambda: NEARLY_DONE == 0.9),
    ("01", "of three stored seeds, two gave 0.0027 and one the next LR, 0.0054.",
     lambda: by_epoch() == [0.0027, 0.0027, 0.0054]),
    ("01", "With 0.005, where the range test points, the accuracy was higher with both seeds.",
     lambda: ((held_out()[0.005] - held_out()[0.01]).dropna() > 0).tolist() == [True] * 2),
    ("01", "With 0.02 it was lower with one seed and higher with two",
     lambda: sorted(np.sign(held_out()[0.02] - held_out()[0.01])) == [-1, 1, 1]),
    ("01", "a factor of four in LRMAX moves the result by less than 0.4 points, and another seed "
     "by up to 0.2.",
     lambda: np.nanmax(np.ptp(pd.DataFrame(held_out()).dropna().to_numpy(), axis=1)) < 0.4
     and max(np.ptp(values) for values in held_out().values()) == pytest.approx(0.2)),
    ("01", "| LRMAX | seed 0 | seed 1 | seed 2 | against 0.01, seed by seed |",
     table_of_held_out_accuracies),
    ("01", "Why then does the recipe take 0.01?", lambda: Recipe().lr_max == 0.01),
    ("02", "With each stored seed (CIFAR-10, a quarter of the width) one cycle ends highest, 3 to "
     "7 points ahead of the best constant LR, 0.003, and the constant LRMAX ends lowest.",
     lambda: (schedules().idxmin(axis=1) == "constant 0.01").all()
     and (schedules().drop(columns="one cycle").idxmax(axis=1) == "constant 0.003").all()
     and (schedules()["one cycle"] - schedules()["constant 0.003"]).between(0.03, 0.07).all()),
    ("02", "With each of three stored seeds one cycle beat constant LRs of 0.01, 0.003 and 0.001",
     lambda: (schedules().idxmax(axis=1) == "one cycle").all()),
]  # fmt: skip


@pytest.mark.parametrize(("notebook", "sentence", "holds"), STATEMENTS)
def test_the_stored_results_bear_out_what_a_notebook_states(notebook, sentence, holds):
    (path,) = (ROOT / "notebooks").glob(f"{notebook}_*.py")
    text = " ".join(re.sub(r"^# ?", "", path.read_text(), flags=re.M).split())
    assert sentence in text
    assert holds()


def test_a_learner_may_try_more_rates_than_an_epoch_has_batches(few):
    cells = (ROOT / "notebooks" / "01_lr_range_test.py").read_text().split("# %%")
    (cell,) = [cell for cell in cells if "def losses_at(" in cell]
    recipe = Recipe(width=4, batch_size=len(few.train_labels) // 2)
    scope = {"s10": s10, "recipe": recipe, "dataset": few, "device": "cpu"}
    exec(cell, scope)
    assert len(scope["losses_at"]([1e-3] * 5)) == 5
