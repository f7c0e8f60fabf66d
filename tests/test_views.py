"""Test-time augmentation: means over the right versions, and only where it is asked for."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from s10 import CustomResNet, InputError, Recipe, evaluate, load_images, train_run
from s10.batches import eval_batches
from s10.device import pick_precision
from s10.stopwatch import Stopwatch
from s10.views import logits_of_views


class Pixel(nn.Module):
    """Two logits: the red of the pixel at (row 2, column 3), and the mean of all."""

    def forward(self, images):
        return torch.stack([images[:, 0, 2, 3], images.mean((1, 2, 3))], 1)


@pytest.fixture
def picture():
    return torch.arange(3 * 32 * 32, dtype=torch.float32).view(1, 3, 32, 32)


def test_one_view_is_the_image(picture):
    assert logits_of_views(Pixel(), picture)[0, 0] == 2 * 32 + 3


def test_two_views_are_the_image_and_its_mirror_image(picture):
    assert logits_of_views(Pixel(), picture, 2)[0, 0] == 2 * 32 + (3 + 28) / 2


def test_six_views_are_around_the_image(picture):
    # Seen from one further up and left it is the pixel (1, 2), mirrored (1, 27); and so on.
    middle, up, down = 2 * 32 + (3 + 28) / 2, 32 + (2 + 27) / 2, 3 * 32 + (4 + 29) / 2
    expected = middle / 2 + up / 4 + down / 4
    assert logits_of_views(Pixel(), picture, 6)[0, 0] == expected


def test_for_a_symmetric_image_nothing_changes():
    images = torch.full((2, 3, 32, 32), 0.3)
    model = CustomResNet(width=4).eval()
    for views in (2, 6):
        torch.testing.assert_close(logits_of_views(model, images, views), model(images))


def test_evaluation_takes_one_view_unless_it_is_told(few):
    model = CustomResNet(width=4)
    plain, again, two = (
        evaluate(model, eval_batches(few), few.classes, **options).logits
        for options in ({}, {"views": 1}, {"views": 2})
    )
    assert np.array_equal(plain, again)
    assert not np.array_equal(plain, two)
    mirrored = [(images.flip(3), labels) for images, labels in eval_batches(few)]
    other = evaluate(model, mirrored, few.classes).logits
    np.testing.assert_allclose(two, (plain + other) / 2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bad", [0, 3, "2"])
def test_other_numbers_are_refused(picture, bad):
    with pytest.raises(InputError, match="1, 2, 6"):
        logits_of_views(Pixel(), picture, bad)


def test_a_run_is_tested_once_more_on_its_views_and_says_both(tmp_path, capsys):
    recipe = Recipe(data="shapes", width=2, epochs=1, peak_epoch=1, test_views=6)
    stopwatch = Stopwatch()
    run, result = train_run(recipe, tmp_path / "run", stopwatch=stopwatch)
    summary = json.loads((run.folder / "summary.json").read_text())
    model, _ = run.load_model()
    images = load_images("shapes")
    precision = pick_precision("auto", torch.device("cpu"))
    viewed = evaluate(
        model, eval_batches(images), images.classes, precision=precision, views=6
    ).accuracy
    assert summary["test_accuracy_of_views"] == pytest.approx(viewed, abs=0.002)
    assert summary["test_accuracy"] == result.predictions.accuracy
    assert f"{summary['test_accuracy_of_views']:.2%} over 6 views" in capsys.readouterr().out
    assert list(summary["seconds"]) == ["data", "training", "evaluation", "pictures"]
    assert sum(summary["seconds"].values()) == pytest.approx(summary["total_seconds"], abs=0.05)


def test_without_views_nothing_is_said_of_them(demo):
    folder, said = demo
    assert "views" not in said
    assert "test_accuracy_of_views" not in (folder / "summary.json").read_text()
    (line,) = [line for line in said.splitlines() if " s in all: " in line]
    assert line.split(":")[1].split()[0::2] == [
        "imports", "data", "training", "evaluation", "pictures",
    ]  # fmt: skip
