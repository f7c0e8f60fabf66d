"""Test-time augmentation: averages over the correct views of an image."""

import numpy as np
import pytest
import torch
from torch import nn

from s10 import CustomResNet, InputError, Recipe, evaluate
from s10.runtime.device import Precision
from s10.speed.tta import evaluate_with_tta, tta_logits


class Pixel(nn.Module):
    """One logit: the red value of one pixel."""

    def __init__(self, row, column):
        super().__init__()
        self.row, self.column = row, column

    def forward(self, images):
        return images[:, :1, self.row, self.column]


@pytest.fixture
def image():
    """Integers without any symmetry; their averages are exact."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1000, (1, 3, 32, 32), generator=generator).float()


def pairs(image, *places):
    """For each (row, column): the mean of the red there and at its mirror image."""
    red = image[0, 0]
    return [(red[row, column] + red[row, mirrored]) / 2 for row, column, mirrored in places]


def test_one_view_is_the_image(image):
    assert tta_logits(Pixel(2, 3), image) == image[0, 0, 2, 3]


def test_two_views_are_the_image_and_its_mirror_image(image):
    (mean,) = pairs(image, (2, 3, 28))
    assert tta_logits(Pixel(2, 3), image, 2) == mean


@pytest.mark.parametrize(
    ("row", "column", "places"),
    [
        # In the shifted views the pixel (2, 3) shows what (1, 2) and (3, 4) show in the image.
        (2, 3, [(2, 3, 28), (1, 2, 27), (3, 4, 29)]),
        # Row −1 and column −1 are row 1 and column 1: the image is reflected at its border.
        (0, 0, [(0, 0, 31), (1, 1, 30), (1, 1, 30)]),
        (31, 5, [(31, 5, 26), (30, 4, 25), (30, 6, 27)]),
    ],
)
def test_six_views_are_shifted_diagonally_and_the_unshifted_ones_count_twice(
    image, row, column, places
):
    middle, up, down = pairs(image, *places)
    logit = tta_logits(Pixel(row, column), image, 6)
    assert logit == middle / 2 + up / 4 + down / 4
    # Neither equal weights nor two views have this average.
    assert abs(logit - (middle + up + down) / 3) > 1
    assert abs(logit - middle) > 1


def test_it_does_not_change_the_logits_of_a_constant_image():
    images = torch.full((2, 3, 32, 32), 0.3)
    model = CustomResNet(width=4).eval()
    for views in (2, 6):
        torch.testing.assert_close(tta_logits(model, images, views), model(images))


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_averages_the_logits_and_keeps_the_mode(few, training):
    model, batches = CustomResNet(width=4).train(training), Recipe().test_loader(few)
    one, two = (
        evaluate_with_tta(model, batches, few.classes, views=views).logits for views in (1, 2)
    )
    assert all(module.training is training for module in model.modules())
    plain = evaluate(model, batches, few.classes).logits
    mirrored = [(images.flip(3), labels) for images, labels in batches]
    other = evaluate(model, mirrored, few.classes).logits
    assert np.array_equal(one, plain)
    np.testing.assert_allclose(two, (plain + other) / 2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("share", "count"), [(0.25, 2), (0.0, 0), (1, 9)])
def test_a_share_of_the_images_is_the_one_of_which_the_network_is_least_sure(few, share, count):
    torch.manual_seed(0)
    model = CustomResNet(width=4)
    batches = [(images[:9], labels[:9]) for images, labels in Recipe().test_loader(few)[:1]]
    plain = evaluate(model, batches, few.classes)
    all_of_them = evaluate_with_tta(model, batches, few.classes, views=6).logits
    found = evaluate_with_tta(model, batches, few.classes, views=6, share=share)
    confidence = torch.from_numpy(plain.logits).softmax(1).amax(1).numpy()
    again = np.argsort(confidence)[:count]
    rest = np.setdiff1d(np.arange(9), again)
    np.testing.assert_allclose(found.logits[again], all_of_them[again], rtol=1e-4, atol=1e-5)
    assert np.array_equal(found.logits[rest], plain.logits[rest])
    assert np.array_equal(found.labels, plain.labels)


def test_the_precision_is_passed_on(few):
    model, batches = CustomResNet(width=4), Recipe().test_loader(few)
    bf16 = Precision("bf16", "cpu")
    logits = evaluate_with_tta(model, batches, few.classes, views=1, precision=bf16).logits
    expected = evaluate(model, batches, few.classes, precision=bf16).logits
    assert np.array_equal(logits, expected)
    assert not np.array_equal(logits, evaluate(model, batches, few.classes).logits)


@pytest.mark.parametrize("share", [-0.1, 1.5, "all"])
def test_a_share_is_a_fraction(few, share):
    model, batches = CustomResNet(width=4), Recipe().test_loader(few)
    with pytest.raises(InputError, match="share must be"):
        evaluate_with_tta(model, batches, few.classes, views=2, share=share)


@pytest.mark.parametrize("bad", [0, 3, "2", True])
def test_other_numbers_are_refused(image, bad):
    with pytest.raises(InputError, match="1 or 2 or 6"):
        tta_logits(Pixel(2, 3), image, bad)
