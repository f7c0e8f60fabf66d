"""What follows from the predictions: small cases by hand, and PyTorch as the oracle."""

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from s10 import InputError, Predictions

NAMES = ("ant", "bee", "cow")


@pytest.fixture
def predictions():
    """Six images: two ants right, one clearly and one barely a bee; a bee as cow; a cow right."""
    logits = [[4, 0, 0], [3, 1, 0], [0, 5, 0], [1, 1.5, 0], [0, 0, 2], [0, 1, 6]]
    labels = np.array([0, 0, 0, 0, 1, 2])
    return Predictions(np.array(logits, np.float32), labels, NAMES)


@pytest.mark.parametrize("convert", [list, np.array, torch.tensor])
def test_lists_arrays_and_tensors_give_the_same(predictions, convert):
    given = Predictions(
        convert(predictions.logits.tolist()), convert(predictions.labels.tolist()), np.array(NAMES)
    )
    assert (given.logits.dtype, given.labels.dtype) == (np.float32, np.int64)
    assert given.classes == NAMES
    assert given.confusion_matrix().tolist() == predictions.confusion_matrix().tolist()
    assert given.mistakes().equals(predictions.mistakes())
    assert (given.loss, len(given)) == (predictions.loss, 6)
    numbered = Predictions(predictions.logits, predictions.labels, np.arange(3))
    assert numbered.class_accuracy()["class"].tolist() == ["0", "1", "2"]


@given(
    arrays(np.float32, (5, 3), elements=st.floats(-1000, 1000, width=32)),
    arrays(np.int64, 5, elements=st.integers(0, 2)),
)
def test_loss_and_probabilities_are_pytorchs(logits, labels):
    predictions = Predictions(logits, labels, NAMES)
    tensor = torch.from_numpy(logits).double()
    expected = F.cross_entropy(tensor, torch.from_numpy(labels)).item()
    assert predictions.loss == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert predictions.probabilities == pytest.approx(tensor.softmax(1).numpy(), abs=1e-12)


def test_accuracy_and_confusion(predictions):
    assert predictions.predicted.tolist() == [0, 0, 1, 1, 2, 2]
    assert predictions.accuracy == 0.5
    assert predictions.confusion_matrix().tolist() == [[2, 2, 0], [0, 0, 1], [0, 0, 1]]


def test_class_accuracy_has_wilsons_intervals(predictions):
    table = predictions.class_accuracy()
    assert list(table.columns) == ["class", "images", "correct", "accuracy", "low", "high"]
    assert table["class"].tolist() == list(NAMES)
    table = table.set_index("class")
    assert table.loc["ant", ["images", "correct", "accuracy"]].tolist() == [4, 2, 0.5]
    # By hand: 2 of 4, z = 1.96: (0.5 + z²/8 ± z √(0.25/4 + z²/64)) / (1 + z²/4).
    assert table.loc["ant", "low"] == pytest.approx(0.15004, abs=1e-5)
    assert table.loc["ant", "high"] == pytest.approx(0.84996, abs=1e-5)
    assert table.loc["bee", "low"] == 0
    assert table.loc["cow", "high"] == 1
    assert table.loc["cow", "low"] < 1


def test_a_class_without_images_has_no_accuracy():
    predictions = Predictions(np.eye(3, dtype=np.float32)[:2], np.array([0, 1]), NAMES)
    table = predictions.class_accuracy()
    assert table["images"].tolist() == [1, 1, 0]
    assert table.loc[2, ["accuracy", "low", "high"]].isna().all()
    assert predictions.confusion_matrix().shape == (3, 3)


def test_confused_pairs_come_most_often_first():
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 2])
    predicted = np.array([1, 0, 0, 0, 0, 0, 2, 2])
    pairs = Predictions(np.eye(3, dtype=np.float32)[predicted], labels, NAMES).confused_pairs()
    assert pairs.to_dict("records") == [
        {"true": "bee", "predicted": "ant", "count": 3, "fraction": 0.75},
        {"true": "ant", "predicted": "bee", "count": 1, "fraction": pytest.approx(1 / 3)},
        {"true": "bee", "predicted": "cow", "count": 1, "fraction": 0.25},
    ]


def test_mistakes_come_most_confident_first(predictions):
    table = predictions.mistakes()
    assert list(table.columns) == ["index", "true", "predicted", "probability", "probability_true"]
    assert table["index"].tolist() == [2, 4, 3]
    assert table["true"].tolist() == ["ant", "bee", "ant"]
    assert table["predicted"].tolist() == ["bee", "cow", "bee"]
    expected = torch.tensor([0.0, 5, 0]).softmax(0)
    assert table["probability"][0] == pytest.approx(expected[1].item())
    assert table["probability_true"][0] == pytest.approx(expected[0].item())


def test_mistakes_of_one_pair(predictions):
    table = predictions.mistakes("ant", "bee")
    assert table["index"].tolist() == [2, 3]
    assert table.index.equals(pd.RangeIndex(2))
    assert predictions.mistakes(predicted="cow")["index"].tolist() == [4]
    assert predictions.mistakes("ant", "cow").empty
    assert predictions.mistakes("cow").empty


@pytest.mark.parametrize("argument", ["true", "predicted"])
def test_an_unknown_class_is_explained(predictions, argument):
    with pytest.raises(InputError, match="there is no class 'cat'; classes: ant, bee, cow"):
        predictions.mistakes(**{argument: "cat"})


def test_no_mistakes_at_all():
    perfect = Predictions(np.eye(3, dtype=np.float32), np.arange(3), NAMES)
    assert perfect.mistakes().empty
    assert perfect.confused_pairs().empty
    assert list(perfect.confused_pairs().columns) == ["true", "predicted", "count", "fraction"]
    assert perfect.accuracy == 1
