"""The checks for a run that went wrong: on the published logs, and on each single mistake."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from s10 import InputError, Recipe, fit, seed_everything
from s10.course.diagnosis import BatchStatistics, check_run, check_start
from s10.submissions import PITFALLS, SUBMISSIONS

RESULTS = Path(__file__).resolve().parents[2] / "results"
CORRECT = sorted(RESULTS.glob("cifar10-width*/seed*/metrics.csv"))


def complaints(history, recipe):
    """The first words of what is found wrong: "LR", "gap", …"""
    return {v.message.partition(":")[0] for v in check_run(history, recipe) if not v.passed}


def stored(width, name):
    """The histories of all stored seeds of a submission or a pitfall."""
    (folder,) = RESULTS.glob(f"submissions-cifar10-width{width}*/curves")
    paths = sorted(folder.glob(f"{name}-seed*.csv"))
    assert paths
    return [pd.read_csv(path) for path in paths]


@pytest.mark.parametrize("path", CORRECT, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_nothing_is_wrong_with_a_correct_run(path):
    assert complaints(pd.read_csv(path), Recipe()) == set()


LOGS = {
    "era1-s10-strided": {"LR", "gap"},  # It logs none, and no image is ever moved.
    "eva4-s11": {"test loss"},  # Divided by the batch size.
    "eva8-s8": {"last LR"},
}


def test_what_the_published_logs_show():
    found = {
        name: complaints(each.history(), each.recipe)
        for name, each in SUBMISSIONS.items()
        if each.history() is not None
    }
    assert found == LOGS
    messages = check_run(SUBMISSIONS["era1-s10-strided"].history(), Recipe())
    assert "never falls by more than 0.2 points" in str(messages)


# Of our runs of the five: those that are found in each seed.
REBUILT = {
    "era1-s10-strided": {"LR", "gap"}, "era1-s10": set(), "eva4-s11": set(),
    "eva8-s8": {"train loss", "test loss", "last LR"}, "eva6-s9": {"last LR"},
}  # fmt: skip


@pytest.mark.parametrize("name", REBUILT)
def test_what_our_runs_of_the_five_show_in_each_seed(name):
    found = [complaints(each, SUBMISSIONS[name].recipe) for each in stored(64, name)]
    assert len(found) == 5
    assert set.intersection(*found) == REBUILT[name]
    allowed = REBUILT[name] | ({"learned"} if name == "eva6-s9" else set())
    assert set.union(*found) <= allowed


# What a table of losses and accuracies can show of each single pitfall, and what it cannot.
FOUND = {
    "no padding before the crop": {"gap"},
    "L2 of 1e-2 in Adam": {"lag"},
    "softmax before the loss": {"train loss", "test loss"},
    "schedule stepped once an epoch": {"LR"},
    "annihilation": {"last LR"},
    "LRMAX 0.053": {"LR", "lag"},
    "LRMAX 0.15": {"LR", "lag"},
    "LRMAX 0.8": {"LR", "lag", "learned"},
    "LRMAX 0.0019": {"LR", "last LR"},
    "LRMAX 0.0054": {"LR"},
    "SGD instead of Adam": {"LR"},
    **{name: set() for name in (
        "ReLU before BN", "two branches, no residual", "std of single images",
        "peak at 0.2 of the run", "LRMIN a tenth of LRMAX",
    )},
}  # fmt: skip


@pytest.mark.parametrize("name", PITFALLS)
def test_what_a_history_shows_of_each_single_pitfall(name):
    letters = (letter if letter.isalnum() else "-" for letter in name.lower())
    for history in stored(16, "".join(letters)):
        assert complaints(history, Recipe()) == FOUND[name]


def test_the_lag_says_which_epochs_count():
    accuracies = pd.DataFrame({"train_accuracy": [0.5] * 4, "test_accuracy": [0.1, 0.1, 0.5, 0.44]})
    *_, lag = check_run(accuracies, Recipe())
    assert lag.message == (
        "lag: from epoch 3 on, test accuracy is at most 6 points below training accuracy (epoch 4)"
    )
    *_, lag = check_run(accuracies[:2], Recipe())
    assert lag.message.startswith("lag: test accuracy is at most 40 points below")


def test_a_history_needs_rows_and_an_accuracy(tiny):
    for history in (pd.DataFrame(), pd.DataFrame({"lr": [0.1]})):
        with pytest.raises(InputError, match="needs a row per epoch"):
            check_run(history, tiny)
    few = check_run(pd.DataFrame({"test_accuracy": [0.5]}), tiny)
    assert [v.passed for v in few] == [False, False, True]  # epochs, LR, learned


def test_the_start_is_checked_in_seconds(few):
    recipe = replace(Recipe(), data="shapes", width=8, batch_size=64, precision="fp32")
    steps, first, batch = check_start(recipe, few)
    assert steps.passed
    assert "24 epochs of 4 batches are 96 steps" in steps.message
    assert first.passed
    assert "2.30" in first.message
    assert batch.passed, batch
    *_, batch = check_start(PITFALLS["softmax before the loss"].recipe(recipe), few)
    assert not batch.passed  # Its loss has a floor.


def test_the_statistics_of_batch_norm_are_swapped_and_put_back(few, tiny):
    seed_everything(0)
    model, batches = tiny.initial_model(few), tiny.test_loader(few)
    probe = BatchStatistics(batches)
    result = fit(model, tiny.train_loader(few), batches, tiny, few.classes, hooks=[probe])
    table = probe.table
    assert list(table["epoch"]) == [1, 2, 3]
    assert list(table["test, running"]) == pytest.approx(100 * result.history["test_accuracy"])
    # By hand: in training mode a batch norm uses the batch; there is one batch, and no dropout.
    with torch.no_grad():
        guesses = torch.cat([model.train()(images).argmax(1) for images, _ in batches])
    labels = torch.cat([labels for _, labels in batches])
    expected = 100 * float((guesses == labels).float().mean())
    assert table["test, own"].iloc[-1] == pytest.approx(expected)
    # And the run is the same as without it.
    seed_everything(0)
    model = tiny.initial_model(few)
    plain = fit(model, tiny.train_loader(few), batches, tiny, few.classes)
    assert plain.history["test_loss"].tolist() == result.history["test_loss"].tolist()
