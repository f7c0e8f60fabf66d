"""The search for settings: on held-out training images, never on test images."""

import csv
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def search(*words):
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "recipe_search.py", "--data", "shapes", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_run_with_the_columns_of_those_stored(tmp_path):
    path = tmp_path / "search.csv"
    words = ("--width", "2", "--hold-out", "1000", "--csv", path)
    for recipe, views in (("laptop", "test_views=2"), ("assignment", "cutout=0")):
        done = search("--recipe", recipe, *words, "epochs=1", "peak_epoch=1", views)
        assert done.returncode == 0, done.stderr
    laptop, assignment = read(path)
    assert list(laptop) == list(read(ROOT / "results" / "recipe-search.csv")[0])
    assert laptop["changes"] == "epochs=1 peak_epoch=1 test_views=2"
    assert (laptop["recipe"], laptop["held_out_images"]) == ("laptop", "1000")
    assert 0 <= float(laptop["held_out_accuracy_of_views"]) <= 1
    assert assignment["held_out_accuracy_of_views"] == ""
    assert 0 <= float(assignment["held_out_accuracy"]) <= 1


def test_bad_input(tmp_path):
    path = tmp_path / "search.csv"
    for words, said in (
        (("epoch=1",), "did you mean epochs"),
        (("--recipe", "labtop"), "did you mean laptop"),
        (("--hold-out", "0"), "--hold-out must be from 1 to"),
        (("lr_max=-1",), "lr_max must be"),
        (("cutout=0", "--width", "2", "lr_max=-1"), "lr_max must be"),  # Options between.
        (("--hold-out", "4000", "small_until=0.5"), "32 pixels only"),
        (
            ("--hold-out", "4000", "width=2", "batch_size=5000", "epochs=1", "peak_epoch=1"),
            "smaller batch",
        ),
    ):
        done = search("--csv", path, *words)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert not path.exists()
    stored = (ROOT / "results" / "recipe-search.csv").read_bytes()
    assert "--csv" in search("width=2", "epochs=1", "peak_epoch=1").stderr  # Not into CIFAR-10's.
    assert (ROOT / "results" / "recipe-search.csv").read_bytes() == stored


def test_what_a_change_says_is_what_is_trained(tmp_path):
    path = tmp_path / "search.csv"
    words = ("--hold-out", "4000", "--csv", path, "epochs=1", "peak_epoch=1")
    third = ("width=3", "seed=5")
    for more in (third, (*third, "std_of=images"), ("width=64",), ("--width", "2", "width=3")):
        done = search(*words, *more)
        assert done.returncode == 0, done.stderr
    one, other, whole, option = read(path)
    assert (whole["width"], whole["seed"]) == ("64", "0")  # The assignment's own, said aloud.
    assert option["width"] == "2"
    assert (one["width"], one["seed"]) == ("3", "5")
    assert one["held_out_loss"] != other["held_out_loss"]
