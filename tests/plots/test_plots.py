"""Figures show the data they are given: what is drawn is read back from the axes."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from s10 import Predictions, plots
from s10.lr_finder import LRRange, choose_from_accuracy, choose_from_loss
from s10.plots.costs import plot_ablation, plot_costs
from s10.plots.style import PALETTE, add_caption, save_figure


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


def lr_range(seeds, method="per-batch"):
    """A range test with made-up curves: a valley around 1e-2, shifted for each seed."""
    curves, choices = [], []
    choose = choose_from_loss if method == "per-batch" else choose_from_accuracy
    lrs = np.logspace(-5, 0, 50)
    for seed in range(seeds):
        exponents = np.log10(lrs) - 0.1 * seed
        values = 2.3 - 1.3 / (1 + np.exp(-4 * (exponents + 3))) + np.exp(8 * (exponents + 0.8))
        if method == "per-epoch":
            values = 1 / values
        curves.append(pd.DataFrame({"seed": seed, "lr": lrs, "value": values, "smooth": values}))
        choices.append({"seed": seed, **choose(lrs, values)})
    return LRRange(method, pd.concat(curves), pd.DataFrame(choices))


def title(figure):
    return figure.axes[0].get_title(loc="left")


def texts(artists):
    return [artist.get_text() for artist in artists]


def pixels(figure):
    """The figure as it is saved: uint8 (H, W, 3)."""
    buffer = io.BytesIO()
    figure.savefig(buffer)
    return np.asarray(Image.open(buffer).convert("RGB"))


def test_curves_show_the_history(history):
    figure = plots.plot_curves(history)
    loss, accuracy = figure.axes
    assert loss.lines[0].get_ydata().tolist() == history["train_loss"].tolist()
    assert accuracy.lines[1].get_ydata() == pytest.approx(100 * history["test_accuracy"])
    assert f"test {history['test_accuracy'].iloc[-1]:.2%}" in accuracy.get_title(loc="left")
    assert texts(loss.get_legend().get_texts()) == ["train", "test"]


def test_the_schedule_has_its_peak_marked():
    rates, momenta = [1, 2, 3, 2, 1, 0.5], [0.9, 0.8, 0.7, 0.8, 0.9, 0.95]
    figure = plots.plot_schedule(rates, momenta, 2)
    top, bottom = figure.axes
    assert top.lines[0].get_ydata().tolist() == rates
    assert top.lines[0].get_xdata().tolist() == [0.5, 1, 1.5, 2, 2.5, 3]
    assert top.lines[1].get_xdata().tolist() == [1.5]
    assert bottom.lines[0].get_ydata().tolist() == momenta
    assert title(figure) == "LR: start 1, peak 3, end 0.5"
    assert len(plots.plot_schedule(rates, None, 2).axes) == 1


def test_the_peak_is_labeled_where_there_is_one():
    def peaks(rates, steps_per_epoch=10):
        axes = plots.plot_schedule(rates, None, steps_per_epoch).axes[0]
        return [text.strip() for text in texts(axes.texts)], len(axes.lines[1].get_xdata())

    up, down = list(np.linspace(0.1, 1, 20)), list(np.linspace(1, 0.1, 20)[1:])
    assert peaks(up + down) == (["1 at the end of epoch 2"], 1)
    assert peaks(up + down, steps_per_epoch=15) == (["1 in epoch 2"], 1)
    assert peaks(up + down + up[1:] + down) == ([], 2)
    assert peaks([0.5] * 30) == ([], 0)


@pytest.mark.parametrize("by", ["schedule", "pitfall"])
def test_runs_are_compared(history, by):
    better = history.assign(test_accuracy=history["test_accuracy"] + 0.01)
    table = pd.concat([history.assign(**{by: "A"}), better.assign(**{by: "B"})])
    loss, accuracy = plots.plot_schedules(table, by=by).axes
    assert texts(loss.get_legend().get_texts()) == ["A", "B"]
    assert accuracy.lines[1].get_ydata() == pytest.approx(100 * better["test_accuracy"])
    # Which is better, a short run with one seed cannot say.
    assert accuracy.get_title(loc="left") == "Test accuracy"


def test_of_several_seeds_the_mean_is_drawn_over_each(history):
    luckier = history.assign(test_accuracy=history["test_accuracy"] + 0.02)
    table = pd.concat([history.assign(run="A", seed=0), luckier.assign(run="A", seed=1)])
    loss, accuracy = plots.plot_schedules(table, by="run").axes
    mean, *seeds = [line.get_ydata() for line in accuracy.lines]
    assert mean == pytest.approx(100 * (history["test_accuracy"] + 0.01))
    assert seeds[1] == pytest.approx(100 * luckier["test_accuracy"])
    assert len(loss.lines) == len(accuracy.lines) == 3
    assert texts(loss.get_legend().get_texts()) == ["A"]
    assert accuracy.get_title(loc="left") == "Test accuracy, mean of 2 seeds (thin: each)"


def test_the_lr_range_of_several_seeds_shows_what_each_chooses():
    result = lr_range(3)
    axes = plots.plot_lr_range(result, guess=2.3).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert (
        len(axes.lines) == 3 + 1 + 2 + 2 + 1
    )  # Seeds, median, LRMIN and LRMAX, their marks, guess.
    assert list(lines["a guess: 2.30"].get_ydata()) == [2.3, 2.3]
    # The curves have the same shape, so the median's valley is that of the middle one.
    (span,) = [patch for patch in axes.patches if patch.get_label() == "valley of the median"]
    edges = span.get_x(), span.get_x() + span.get_width()
    assert np.sqrt(np.prod(edges)) == pytest.approx(result.lr_max)
    chosen = lines["LRMAX of each seed"].get_xdata()
    assert list(chosen) == result.choices["lr_max"].tolist()
    assert lines[f"LRMAX {result.lr_max:.2g}"].get_xdata()[0] == result.lr_max
    assert lines["median and range, smoothed"].get_marker() == "None"
    assert axes.get_xscale() == "log"
    # The diverging loss does not flatten the rest.
    assert axes.get_ylim()[1] < 4 < result.curves["value"].max()


def test_the_lr_range_of_one_seed_per_epoch():
    axes = plots.plot_lr_range(lr_range(1, "per-epoch")).axes[0]
    assert len(axes.lines) == 1 + 1 + 2
    assert axes.lines[1].get_marker() == "o"  # The LRs that were tried are few and far apart.
    assert texts(axes.get_legend().get_texts())[0] == "one seed"
    assert axes.get_ylabel() == "training accuracy after one epoch"
    assert axes.get_xscale() == "log"
    assert not axes.patches  # A valley is of the loss.
    assert axes.yaxis.get_major_formatter()(0.5) == "50%"


def test_class_accuracy_is_sorted_and_has_intervals(predictions):
    figure = plots.plot_class_accuracy(predictions)
    axes = figure.axes[0]
    table = predictions.class_accuracy().sort_values("accuracy", ascending=False, kind="stable")
    names = texts(axes.get_yticklabels())
    assert sorted(names) == sorted(table["class"])
    assert list(axes.lines[0].get_xdata()) == pytest.approx(list(100 * table["accuracy"]))
    assert f"Lowest: {names[-1]}" in title(figure)
    assert f"highest: {names[0]}" in title(figure)


def test_confusion_shows_every_count(predictions):
    figure = plots.plot_confusion(predictions)
    axes = figure.axes[0]
    counts = np.array([int(text) for text in texts(axes.texts)]).reshape(10, 10)
    assert np.array_equal(counts, predictions.confusion_matrix())
    bold = [text.get_weight() == "bold" for text in axes.texts]
    assert np.array_equal(np.reshape(bold, (10, 10)), np.eye(10))
    top = predictions.confused_pairs().iloc[0]
    assert f"{top.true} misclassified as {top.predicted}, {top['count']}×" in title(figure)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")


def test_misclassified_shows_the_most_confident_mistakes(predictions, shapes):
    figure = plots.plot_misclassified(shapes.test_images, predictions, count=7, columns=4)
    mistakes = predictions.mistakes()
    shown = [axis for axis in figure.axes if axis.images]
    assert len(shown) == 7
    for axis, mistake in zip(shown, mistakes.itertuples(), strict=False):
        assert np.array_equal(axis.images[0].get_array(), shapes.test_images[mistake.index])
        predicted, true = axis.get_title().split("\n")
        assert predicted == f"pred: {mistake.predicted} ({mistake.probability:.0%})"
        assert true == f"true: {mistake.true} ({mistake.probability_true:.0%})"
    assert f"{len(mistakes)} of 1000 images are misclassified" in figure.get_suptitle()


def test_misclassified_of_one_pair(predictions, shapes):
    top = predictions.confused_pairs().iloc[0]
    pair = {"true": top.true, "predicted": top.predicted}
    figure = plots.plot_misclassified(shapes.test_images, predictions, count=100, **pair)
    assert sum(bool(axis.images) for axis in figure.axes) == top["count"]
    start = f"{top.true} misclassified as {top.predicted}: {top['count']} of 1000 images"
    assert figure.get_suptitle().startswith(start)


@pytest.mark.parametrize("columns", [3, 4, 5, 10])
def test_the_title_of_the_misclassified_is_not_cut_off(predictions, shapes, columns):
    top = predictions.confused_pairs().iloc[0]
    for pair in ({}, {"true": top.true, "predicted": top.predicted}):
        figure = plots.plot_misclassified(shapes.test_images, predictions, columns=columns, **pair)
        figure.draw_without_rendering()
        assert figure._suptitle.get_window_extent().x1 < figure.bbox.x1


def test_without_mistakes_the_figures_are_drawn_all_the_same(shapes):
    perfect = Predictions(
        np.eye(10, dtype=np.float32)[shapes.test_labels], shapes.test_labels, shapes.classes
    )
    figure = plots.plot_misclassified(shapes.test_images, perfect)
    assert figure.get_suptitle().startswith("0 of 1000")
    assert title(plots.plot_confusion(perfect)) == "No mistakes"


def test_a_grid_of_images(shapes):
    names = ["name"] * 10 + ["", "two\nlines"]
    figure = plots.plot_images(shapes.train_images[:12], names, columns=5, title="Twelve")
    assert [axis.get_title() for axis in figure.axes if axis.images] == names
    assert figure.get_suptitle() == "Twelve"
    # Each line of names makes room for itself.
    without = plots.plot_images(shapes.train_images[:12], columns=5)
    assert figure.get_figheight() == pytest.approx(without.get_figheight() + 4 * 0.2)


@pytest.fixture
def costs():
    """Of four pitfalls: all runs of the first diverged, the second costs far the most."""
    return pd.DataFrame(
        {
            "pitfall": ["LRMAX 0.8", "softmax", "ReLU", "no padding"],
            "cost": [np.nan, 50, 1.04, -0.4], "std": [np.nan, 1, 0.2, np.nan],
            "seeds": [2, 2, 2, 1], "diverged": [2, 0, 0, 0],
        }
    )  # fmt: skip


def assert_labels_are_inside(figure):
    figure.canvas.draw()
    axes = figure.axes[0]
    inside = axes.get_window_extent()
    for label in axes.texts:
        box = label.get_window_extent()
        assert inside.x0 <= box.x0
        assert box.x1 <= inside.x1


def test_costs_are_bars_of_which_the_longest_is_cut_off(costs):
    figure = plot_costs(costs, 0.2)
    axes = figure.axes[0]
    assert_labels_are_inside(figure)
    assert texts(axes.get_yticklabels()) == costs["pitfall"].tolist()
    assert axes.yaxis_inverted()
    assert texts(axes.texts) == ["diverged", "+50.0 (cut off)", "+1.0", "−0.4"]
    widths = [bar.get_width() for bar in axes.patches[1:]]
    assert widths == pytest.approx([0, 1.1 * 1.04, 1.04, -0.4])
    assert axes.get_xlabel() == "cost in test accuracy (percentage points)"
    assert axes.get_legend() is not None
    assert plot_costs(costs).axes[0].get_legend() is None


def test_an_ablation_of_small_and_negative_gains_shows_all_of_them():
    """That of the assignment: error bars and labels were outside, the legend on a bar."""
    table = pd.DataFrame(
        {"ingredient": ["decay", "β2", "smoothing", "momentum"], "seeds": 2,
         "gain": [0.15, 0.05, -0.29, -0.4], "std": [0.28, 0.21, 0.54, np.nan]},
    )  # fmt: skip
    figure = plot_ablation(table, 0.18)
    axes = figure.axes[0]
    assert_labels_are_inside(figure)
    assert axes.get_xlim()[1] > (table["gain"] + table["std"]).max()
    assert axes.get_xlim()[0] < -0.29 - 0.54
    legend = axes.get_legend().get_window_extent()
    assert not any(bar.get_window_extent().overlaps(legend) for bar in axes.patches[1:])
    assert texts(axes.texts) == ["+0.15", "+0.05", "−0.29", "−0.40"]
    assert axes.get_xlabel() == "gain in test accuracy (percentage points)"


def test_the_largest_gain_of_an_ablation_is_not_cut_off():
    table = pd.DataFrame({"ingredient": ["Muon", "flips"], "gain": [4, 0.3], "std": [0.3, 0.3]})
    axes = plot_ablation(table, 0.2).axes[0]
    assert [bar.get_width() for bar in axes.patches[1:]] == [4, 0.3]
    assert texts(axes.texts) == ["+4.00", "+0.30"]


def test_figures_are_legible_at_notebook_size(predictions, history, shapes, costs):
    figures = [
        plots.plot_curves(history),
        plots.plot_class_accuracy(predictions),
        plots.plot_confusion(predictions),
        plots.plot_misclassified(shapes.test_images, predictions),
        plots.plot_images(shapes.test_images[:20], list(shapes.classes) * 2),
        plots.plot_schedule([1, 2, 1], [0.9, 0.8, 0.9], 1),
        plots.plot_lr_range(lr_range(3)),
        plot_costs(costs, 0.2),
    ]
    for figure in figures:
        image = pixels(figure)
        assert image.shape[1] <= 950  # A notebook's column; wider ones are scaled down.
        # Nothing is cut off: the outermost pixels are background.
        border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        assert (border == 255).all()
        for axes in figure.axes:
            for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
                assert text.get_fontsize() >= 7


def test_a_figure_displays_itself_without_pyplot(history):
    figure = add_caption(plots.plot_curves(history), "CustomResNet on shapes")
    assert figure.get_supxlabel() == "CustomResNet on shapes"
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_no_figure_is_left_open(history):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    plots.plot_curves(history)
    assert plt.get_fignums() == before


def test_a_figure_is_saved_completely_or_not_at_all(history, tmp_path):
    path = tmp_path / "curves.png"
    save_figure(plots.plot_curves(history), path)
    assert Image.open(path).size == (900, 340)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the platform
        save_figure(plots.plot_curves(history), tmp_path / "missing" / "curves.png")


def test_the_palette_is_that_of_seaborn():
    import seaborn as sns

    assert sns.color_palette("colorblind") == PALETTE
