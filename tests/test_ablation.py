"""What each ingredient brings: single changes, measured alike, read rightly."""

import csv
import importlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from s10 import RECIPES, InputError, ablation
from s10.ablation import ABLATIONS, stored_ablation, whole_recipe, without
from s10.plots.submissions import plot_ablation

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("name", "ingredient"), [(name, each) for name, every in ABLATIONS.items() for each in every]
)
def test_each_takes_away_something(name, ingredient):
    changed = RECIPES[name].differences(without(name, ingredient))
    assert len(changed) == len(ABLATIONS[name][ingredient]) or ingredient == "Muon"
    assert changed


def test_without_muon_it_is_the_assignments_optimizer():
    changed, assignment = without("laptop", "Muon"), RECIPES["assignment"]
    steps = {"optimizer", "lr_max", "lr_min", "final_lr", "beta2", "weight_decay"}
    steps |= {"momentum_max", "momentum_min"}
    for name in steps:
        assert getattr(changed, name) == getattr(assignment, name)
    others = {line.split()[0] for line in changed.differences(RECIPES["laptop"])} - steps
    assert others == set()
    assert changed.network == RECIPES["laptop"].network


def test_bad_input():
    with pytest.raises(InputError, match="there are assignment, laptop"):
        without("eva8-s8")
    with pytest.raises(InputError, match="no ingredient 'salt'"):
        without("laptop", "salt")


@pytest.fixture
def measured(monkeypatch):
    """Stored runs made up for a test."""

    def entry(ingredient, accuracies, seconds):
        return {
            "recipe": "laptop", "ingredient": ingredient, "test_accuracy": accuracies,
            "seconds": seconds, "seeds": list(range(len(accuracies))),
        }  # fmt: skip

    found = [
        entry("label smoothing", [0.93], [100]),
        entry(None, [0.93, 0.95], [100, 100]),
        entry("Muon", [0.89, 0.91], [80, 100]),
    ]
    monkeypatch.setattr(ablation, "stored", lambda: {"ablation": found})


def test_costs_are_read_rightly(measured):
    table = stored_ablation("laptop")
    assert list(table["ingredient"]) == ["Muon", "label smoothing"]
    assert table["brings"].round(6).tolist() == [4, 1]
    assert table["time"].round(6).tolist() == [0.9, 1]
    assert table["std"].round(3)[0] == 1.414
    assert np.isnan(table["std"][1])
    assert whole_recipe("laptop").tolist() == [93, 95]
    figure = plot_ablation(table, 0.5)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [
        "label smoothing", "Muon",
    ]  # fmt: skip
    assert "without it" in figure.axes[0].get_xlabel()
    with pytest.raises(InputError, match="no ablation of 'assignment' is stored"):
        stored_ablation("assignment")


def test_a_picture_of_small_and_negative_costs_shows_all_of_them():
    """The ablation of the assignment: whiskers and words lay outside, the legend on a bar."""
    table = pd.DataFrame(
        {"ingredient": ["decay", "β2", "smoothing", "momentum"], "seeds": 2,
         "brings": [0.15, 0.05, -0.29, -0.4], "std": [0.28, 0.21, 0.54, np.nan]},
    )  # fmt: skip
    figure = plot_ablation(table, 0.18)
    (axes,) = figure.axes
    figure.canvas.draw()
    inside = axes.get_window_extent()
    for words in axes.texts:
        box = words.get_window_extent()
        assert inside.x0 <= box.x0
        assert box.x1 <= inside.x1
    ends = [cost + std for cost, std in zip(table["brings"], table["std"], strict=True)]
    assert axes.get_xlim()[1] > np.nanmax(ends)
    assert axes.get_xlim()[0] < -0.29 - 0.54
    legend = axes.get_legend().get_window_extent()
    assert not any(bar.get_window_extent().overlaps(legend) for bar in axes.patches[1:])
    assert [words.get_text() for words in axes.texts] == ["−0.4", "−0.3", "+0.1", "+0.1"]


def test_a_stored_run_of_the_whole_recipe_is_not_made_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    benchmark = importlib.import_module("ablation")
    recipe = replace(without("assignment"), width=16, seed=1)
    stored = ROOT / "results" / "cifar10-width16" / "seed1"
    summary = json.loads((stored / "summary.json").read_text())
    fingerprint = summary["dataset"]["fingerprint"]
    for other in (replace(recipe, seed=77), replace(recipe, beta2=0.9)):
        assert not benchmark.copied(other, fingerprint, tmp_path)
    assert not benchmark.copied(recipe, "other images", tmp_path)
    assert not list(tmp_path.iterdir())
    assert benchmark.copied(recipe, fingerprint, tmp_path)
    assert benchmark.done(tmp_path / "runs.csv") == {("whole", benchmark.WHOLE, 1)}
    with open(tmp_path / "runs.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert all(row.values())
    assert float(row["test_accuracy"]) == summary["test_accuracy"]
    assert (row["epochs"], row["commit"]) == ("24", summary["commit"])
    (curve,) = (tmp_path / "curves").iterdir()
    assert curve.read_text() == (stored / "metrics.csv").read_text()


def test_an_interrupted_measurement_goes_on(tmp_path):
    def call(*only):
        return subprocess.run(
            [sys.executable, ROOT / "benchmarks" / "ablation.py", "laptop", "--data", "shapes",
             "--width", "2", "--epochs", "1", "--out", tmp_path, "--only", *only],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert call("Muon").returncode == 0
    second = call("Muon", "whitening layer")
    assert second.stdout.count("seed 0") == 1
    assert "without whitening layer, seed 0" in second.stdout
    with open(tmp_path / "runs.csv", newline="") as file:
        rows = [(row["kind"], row["name"]) for row in csv.DictReader(file)]
    assert rows == [
        ("whole", "the whole recipe"), ("without", "Muon"), ("without", "whitening layer"),
    ]  # fmt: skip
    wrong = call("salt")
    assert wrong.returncode == 2
    assert "no ingredient 'salt'" in wrong.stderr
