"""Pictures show the data they are given: what is drawn is read back from the axes."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import s10
from s10 import Predictions


@pytest.fixture(scope="module")
def predictions(shapes):
    generator = np.random.default_rng(0)
    labels = shapes.test_labels
    logits = generator.standard_normal((1000, 10)).astype(np.float32)
    logits[np.arange(1000), labels] += 2
    return Predictions(logits, labels, shapes.classes)


@pytest.fixture(scope="module")
def history():
    epochs = np.arange(1, 25)
    return pd.DataFrame(
        {
            "epoch": epochs, "lr": 0.01 / epochs, "momentum": 0.95 - 0.1 / epochs,
            "train_loss": 2 / epochs, "train_accuracy": 1 - 0.9 / epochs,
            "test_loss": 2.1 / epochs, "test_accuracy": 0.98 - 0.9 / epochs,
        }
    )  # fmt: skip


def pixels(figure):
    """The figure as it is saved: uint8 (H, W, 3)."""
    buffer = io.BytesIO()
    figure.savefig(buffer)
    return np.asarray(Image.open(buffer).convert("RGB"))


def test_curves_show_the_history(history):
    figure = s10.plot_curves(history)
    loss, accuracy = figure.axes
    assert loss.lines[0].get_ydata().tolist() == history["train_loss"].tolist()
    assert accuracy.lines[1].get_ydata() == pytest.approx(100 * history["test_accuracy"])
    assert f"{history['test_accuracy'].iloc[-1]:.2%}" in accuracy.get_title(loc="left")
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["train", "test"]


def test_lr_and_momentum_of_the_history(history):
    top, bottom = s10.plot_history_lr(history).axes
    assert top.lines[0].get_ydata().tolist() == history["lr"].tolist()
    assert bottom.lines[0].get_ydata().tolist() == history["momentum"].tolist()


def test_the_schedule_has_its_peak_marked():
    rates, momenta = [1, 2, 3, 2, 1, 0.5], [0.9, 0.8, 0.7, 0.8, 0.9, 0.95]
    top, bottom = s10.plot_schedule(rates, momenta, 2).axes
    assert top.lines[0].get_ydata().tolist() == rates
    assert top.lines[0].get_xdata().tolist() == [0.5, 1, 1.5, 2, 2.5, 3]
    assert top.lines[1].get_xdata().tolist() == [1.5]
    assert bottom.lines[0].get_ydata().tolist() == momenta
    assert top.get_title(loc="left") == "LR: from 1 up to 3, at the end 0.5"
    assert len(s10.plot_schedule(rates, None, 2).axes) == 1


def test_class_accuracy_is_sorted_and_has_intervals(predictions):
    axes = s10.plot_class_accuracy(predictions).axes[0]
    table = predictions.class_accuracy().sort_values("accuracy", ascending=False, kind="stable")
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert sorted(names) == sorted(table["class"])
    assert axes.lines[0].get_xdata() == pytest.approx(100 * table["accuracy"])
    assert names[-1] in axes.get_title(loc="left")


def test_confusion_shows_every_count(predictions):
    axes = s10.plot_confusion(predictions).axes[0]
    numbers = sorted(int(text.get_text()) for text in axes.texts if text.get_text())
    assert numbers == sorted(predictions.confusion_matrix().ravel().tolist())
    top = predictions.confused_pairs().iloc[0]
    assert f"{top.true} taken for {top.predicted}" in axes.get_title(loc="left")


def test_misclassified_shows_the_surest_mistakes(predictions, shapes):
    figure = s10.plot_misclassified(shapes.test_images, predictions, count=7, columns=4)
    mistakes = predictions.mistakes()
    shown = [axis for axis in figure.axes if axis.images]
    assert len(shown) == 7
    for axis, mistake in zip(shown, mistakes.itertuples(), strict=False):
        assert np.array_equal(axis.images[0].get_array(), shapes.test_images[mistake.index])
        assert mistake.predicted in axis.get_title()
        assert mistake.true in axis.get_title()
    assert f"{len(mistakes)} of 1000" in figure.get_suptitle()


def test_misclassified_of_one_pair(predictions, shapes):
    top = predictions.confused_pairs().iloc[0]
    figure = s10.plot_misclassified(
        shapes.test_images, predictions, true=top.true, predicted=top.predicted, count=100
    )
    assert sum(bool(axis.images) for axis in figure.axes) == top["count"]


@pytest.mark.parametrize("columns", [3, 4, 5, 10])
def test_the_title_of_the_misclassified_is_not_cut_off(predictions, shapes, columns):
    top = predictions.confused_pairs().iloc[0]
    for pair in ({}, {"true": top.true, "predicted": top.predicted}):
        figure = s10.plot_misclassified(shapes.test_images, predictions, columns=columns, **pair)
        figure.draw_without_rendering()
        assert figure._suptitle.get_window_extent().x1 < figure.bbox.x1


def test_without_mistakes_the_pictures_still_come(shapes):
    perfect = Predictions(
        np.eye(10, dtype=np.float32)[shapes.test_labels], shapes.test_labels, shapes.classes
    )
    assert (
        s10.plot_misclassified(shapes.test_images, perfect).get_suptitle().startswith("0 of 1000")
    )
    assert "no mistakes" in s10.plot_confusion(perfect).axes[0].get_title(loc="left")


def test_a_grid_of_images(shapes):
    figure = s10.plot_images(shapes.train_images[:12], ["name"] * 12, columns=5)
    assert sum(bool(axis.images) for axis in figure.axes) == 12


def test_pictures_are_legible_at_notebook_size(predictions, history, shapes):
    figures = [
        s10.plot_curves(history),
        s10.plot_class_accuracy(predictions),
        s10.plot_confusion(predictions),
        s10.plot_misclassified(shapes.test_images, predictions),
        s10.plot_schedule([1, 2, 1], [0.9, 0.8, 0.9], 1),
    ]
    for figure in figures:
        picture = pixels(figure)
        assert picture.shape[1] <= 950  # A notebook's column; wider ones are scaled down.
        # Nothing is cut off: the outermost pixels are background.
        border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (border == 255).all()
        for axes in figure.axes:
            for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
                assert text.get_fontsize() >= 7


def test_no_figure_is_left_open(history):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    s10.plot_curves(history)
    assert plt.get_fignums() == before


def test_the_peak_is_named_where_there_is_one():
    def words(rates, steps=10):
        figure = s10.plot_schedule(rates, None, steps)
        line = figure.axes[0].lines[1]
        return [text.get_text().strip() for text in figure.axes[0].texts], len(line.get_xdata())

    up, down = list(np.linspace(0.1, 1, 20)), list(np.linspace(1, 0.1, 20)[1:])
    assert words(up + down) == (["1 at the end of epoch 2"], 1)
    assert words(up + down, steps=15) == (["1 in epoch 2"], 1)
    assert words(up + down + up[1:] + down) == ([], 2)
    assert words([0.5] * 30) == ([], 0)
