"""Sentences of notebook 3 about stored runs: each stands there, and is true of every seed."""

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from s10 import Recipe
from s10.course.reference import stored, stored_experiment

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK, RESULTS = ROOT / "notebooks" / "03_train_24_epochs.py", ROOT / "results"


def depths(kind):
    """Final training losses of 49 layers minus those of 9, seed by seed."""
    recipe = Recipe(width=16).with_epochs(5)
    values = stored_experiment("depths", recipe, "cifar10")
    deep, shallow = (np.array(values[f"{depth} layers, {kind}"]) for depth in (49, 9))
    assert len(deep) == 3
    return deep - shallow


def runs(width):
    """The stored runs of the assignment on CIFAR-10."""
    (entry,) = (
        entry
        for entry in stored()["training"]
        if entry["data"] == "cifar10"
        and Recipe(width=width).differences({**entry["recipe"], "seed": 0}) == []
    )
    assert len(entry["seeds"]) == {16: 3, 64: 5}[width]
    return entry


def curves(column):
    """The accuracies (%) of each run at both widths."""
    return [100 * np.array(curve) for width in (16, 64) for curve in runs(width)[column]]


def gains(folder="assignment-cifar10-width16", column="test_accuracy"):
    """Points that the full recipe has more, a row for each setting, a column for each seed."""
    runs = pd.read_csv(RESULTS / f"ablation-{folder}" / "runs.csv")
    accuracies = 100 * runs.pivot(index="name", columns="seed", values=column)
    return (accuracies.loc["the whole recipe"] - accuracies).drop("the whole recipe")


def of_residuals(name, column="test_accuracy"):
    """The gains of one change to the network: an array for each width, a value for each seed."""
    tables = (gains(f"residuals-cifar10-width{width}", column) for width in (16, 64))
    return [table.loc[name].to_numpy() for table in tables]


def final_training_accuracy(width):
    return [100 * curve[-1] for curve in runs(width)["train_accuracy"]]


def largest_fall(curve):
    return -np.diff(curve).min()


def held_out(label_smoothing):
    """Held-out accuracies (%) of the runs that differ in nothing but this."""
    others = "lr_max=0.01 momentum_max=0.9 momentum_min=0.9 weight_decay=0.05 label_smoothing="
    with open(RESULTS / "recipe-search.csv") as file:
        found = [float(row["held_out_accuracy"]) for row in csv.DictReader(file)
                 if row["changes"] == f"{others}{label_smoothing} anneal=linear"]  # fmt: skip
    assert len(found) == 1  # One run for each setting.
    return 100 * found[0]


def tried():
    """What was changed in the assignment's recipe with its own optimizer."""
    with open(RESULTS / "recipe-search.csv") as file:
        changes = [row["changes"] for row in csv.DictReader(file) if row["recipe"] == "assignment"]
    return " ".join(each for each in changes if "muon" not in each)


def corrected_and_new():
    """Of each number of views in the stored output: mistakes that vanish, and that appear."""
    output = NOTEBOOK.with_suffix(".ipynb").read_text()
    found = re.findall(r"views: .*?; (\d+) mistakes corrected, (\d+) new ones", output)
    return np.array(found, dtype=float)


CLAIMS = [
    ("without shortcuts, the deep network ends far above the shallow one with each of the three "
     "seeds", lambda: depths("plain").min() > 0.3),
    ("With shortcuts the two are close, within 0.1", lambda: abs(depths("residual")).max() < 0.1),
    ("the seeds disagree about which is lower", lambda: len(set(np.sign(depths("residual")))) > 1),
    ("While the LR is large, the test curve jumps, and the training curve does not",
     lambda: all(largest_fall(c[:15]) > 1 for c in curves("test_accuracy"))
     and all(largest_fall(c) < 0.2 for c in curves("train_accuracy"))),
    ("In the last epochs the LR falls to almost nothing, and so do the jumps",
     lambda: all(largest_fall(c[-4:]) < 0.2 for c in curves("test_accuracy"))),
    ("in each of the last two the test curve moves by less than a point",
     lambda: all(abs(np.diff(c[-3:])).max() < 1 for c in curves("test_accuracy"))),
    ("the last epoch is the best or close to it",
     lambda: all(c[-1] > c.max() - 0.1 for c in curves("test_accuracy"))),
    ("After the first epoch the training accuracy lies below the test accuracy",
     lambda: all(train[0] < test[0] for train, test in zip(
         curves("train_accuracy"), curves("test_accuracy"), strict=True))),
    ("three at width 16 and five at width 64", lambda: len(list(curves("test_accuracy"))) == 8),
    ("The three stored runs of width 16 ended at 89.8, 90.1 and 90.5 %; the full one has about "
     "94 %", lambda: np.allclose(
         sorted(100 * c[-1] for c in runs(16)["test_accuracy"]), [89.8, 90.1, 90.5], atol=0.055)
     and np.allclose([100 * c[-1] for c in runs(64)["test_accuracy"]], 94, atol=0.3)),
    ("One of the stored runs has your seed, 0;",
     lambda: Recipe().seed == 0 and 0 in runs(16)["seeds"] and 0 in runs(64)["seeds"]),
    ("it can fall below 0.50, the lowest that the smoothed loss can reach",
     lambda: all(loss[-1] < 0.5 for width in (16, 64) for loss in runs(width)["train_loss"])
     and round(-0.91 * np.log(0.91) - 9 * 0.01 * np.log(0.01), 2) == 0.50),
    ("label smoothing had stood out by 0.6 points on held-out training images, in one run for each "
     "setting", lambda: round(held_out(0.1) - held_out(0.0), 1) == 0.6),
    ("padding and β2 had not been tried at all",
     lambda: not re.search("pad|beta2", tried()) and "weight_decay" in tried()),
    ("In the stored output far more vanish",
     lambda: len(corrected_and_new()) == 2
     and all(gone - new > 4 * (gone + new) ** 0.5 for gone, new in corrected_and_new())),
    ("no setting gains half a point with any seed",
     lambda: gains().shape == (5, 3) and gains().max(axis=None) < 0.5),
    ("with label smoothing, inverse momentum cycling and β2 the result is worse with all.",
     lambda: set(gains().index[gains().max(axis=1) < 0])
     == {"label smoothing", "momentum that mirrors the LR", "β2 of 0.99, not 0.999"}),
    ("(in the stored output 426 of 595)", lambda: "595, 426 of them by both networks"
     in NOTEBOOK.with_suffix(".ipynb").read_text()),
    ("In the stored output the seeds disagree about the shortcuts, from −3.2 to +1.8 points.",
     lambda: "without its two shortcuts    -0.8     1.8    -3.2 -0.73  the seeds disagree"
     in NOTEBOOK.with_suffix(".ipynb").read_text()),
    ("at width 16 it ended at 89.79 %",
     lambda: curves("test_accuracy")[0][-1] == pytest.approx(89.79)),
    ("About weight decay and reflect padding the seeds disagree.",
     lambda: all(gains().loc[name].min() < 0 < gains().loc[name].max()
                 for name in ("decoupled weight decay", "mirrored border"))),
    ("at both widths the seeds disagree about the sign, and no difference is larger than 0.3 "
     "points",
     lambda: all(len(set(np.sign(each))) > 1 and abs(each).max() < 0.305
                 for each in of_residuals("shortcuts"))),
    ("without shortcuts the training accuracy ends lower with each seed, by 0.7 to 0.8 points at "
     "width 16 and by 0.1 or less at width 64", lambda: [
         low < each.min() and each.max() < high for each, (low, high) in zip(
             of_residuals("shortcuts", "train_accuracy"), [(0.65, 0.8), (0, 0.105)], strict=True)
     ] == [True, True]),
    ("With batch norm before the pooling the test accuracy was higher with each of the three seeds "
     "at width 16 and with two of three at width 64, by up to 0.3 points",
     lambda: [(each < 0).sum() for each in of_residuals("batch norm after the pooling")] == [3, 2]
     and np.min(of_residuals("batch norm after the pooling")) > -0.35),
    ("On the test images eight layers did as well without their shortcuts",
     lambda: np.abs(of_residuals("shortcuts")).max() < 0.305),
    ("Its training accuracy ends at 92 % (on augmented images); at width 64 it ends near 99 %",
     lambda: np.allclose(final_training_accuracy(16), 92, atol=0.5)
     and np.allclose(final_training_accuracy(64), 98.6, atol=0.4)),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "holds"), CLAIMS, ids=[sentence for sentence, _ in CLAIMS])
def test_a_sentence_about_stored_runs_is_true_of_every_seed(sentence, holds):
    text = re.sub(r"\n# ?|\s+", " ", NOTEBOOK.read_text().replace("*", ""))
    assert sentence in re.sub(r" +", " ", text)
    assert holds()
