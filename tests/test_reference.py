""" "Is my number normal?": stored bands are those of results/, words fit the numbers."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from s10 import Recipe, reference
from s10.experiments import DEPTH_EPOCHS, SCHEDULE_EPOCHS, TRAP_EPOCHS

ROOT = Path(__file__).resolve().parent.parent
LAPTOP = Recipe(width=16)


def history(*accuracies):
    return pd.DataFrame({"epoch": range(1, len(accuracies) + 1), "test_accuracy": accuracies})


def stored_curves():
    entry = reference.training_entry(Recipe(width=16), "cifar10")
    return np.array(entry["test_accuracy"])


def test_the_stored_bands_are_those_of_results():
    done = subprocess.run(
        [sys.executable, ROOT / "results" / "update_reference.py", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_changed_result_would_be_seen(tmp_path):
    for name in ("results", "s10"):
        subprocess.run(["cp", "-r", ROOT / name, tmp_path], check=True)
    path = tmp_path / "results" / "lr-range-cifar10-width16" / "lr_range.json"
    found = json.loads(path.read_text())
    found["choices"][0]["lr_max"] *= 2
    path.write_text(json.dumps(found))
    check = [sys.executable, tmp_path / "results" / "update_reference.py", "--check"]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 1


def test_the_interval_is_students_prediction_interval():
    values = (0.898, 0.9005, 0.9049)
    band = reference.Band(values)
    low, high = band.interval
    assert band.mean == pytest.approx(np.mean(values))
    reach = stats.t(2).ppf(0.975) * np.std(values, ddof=1) * np.sqrt(4 / 3)
    assert (low, high) == pytest.approx((band.mean - reach, band.mean + reach))
    sides = [band.side(value) for value in (low - 1e-6, low, band.mean, high, high + 1e-6)]
    assert sides == [-1, 0, 0, 0, 1]
    assert band.side(float("nan")) == -1


def test_19_of_20_new_runs_lie_in_the_interval():
    generator = np.random.default_rng(0)
    runs = generator.normal(0.9, 0.003, (4000, 4))
    inside = [reference.Band(tuple(row[:3])).side(row[3]) == 0 for row in runs]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize(
    ("shift", "words"), [(0, "normal"), (-0.05, "below. Usual reasons"), (0.05, "second seed")]
)
def test_a_finished_run_is_judged(shift, words):
    curve = stored_curves().mean(0) + shift
    judged = reference.judge_training(history(*curve), LAPTOP, "cifar10")
    assert words in judged
    assert f"{curve[-1]:.2%}" in judged


@pytest.mark.parametrize(
    ("shift", "words"), [(0.002, "normal"), (-0.05, "below. Usual reasons"), (0.05, "second seed")]
)
def test_one_stored_run_borrows_the_spread_of_others(monkeypatch, shift, words):
    """Its own spread is not known; that of other recipes on the same images is."""
    found = reference.stored()
    alone = {
        **found["training"][0], "data": "cifar10", "seeds": [0], "test_accuracy": [[0.5, 0.94]],
        "recipe": {"width": 48},
    }  # fmt: skip
    monkeypatch.setattr(reference, "stored", lambda: {"training": [*found["training"], alone]})
    figure = reference.plot_training_band(history(0.5, 0.9), Recipe(width=48), "cifar10")
    stored = figure.axes[0].lines[0]
    assert stored.get_ydata().tolist() == [50, 94]
    judged = reference.judge_training(history(0.5, 0.94 + shift), Recipe(width=48), "cifar10")
    assert words in judged
    assert "One stored run gave 94.00%" in judged
    assert "nan" not in judged
    curves = [np.array(e["test_accuracy"])[:, -1] for e in found["training"]
              if e["data"] == "cifar10" and len(e["seeds"]) > 1]  # fmt: skip
    freedom = sum(len(values) - 1 for values in curves)
    pooled = np.sqrt(sum(((v - v.mean()) ** 2).sum() for v in curves) / freedom)
    reach = stats.t(freedom).ppf(0.975) * pooled * np.sqrt(2)
    assert f"from {0.94 - reach:.2%} to {0.94 + reach:.2%}" in judged


def test_one_stored_run_alone_on_its_images_is_no_band(monkeypatch):
    entry = {**reference.stored()["training"][0], "data": "folder", "test_accuracy": [[0.9]]}
    monkeypatch.setattr(reference, "stored", lambda: {"training": [entry]})
    recipe = Recipe.from_dict(entry["recipe"])
    judged = reference.judge_training(history(0.5), recipe, "folder")
    assert "one seed says nothing of the next" in judged
    assert "nan" not in judged


def test_a_run_that_was_stopped_is_compared_with_that_epoch():
    judged = reference.judge_training(history(0.4, 0.6, 0.65), LAPTOP, "cifar10")
    assert "after 3 of 24 epochs" in judged
    assert f"{stored_curves()[:, 2].max():.2%}" in judged
    assert "nothing to compare" in reference.judge_training(history(), LAPTOP, "cifar10")


def test_another_recipe_is_named_and_not_judged():
    changed = replace(LAPTOP, lr_max=0.1, cutout=0)
    judged = reference.judge_training(history(*[0.9] * 24), changed, "cifar10")
    assert "lr_max 0.1 instead of 0.01" in judged
    assert "cutout 0 instead of 8" in judged
    same = replace(LAPTOP, seed=7, precision="fp32", augment="albumentations")
    assert "normal" in reference.judge_training(history(*stored_curves()[0]), same, "cifar10")


def test_where_nothing_is_stored_it_says_so():
    wide = Recipe(width=48)
    assert "no stored runs of width 48" in reference.judge_training(history(0.5), wide, "cifar10")
    arguments = {"method": "per-batch", "recipe": wide, "data": "cifar10"}
    assert "no range test of width 48" in reference.judge_lr("lr_max", 0.01, **arguments)
    assert "No such experiment" in reference.judge_experiment("depths", {}, wide, "cifar10")


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
        judged = reference.judge_lr("lr_max", value, method=method, recipe=LAPTOP, data=data)
        assert words in judged
    smaller = min(entry["lr_min"]) / 9
    judged = reference.judge_lr("lr_min", smaller, method=method, recipe=LAPTOP, data=data)
    assert judged.startswith("LRMIN")
    assert "is smaller" in judged


@pytest.mark.parametrize("data", ["cifar10", "shapes"])
@pytest.mark.parametrize(
    ("name", "epochs"),
    [("schedules", SCHEDULE_EPOCHS), ("depths", DEPTH_EPOCHS), ("traps", TRAP_EPOCHS)],
)
def test_the_short_experiments_are_judged(name, epochs, data):
    (entry,) = [
        entry
        for entry in reference.stored()["experiments"]
        if (entry["experiment"], entry["data"]) == (name, data)
    ]
    recipe = replace(LAPTOP.with_epochs(epochs), data=data)
    middle = {variant: float(np.mean(values)) for variant, values in entry["values"].items()}
    lines = reference.judge_experiment(name, middle, recipe, data).splitlines()
    assert len(lines) == len(middle)
    assert all(line.endswith(": normal") for line in lines)
    far = {next(iter(middle)): 99.0, "unheard of": 1.0}
    first, second = reference.judge_experiment(name, far, recipe, data).splitlines()
    assert "above what is usual" in first
    assert "not stored" in second
    assert "No such" in reference.judge_experiment(name, middle, replace(recipe, pad=0), data)


def test_what_the_notebooks_claim_of_the_short_experiments():
    """Over all stored seeds: the cycle beats both constant LRs; depth hurts plain nets only."""
    for entry in reference.stored()["experiments"]:
        values = {name: np.array(seeds) for name, seeds in entry["values"].items()}
        if entry["experiment"] == "schedules" and entry["data"] == "cifar10":
            others = [seeds for name, seeds in values.items() if name != "one cycle"]
            assert all((values["one cycle"] > seeds).all() for seeds in others)
        if entry["experiment"] == "depths" and entry["data"] == "cifar10":
            plain = values["49 layers, plain"] - values["9 layers, plain"]
            residual = values["49 layers, residual"] - values["9 layers, residual"]
            assert (plain > 0.3).all()
            assert (residual < 0.1).all()


def test_the_band_is_drawn_where_there_is_one():
    figure = reference.plot_training_band(history(0.4, 0.6), LAPTOP, "cifar10")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        f"{len(stored_curves())} stored runs",
        "your run",
    ]
    figure = reference.plot_training_band(history(0.4, 0.6), Recipe(width=48), "cifar10")
    assert "nothing is stored" in figure.axes[0].get_title(loc="left")
