"""The environment of the notebooks: what `setup` chooses and prints, captions, shown sources."""

import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from s10 import (
    CustomResNet,
    InputError,
    Recipe,
    evaluate,
    fit,
    load_dataset,
    plot_images,
    plot_schedule,
)
from s10.course import env, setup, show
from s10.speed.recipes import LAPTOP


@pytest.fixture(autouse=True)
def fast(monkeypatch, shapes):
    """The shapes are drawn once, CIFAR-10 is not there, and a step takes 0.1 seconds."""

    def load(source):
        if source == "cifar10":
            raise InputError("no answer")
        return shapes

    monkeypatch.setattr(env, "load_dataset", load)
    monkeypatch.setattr(env, "seconds_per_step", lambda *arguments, **options: 0.1)
    monkeypatch.delenv("S10_SMOKE", raising=False)


@pytest.fixture
def smoke(monkeypatch):
    monkeypatch.setenv("S10_SMOKE", "1")


def test_smoke_mode_is_small(smoke, capsys):
    small = setup()
    assert small.smoke
    assert (small.dataset.name, len(small.dataset.train_images)) == ("shapes", 1000)
    assert small.size(100, smoke=3) == 3
    assert small.recipe.width < 16
    output = capsys.readouterr().out
    for word in ("device", "precision", "data", "width 4", "batches    of 64 images", "time"):
        assert word in output


def test_setup_chooses_what_fits_the_machine(capsys):
    full = setup(data="shapes")
    width = 64 if torch.cuda.is_available() else 16
    assert full.recipe == replace(Recipe(), width=width, data="shapes")
    # 24 epochs of 10 training steps, and of 1,000 test images at a third of a step each.
    assert full.minutes(24) == pytest.approx(24 * (10 + 1000 / 512 / 3) * 0.1 / 60)
    assert "take about 26 seconds here" in capsys.readouterr().out
    assert full.subset(100, 50).train_images.shape[0] == 100
    full.print_estimate(240)
    assert "about 4.3 minutes here" in capsys.readouterr().out
    full.print_estimate(240, full.subset(512, 512))
    assert "about 32 seconds here" in capsys.readouterr().out


def test_a_slow_machine_is_shown_shorter_settings(monkeypatch, capsys):
    monkeypatch.setattr(env, "seconds_per_step", lambda *arguments, **options: 60.0)
    setup(data="shapes", width=16)
    output = capsys.readouterr().out
    assert "with_epochs(" in output
    assert "setup(width=8)" in output


def test_without_cifar10_it_continues_with_shapes(capsys):
    assert setup().recipe.data == "shapes"
    output = capsys.readouterr().out
    assert "no CIFAR-10: no answer" in output
    assert "the drawn shapes" in output
    # But CIFAR-10 by name is not replaced.
    with pytest.raises(InputError):
        setup(data="cifar10")


def test_where_data_can_neither_be_read_nor_written_it_continues_with_shapes(
    tmp_path, monkeypatch, capsys, shapes
):
    def load(source):
        return shapes if source == "shapes" else load_dataset(source)

    monkeypatch.setattr(env, "load_dataset", load)
    (tmp_path / "file").touch()
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    for data in ("file/data", "data"):
        monkeypatch.setenv("S10_DATA", str(tmp_path / data))
        monkeypatch.setattr("tempfile.TemporaryFile", refuse)
        assert setup().dataset.name == "shapes"
        assert "no CIFAR-10: cannot load the data cifar10: " in capsys.readouterr().out


def refuse(dir):
    raise OSError(30, "Read-only file system", str(dir))


def test_an_environment_with_another_recipe_is_as_small_and_names_its_network(smoke):
    small = setup()
    laptop = small.with_recipe(LAPTOP)
    assert laptop.dataset is small.dataset
    assert laptop.recipe == replace(LAPTOP.with_epochs(2), data="shapes", width=4, batch_size=64)
    assert laptop.minutes(2) < small.minutes(2)
    before = torch.get_rng_state()
    rates = np.linspace(0.1, 1, 20)
    figure = laptop.add_caption(plot_schedule(rates, rates, 10))
    assert "WhitenedNet of width 4 on shapes" in figure.get_supxlabel()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_notebooks_run_is_resumed_from_the_folder_that_keeps_it(tmp_path, capsys, few):
    assert setup(data="shapes").checkpointer("mine") == []
    kept = setup(data="shapes", width=4, keep=tmp_path)
    assert f"kept in    {tmp_path}" in capsys.readouterr().out
    recipe = replace(kept.recipe.with_epochs(2), batch_size=64, precision="fp32")
    model = recipe.initial_model(few)
    loaders = recipe.train_loader(few), recipe.test_loader(few)
    for resumed in (False, True):
        result = fit(model, *loaders, recipe, few.classes, hooks=kept.checkpointer("mine"))
        assert len(result.history) == 2
        assert ("resuming after 2 of 2 epochs" in capsys.readouterr().out) == resumed
    assert list((tmp_path / "mine-shapes-width4").iterdir())


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two folders of the same name, with other images in them."""
    monkeypatch.setattr(env, "load_dataset", load_dataset)
    for place, color in (("a", 0), ("b", 255)):
        for split in ("train", "test"):
            for label in ("cat", "dog"):
                folder = tmp_path / place / "pets" / split / label
                folder.mkdir(parents=True)
                for number in range(4):
                    Image.new("RGB", (32, 32), (color, number, 0)).save(folder / f"{number}.png")
    return tmp_path / "a" / "pets", tmp_path / "b" / "pets"


def test_the_recipe_of_own_images_can_be_loaded_from_anywhere(folders, monkeypatch, tmp_path):
    monkeypatch.chdir(folders[0].parent)
    for data in ("folder:pets", "folder:pets/", "folder:../a/pets", f"folder:{folders[0]}"):
        own = setup(data=data, width=4)
        assert own.recipe.data == own.with_recipe(LAPTOP).recipe.data == f"folder:{folders[0]}"
    monkeypatch.chdir(tmp_path)
    assert load_dataset(own.recipe.data).fingerprint() == own.dataset.fingerprint()
    monkeypatch.setenv("HOME", str(folders[0].parent))
    assert setup(data="folder:~/pets", width=4).recipe.data == f"folder:{folders[0]}"


def test_own_images_have_checkpoints_of_their_own(folders, tmp_path):
    kept = [setup(data=f"folder:{folder}", width=4, keep=tmp_path) for folder in folders]
    places = {each.checkpointer("mine")[0].folder.folder for each in kept}
    assert len(places) == 2
    # The same images elsewhere are the same.
    moved = folders[0].rename(tmp_path / "moved")
    again = setup(data=f"folder:{moved}", width=4, keep=tmp_path)
    assert again.checkpointer("mine")[0].folder.folder in places


def test_few_images_come_in_small_batches(folders, capsys):
    few = setup(data=f"folder:{folders[0]}", width=4)
    assert "batches    of 2 images, not 512" in capsys.readouterr().out
    assert few.with_recipe(LAPTOP).recipe.batch_size == few.recipe.batch_size == 2
    assert setup(data="shapes", width=4).recipe.batch_size == 512
    assert "batches" not in capsys.readouterr().out


def test_checkpoints_are_kept_on_a_drive_only_on_colab(smoke, monkeypatch):
    with pytest.raises(InputError, match="is for Colab"):
        setup(keep="drive")
    mounted = []
    drive = types.SimpleNamespace(mount=mounted.append)
    colab = types.ModuleType("google.colab")
    colab.drive = drive
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    assert setup(keep="drive").keep == Path("/content/drive/MyDrive/s10")
    assert mounted == ["/content/drive"]

    def refused(place):
        raise ValueError("mount failed")

    drive.mount = refused
    with pytest.raises(InputError, match=r"was not mounted \(mount failed\); allow it"):
        setup(keep="drive")


def test_figures_say_that_they_show_shapes(smoke, few):
    small = setup()
    figure = small.add_caption(plot_images(few.test_images[:4], title="Four images"))
    assert figure.get_suptitle() == "Four images\n(on shapes, not CIFAR-10)"
    assert figure.get_supxlabel() == "CustomResNet of width 4 on shapes"
    assert small.add_caption(figure, "DeepNet").get_supxlabel() == "DeepNet on shapes"
    assert small.add_caption(figure, "").get_supxlabel() == "shapes"  # Photographs.
    untitled = small.add_caption(plot_images(few.test_images[:4]))
    assert untitled.get_suptitle() == "on shapes, not CIFAR-10"
    real = replace(small, dataset=replace(small.dataset, name="cifar10"))
    assert real.add_caption(plot_images(few.test_images[:4], title="Four")).get_suptitle() == "Four"


def test_the_source_that_is_shown_is_the_source(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    show(CustomResNet, evaluate)
    first, second = (markdown.data for markdown in shown)
    summary, code = first.split("</summary>\n\n")
    assert summary.endswith("<summary>CustomResNet, from s10/custom_resnet.py")
    assert code.startswith("```python\nclass CustomResNet")
    assert code.endswith("\n```\n\n</details>")
    assert "return self.fc(x.flatten(1))\n```" in first
    # Decorated by torch.no_grad(), and still from its own file.
    assert (
        "evaluate, from s10/training.py</summary>\n\n```python\n@torch.no_grad()\ndef evaluate("
    ) in second
