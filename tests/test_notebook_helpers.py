"""What the notebooks call: the preflight, sources, signed pictures, experiments, sliders."""

import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from s10 import (
    CustomResNet,
    Fit,
    InputError,
    Recipe,
    evaluate,
    explorer,
    notebook,
    plot_images,
    plot_schedule,
    plot_schedules,
)
from s10.experiments import (
    NO_TRAP,
    DeepNet,
    compare_depths,
    compare_schedules,
    compare_traps,
    final_accuracy,
    final_loss,
)
from s10.progress import BatchBar, bar_stream, no_bars, time_left


@pytest.fixture
def smoke(monkeypatch):
    monkeypatch.setenv("S10_SMOKE", "1")


def test_smoke_mode_is_small(smoke, capsys):
    lab = notebook.start()
    assert lab.smoke
    assert lab.images.name == "shapes"
    assert lab.size(100, smoke=3) == 3
    assert lab.recipe.width < 16
    output = capsys.readouterr().out
    for word in ("device", "precision", "data", "width 4", "second"):
        assert word in output


def test_a_bench_with_another_recipe_is_as_small_and_says_which_network(smoke):
    lab = notebook.start()
    fast = lab.with_recipe("laptop")
    assert fast.images is lab.images
    assert (fast.recipe.data, fast.recipe.width, fast.recipe.optimizer) == ("shapes", 4, "muon")
    assert fast.seconds_per_step > 0
    assert fast.minutes(2) < 10 * lab.minutes(2)
    rates = np.linspace(0.1, 1, 20)
    figure = fast.sign(plot_schedule(rates, rates, 10))
    assert "WhitenedNet of width 4 on shapes" in figure.get_supxlabel()
    with pytest.raises(InputError, match="did you mean laptop"):
        lab.with_recipe("labtop")


def test_checkpoints_may_be_kept_in_a_folder_or_on_the_drive(smoke, tmp_path, monkeypatch, capsys):
    assert notebook.start().checkpoints("mine") is None
    lab = notebook.start(keep=tmp_path)
    assert lab.checkpoints("mine") == tmp_path / "mine-shapes-width4"
    assert str(tmp_path) in capsys.readouterr().out
    with pytest.raises(InputError, match="is for Colab"):
        notebook.start(keep="drive")

    mounted = []
    drive = types.SimpleNamespace(mount=mounted.append)
    colab = types.ModuleType("google.colab")
    colab.drive = drive
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    assert notebook.start(keep="drive").keep == Path("/content/drive/MyDrive/s10")
    assert mounted == ["/content/drive"]

    def refused(place):
        raise ValueError("mount failed")

    drive.mount = refused
    with pytest.raises(InputError, match=r"was not mounted \(mount failed\); allow it"):
        notebook.start(keep="drive")


def test_start_takes_what_fits_the_machine(monkeypatch, shapes, capsys):
    monkeypatch.setattr(notebook, "load_images", lambda data: shapes)
    monkeypatch.setattr(notebook, "seconds_per_step", lambda *arguments, **options: 0.1)
    lab = notebook.start()
    width = 64 if torch.cuda.is_available() else 16
    assert lab.recipe == replace(Recipe(), width=width, data="shapes")
    # 24 epochs of 10 training steps and of 1,000 test images at a third of a step each.
    assert lab.minutes(24) == pytest.approx(24 * (10 + 1000 / 512 / 3) * 0.1 / 60)
    assert "take about 26 seconds here" in capsys.readouterr().out
    assert lab.few(100, 50).train_images.shape[0] == 100
    lab.announce(240)
    assert "about 4 minutes here" in capsys.readouterr().out


def test_a_slow_machine_is_shown_shorter_settings(monkeypatch, shapes, capsys):
    monkeypatch.setattr(notebook, "load_images", lambda data: shapes)
    monkeypatch.setattr(notebook, "seconds_per_step", lambda *arguments, **options: 60.0)
    notebook.start(width=16)
    output = capsys.readouterr().out
    assert "with_epochs(" in output
    assert "start(width=8)" in output


def test_without_cifar10_it_goes_on_with_shapes(monkeypatch, shapes, capsys):
    def load(data):
        if data == "cifar10":
            raise InputError("nothing answers")
        return shapes

    monkeypatch.setattr(notebook, "load_images", load)
    monkeypatch.setattr(notebook, "seconds_per_step", lambda *arguments, **options: 0.1)
    lab = notebook.start()
    assert lab.recipe.data == "shapes"
    output = capsys.readouterr().out
    assert "no CIFAR-10: nothing answers" in output
    assert "the drawn shapes" in output
    # But who asks for CIFAR-10 by name is told that it is not there.
    with pytest.raises(InputError):
        notebook.start(data="cifar10")


def test_pictures_own_up_to_shapes(smoke, few):
    lab = notebook.start()
    figure = lab.sign(plot_images(few.test_images[:4], title="Four pictures"))
    assert figure.get_suptitle() == "Four pictures\n(on shapes, not CIFAR-10)"
    assert figure.get_supxlabel() == "CustomResNet of width 4 on shapes"
    assert lab.sign(figure, "DeepNet").get_supxlabel() == "DeepNet on shapes"
    assert lab.sign(plot_images(few.test_images[:4])).get_suptitle() == "on shapes, not CIFAR-10"
    real = replace(lab, images=replace(lab.images, name="cifar10"))
    assert real.sign(plot_images(few.test_images[:4], title="Four")).get_suptitle() == "Four"


def test_a_picture_shows_itself_without_pyplot(few):
    assert plot_images(few.test_images[:4])._repr_png_().startswith(b"\x89PNG")


def test_the_source_that_is_shown_is_the_source(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    notebook.show(CustomResNet, evaluate)
    first, second = (markdown.data for markdown in shown)
    assert first.startswith("from `s10/custom_resnet.py`:\n\n```python\nclass CustomResNet")
    assert first.endswith("return self.fc(x.flatten(1))\n```")
    # Decorated by torch.no_grad(), and still from its own file.
    assert second.startswith(
        "from `s10/training.py`:\n\n```python\n@torch.no_grad()\ndef evaluate("
    )


def test_the_schedules_are_compared_from_the_same_start(few, tiny, capsys):
    table = compare_schedules(few, tiny)
    assert table["schedule"].unique().tolist() == ["one cycle", "constant 0.01", "constant 0.001"]
    assert len(table) == 9
    constant = table[table["schedule"] == "constant 0.001"]
    assert constant["lr"].tolist() == pytest.approx([0.001] * 3)
    assert constant["momentum"].tolist() == pytest.approx([0.9] * 3)
    assert set(final_accuracy(table)) == set(table["schedule"])
    assert len(plot_schedules(table).axes) == 2


def test_the_depths_are_compared(few, tiny, capsys):
    table = compare_depths(few, tiny, depths=(3, 5))
    assert table.groupby(["depth", "shortcuts"]).size().tolist() == [3] * 4
    assert table["step"].unique().tolist() == [4, 8, 12]
    losses = final_loss(table)
    assert set(losses) == {f"{d} layers, {k}" for d in (3, 5) for k in ("plain", "residual")}
    assert all(np.isfinite(list(losses.values())))


def test_the_traps_are_compared_from_the_same_start(few, tiny, capsys):
    names = ("std of single images", "softmax before the loss", "peak at 0.2 of the run")
    table = compare_traps(few, replace(tiny, epochs=24, peak_epoch=5), names, epochs=3)
    assert table["trap"].unique().tolist() == [NO_TRAP, *names]
    assert len(table) == 12
    assert set(final_accuracy(table, by="trap")) == {NO_TRAP, *names}
    softmax = table[table["trap"] == "softmax before the loss"]
    assert softmax["train_loss"].min() > np.log(1 + 9 / np.e)
    assert len(set(table.groupby("trap")["train_loss"].last())) == 4
    legend = plot_schedules(table, by="trap").axes[0].get_legend().get_texts()
    assert [text.get_text() for text in legend] == [NO_TRAP, *names]
    # The same as by itself: nothing is handed from one run to the next.
    alone = compare_traps(few, replace(tiny, epochs=24, peak_epoch=5), names[1:2], epochs=3)
    same = alone["trap"] == "softmax before the loss"
    assert alone[same]["train_loss"].tolist() == softmax["train_loss"].tolist()
    with pytest.raises(InputError, match="no trap 'softmx'"):
        compare_traps(few, tiny, ("softmx",))


@pytest.mark.parametrize("compare", [compare_schedules, compare_depths, compare_traps])
def test_the_stop_button_stops_the_whole_comparison(few, tiny, monkeypatch, compare, capsys):
    calls = []

    def interrupted(*arguments, **options):
        calls.append(arguments)
        row = {"epoch": 1, "train_loss": 2.0, "test_accuracy": 0.1}
        return Fit(pd.DataFrame([row]), None, 1.0, interrupted=True)

    monkeypatch.setattr("s10.experiments.fit", interrupted)
    assert len(compare(few, tiny)) == 1
    assert len(calls) == 1


@pytest.mark.parametrize("depth", [3, 9])
def test_a_deep_net_has_so_many_convolutions_and_shortcuts_cost_nothing(depth):
    nets = [DeepNet(depth, shortcuts) for shortcuts in (False, True)]
    for net in nets:
        assert sum(isinstance(m, torch.nn.Conv2d) for m in net.modules()) == depth
        assert net(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    counts = [sum(p.numel() for p in net.parameters()) for net in nets]
    assert counts[0] == counts[1]


def test_a_shortcut_passes_on_what_the_layers_leave_out():
    """With its last batch norm at zero a residual pair does nothing, a plain one gives zero."""
    for shortcuts in (False, True):
        net = DeepNet(3, shortcuts).eval()
        torch.nn.init.zeros_(net.pairs[0][-1].weight)
        x = torch.randn(2, 3, 32, 32)
        passed_on = net.fc(net.prep(x).mean(dim=(2, 3)))
        assert torch.allclose(net(x), passed_on if shortcuts else net.fc.bias.expand(2, -1))


def test_the_sliders_curve_ends_at_lrmin():
    figure = explorer.cycle_figure(peak_epoch=8, lr_max=0.02, div=10)
    rates = figure.axes[0].lines[0].get_ydata()
    assert rates.max() == pytest.approx(0.02)
    assert rates.argmax() == 8 * 98 - 1
    assert [rates[0], rates[-1]] == pytest.approx([0.002] * 2)


def test_sliders_whose_momenta_cross_still_give_a_curve():
    figure = explorer.cycle_figure(momentum_max=0.5, momentum_min=0.9)
    assert set(figure.axes[1].lines[0].get_ydata()) == {0.5}


@pytest.mark.parametrize("static", [True, False])
def test_the_explorer_has_a_still_picture(static, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *things: shown.extend(things))
    if static:
        monkeypatch.setenv("S10_STATIC", "1")
    else:
        monkeypatch.delenv("S10_STATIC", raising=False)
    explorer.explore_one_cycle()
    kinds = [type(thing).__name__ for thing in shown]
    assert kinds == ["Picture"] if static else "VBox" in kinds


def test_the_time_left():
    rows = [{"seconds": 10.0}, {"seconds": 20.0}]
    assert time_left([], 24) == ""
    assert time_left(rows, 4) == ", 30 s left"
    assert time_left(rows, 24) == ", 6 min left"  # 5.5, rounded to even


def test_bars_are_on_stdout_in_a_notebook_only(monkeypatch):
    assert bar_stream() is sys.stderr
    monkeypatch.setattr("s10.progress._in_notebook", lambda: True)
    assert bar_stream() is sys.stdout


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0, "1 second"), (0.5, "30 seconds"), (1.2, "1 minute"), (2, "2 minutes")],
)
def test_minutes_in_words(minutes, words):
    assert notebook._in_words(minutes) == words


def test_bars_can_be_silenced(monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with no_bars():
        assert BatchBar([1]).bar.disable
    assert not BatchBar([1]).bar.disable
