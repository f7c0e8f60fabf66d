"""The gain of each ingredient: single changes, and what was measured of them."""

import numpy as np
import pytest

from s10 import InputError, Recipe
from s10.course import ablation
from s10.course.ablation import (
    ABLATIONS,
    FULL_RECIPES,
    TERMS,
    full_recipe_accuracies,
    stored_ablation,
)
from s10.plots.costs import plot_ablation
from s10.speed.recipes import LAPTOP

SINGLE_FIELDS = {
    "label smoothing", "decoupled weight decay", "β2 of 0.99, not 0.999", "mirrored border",
    "alternating flips", "small pictures first",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "ingredient"), [(name, each) for name, every in ABLATIONS.items() for each in every]
)
def test_each_leaves_out_something(name, ingredient):
    changes = ABLATIONS[name][ingredient].differences(FULL_RECIPES[name].to_dict())
    assert changes
    if ingredient in SINGLE_FIELDS:
        assert len(changes) == 1


def test_every_ingredient_of_the_stored_runs_has_its_recipe():
    entries = ablation.stored()["ablation"]
    stored = {(e["recipe"].removesuffix("-epyc"), e["ingredient"]) for e in entries}
    known = {(name, each) for name, every in ABLATIONS.items() for each in (None, *every)}
    assert stored == known
    assert set(TERMS) <= {each for every in ABLATIONS.values() for each in every}


def test_without_muon_it_is_the_assignments_optimizer():
    changed = ABLATIONS["laptop"]["Muon"]
    steps = {"lr_max", "lr_min", "beta2", "weight_decay", "momentum_max", "momentum_min"}
    for name in steps:
        assert getattr(changed, name) == getattr(Recipe(), name)
    assert changed.final_lr == Recipe().lr_min
    changes = {line.split()[0] for line in changed.differences(LAPTOP.to_dict())}
    assert changes <= steps | {"class", "final_lr"}


@pytest.mark.parametrize(
    ("name", "single"),
    [("Muon at equal time", "Muon"), ("low resolution at equal time", "small pictures first")],
)
def test_at_equal_time_it_is_the_same_with_other_epochs(name, single):
    """And by the seconds of the stored runs it got the full recipe's time, or a little more."""
    same, other = ABLATIONS["laptop-at-equal-time"][name], ABLATIONS["laptop"][single]
    assert same.with_epochs(7) == other
    entries = ablation._stored_entries("laptop-at-equal-time")
    full, rival = (np.median(entries[each]["seconds"]) for each in (None, name))
    assert 1 <= rival / full < 1.15


def test_two_machines_are_two_measurements():
    """Each folder of results/ is one, so no seed counts twice."""
    for name, of_muon in [("", [0.11, 0.50, 0.59]), ("-epyc", [0.97, 0.74, 0.65])]:
        table = stored_ablation(f"laptop-at-equal-time{name}").set_index("ingredient")
        gains = table.loc["Muon at equal time", ["seed 0", "seed 1", "seed 2"]].astype(float)
        assert gains.round(2).tolist() == of_muon


def test_of_several_widths_one_must_be_named():
    assert len(full_recipe_accuracies("residuals", 64)) == 3
    for look_up in (stored_ablation, full_recipe_accuracies):
        with pytest.raises(InputError, match=r"widths \[16, 64\]: name one"):
            look_up("residuals")


def test_gains_in_training_accuracy_are_those_of_the_runs():
    table = stored_ablation("residuals", 16, "train_accuracy").set_index("ingredient")
    gains = table.loc["shortcuts", ["seed 0", "seed 1", "seed 2"]].astype(float)
    assert gains.round(2).tolist() == [0.66, 0.77, 0.71]  # results/ablation-residuals-…-width16


def test_gains_are_computed_from_the_stored_runs(monkeypatch):
    def entry(ingredient, accuracies, seconds, seeds):
        return {"recipe": "laptop", "ingredient": ingredient, "test_accuracy": accuracies,
                "seconds": seconds, "seeds": seeds, "width": 32}  # fmt: skip

    found = [
        entry("mirrored border", [0.93], [100], [1]),
        entry(None, [0.93, 0.95], [100, 100], [0, 1]),
        entry("Muon", [0.91, 0.89, 0.5], [80, 100, 100], [1, 0, 2]),
    ]
    monkeypatch.setattr(ablation, "stored", lambda: {"ablation": found})
    table = stored_ablation("laptop")
    assert list(table["ingredient"]) == ["Muon", "reflect padding"]
    assert table["gain"].round(6).tolist() == [4, 2]  # Seed with seed, not mean with mean.
    assert table["seed 0"].round(6).tolist()[0] == table["seed 1"].round(6).tolist()[0] == 4
    assert table["time"].round(6).tolist() == [1, 1]
    assert table["seeds"].tolist() == [2, 1]
    assert table["std"].round(6)[0] == 0
    assert np.isnan(table["std"][1])
    assert full_recipe_accuracies("laptop").tolist() == [93, 95]
    labels = plot_ablation(table, 0.5).axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == ["Muon", "reflect padding"]
    with pytest.raises(InputError, match="no ablation of 'assignment' is stored"):
        stored_ablation("assignment")
