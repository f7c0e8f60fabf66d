"""Test-time augmentation: means over the right versions, and only where it is asked for."""

import numpy as np
import pytest
import torch
from torch import nn

from s10 import CustomResNet, InputError, evaluate
from s10.batches import eval_batches
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
