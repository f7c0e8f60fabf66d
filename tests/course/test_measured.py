"""What was measured of the submissions and their pitfalls, read correctly."""

import math

import pytest

from s10.course import measured
from s10.submissions import PITFALLS, SUBMISSIONS


@pytest.fixture
def stored(monkeypatch):
    """Made-up runs: the recipe has 90% ± 1, three pitfalls differ."""

    def entry(kind, name, accuracies):
        return {
            "kind": kind, "name": name, "data": "cifar10", "width": 16,
            "seeds": list(range(len(accuracies))), "test_accuracy": accuracies,
            "train_accuracy": accuracies, "diverged": [value is None for value in accuracies],
        }  # fmt: skip

    found = {
        "submissions": [
            entry("submission", "eva8-s8", [0.80]),
            entry("submission", "eva6-s9", [None]),
            entry("variant", "era1-s10-strided, stepped every batch", [0.88]),
            entry("trap", "ReLU before BN", [0.88, 0.90]),
            entry("trap", "softmax before the loss", [0.85]),
            entry("trap", "LRMAX 0.8", [None]),
        ],
    }
    base = {"seeds": [0, 1], "test_accuracy": [[0.5, 0.89], [0.5, 0.91]],
            "train_accuracy": [[0.5, 0.92], [0.5, 0.94]]}  # fmt: skip
    monkeypatch.setattr(measured, "stored", lambda: found)
    monkeypatch.setattr(measured, "training_entry", lambda recipe, data: base)
    return found["submissions"]


def test_costs_are_paired_by_seed_and_the_costliest_comes_first(stored):
    costs = measured.pitfall_costs("cifar10", 16)
    assert list(costs["pitfall"]) == ["softmax before the loss", "ReLU before BN"]
    assert list(costs["seeds"]) == [1, 2]
    # 89 − 85 and, seed by seed, 89 − 88 and 91 − 90: not the mean of 90 minus them.
    assert list(costs["cost"]) == pytest.approx([4.0, 1.0])
    assert list(costs["each"]) == ["+4.00", "+1.00, +1.00"]
    assert math.isnan(costs["std"][0])
    assert costs["std"][1] == pytest.approx(0)
    assert list(costs["choice"]) == ["", ""]


def test_what_nobody_did_is_a_demonstration_of_its_own(stored):
    stored.append({**stored[-2], "name": "LRMAX 0.0019"})
    table = measured.pitfall_costs("cifar10", 16, demonstrations=True)
    assert list(table["pitfall"]) == ["LRMAX 0.8"]
    assert list(table["diverged"]) == [1]
    assert math.isnan(table["cost"][0])
    choices = measured.pitfall_costs("cifar10", 16).set_index("pitfall")["choice"]
    assert choices["LRMAX 0.0019"] == "yes"


def test_nothing_is_stored_for_another_width(stored):
    assert measured.pitfall_costs("cifar10", 64).empty
    assert measured.parts_and_whole("shapes", 16).empty


def test_the_parts_are_added_up_beside_the_whole(stored):
    table = measured.parts_and_whole("cifar10", 16).set_index("submission")
    assert table.loc["eva8-s8", "pitfalls"] == 2
    assert table.loc["eva8-s8", "sum of the parts"] == pytest.approx(5.0)
    assert table.loc["eva8-s8", "the whole"] == pytest.approx(9.0)  # of seed 0
    assert "eva6-s9" not in table.index  # An example, not its result.
    # A run that diverged has no number, and neither has a sum with it.
    stored.append({**stored[-1], "name": "SGD instead of Adam"})
    table = measured.parts_and_whole("cifar10", 16).set_index("submission")
    assert math.isnan(table.loc["eva8-s8", "sum of the parts"])


def test_entries_are_selected_by_kind(stored):
    assert [e["name"] for e in measured.stored_submissions("cifar10", 16)] == ["eva8-s8", "eva6-s9"]
    both = measured.stored_submissions("cifar10", 16, "submission", "variant")
    assert [entry["kind"] for entry in both] == ["submission", "submission", "variant"]


def test_stated_and_measured_accuracies_are_side_by_side(stored):
    table = measured.submission_table(width=16).set_index("submission")
    assert list(table.index) == [*SUBMISSIONS, measured.RECIPE]
    columns = ["parameters", "stated train", "stated test", "measured train", "measured test"]
    assert table.loc["eva8-s8", columns].tolist() == [
        "6,575,370", "92.15", "87.00", "80.00", "80.00",
    ]  # fmt: skip
    assert table.loc[measured.RECIPE, "measured test"] == "90.00 ± 1.41"
    assert table.loc[measured.RECIPE, "measured train"] == "93.00 ± 1.41"
    assert table.loc["eva4-s11", columns[3:]].isna().all()
    assert table.loc["eva6-s9", columns[1:]].isna().all()  # An example is not its result.


def test_several_seeds_have_a_standard_deviation(stored):
    stored[0]["test_accuracy"] = [0.80, 0.82, None]
    table = measured.submission_table(width=16).set_index("submission")
    assert table.loc["eva8-s8", "measured test"] == "81.00 ± 1.41"


def test_three_runs_are_anonymous_and_have_one_mistake_each():
    runs = measured.anonymous_runs()
    assert list(runs) == ["A", "B", "C", measured.RECIPE]
    for run in runs.values():
        for kind in ("train", "test", "loss"):
            assert len(run[f"{kind}_curves"][0]) == 24


def test_every_stored_pitfall_and_submission_is_known():
    names = {
        kind: {entry["name"] for entry in measured.stored_submissions("cifar10", 16, kind)}
        for kind in ("trap", "submission")
    }
    assert names == {"trap": set(PITFALLS), "submission": set(SUBMISSIONS)}
    both = (measured.pitfall_costs("cifar10", 16, demonstrations=each) for each in (True, False))
    assert [len(table) for table in both] == [3, len(PITFALLS) - 3]


def test_stepped_once_per_epoch_the_schedule_reproduces_era1_strideds_log():
    """The measurement on which its recipe rests, at the published width."""
    table = measured.first_epochs()
    assert len(table) >= 2
    once = (table["test: stepped once an epoch"] - table["test: published"]).abs()
    each = (table["test: stepped every batch"] - table["test: published"]).abs()
    assert once.max() < 1
    assert each.min() > 4


def test_the_first_epochs_are_beside_the_published_ones(monkeypatch):
    entry = {"name": "era1-s10-strided", "stepped": "once an epoch", "train_accuracy": [0.3, 0.5],
             "test_accuracy": [0.4, 0.55]}  # fmt: skip
    monkeypatch.setattr(measured, "stored", lambda: {"first_epochs": [entry]})
    table = measured.first_epochs()
    assert table.index.tolist() == ["epoch 1", "epoch 2"]
    assert table["train: published"].tolist() == [35.27, 51.01]
    assert table["test: stepped once an epoch"].tolist() == pytest.approx([40, 55])
