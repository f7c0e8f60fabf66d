"""A run's folder: complete, consistent, and safe from being overwritten."""

import csv
import json
import os
import re

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from s10 import (
    CustomResNet,
    InputError,
    Recipe,
    Run,
    evaluate,
    find_recipe,
    load_images,
    seed_everything,
)
from s10.batches import eval_batches
from s10.device import pick_precision
from s10.runs import COLUMNS, PICTURES, commit, write_atomically


@pytest.fixture(scope="module")
def summary(demo):
    return json.loads((demo[0] / "summary.json").read_text())


def test_the_demo_passes_95_per_cent_within_three_minutes(summary):
    assert summary["test_accuracy"] >= 0.95
    assert summary["train_seconds"] < 180


def test_the_demo_is_24_epochs_of_the_assignment(demo, summary):
    assert summary["epochs"] == 24
    assert summary["batch_size"] == 512
    recipe = find_recipe(str(demo[0]))
    assert recipe == find_recipe(str(demo[0] / "recipe.json"))
    for name in ("epochs", "batch_size", "optimizer", "peak_epoch", "lr_max", "lr_min", "cutout"):
        assert getattr(recipe, name) == getattr(Recipe(), name)


def test_the_demo_ends_by_naming_the_pictures(demo):
    folder, output = demo
    last = output.splitlines()[-len(PICTURES) :]
    assert [line.strip() for line in last] == [str(folder / name) for name in PICTURES]


def test_device_and_precision_are_said_once(demo):
    assert len(re.findall("precision", demo[1])) == 1
    assert demo[1].splitlines()[0].startswith("device")


def test_metrics_are_what_the_summary_says(demo, summary):
    with open(demo[0] / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["epoch"]) for row in rows] == list(range(1, 25))
    assert float(rows[-1]["test_accuracy"]) == summary["test_accuracy"]
    assert float(rows[-1]["train_accuracy"]) == summary["train_accuracy"]
    assert sum(float(row["seconds"]) for row in rows) <= summary["train_seconds"] + 0.01
    recipe = Recipe()
    assert float(rows[4]["lr"]) == pytest.approx(recipe.lr_max, rel=1e-12)
    assert max(float(row["lr"]) for row in rows) == float(rows[4]["lr"])
    assert float(rows[-1]["lr"]) == pytest.approx(recipe.lr_min, rel=1e-9)


def test_the_summary_is_complete(summary, shapes):
    assert list(summary["class_accuracy"]) == list(shapes.classes)
    assert np.mean(list(summary["class_accuracy"].values())) == pytest.approx(
        summary["test_accuracy"]
    )
    assert summary["parameters"] == 412_954
    assert summary["dataset"]["fingerprint"] == shapes.fingerprint()
    assert summary["dataset"]["train_images"] == 5000
    assert summary["total_seconds"] > summary["train_seconds"] > 0
    assert summary["versions"]["torch"] == torch.__version__
    assert {"python", "s10", "torchvision", "albumentations", "numpy"} <= set(summary["versions"])
    assert summary["seed"] == 0
    assert summary["precision"] in ("fp32", "bf16", "fp16")
    assert "CPU" in summary["device"] or torch.cuda.is_available()
    assert summary["lr_max"] == Recipe().lr_max
    assert summary["lr_min"] == Recipe().lr_min


def test_the_weights_give_the_same_accuracy_again(demo, summary, shapes):
    model, notes = Run(demo[0]).load_model()
    assert notes["classes"] == list(shapes.classes)
    precision = pick_precision("auto", torch.device("cpu"))
    predictions = evaluate(model, eval_batches(shapes), shapes.classes, precision=precision)
    assert predictions.accuracy == pytest.approx(summary["test_accuracy"], abs=0.002)
    assert len(load_file(demo[0] / "model.safetensors")) == len(model.state_dict())


def test_the_pictures_are_pictures(demo):
    for name in PICTURES:
        with Image.open(demo[0] / name) as picture:
            assert picture.width > 300
            assert len(np.unique(np.asarray(picture.convert("L")))) > 10


def test_nothing_else_is_left_behind(demo):
    files = {"recipe.json", "metrics.csv", "model.safetensors", "summary.json", *PICTURES}
    assert {path.name for path in demo[0].iterdir()} == files | {"checkpoints"}
    assert len(list((demo[0] / "checkpoints").iterdir())) == 2


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
    Run.start(tmp_path, Recipe())
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "summary.json").write_text("{}")
    Run.start(tmp_path, Recipe(seed=1), overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "summary.json").exists()
    assert find_recipe(str(tmp_path)).seed == 1


def test_a_folder_that_cannot_be_written_is_explained(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot write to .*file is not a directory"):
        Run.start(tmp_path / "file" / "run", Recipe())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_explained(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(InputError, match=r"no permission in .*--out"):
        Run.start(tmp_path / "run", Recipe())


def test_a_taken_folder_is_refused_before_the_data_are_loaded(tmp_path, monkeypatch):
    import s10.pipeline

    Run.start(tmp_path, Recipe())
    monkeypatch.setattr(s10.pipeline, "load_images", lambda *_: pytest.fail("loaded the data"))
    with pytest.raises(InputError, match="already holds a run"):
        s10.pipeline.train_run(Recipe(), tmp_path, device="cpu")


def test_an_atomic_write_leaves_the_old_text_when_it_fails(tmp_path, monkeypatch):
    import s10.runs

    path = tmp_path / "summary.json"
    write_atomically(path, "old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(s10.runs.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    "content",
    [b"", b"not safetensors", b"\x00" * 100, (1 << 62).to_bytes(8, "little") + b"{}"],
    ids=["empty", "text", "zeros", "huge header"],
)
def test_damaged_weights_are_explained(tmp_path, content):
    Run.start(tmp_path, Recipe())
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(
        InputError, match=r"model\.safetensors is damaged or is no network"
    ) as caught:
        Run(tmp_path).load_model()
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_explained(tmp_path, demo):
    Run.start(tmp_path, Recipe(width=8))
    (tmp_path / "model.safetensors").write_bytes((demo[0] / "model.safetensors").read_bytes())
    with pytest.raises(InputError, match="damaged or is no network"):
        Run(tmp_path).load_model()


def test_equal_runs_write_equal_files(tmp_path, few):
    """safetensors alone does not promise it: several notes come in any order."""
    files = set()
    for number in range(8):
        seed_everything(0)
        run = Run.start(tmp_path / str(number), Recipe(width=4))
        run.save_model(CustomResNet(10, 4), few)
        files.add((run.folder / "model.safetensors").read_bytes())
    assert len(files) == 1


def test_weights_without_our_notes_are_explained(tmp_path):
    from safetensors.torch import save_file

    Run.start(tmp_path, Recipe())
    for notes in (None, {"s10": "{}"}, {"s10": "[]"}, {"s10": "{"}):
        save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors", metadata=notes)
        with pytest.raises(InputError, match="damaged or is no network"):
            Run(tmp_path).load_model()


def test_a_pickle_is_never_run(tmp_path):
    """Weights come through safetensors only: a pickle with a command in it does nothing."""
    import pickle

    class Command:
        def __reduce__(self):
            return (open, (str(tmp_path / "was run"), "w"))

    Run.start(tmp_path, Recipe())
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Command()))
    with pytest.raises(InputError, match="damaged or is no network"):
        Run(tmp_path).load_model()
    assert not (tmp_path / "was run").exists()


def test_evaluation_needs_the_same_classes(demo, image_folder):
    images = load_images(f"folder:{image_folder}")
    assert list(images.classes) != Run(demo[0]).load_model()[1]["classes"]
