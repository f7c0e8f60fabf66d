"""All plots with any number of classes and any names: small, readable, nothing cut off."""

import warnings
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from s10 import InputError, Predictions, plots
from s10.metrics import COLUMNS
from s10.plots import text
from s10.plots.costs import plot_ablation, plot_costs
from s10.plots.style import add_caption
from s10.plots.text import as_label, as_title

LONG = "a_long_prefix_that_all_classes_of_this_set_have_in_common_" * 2 + "and_cat"
NAMES = [
    "$1", "$5 and $100", r"\frac{1}{2} $\alpha$ \$", "_private", "100 % {} {0} %s", "two\nlines\t",
    LONG, "W" * 120, "many words " * 12, "猫", "кошка", "emoji 🐈", "\udcff bytes", "\x1b[2J", "",
    " ",
]  # fmt: skip
FROM_TABLES = {
    "plot_curves": lambda names: plots.plot_curves(runs(names[:1])),
    "plot_schedule": lambda names: plots.plot_schedule([1, 2, 1], None, 1, title=names[0]),
    "plot_schedules": lambda names: plots.plot_schedules(runs(names[:12])),
    "plot_costs": lambda names: plot_costs(costs(names[:40], "pitfall", "cost")),
    "plot_ablation": lambda names: plot_ablation(costs(names[:40], "ingredient", "gain")),
}
FROM_PREDICTIONS = {
    "plot_class_accuracy": lambda names: plots.plot_class_accuracy(predictions(names)),
    "plot_confusion": lambda names: plots.plot_confusion(predictions(names)),
    "plot_misclassified": lambda names: plots.plot_misclassified(
        images(2 * len(names)), predictions(names), true=names[0], predicted=names[1]
    ),
    "plot_images": lambda names: plots.plot_images(images(20), names[:20], title=names[0]),
}
FIGURES = FROM_TABLES | FROM_PREDICTIONS


def images(count):
    return np.full((count, 32, 32, 3), 128, np.uint8)


def predictions(names):
    """Two images of each class, the first of which is taken for the next class."""
    count = len(names)
    labels = np.arange(count).repeat(2)
    predicted = (labels + np.tile([1, 0], count)) % count
    return Predictions(5 * np.eye(count)[predicted], labels, names)


def runs(names):
    """Two epochs of each run, the last one the best."""
    rows = [
        {"schedule": name, "epoch": epoch, "train_loss": 1.0, "train_accuracy": 0.5,
         "test_loss": 1.0, "test_accuracy": 0.5 + number / 1000}
        for number, name in enumerate(names) for epoch in (1, 2)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def costs(names, name, value):
    return pd.DataFrame({name: names, value: 1.0, "std": 0.1, "seeds": 2, "diverged": 0})


def drawn_texts(figure):
    """The texts that are really drawn, unlike the labels of ticks outside the limits."""
    drawn, draw = [], Text.draw

    def record(self, renderer):
        drawn.append(self)
        draw(self, renderer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", record)
        figure.draw_without_rendering()
    return [item for item in drawn if item.get_visible() and item.get_text().strip()]


def assert_legible(figure):
    """No text is cut off, no name covers its neighbor, and the axes have kept their place."""
    drawn = drawn_texts(figure)
    for item in drawn:
        box = item.get_window_extent()
        assert box.x0 > -4, item
        assert box.y0 > -4, item
        assert box.x1 < figure.bbox.x1 + 4, item
        assert box.y1 < figure.bbox.y1 + 4, item
    for axes in figure.axes:
        assert not overlapping([label for label in axes.get_yticklabels() if label in drawn])
    assert not overlapping([axes.title for axes in figure.axes if axes.title in drawn])
    width = figure.axes[0].get_window_extent().width
    assert width > min(80, 0.5 * figure.bbox.width)


def overlapping(items):
    """Pairs of texts that share more than two pixels in both directions."""
    boxes = [item.get_window_extent() for item in items]
    return [
        (one, other)
        for index, one in enumerate(boxes) for other in boxes[:index]
        if min(one.x1, other.x1) - max(one.x0, other.x0) > 2
        and min(one.y1, other.y1) - max(one.y0, other.y0) > 2
    ]  # fmt: skip


def test_all_plots_are_tested_here():
    # The range test is drawn without any name.
    assert {*plots.__all__} - {*FIGURES} == {"plot_lr_range"}


@pytest.mark.parametrize("count", [2, 10, 40, 100, 200])
@pytest.mark.parametrize("plot", FROM_PREDICTIONS)
def test_any_number_of_classes_gives_a_small_readable_figure(plot, count, monkeypatch):
    """A confusion matrix of 100 classes took 18 GB: a canvas of 93 MB for each text measured."""
    canvases, create = [], RendererAgg.__init__

    def count_pixels(self, width, height, dpi):
        canvases.append(width * height)
        create(self, width, height, dpi)

    monkeypatch.setattr(RendererAgg, "__init__", count_pixels)
    figure = add_caption(FIGURES[plot]([f"class_{n:08d}" for n in range(count)]), "a network")
    assert_legible(figure)
    figure._repr_png_()
    assert len(figure.axes[0].texts) <= 30**2
    assert max(canvases) < 1.6e6
    assert len(canvases) <= 3


@pytest.mark.parametrize("plot", FIGURES)
@pytest.mark.filterwarnings("error::UserWarning")
def test_a_name_is_text_and_has_its_place(plot):
    for first in ("$5 and $100", "W" * 120):  # It is also in titles and captions.
        figure = FIGURES[plot]([first, *(name for name in NAMES if name != first)])
        add_caption(figure, f"CustomResNet of width 16 on folder:{first}, seed 0")
        assert_legible(figure)
        figure._repr_png_()


@pytest.mark.filterwarnings("error::UserWarning")
def test_the_names_are_shown():
    names = ["$5 and $100", r"\alpha", "_x", "100 % {}", "кошка"]
    expected = [r"\$5 and \$100", r"\alpha", " _x", "100 % {}", "кошка"]
    heatmap = FIGURES["plot_confusion"](names).axes[0]
    assert [label.get_text() for label in heatmap.get_xticklabels()] == expected
    assert [label.get_text() for label in heatmap.get_yticklabels()] == expected
    legend = FIGURES["plot_schedules"](names).axes[0].get_legend()
    assert [label.get_text() for label in legend.get_texts()] == expected


@pytest.mark.parametrize("name", ["$5 and $100", r"\$", "$", r"$\alpha$", "$$"])
def test_dollars_are_drawn_as_dollars(name):
    def pixels(**options):
        figure = Figure(figsize=(2, 1))
        figure.text(0.1, 0.5, **options)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())

    plain = pixels(s=name, parse_math=False)
    assert np.array_equal(pixels(s=as_label(name, 2)), plain)


def test_a_long_name_keeps_both_ends():
    label = as_label(LONG, 1)
    assert label.startswith("a_lo")
    assert label.endswith("_cat")
    assert "…" in label
    assert as_label("a cat", 1) == "a cat"
    title = as_title("a title in which a name is " + "x" * 120 + ", for example", 3)
    assert title.splitlines()[0] == "a title in which a name is"
    assert title.splitlines()[1].startswith("xxx")
    assert title.splitlines()[2] == "for example" or title.endswith(", for example")


def test_a_missing_font_is_said_once(capsys, monkeypatch):
    for function in (text._character_width, text._report_missing_font):
        function.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for plot in FIGURES:
            FIGURES[plot](["猫", "犬", "кошка"])._repr_png_()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("DejaVu Sans lacks characters of these names")
    assert "font.family: DejaVu Sans, Noto Sans CJK SC" in printed.err


def test_another_font_is_used_for_what_the_first_one_lacks():
    missing = "\u20e8"  # In STIX, not in DejaVu Sans.
    assert as_label(missing, 1) == "�"
    with mpl.rc_context({"font.family": ["DejaVu Sans", "STIXGeneral"]}):
        assert as_label(missing, 1) == missing


def test_arrays_and_numbers_are_names_too():
    labels = np.array([0, 1, 1])
    for names in (np.array(["cat", "dog"])[labels], pd.Series(["cat", "dog", "dog"]), labels):
        figure = plots.plot_images(list(images(3)), names, columns=np.int64(3))
        assert [axes.get_title() for axes in figure.axes] == [str(name) for name in names]
    found = predictions(["cat", "dog"])
    for classes in (np.array(found.classes), pd.Series(found.classes), np.array([3, 7])):
        given = replace(found, classes=classes)
        expected = [str(name) for name in classes]
        axes = plots.plot_confusion(given).axes[0]
        assert [label.get_text() for label in axes.get_xticklabels()] == expected
        pictures = list(images(4))
        mistakes = plots.plot_misclassified(pictures, given, true=np.str_(expected[0]))
        assert mistakes.get_suptitle().startswith(f"{expected[0]} misclassified as another: 1 of 4")
        assert plots.plot_class_accuracy(given).axes[0].get_yticks().tolist() == [0, 1]


def test_a_run_without_a_finished_epoch():
    nothing = pd.DataFrame([], columns=COLUMNS)
    for plot in (plots.plot_curves, plots.plot_schedules):
        with pytest.raises(InputError, match="nothing to plot: no epoch is finished yet"):
            plot(nothing)
    table = pd.concat([runs(["A", "B"]), nothing.assign(schedule="C")], ignore_index=True)
    axes = plots.plot_schedules(table).axes
    assert axes[1].get_title(loc="left") == "Test accuracy"


@pytest.mark.parametrize("nothing", [None, Predictions([], [], ("cat", "dog"))])
@pytest.mark.parametrize("plot", ["plot_class_accuracy", "plot_confusion", "plot_misclassified"])
def test_without_predictions_there_is_one_line(plot, nothing):
    given = (images(0), nothing) if plot == "plot_misclassified" else (nothing,)
    with pytest.raises(InputError, match="nothing to plot: no epoch is finished yet"):
        getattr(plots, plot)(*given)
