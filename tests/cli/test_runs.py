"""A run's folder: complete, consistent, and safe from being overwritten."""

import csv
import json
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from s10 import CustomResNet, InputError, Recipe, evaluate, load_dataset, seed_everything
from s10.cli.main import main
from s10.cli.registry import find_recipe
from s10.cli.runs import FIGURES, Run, commit, new_folder, report_write_errors
from s10.loaders import eval_loader
from s10.metrics import COLUMNS
from s10.runtime.errors import S10Error

MEAN, STD = (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)


@pytest.fixture(scope="module")
def summary(demo):
    return json.loads((demo[0] / "summary.json").read_text())


# The demo, a complete run.


@pytest.mark.slow
def test_make_demo_passes_95_percent(tmp_path):
    arguments = ["train", "--data", "shapes", "--width", "16", "--out", str(tmp_path / "run")]
    assert main(arguments) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["test_accuracy"] >= 0.95
    assert summary["epochs"] == 24
    assert summary["parameters"] == 412_954


def test_the_demo_is_the_assignment_over_two_epochs(demo, summary):
    recipe = find_recipe(str(demo[0]))
    expected = Recipe(data="shapes", width=4, precision="fp32").with_epochs(2)
    assert recipe == find_recipe(str(demo[0] / "recipe.json")) == expected
    assert (summary["epochs"], summary["batch_size"]) == (2, 512)
    assert summary["recipe"] == recipe.to_dict()
    assert summary["recipe"]["class"] == "Recipe"


def test_the_demo_ends_by_naming_the_figures(demo):
    folder, output = demo
    last = output.splitlines()[-len(FIGURES) :]
    assert [line.strip() for line in last] == [str(folder / name) for name in FIGURES]


def test_device_and_precision_are_printed_once(demo):
    assert len(re.findall("precision", demo[1])) == 1
    assert demo[1].splitlines()[0].startswith("device")


def test_where_the_time_went_is_printed(demo, summary):
    (line,) = [line for line in demo[1].splitlines() if " s in total: " in line]
    parts = ["data", "training", "evaluation", "figures"]
    assert line.split(":")[1].split()[0::2] == list(summary["seconds"]) == parts


def test_without_test_time_augmentation_there_is_no_word_of_it(demo, summary):
    assert "views" not in demo[1]
    assert not {"tta_views", "tta_test_accuracy"} & set(summary)


def test_metrics_are_what_the_summary_says(demo, summary):
    with open(demo[0] / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["epoch"]) for row in rows] == [1, 2]
    assert float(rows[-1]["test_accuracy"]) == summary["test_accuracy"]
    assert float(rows[-1]["train_accuracy"]) == summary["train_accuracy"]
    assert sum(float(row["seconds"]) for row in rows) <= summary["train_seconds"] + 0.01
    assert float(rows[0]["lr"]) == pytest.approx(Recipe().lr_max, rel=1e-12)  # The peak.
    assert float(rows[1]["lr"]) == pytest.approx(Recipe().lr_min, rel=1e-9)


def test_the_summary_is_complete(summary, shapes):
    assert list(summary["class_accuracy"]) == list(shapes.classes)
    assert np.mean(list(summary["class_accuracy"].values())) == pytest.approx(
        summary["test_accuracy"]
    )
    assert summary["parameters"] == 26_350
    assert summary["dataset"]["fingerprint"] == shapes.fingerprint()
    assert summary["dataset"]["train_images"] == 5000
    assert summary["total_seconds"] > summary["train_seconds"] > 0
    assert summary["versions"]["torch"] == torch.__version__
    assert {"python", "s10", "torchvision", "albumentations", "numpy"} <= set(summary["versions"])
    assert summary["seed"] == 0
    assert summary["precision"] == "fp32"
    assert "CPU" in summary["device"] or torch.cuda.is_available()
    assert summary["lr_max"] == Recipe().lr_max
    assert summary["lr_min"] == Recipe().lr_min
    assert not summary["interrupted"]


def test_the_weights_reproduce_the_accuracy(demo, summary, shapes):
    model, metadata = Run(demo[0]).load_model()
    assert metadata["classes"] == list(shapes.classes)
    assert (tuple(metadata["mean"]), tuple(metadata["std"])) == (shapes.mean, shapes.std)
    loader = eval_loader(shapes.test_images, shapes.test_labels, shapes.mean, shapes.std)
    predictions = evaluate(model, loader, shapes.classes)
    assert predictions.accuracy == pytest.approx(summary["test_accuracy"], abs=0.002)
    assert len(load_file(demo[0] / "model.safetensors")) == len(model.state_dict())


def test_the_figures_are_images(demo):
    for name in FIGURES:
        with Image.open(demo[0] / name) as image:
            assert image.width > 300
            assert len(np.unique(np.asarray(image.convert("L")))) > 10


def test_nothing_else_is_left_behind(demo):
    files = {"recipe.json", "metrics.csv", "model.safetensors", "summary.json", *FIGURES}
    assert {path.name for path in demo[0].iterdir()} == files | {"checkpoints"}
    assert len(list((demo[0] / "checkpoints").iterdir())) in (1, 2)  # By how long it took.


def test_the_demo_is_finished(demo):
    assert Run(demo[0]).is_finished()
    assert {path.name for path in Run.open(demo[0]).existing_files()} >= set(FIGURES)


# Starting a run.


def test_the_commit_is_known_here():
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", commit())


def test_a_run_is_not_overwritten_unasked(tmp_path):
    Run.start(tmp_path / "run", Recipe())
    (tmp_path / "run" / "model.safetensors").write_bytes(b"precious")
    with pytest.raises(InputError, match=r"already holds a run.*--out.*--overwrite"):
        Run.start(tmp_path / "run", Recipe(seed=1))
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == b"precious"
    assert find_recipe(str(tmp_path / "run")).seed == 0


def test_overwriting_leaves_other_files_alone(tmp_path):
    run = Run.start(tmp_path, Recipe())
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "summary.json").write_text("{}")
    run.checkpoints.mkdir()
    (run.checkpoints / "000001.checkpoint").write_text("old")
    Run.start(tmp_path, Recipe(seed=1), overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "summary.json").exists()
    assert not list(run.checkpoints.iterdir())
    assert find_recipe(str(tmp_path)).seed == 1


def test_an_old_run_is_complete_where_a_new_one_cannot_start(tmp_path, monkeypatch):
    run = Run.start(tmp_path, Recipe())
    run.save_summary({"epochs": 24})
    before = {path: path.read_bytes() for path in run.existing_files()}
    no_room(monkeypatch)
    with pytest.raises(S10Error, match=r"cannot write to .*No space left.*--out"):
        Run.start(tmp_path, Recipe(seed=1), overwrite=True)
    assert {path: path.read_bytes() for path in run.existing_files()} == before


def test_a_folder_that_cannot_be_written_is_explained(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot write to .*file is not a directory"):
        Run.start(tmp_path / "file" / "run", Recipe())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_explained(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(InputError, match=r"no permission in .*--out"):
        Run.start(tmp_path / "run", Recipe())


def no_room(monkeypatch):
    """Let every write fail as on a full disk."""

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("s10.runtime.files.os.fsync", full)


def test_a_failed_write_leaves_the_old_file_and_says_how_to_resume(tmp_path, monkeypatch):
    run = Run.start(tmp_path / "my run", Recipe(width=4))
    model = CustomResNet(10, 4)

    def save():
        run.save_summary({"epochs": 1})
        run.save_history([dict.fromkeys(COLUMNS, 1)])
        run.save_model(model, ["a"], MEAN, STD)

    save()
    before = {path: path.read_bytes() for path in run.folder.iterdir()}
    no_room(monkeypatch)
    message = "No space left on device; make room there, then s10 train --resume '.*my run'"
    for write in (
        lambda: run.save_summary({}),
        lambda: run.save_history([]),
        lambda: run.save_model(CustomResNet(10, 4), ["b"], MEAN, STD),
    ):
        with pytest.raises(S10Error, match=message), report_write_errors(run.folder):
            write()
    assert {path: path.read_bytes() for path in run.folder.iterdir()} == before


# The folder of a run without a name.


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("cifar10", "cifar10"),
        ("folder:/home/ana/pets/", "pets"),
        ("folder:C:\\Users\\ana\\pets", "pets"),
        ("folder:C:\\Users\\ana\\pets\\", "pets"),
        ("folder:C:", "C"),
        ("folder:.", "here"),
        ("folder:pets/..", "here"),
        ("folder:~", "home"),
        ("folder:/", "folder"),
        ("folder:/...", "images"),
        ("folder:/.hidden", "hidden"),
        ("folder:/my cats & dogs?", "my-cats-dogs"),
        ("folder:/猫 и собаки", "猫-и-собаки"),
        ("folder:/" + 100 * "long", 10 * "long"),
    ],
)
def test_the_name_of_a_run_is_that_of_its_images(tmp_path, monkeypatch, source, name):
    for folder in ("here", "home"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = new_folder(Recipe(data=source))
    assert re.fullmatch(re.escape(name) + r"-width64-seed0-\d{8}-\d{6}", folder.name)
    assert folder.parent == Path("runs")


# Resuming a run.


@pytest.mark.parametrize("results", ["model.safetensors", "summary.json"])
def test_results_without_a_checkpoint_are_not_replaced(tmp_path, results):
    run = Run.start(tmp_path, Recipe())
    run.save_history([dict.fromkeys(COLUMNS, 1)])
    assert Run.open(tmp_path) == run  # It was killed before its first checkpoint.
    (tmp_path / results).write_text("mine")
    with pytest.raises(InputError, match=r"has results, and no checkpoint .*--overwrite"):
        Run.open(tmp_path)
    run.checkpoints.mkdir()
    (run.checkpoints / "000001.checkpoint").touch()
    assert Run.open(tmp_path) == run


def test_without_a_run_there_is_nothing_to_resume(tmp_path):
    with pytest.raises(InputError, match=r"no run in .* to resume"):
        Run.open(tmp_path)


@pytest.mark.parametrize(
    ("summary", "finished"),
    [
        ('{"epochs": 24, "interrupted": false}', True),
        ('{"epochs": 23, "interrupted": true}', False),
        ('{"epochs": 24, "interrupted": true}', False),
        ("{", False),
        ("[]", False),
        ("{}", False),
    ],
)
def test_a_run_is_finished_when_its_summary_says_so(tmp_path, summary, finished):
    run = Run.start(tmp_path, Recipe())
    assert not run.is_finished()
    (tmp_path / "summary.json").write_text(summary)
    assert run.is_finished() == finished


# metrics.csv.


def test_metrics_are_written_to_the_last_digit(tmp_path):
    rows = [dict.fromkeys(COLUMNS, 0.1 + 0.2 * number) | {"epoch": number} for number in (1, 2)]
    rows[1]["test_loss"] = float("inf")
    run = Run(tmp_path)
    run.save_history(rows)
    with open(tmp_path / "metrics.csv", newline="") as file:
        found = [{name: float(text) for name, text in row.items()} for row in csv.DictReader(file)]
    assert found == rows
    run.save_history([])
    assert (tmp_path / "metrics.csv").read_text() == ",".join(COLUMNS) + "\n"


# model.safetensors.


@pytest.mark.parametrize(
    "content",
    [b"", b"not safetensors", b"\x00" * 100, (1 << 62).to_bytes(8, "little") + b"{}"],
    ids=["empty", "text", "zeros", "huge header"],
)
def test_damaged_weights_are_explained(tmp_path, content):
    Run.start(tmp_path, Recipe())
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.safetensors is damaged or not a") as caught:
        Run(tmp_path).load_model()
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_explained(tmp_path):
    run = Run.start(tmp_path, Recipe(width=8))
    run.save_model(CustomResNet(10, 4), [str(number) for number in range(10)], MEAN, STD)
    with pytest.raises(InputError, match="damaged or not a network"):
        run.load_model()


def test_a_damaged_recipe_is_not_blamed_on_the_weights(tmp_path):
    run = Run.start(tmp_path, Recipe(width=4))
    run.save_model(CustomResNet(10, 4), [str(number) for number in range(10)], MEAN, STD)
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(InputError, match=r"the recipe .* is not JSON"):
        run.load_model()


def test_equal_runs_write_equal_files(tmp_path):
    """safetensors alone does not promise it: it writes several metadata in any order."""
    files = set()
    for number in range(8):
        seed_everything(0)
        run = Run.start(tmp_path / str(number), Recipe(width=4))
        run.save_model(CustomResNet(10, 4), ["a", "b"], MEAN, STD)
        files.add((run.folder / "model.safetensors").read_bytes())
    assert len(files) == 1


def test_weights_without_our_metadata_are_explained(tmp_path):
    Run.start(tmp_path, Recipe())
    for metadata in (None, {"s10": "{}"}, {"s10": "[]"}, {"s10": "{"}):
        save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors", metadata=metadata)
        with pytest.raises(InputError, match="damaged or not a network"):
            Run(tmp_path).load_model()


def test_a_pickle_is_never_run(tmp_path):
    """Weights come through safetensors only: a pickle with a command in it does nothing."""

    class Command:
        def __reduce__(self):
            return (open, (str(tmp_path / "was run"), "w"))

    Run.start(tmp_path, Recipe())
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Command()))
    with pytest.raises(InputError, match="damaged or not a network"):
        Run(tmp_path).load_model()
    assert not (tmp_path / "was run").exists()


def test_evaluation_needs_the_same_classes(demo, image_folder):
    dataset = load_dataset(f"folder:{image_folder}")
    assert list(dataset.classes) != Run(demo[0]).load_model()[1]["classes"]
