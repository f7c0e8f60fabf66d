"""The drawings show what the code computes, and are legible at a notebook's width."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from torch import nn

from s10 import CustomResNet, InputError, Recipe
from s10.course import figures
from s10.course.experiments import with_constant_lr
from s10.course.figures.__main__ import DRAWINGS, main, save_all
from s10.custom_resnet import ResBlock
from s10.lr_finder import choose_from_loss


def made_up_table(seeds=(0,)):
    """Losses of networks of 9 and 49 layers: plain they degrade, residual they do not."""
    ends = {(9, False): 1.0, (49, False): 1.5, (9, True): 0.9, (49, True): 0.7}
    return pd.DataFrame(
        {
            "depth": depth, "shortcuts": kind, "step": step, "loss": end + 10 / step + seed / 10,
            "seed": seed,
        }
        for (depth, kind), end in ends.items()
        for step in range(10, 1001, 10)
        for seed in seeds
    )  # fmt: skip


@pytest.fixture(scope="module")
def drawn():
    """All figures by their names."""
    made = {name: getattr(figures, name)() for name in DRAWINGS}
    return {**made, "degradation": figures.degradation(made_up_table())}


def visible_texts(figure):
    hidden = set()
    for axes in figure.findobj(Axes):
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                # Ticks beyond the limits exist, but are not drawn.
                if not axes.axison or not low <= tick.get_loc() <= high:
                    hidden |= {tick.label1, tick.label2}
    texts = [text for text in figure.findobj(Text) if text not in hidden]
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


def all_text(figure):
    return "\n".join(text.get_text() for text in visible_texts(figure))


def title(figure):
    return figure.get_suptitle() or figure.axes[0].get_title(loc="left")


NAMES = [*DRAWINGS, "degradation"]


@pytest.mark.parametrize("name", NAMES)
def test_text_is_large_enough_inside_the_figure_and_apart(drawn, name):
    figure = drawn[name]
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    width, height = figure.bbox.width, figure.bbox.height
    assert width <= 760  # A notebook's column is 700 pixels or so wide.
    whole = figure.get_tightbbox(renderer)
    assert min(whole.x0, whole.y0) >= 0
    assert whole.x1 * figure.dpi <= width
    assert whole.y1 * figure.dpi <= height
    extents = {text: text.get_window_extent(renderer) for text in visible_texts(figure)}
    for text, extent in extents.items():
        is_caption = text is figure._supxlabel
        assert text.get_fontsize() >= (7 if is_caption else 8), text
        assert min(extent.x0, extent.y0) >= 0, text
        assert extent.x1 <= width, text
        assert extent.y1 <= height, text
    for (one, here), (other, there) in itertools.combinations(extents.items(), 2):
        assert not overlap(here, there), (one.get_text(), other.get_text())


def overlap(one, other):
    return (
        min(one.x1, other.x1) - max(one.x0, other.x0) > 1
        and min(one.y1, other.y1) - max(one.y0, other.y0) > 1
    )


@pytest.mark.parametrize("name", ["shortcuts", "bottleneck", "one_by_one", "network"])
def test_nothing_drawn_is_cut_off(drawn, name):
    axes = drawn[name].axes[0]
    for patch in axes.patches:
        extent = patch.get_path().get_extents(patch.get_patch_transform())
        assert extent.x0 >= axes.get_xlim()[0]
        assert extent.x1 <= axes.get_xlim()[1]
        assert extent.y0 >= axes.get_ylim()[0]
        assert extent.y1 <= axes.get_ylim()[1]


def test_shortcuts_draw_the_layers_in_their_order(drawn):
    text = all_text(drawn["shortcuts"])
    layers = [type(layer).__name__ for layer in ResBlock(2).branch.modules()]
    # Three blocks of He et al. with two of each, the last ReLU among them, and ours.
    assert text.count("3×3 conv") == 2 * 3 + layers.count("Conv2d")
    assert text.split("\n").count("ReLU") == 2 * 3 + layers.count("ReLU")
    assert "1×1 conv\nstride 2" in text
    assert text.count("128×16×16") == 2 + 1 + 1 + 4  # projection's branch, end, shortcut; ours


def test_bottleneck_counts_the_weights(drawn):
    text = all_text(drawn["bottleneck"])
    basic = 2 * nn.Conv2d(256, 256, 3, bias=False).weight.numel()
    thin = 2 * 256 * 64 + nn.Conv2d(64, 64, 3, bias=False).weight.numel()
    for number in (basic, basic // 2, thin, 256 * 64, 64 * 64 * 9):
        assert f"{number:,} weights" in text or f"{number:,}: " in text
    assert f"{basic:,}: {basic / thin:.0f} times as many" in title(drawn["bottleneck"])
    other = title(figures.bottleneck(128, 32))
    assert f"{2 * 128 * 32 + 32 * 32 * 9:,} weights" in other


def test_one_by_one_adds_up(drawn):
    figure = drawn["one_by_one"]
    texts = [text.get_text().replace("−", "-") for text in figure.axes[0].texts]
    products = [float(text[2:]) for text in texts if text.startswith("= ")]
    factors = [float(text[2:]) for text in texts if text.startswith("× ") and text[2] in "-0123456"]
    pixels = [float(text) for text in texts if text.isdigit()]
    assert len(products) == 4
    assert products == [a * b for a, b in zip(pixels, factors, strict=True)]
    assert f"{sum(products):g}" in texts
    assert "= 8 weights" in title(figure)


def test_network_shows_what_receptive_fields_computes(drawn):
    text = all_text(drawn["network"])
    for stage in figures.receptive_fields(CustomResNet()):
        assert f"{stage.channels}×{stage.height}×{stage.width}" in text
        assert f"{stage.field} px" in text
    assert "128×4×4" in all_text(figures.network(width=16))


def test_receptive_fields_have_the_shapes_of_the_assignment():
    model = CustomResNet(width=64)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    stages = figures.receptive_fields(model)
    assert [stage[:4] for stage in stages] == [
        ("prep", 64, 32, 32), ("layer1", 128, 16, 16), ("layer2", 256, 8, 8),
        ("layer3", 512, 4, 4), ("pool", 512, 1, 1),
    ]  # fmt: skip
    assert [stage.field for stage in stages] == [3, 14, 20, 64, 88]
    # The model is as it was.
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
    after = model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_receptive_fields_are_those_of_the_gradient():
    torch.manual_seed(0)
    # In float64 and all-positive, no gradient vanishes; average pools and no ReLU let all through.
    model = smooth(CustomResNet(width=2)).double().eval()
    for parameter in model.parameters():
        parameter.data.abs_()
    image = torch.zeros(1, 3, 256, 256, dtype=torch.float64, requires_grad=True)
    x = image
    for stage in figures.receptive_fields(model):
        x = getattr(model, stage.name)(x)
        middle = x.shape[-1] // 2
        (gradient,) = torch.autograd.grad(x[0, 0, middle, middle], image, retain_graph=True)
        for direction in (0, 1):
            touched = gradient[0].abs().sum(0).sum(direction).nonzero().flatten()
            assert int(touched.max() - touched.min()) + 1 == stage.field, stage.name


def smooth(module):
    """The network with average pools for max pools, and without ReLUs."""
    for name, child in module.named_children():
        if isinstance(child, nn.MaxPool2d):
            setattr(module, name, nn.AvgPool2d(child.kernel_size))
        elif isinstance(child, nn.ReLU):
            setattr(module, name, nn.Identity())
        else:
            smooth(child)
    return module


def test_lr_range_anatomy_marks_what_the_rule_chooses(drawn):
    figure = drawn["lr_range_anatomy"]
    curve = max(figure.axes[0].lines, key=lambda line: len(line.get_xdata()))
    choice = choose_from_loss(curve.get_xdata(), curve.get_ydata())
    marked = [line.get_xdata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    assert marked == [choice["lr_min"], choice["lr_max"]]
    text = all_text(figure)
    for region in ("LRMIN: 10%", "LRMAX: middle", "worse than a guess", "valley", "too large"):
        assert region in text
    assert "10^" not in text  # It would answer the question that follows it.
    # The middle of the valley is not its lowest point: else one could not tell which is meant.
    assert curve.get_xdata()[curve.get_ydata().argmin()] > 1.5 * choice["lr_max"]
    # As measured: a start above ln 10, and no explosion on the right.
    assert curve.get_ydata()[0] > np.log(10) > curve.get_ydata().min()
    assert curve.get_ydata()[-1] < curve.get_ydata()[0]
    assert "not a measurement" in figure._supxlabel.get_text()


def test_one_cycle_arithmetic_of_the_assignment(drawn):
    figure = drawn["one_cycle_arithmetic"]
    text = all_text(figure)
    assert "step 0: LR 1e-05" in text
    assert "step 489 = 5 × 98 − 1: LR 0.01" in text
    assert "step 2351 = 24 × 98 − 1: LR 1e-05" in text
    assert f"+{(0.01 - 1e-5) / 489:.3g}\nper step" in text
    assert f"−{(0.01 - 1e-5) / (2351 - 489):.3g} per step" in text
    rates = figure.axes[0].lines[0].get_ydata()
    assert len(rates) == 24 * 98
    assert int(np.argmax(rates)) == 489


def test_annihilation_ends_where_pytorchs_default_does(drawn):
    figure = drawn["annihilation"]
    (axes,) = figure.axes
    ours, default, three_phases, _ = (line.get_ydata() for line in axes.lines)
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1, momentum=0.9)
    torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=9, div_factor=10)
    lowest = optimizer.param_groups[0]["min_lr"]
    assert [ours[-1], default[-1], three_phases[-1]] == pytest.approx([0.001, lowest, lowest])
    assert ours.argmax() == default.argmax() == 5 * 98 - 1
    # The last phase is the last tenth, and all of it is below LRMIN.
    below = np.flatnonzero(three_phases < 0.000999)
    assert below[0] == pytest.approx(0.9 * 24 * 98, abs=2)
    assert len(below) == below[-1] - below[0] + 1
    assert [text.get_text()[-15:] for text in axes.get_legend().get_texts()] == [
        "(ends at 0.001)", "(ends at 1e-07)", "(ends at 1e-07)",
    ]  # fmt: skip


def test_the_planned_lrs_are_those_of_the_recipes():
    recipe = Recipe().with_epochs(5)
    constant = {f"constant {lr}": with_constant_lr(recipe, lr) for lr in (1, 2, 3, 4, 5)}
    panels = figures.planned_lrs({"cycle": recipe, **constant}, 20).axes
    assert [axes.get_title(loc="left") for axes in panels] == [*constant]
    for lr, axes in enumerate(panels, start=1):
        first, own = axes.lines
        assert (len(first.get_ydata()), first.get_xdata()[-1]) == (100, 5)
        assert first.get_ydata().argmax() == 19
        assert first.get_ydata().max() == 0.01
        assert set(own.get_ydata()) == {lr}
    (alone,) = figures.planned_lrs({"cycle": recipe}, 20).axes
    assert alone.get_title(loc="left") == "cycle"


def test_runs_are_drawn_as_differences_from_the_first_of_the_same_seed():
    table = pd.DataFrame(
        {
            "variant": name, "seed": seed, "epoch": epoch, "train_loss": seed / epoch + change,
            "test_accuracy": (seed + epoch - change) / 10,
        }
        for name, change in (("A", 0.0), ("B", 0.5), ("C", -0.25))
        for seed in (0, 1, 2)
        for epoch in (1, 2)
    )  # fmt: skip
    figure = figures.seed_by_seed(table)
    assert "“A”" in figure.get_suptitle()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["B", "C", "", ""]
    for axes, difference in zip(figure.axes, (0.5, -0.25, -5, 2.5), strict=True):
        zero, *seeds = axes.lines
        assert set(zero.get_ydata()) == {0}
        assert len(seeds) == 3
        assert all(line.get_ydata() == pytest.approx(difference) for line in seeds)
    with pytest.raises(InputError, match="nothing to compare “A” with"):
        figures.seed_by_seed(table[table["variant"] == "A"])


def test_whitening_removes_the_correlations_of_a_patch(shapes):
    figure = figures.patch_correlation(shapes)
    before, after = (np.asarray(axes.images[0].get_array()) for axes in figure.axes[:2])
    others = ~np.eye(12, dtype=bool)
    assert np.abs(before[others]).mean() > 0.2
    assert np.abs(after[others]).max() < 0.1


def test_degradation_summarizes_the_table():
    figure = figures.degradation(made_up_table())
    plain, residual = figure.get_suptitle().split("\n")
    assert plain.startswith("Plain: 49 layers train worse than 9 (loss 1.51 against 1.01")
    assert residual.startswith("Residual: 49 layers train better than 9 (loss 0.71")
    left, right = figure.axes
    assert left.get_ylim() == right.get_ylim()
    table = made_up_table()
    for axes, kind in ((left, False), (right, True)):
        for depth in (9, 49):
            net = table[(table["depth"] == depth) & (table["shortcuts"] == kind)]
            assert any(
                np.array_equal(line.get_ydata(), net["loss"].to_numpy()) for line in axes.lines
            )
    colors = {line.get_label(): line.get_color() for line in left.lines}
    assert colors["9 layers"] != colors["49 layers"]
    assert all(colors[line.get_label()] == line.get_color() for line in right.lines)


def test_degradation_with_seeds_takes_their_mean():
    table = made_up_table(seeds=(0, 1, 2))
    assert "(loss 1.61 against 1.11" in figures.degradation(table).get_suptitle()
    assert "(loss 1.51 against 1.01" in (
        figures.degradation(made_up_table().drop(columns="seed")).get_suptitle()
    )
    table["loss"] = 1.0
    assert figures.degradation(table).get_suptitle().count("about as well as") == 2


def test_degradation_compares_stored_seeds_pair_by_pair():
    stored = {
        "9 layers, plain": [1.5, 1.25], "49 layers, plain": [2.0, 1.5],
        "9 layers, residual": [1.5, 1.25], "49 layers, residual": [1.625, 1.0],
    }  # fmt: skip
    figure = figures.degradation(made_up_table(), stored)
    assert figure.get_suptitle().split("\n") == [
        "Plain: loss of 49 layers minus that of 9: +0.50, +0.25 (2 stored seeds)",
        "Residual: loss of 49 layers minus that of 9: +0.12, −0.25 (2 stored seeds)",
    ]
    marks = [line for line in figure.axes[1].lines if line.get_marker() == "_"]
    assert [list(line.get_ydata()) for line in marks] == [[1.5, 1.25], [1.625, 1.0]]
    without = figures.degradation(made_up_table(), {})
    assert without.get_suptitle() == figures.degradation(made_up_table()).get_suptitle()


def test_degradation_needs_both_kinds_and_all_columns():
    table = made_up_table()
    with pytest.raises(InputError, match="no column loss"):
        figures.degradation(table.drop(columns="loss"))
    with pytest.raises(InputError, match="two depths of residual"):
        figures.degradation(table[~table["shortcuts"]])


def test_the_command_saves_small_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["images"])
    paths = [tmp_path / line for line in capsys.readouterr().out.split()]
    # There is no table of depths in this folder.
    assert [path.stem for path in paths] == list(DRAWINGS)
    assert all(path.stat().st_size < 120_000 for path in paths)


def test_degradation_is_saved_where_it_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr("s10.course.figures.__main__.DRAWINGS", ())
    table = tmp_path / "degradation.csv"
    made_up_table().to_csv(table)
    assert save_all(tmp_path, table) == [tmp_path / "degradation.png"]
    assert (tmp_path / "degradation.png").stat().st_size < 120_000


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawing_leaves_the_random_state_alone(name):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    getattr(figures, name)()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_every_figure_is_exported_and_documented():
    assert set(NAMES) < set(figures.__all__)
    for name in figures.__all__:
        assert getattr(figures, name).__doc__
        assert getattr(figures, name).__name__ == name


def test_the_title_about_three_iterations_is_true():
    (axes,) = figures.newton_schulz().axes
    assert "After 3 iterations, singular values above 0.02 are about 0.7 to 1.2" in (
        axes.get_title(loc="left")
    )
    (line,) = (line for line in axes.lines if line.get_label() == "3 iterations")
    after = line.get_ydata()[line.get_xdata() > 0.02]
    assert [round(limit, 1) for limit in (after.min(), after.max())] == [0.7, 1.2]
