""" "Is my number normal?": the stored runs are those of results/, and sentences fit the numbers."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from s10 import Recipe
from s10.course import reference
from s10.course.experiments import DEPTH_EPOCHS, PITFALL_EPOCHS, SCHEDULE_EPOCHS
from s10.speed.recipes import LAPTOP, FastRecipe

ROOT = Path(__file__).resolve().parents[2]
NARROW = Recipe(width=16)


def history(*accuracies):
    return pd.DataFrame({"epoch": range(1, len(accuracies) + 1), "test_accuracy": accuracies})


def stored_curves():
    entry = reference.training_entry(Recipe(width=16), "cifar10")
    return np.array(entry["test_accuracy"])


def test_the_stored_runs_are_those_of_results():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "update_reference.py", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_changed_result_would_be_seen(tmp_path):
    for name in ("results", "s10", "tools"):
        subprocess.run(["cp", "-r", ROOT / name, tmp_path], check=True)
    path = tmp_path / "results" / "lr-range-cifar10-width16" / "lr_range.json"
    found = json.loads(path.read_text())
    found["choices"][0]["lr_max"] *= 2
    path.write_text(json.dumps(found))
    check = [sys.executable, tmp_path / "tools" / "update_reference.py", "--check"]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 1


def test_the_interval_is_students_prediction_interval():
    values = (0.898, 0.9005, 0.9049)
    low, high = reference.prediction_interval(values)
    mean = np.mean(values)
    reach = stats.t(2).ppf(0.975) * np.std(values, ddof=1) * np.sqrt(4 / 3)
    assert (low, high) == pytest.approx((mean - reach, mean + reach))
    near = (low - 1e-6, low, mean, high, high + 1e-6, float("nan"))
    assert [reference.side(value, values) for value in near] == [-1, 0, 0, 0, 1, -1]


def test_19_of_20_new_runs_lie_in_the_interval():
    generator = np.random.default_rng(0)
    runs = generator.normal(0.9, 0.003, (4000, 4))
    inside = [reference.side(row[3], row[:3]) == 0 for row in runs]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize(
    ("shift", "words"), [(0, "normal"), (-0.05, "below. Usual reasons"), (0.05, "second seed")]
)
def test_a_finished_run_is_judged(shift, words):
    curve = stored_curves().mean(0) + shift
    judged = reference.compare_training(history(*curve), NARROW, "cifar10")
    assert words in judged
    assert f"{curve[-1]:.2%}" in judged


def test_the_assignment_is_judged_at_full_width():
    entry = reference.training_entry(Recipe(), "cifar10")
    assert entry["from"] == "results/cifar10-width64-h200"
    assert len(entry["seeds"]) == 5
    curve = entry["test_accuracy"][0]
    assert "yours is normal" in reference.compare_training(history(*curve), Recipe(), "cifar10")


@pytest.mark.parametrize("first", [True, False])
def test_of_several_stored_recipes_the_one_that_agrees_wins(monkeypatch, first):
    """Same network, width and images: a stored run of another recipe must not stand in for it."""
    ours, other = (
        {"data": "cifar10", "test_accuracy": [[low, low + 0.1]], "recipe": recipe.to_dict()}
        for low, recipe in ((0.3, Recipe()), (0.6, Recipe(lr_max=0.1, pad=0)))
    )
    entries = [other, ours] if first else [ours, other]
    monkeypatch.setattr(reference, "stored", lambda: {"training": entries})
    assert reference.training_entry(Recipe(), "cifar10") is ours
    figure = reference.plot_reference_runs(history(0.3), Recipe(), "cifar10")
    (band,) = figure.axes[0].collections
    assert band.get_paths()[0].get_extents().intervaly.tolist() == pytest.approx([30, 40])
    assert band.get_label() == "one stored run"
    assert band.get_linewidth() > 0  # One run is a line.
    # No entry is of this one; the nearest is shown, and called what it is.
    near = Recipe(lr_max=0.1, pad=0, cutout=0)
    assert reference.training_entry(near, "cifar10") is other
    judged = reference.compare_training(history(0.3), near, "cifar10")
    assert "another recipe (cutout is 0, was 8)" in judged
    figure = reference.plot_reference_runs(history(0.3), near, "cifar10")
    assert figure.axes[0].collections[0].get_label() == "one stored run of another recipe"


def test_no_two_stored_entries_answer_the_same_question():
    """Each is looked up by these keys, so a second one would be taken for it, or never be seen."""
    keys = {
        "lr_range": ("method", "data", "width"), "first_epochs": ("name", "stepped"),
        "ablation": ("recipe", "ingredient", "width"),
        "experiments": ("experiment", "data", "recipe"),
        "training": ("data", "recipe"), "submissions": ("kind", "name", "data", "width"),
    }  # fmt: skip
    assert set(keys) == set(reference.stored())
    for subject, names in keys.items():
        found = [str([entry[name] for name in names]) for entry in reference.stored()[subject]]
        assert len(set(found)) == len(found)


def test_one_stored_run_has_no_spread(monkeypatch):
    entry = {"data": "folder", "test_accuracy": [[0.9]], "recipe": NARROW.to_dict()}
    monkeypatch.setattr(reference, "stored", lambda: {"training": [entry]})
    judged = reference.compare_training(history(0.5), NARROW, "folder")
    assert "one seed says nothing about the next" in judged
    assert "nan" not in judged


def test_a_run_that_was_stopped_is_compared_with_that_epoch():
    judged = reference.compare_training(history(0.4, 0.6, 0.65), NARROW, "cifar10")
    assert "after 3 of 24 epochs" in judged
    assert f"{stored_curves()[:, 2].max():.2%}" in judged
    assert "nothing to compare" in reference.compare_training(history(), NARROW, "cifar10")


def test_another_recipe_is_named_and_not_judged():
    changed = replace(NARROW, lr_max=0.1, cutout=0)
    judged = reference.compare_training(history(*[0.9] * 24), changed, "cifar10")
    assert "lr_max is 0.1, was 0.01" in judged
    assert "cutout is 0, was 8" in judged
    same = replace(NARROW, seed=7, precision="fp32", augment="albumentations")
    assert "normal" in reference.compare_training(history(*stored_curves()[0]), same, "cifar10")


def test_where_nothing_is_stored_it_says_so():
    wide = Recipe(width=48)
    assert "no stored runs of width 48" in reference.compare_training(history(0.5), wide, "cifar10")
    arguments = {"method": "per-batch", "recipe": wide, "data": "cifar10"}
    assert "no stored range test of width 48" in reference.compare_lr("lr_max", 0.01, **arguments)
    assert "no such stored" in reference.compare_experiment("depths", {}, wide, "cifar10")
    # The other recipe of width 64 is another class.
    for recipe in (Recipe(), FastRecipe(), LAPTOP):
        entry = reference.training_entry(recipe, "cifar10")
        assert recipe.differences({**entry["recipe"], "seed": 0}) == []


@pytest.mark.parametrize(
    ("method", "data"),
    [("per-batch", "cifar10"), ("per-batch", "shapes"), ("per-epoch", "cifar10")],
)
def test_an_lr_is_judged_by_its_factor(method, data):
    (entry,) = [
        entry
        for entry in reference.stored()["lr_range"]
        if (entry["method"], entry["data"]) == (method, data)
    ]
    for factor, words in ((1.5, "within a factor of two"), (9, "is larger")):
        value = factor * max(entry["lr_max"])
        judged = reference.compare_lr("lr_max", value, method=method, recipe=NARROW, data=data)
        assert words in judged
    smaller = min(entry["lr_min"]) / 9
    judged = reference.compare_lr("lr_min", smaller, method=method, recipe=NARROW, data=data)
    assert judged.startswith("LRMIN")
    assert "is smaller" in judged


@pytest.mark.parametrize("data", ["cifar10", "shapes"])
@pytest.mark.parametrize(
    ("name", "epochs"),
    [("schedules", SCHEDULE_EPOCHS), ("depths", DEPTH_EPOCHS), ("pitfalls", PITFALL_EPOCHS)],
)
def test_the_short_experiments_are_judged(name, epochs, data):
    (entry,) = [
        entry
        for entry in reference.stored()["experiments"]
        if (entry["experiment"], entry["data"]) == (name, data)
    ]
    recipe = replace(NARROW.with_epochs(epochs), data=data)
    middle = {variant: float(np.mean(values)) for variant, values in entry["values"].items()}
    lines = reference.compare_experiment(name, middle, recipe, data).splitlines()
    assert len(lines) == len(middle)
    assert all(line.endswith(": normal") for line in lines)
    far = {next(iter(middle)): 99.0, "unheard of": 1.0}
    first, second = reference.compare_experiment(name, far, recipe, data).splitlines()
    assert "above what is usual" in first
    assert "not stored" in second
    for line, values in zip(lines, entry["values"].values(), strict=True):
        low, high = map(float, re.search(r"usual ([\d.]+) to ([\d.]+)[ %]*:", line).groups())
        if name != "depths":  # accuracies, in percent
            low, high = low / 100, high / 100
        expected = reference.prediction_interval(values)
        assert low == pytest.approx(max(0, expected[0]), abs=1e-4)
        assert high == pytest.approx(expected[1], abs=1e-4) or high == 1 < expected[1]
    assert "no such" in reference.compare_experiment(name, middle, replace(recipe, pad=0), data)


def test_the_curves_of_the_schedules_are_those_of_the_stored_runs():
    recipe = NARROW.with_epochs(SCHEDULE_EPOCHS)
    curves = reference.stored_curves(recipe, "cifar10")
    assert len(curves) == 4 * 3 * SCHEDULE_EPOCHS
    keys = ["schedule", "seed", "epoch"]
    stored = pd.read_csv(ROOT / "results" / "experiments-cifar10-width16" / "schedules.csv")
    both = curves.merge(stored, on=keys, suffixes=("", "_of_the_file"), validate="one_to_one")
    assert len(both) == len(curves)
    for column in ("train_loss", "test_accuracy"):
        assert both[column].to_numpy() == pytest.approx(both[f"{column}_of_the_file"], abs=1e-4)
    nothing = reference.stored_curves(replace(recipe, pad=0), "cifar10")
    assert nothing.empty
    assert list(nothing) == list(curves)


def test_the_stored_runs_are_drawn_if_there_are_any():
    figure = reference.plot_reference_runs(history(0.4, 0.6), NARROW, "cifar10")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        f"{len(stored_curves())} stored runs",
        "your run",
    ]
    figure = reference.plot_reference_runs(history(0.4, 0.6), Recipe(width=48), "cifar10")
    assert "no stored ones" in figure.axes[0].get_title(loc="left")
