"""Series of runs, one row for each: what is there is skipped, and rows say what was measured."""

import json
import subprocess
import sys
from dataclasses import replace

import ablation
import common
import experiments
import first_epochs
import pandas as pd
import pytest
import submissions
import throughput
import torch
from torch.optim.lr_scheduler import LambdaLR

from s10 import FitResult, InputError, Recipe, TrainingDiverged
from s10.course.ablation import ABLATIONS
from s10.speed.recipes import LAPTOP
from s10.submissions.pitfalls import PITFALLS
from s10.submissions.recipes import Era1S10Strided

RESULTS, CPU = common.RESULTS, torch.device("cpu")


@pytest.fixture(autouse=True)
def few_images(monkeypatch, load_few):
    for script in (ablation, submissions, first_epochs, experiments):
        monkeypatch.setattr(script, "load_dataset", load_few)


def names(folder):
    return [(row["kind"], row["name"]) for row in common.read_rows(folder / "runs.csv")]


def columns(path):
    return path.read_text().splitlines()[0].split(",")


def test_an_interrupted_ablation_continues(tmp_path, capsys):
    words = ["laptop", "--data", "shapes", "--width", "2", "--epochs", "1", "--out", str(tmp_path)]
    ablation.main([*words, "--only", "Muon"])
    capsys.readouterr()
    ablation.main([*words, "--only", "Muon", "whitening layer"])
    out = capsys.readouterr().out
    assert out.count("seed 0") == 1
    assert "without whitening layer, seed 0" in out
    assert names(tmp_path) == [
        ("whole", "the whole recipe"), ("without", "Muon"), ("without", "whitening layer"),
    ]  # fmt: skip


def test_an_ingredient_that_does_not_exist_is_named():
    script = RESULTS.parent / "benchmarks" / "ablation.py"
    done = subprocess.run(
        [sys.executable, script, "laptop", "--data", "shapes", "--only", "salt"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no ingredient 'salt'" in done.stderr


def test_a_stored_run_of_the_full_recipe_is_copied(tmp_path):
    recipe = Recipe(width=16, seed=1)
    stored = RESULTS / "cifar10-width16" / "seed1"
    summary = json.loads((stored / "summary.json").read_text())
    fingerprint = summary["dataset"]["fingerprint"]
    for other in (replace(recipe, seed=77), replace(recipe, beta2=0.9)):
        assert not ablation.copy_stored_run(other, fingerprint, tmp_path)
    assert not ablation.copy_stored_run(recipe, "other images", tmp_path)
    assert not list(tmp_path.iterdir())
    assert ablation.copy_stored_run(recipe, fingerprint, tmp_path)
    assert json.loads(common.recipe_file(tmp_path, ablation.FULL[1], 1).read_text()) == (
        recipe.to_dict()
    )
    (row,) = common.read_rows(tmp_path / "runs.csv")
    assert all(row.values())
    assert float(row["test_accuracy"]) == summary["test_accuracy"]
    assert (row["epochs"], row["commit"]) == ("24", summary["commit"])
    assert (row["width"], row["seed"], row["data"]) == ("16", "1", "cifar10")
    assert row["torch"] == summary["versions"]["torch"]
    (curve,) = (tmp_path / "curves").glob("*.csv")
    assert curve.read_text() == (stored / "metrics.csv").read_text()


def test_the_stored_files_have_the_columns_and_names_of_today():
    for path in RESULTS.glob("*/runs.csv"):
        expected = first_epochs.COLUMNS if "first-epochs" in str(path) else common.COLUMNS
        assert columns(path) == list(expected)
    stored = set(names(RESULTS / "submissions-cifar10-width16"))
    assert stored == {(kind, name) for kind, group in submissions.RECIPES.items() for name in group}
    curves = RESULTS / "submissions-cifar10-width16" / "curves"
    row, *_ = common.read_rows(RESULTS / "submissions-cifar10-width16" / "runs.csv")
    recipe = replace(submissions.RECIPES[row["kind"]][row["name"]], width=16)
    common.check_row(row, recipe, row["fingerprint"], curves.parent)  # A new start goes on.
    assert common.curve_file(curves.parent, row["name"], int(row["seed"])).exists()


def test_interrupted_measurements_of_the_submissions_continue(tmp_path, capsys):
    words = ["--data", "shapes", "--width", "4", "--epochs", "2", "--out", str(tmp_path), "--only"]
    submissions.main([*words, "ReLU before BN"])
    capsys.readouterr()
    submissions.main([*words, "ReLU before BN", "era1-s10"])
    assert capsys.readouterr().out.count("seed 0") == 1
    assert names(tmp_path) == [("trap", "ReLU before BN"), ("submission", "era1-s10")]
    assert (tmp_path / "curves" / "era1-s10-seed0.csv").read_text().count("\n") == 3
    (row, _) = common.read_rows(tmp_path / "runs.csv")
    assert all(row.values())
    assert (row["epochs"], row["width"], row["data"]) == ("2", "4", "shapes")
    with pytest.raises(SystemExit) as stopped:
        submissions.main([*words, "era1-s11"])
    assert stopped.value.code == 2
    assert "no era1-s11" in capsys.readouterr().err


@pytest.fixture
def trained(monkeypatch):
    """The recipes that were trained; nothing is."""
    recipes = []

    def untrained(recipe, dataset, device, hooks=()):
        recipes.append(recipe)
        rows = [dict.fromkeys(common.CURVE_COLUMNS, 0.5) | {"epoch": epoch} for epoch in (1, 2)]
        for hook in hooks:
            hook.rows = rows
        return None, FitResult(pd.DataFrame(rows), None, 1.0, interrupted=False)

    for script in (common, first_epochs):
        monkeypatch.setattr(script, "train", untrained)
    return recipes


def test_a_replacement_is_tuned_on_held_out_images_first(tmp_path, capsys, monkeypatch):
    accuracies, done = {0.0025: 0.3, 0.005: 0.6, 0.01: 0.5, 0.02: 0.4, 0.04: None}, []

    def fake(recipe, dataset, device, hooks=()):
        done.append((recipe.lr_max, len(dataset.train_images)))
        if accuracies[recipe.lr_max] is None:
            raise TrainingDiverged("the loss is not finite")
        row = dict.fromkeys(common.CURVE_COLUMNS, 0.5) | {"epoch": 1}
        row |= {"test_accuracy": accuracies[recipe.lr_max]}
        for hook in hooks:
            hook.rows = [row]
        return None, FitResult(pd.DataFrame([row]), None, 1.0, interrupted=False)

    for script in (common, ablation):
        monkeypatch.setattr(script, "train", fake)
    monkeypatch.setitem(accuracies, LAPTOP.lr_max, 0.7)
    images = len(ablation.load_dataset().train_images)
    words = [
        "laptop-at-equal-time",
        "--data",
        "shapes",
        "--width",
        "2",
        "--epochs",
        "1",
        "--out",
        str(tmp_path),
    ]
    words += ["--only", "Muon at equal time", "--seeds"]
    ablation.main([*words, "0"])
    tried = [(lr, images - images // 10) for lr in (0.0025, 0.005, 0.01, 0.02, 0.04)]
    assert done == [*tried, (LAPTOP.lr_max, images), (0.005, images)]
    ablation.main([*words, "0", "1"])  # The choice is stored, and holds for all seeds.
    assert done[7:] == [(LAPTOP.lr_max, images), (0.005, images)]
    recipe = json.loads(common.recipe_file(tmp_path, "Muon at equal time", 1).read_text())
    assert (recipe["lr_max"], recipe["class"]) == (0.005, "WithoutMuon")


CHANGES = {
    "--width": "width is 4, was 2",
    "--epochs": "epochs is 4, was 2",
    "--data": "data is folder:a, was shapes",
    "images": "the images are others",
    "recipe": "cutout is 4, was",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("script", [ablation, submissions])
def test_a_row_of_another_recipe_is_refused(script, change, tmp_path, capsys, monkeypatch, trained):
    """Before anything is trained, and also if the first of the runs is new."""
    options = {"--width": "2", "--epochs": "2", "--data": "shapes", "--out": str(tmp_path)}
    words, first, both = {
        ablation: (["laptop"], ["Muon"], ["label smoothing", "Muon"]),
        submissions: ([], ["eva4-s11"], ["eva4-s11", "era1-s10"]),
    }[script]
    script.main([*words, *sum(options.items(), ()), "--only", *first])
    measured = len(trained)
    script.main([*words, *sum(options.items(), ()), "--only", *first])
    assert len(trained) == measured >= 1
    stored = (tmp_path / "runs.csv").read_text()
    if change in options:
        options[change] = {"--width": "4", "--epochs": "4", "--data": "folder:a"}[change]
    if change == "images":
        few = script.load_dataset().subset(500)
        monkeypatch.setattr(script, "load_dataset", lambda *_: few)
    if change == "recipe":
        eva4, muon = submissions.RECIPES["submission"]["eva4-s11"], ABLATIONS["laptop"]["Muon"]
        monkeypatch.setitem(submissions.RECIPES["submission"], "eva4-s11", replace(eva4, cutout=4))
        monkeypatch.setitem(ABLATIONS["laptop"], "Muon", replace(muon, cutout=4))
    else:  # As rows were stored until version 0.2: what they say themselves is compared.
        for file in (tmp_path / "curves").glob("*.json"):
            file.unlink()
    with pytest.raises(SystemExit):
        script.main([*words, *sum(options.items(), ()), "--only", *both])
    error = capsys.readouterr().err
    assert CHANGES[change] in error
    assert "name another folder with --out" in error
    assert len(trained) == measured
    assert (tmp_path / "runs.csv").read_text() == stored


def test_the_first_epochs_of_another_network_are_refused(tmp_path, capsys, trained):
    words = ["--data", "shapes", "--out", str(tmp_path)]
    first_epochs.main([*words, "--width", "2"])
    for more, reason in (
        (["--width", "4"], "width is 4, was 2"),
        (["--width", "2", "--epochs", "3"], "only 2 epochs"),
    ):
        with pytest.raises(SystemExit):
            first_epochs.main([*words, *more])
        assert reason in capsys.readouterr().err
    assert len(trained) == 2


def test_an_unknown_ingredient_is_named(capsys):
    with pytest.raises(SystemExit):
        ablation.main(["laptop", "--only", "salt"])
    assert "no ingredient 'salt'; there are whitening layer" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["submissions", "ablation", "first_epochs"])
def test_bad_input_is_one_line(name, monkeypatch, capsys):
    script = {"submissions": submissions, "ablation": ablation, "first_epochs": first_epochs}[name]

    def missing(*_):
        raise InputError("there is no folder x")

    monkeypatch.setattr(script, "load_dataset", missing)
    with pytest.raises(SystemExit):
        script.main((["laptop"] if name == "ablation" else []) + ["--data", "folder:x"])
    assert "error: there is no folder x" in capsys.readouterr().err


def test_a_run_starts_from_the_recipes_own_weights(few, tiny):
    class Untrainable(Recipe):
        """All weights of the last layer are zero, and no step changes them."""

        def initial_model(self, dataset):
            model = super().initial_model(dataset)
            torch.nn.init.zeros_(model.fc.weight).requires_grad_(False)
            return model

    model, _ = common.train(Untrainable(**vars(replace(tiny, epochs=1))), few, CPU)
    assert not model.fc.weight.any()


class Diverging(Recipe):
    """The LR is infinite from the second epoch on."""

    def make_scheduler(self, optimizer, steps_per_epoch):
        return LambdaLR(optimizer, lambda step: 1.0 if step < steps_per_epoch else torch.inf)


def test_a_run_that_diverges_has_a_row_and_the_curve_until_then(tmp_path, few, tiny):
    recipe = Diverging.from_dict(tiny.to_dict())
    common.measure("trap", "infinity", recipe, few, CPU, tmp_path)
    (row,) = common.read_rows(tmp_path / "runs.csv")
    assert (row["diverged"], row["test_accuracy"], row["train_loss"]) == ("True", "", "")
    (epoch,) = common.read_rows(tmp_path / "curves" / "infinity-seed0.csv")
    assert 0 <= float(epoch["test_accuracy"]) <= 1


def test_a_run_that_is_stopped_leaves_nothing(tmp_path, few, tiny, monkeypatch):
    monkeypatch.setattr(
        common.CollectHistory, "on_epoch", lambda self, state: setattr(state, "stop", True)
    )
    with pytest.raises(KeyboardInterrupt):
        common.measure("trap", "stopped", tiny, few, CPU, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_first_epochs_in_both_ways(tmp_path, capsys):
    words = ["--data", "shapes", "--width", "2", "--out", str(tmp_path)]
    first_epochs.main(words)
    rows = common.read_rows(tmp_path / "runs.csv")
    assert [(row["stepped"], row["epoch"]) for row in rows] == [
        ("every batch", "1"), ("every batch", "2"), ("once an epoch", "1"), ("once an epoch", "2"),
    ]  # fmt: skip
    assert all(all(row.values()) for row in rows)
    # The LR of each epoch's last step: stepped once per epoch, the schedule has made no step in
    # the first epoch, and one in the second.
    _, every_batch, first, second = (float(row["lr"]) for row in rows)
    assert first == pytest.approx(Era1S10Strided().lr_min)
    assert first < second < every_batch
    capsys.readouterr()
    first_epochs.main(words)
    assert capsys.readouterr().out == ""
    with pytest.raises(SystemExit):
        first_epochs.main([*words, "--epochs", "25"])
    assert "from 1 to 24" in capsys.readouterr().err


def test_the_short_experiments(tmp_path, load_few):
    words = ["--data", "shapes", "--width", "2", "--seeds", "2", "--out", str(tmp_path)]
    experiments.main([*words, "--only", "schedules", "pitfalls"])
    found = json.loads((tmp_path / "experiments.json").read_text())
    assert found["seeds"] == [0, 1]
    assert found["dataset"]["fingerprint"] == load_few().fingerprint()
    assert {"device", "precision", "versions", "commit"} <= set(found)
    assert list(found["outcomes"]) == ["schedules", "pitfalls"]
    for name, variants in (("schedules", 4), ("pitfalls", 4)):
        outcome = found["outcomes"][name]
        assert [len(values) for values in outcome["values"].values()] == [2] * variants
        epochs = outcome["recipe"]["epochs"]
        assert (outcome["recipe"]["class"], outcome["train_images"]) == ("Recipe", 600)
        assert len(pd.read_csv(tmp_path / f"{name}.csv")) == 2 * variants * epochs


def test_the_throughput_is_written_as_it_is_stored(tmp_path, capsys, monkeypatch, few):
    monkeypatch.setattr(throughput, "ROUNDS", 1)
    monkeypatch.setattr(throughput, "random_dataset", lambda count: few)
    path = tmp_path / "new" / "throughput.json"
    words = ["--widths", "2", "--seconds", "0", "--device", "cpu", "--json", str(path)]
    throughput.main(words)
    found, stored = (json.loads(p.read_text()) for p in (path, RESULTS / "throughput.json"))
    assert set(found) == set(stored)
    assert set(found["training"][0]) == set(stored["training"][0])
    assert list(found["augmentation"]) == list(stored["augmentation"])
    assert all(rate > 0 for rate in found["augmentation"]["images_per_second"].values())
    assert "batched is" in capsys.readouterr().out


def test_every_pitfall_is_measured_alone():
    assert set(submissions.RECIPES["trap"]) == set(PITFALLS)
    assert all(recipe.epochs == 24 for recipe in submissions.RECIPES["trap"].values())
