"""The search for settings: on held-out training images, never on test images."""

import pytest
import recipe_search
from common import RESULTS, read_rows

ONE_EPOCH = ("epochs=1", "peak_epoch=1")


@pytest.fixture(autouse=True)
def few_images(monkeypatch, load_few):
    monkeypatch.setattr(recipe_search, "load_dataset", load_few)


def search(path, *words):
    arguments = ["--data", "shapes", "--csv", str(path), "--hold-out", "50", *words]
    recipe_search.main(arguments)


def test_a_row_for_each_run_with_the_columns_of_those_stored(tmp_path):
    path = tmp_path / "search.csv"
    for recipe, change in (("laptop", "tta_views=2"), ("assignment", "cutout=0")):
        search(path, "--recipe", recipe, "--width", "2", *ONE_EPOCH, change)
    laptop, assignment = read_rows(path)
    assert list(laptop) == list(read_rows(RESULTS / "recipe-search.csv")[0])
    assert laptop["changes"] == "epochs=1 peak_epoch=1 tta_views=2"
    assert (laptop["recipe"], laptop["held_out_images"]) == ("laptop", "50")
    assert 0 <= float(laptop["held_out_accuracy_of_views"]) <= 1
    assert assignment["held_out_accuracy_of_views"] == ""
    assert 0 <= float(assignment["held_out_accuracy"]) <= 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("epoch=1",), "did you mean epochs"),
        (("--recipe", "labtop"), "did you mean laptop"),
        (("--hold-out", "0"), "--hold-out must be from 1 to"),
        (("cutout",), "cutout must be"),
        (("lr_max=-1",), "lr_max must be"),
        (("cutout=0", "--width", "2", "lr_max=-1"), "lr_max must be"),  # Options in between.
        (("--recipe", "beyond", "low_res_fraction=0.5"), "32 pixels"),
        (("width=2", "batch_size=5000", *ONE_EPOCH), "smaller batch"),
    ],
)
def test_bad_input(tmp_path, capsys, words, message):
    path = tmp_path / "search.csv"
    with pytest.raises(SystemExit) as stopped:
        search(path, *words)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not path.exists()


def test_other_data_do_not_get_into_the_table_of_cifar10(capsys):
    stored = (RESULTS / "recipe-search.csv").read_bytes()
    with pytest.raises(SystemExit):
        recipe_search.main(["--data", "shapes", "width=2", *ONE_EPOCH])
    assert "--csv" in capsys.readouterr().err
    assert (RESULTS / "recipe-search.csv").read_bytes() == stored


def test_the_recipe_of_the_row_is_the_one_that_is_trained(tmp_path):
    path, changed = tmp_path / "search.csv", ("width=3", "seed=5")
    options = ("--width", "3", "--seed", "5")
    for words in (changed, (*changed, "pad_mode=constant"), options, (), ("width=64",)):
        search(path, *ONE_EPOCH, *words)
    one, other, same, quarter, full = read_rows(path)
    assert (one["width"], one["seed"]) == ("3", "5")
    assert one["held_out_loss"] != other["held_out_loss"]
    assert one["held_out_loss"] == same["held_out_loss"]
    assert (quarter["width"], quarter["seed"]) == ("16", "0")  # By default, to be fast.
    assert full["width"] == "64"  # The assignment's own, when asked for.
