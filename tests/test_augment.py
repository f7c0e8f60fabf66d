"""Both augmentations draw from the same distribution, and never the same twice."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from s10 import Recipe, train_batches
from s10.augment import BatchAugment, draw, normalise, pad, shrink
from s10.augment_albumentations import reseed, train_pipeline
from s10.images import Images
from s10.images.cifar10 import CIFAR10_MEAN, CIFAR10_STD

COUNT = 6000
KINDS = ("batched", "albumentations")
# So rarely does a correct augmentation fail one test by chance; the seeds are fixed.
ALPHA = 1e-4


def map_image():
    """A picture whose pixels say where they are: red 100 + row, green 100 + column.

    Blue is 200, which the mean colour is not, so that the CutOut is seen.
    """
    rows, columns = np.mgrid[:32, :32]
    return np.stack([100 + rows, 100 + columns, np.full_like(rows, 200)], -1).astype(np.uint8)


def map_images(count=COUNT):
    image = map_image()[None].repeat(count, 0)
    labels = np.zeros(count, np.int64)
    return Images(
        "map", ("a", "b"), image, labels, image[:1], labels[:1], CIFAR10_MEAN, CIFAR10_STD
    )


def back_to_pixels(batch):
    """float (B, 3, 32, 32), normalised → uint8 (B, 32, 32, 3)."""
    mean, std = torch.tensor(CIFAR10_MEAN), torch.tensor(CIFAR10_STD)
    pixels = batch.permute(0, 2, 3, 1) * std + mean
    return (pixels * 255).round().clamp(0, 255).to(torch.uint8).numpy()


def decode(pixels):
    """What was done to one `map_image`: top, left (−4 … 4), flip, cut_top, cut_left, cut shape."""
    cut = pixels[..., 2] != 200
    rows, columns = np.nonzero(cut)
    # Pixels of the interior, where no mirrored border is: rows 104 to 127.
    row, column = np.argwhere(
        ~cut & (pixels[..., 0] > 104) & (pixels[..., 0] < 127)
        & (pixels[..., 1] > 104) & (pixels[..., 1] < 127)
    )[0]  # fmt: skip
    same_row = np.nonzero(~cut[row] & (pixels[row, :, 1] > 104) & (pixels[row, :, 1] < 127))[0]
    first, last = same_row[0], same_row[-1]
    flip = pixels[row, first, 1] > pixels[row, last, 1]
    top = int(pixels[row, column, 0]) - 100 - row
    at = 31 - column if flip else column
    left = int(pixels[row, column, 1]) - 100 - at
    shape = (np.ptp(rows) + 1, np.ptp(columns) + 1, len(rows))
    return (top, left, int(flip), int(rows.min()), int(columns.min()), *map(int, shape))


@pytest.fixture(scope="module", params=KINDS)
def decoded(request):
    """The parameters of 6,000 augmented pictures: int (6000, 8)."""
    recipe = replace(Recipe(), augment=request.param)
    batches = train_batches(map_images(), recipe)
    pixels = np.concatenate([back_to_pixels(images) for images, _ in batches])
    return np.array([decode(picture) for picture in pixels])


@pytest.mark.parametrize(
    ("column", "values"),
    [(0, range(-4, 5)), (1, range(-4, 5)), (2, range(2)), (3, range(25)), (4, range(25))],
    ids=["top", "left", "flip", "cut_top", "cut_left"],
)
def test_each_parameter_is_uniform_over_its_whole_range(decoded, column, values):
    found, counts = np.unique(decoded[:, column], return_counts=True)
    assert found.tolist() == list(values)
    assert stats.chisquare(counts).pvalue > ALPHA


def test_all_81_crops_are_equally_likely(decoded):
    crops = (decoded[:, 0] + 4) * 9 + decoded[:, 1] + 4
    assert stats.chisquare(np.bincount(crops, minlength=81)).pvalue > ALPHA


def test_the_parameters_are_independent_of_each_other(decoded):
    # albumentations' own set_random_seed fails this: all its steps get the same seed.
    for one in range(5):
        for other in range(one):
            assert related(decoded[:, one], decoded[:, other]) > ALPHA, (one, other)


def related(one, other):
    """p-value of the independence of two columns, each cut into thirds (a coin: halves)."""
    thirds = [np.digitize(column, np.quantile(column, [1 / 3, 2 / 3])) for column in (one, other)]
    return stats.chi2_contingency(stats.contingency.crosstab(*thirds).count).pvalue


def test_seeding_each_step_alike_would_not_be_independent():
    """Why `reseed` exists, and that `related` would see it."""
    pipeline = train_pipeline(CIFAR10_MEAN, CIFAR10_STD, Recipe())
    found = []
    for seed in range(1000):
        pipeline.set_random_seed(seed)
        picture = pipeline(image=map_image())["image"][None]
        found.append(decode(back_to_pixels(picture)[0]))
    found = np.array(found)
    p_values = [related(found[:, one], found[:, other]) for one in range(5) for other in range(one)]
    assert min(p_values) < 1e-6


def test_consecutive_pictures_are_independent(decoded):
    for column in range(5):
        assert related(decoded[:-1, column], decoded[1:, column]) > ALPHA


def test_the_square_is_8_by_8_in_every_picture(decoded):
    assert (decoded[:, 5] == 8).all()
    assert (decoded[:, 6] == 8).all()
    assert (decoded[:, 7] == 64).all()


@pytest.mark.parametrize("augment", KINDS)
def test_the_square_has_the_mean_colour(augment):
    batches = train_batches(map_images(64), replace(Recipe(), augment=augment))
    images, _ = next(iter(batches))
    pixels = back_to_pixels(images)
    mean = np.round(255 * np.array(CIFAR10_MEAN))
    cut = pixels[..., 2] != 200
    assert (pixels[cut] == mean).all()
    # Normalised, the mean is 0; albumentations fills a whole number of 255ths.
    assert images.permute(0, 2, 3, 1)[torch.from_numpy(cut)].abs().max() < 0.5 / 255 / 0.24


@pytest.mark.parametrize("mode", ["reflect", "constant"])
def test_the_border_is_the_same_pixel_for_pixel(mode):
    """A crop without flip and square, found among albumentations', equals the batched one."""
    recipe = replace(Recipe(), pad_mode=mode, cutout=0, flip=False)
    pipeline = train_pipeline(CIFAR10_MEAN, CIFAR10_STD, recipe)
    reseed(pipeline, 0)
    outputs = torch.stack([pipeline(image=map_image())["image"] for _ in range(600)])
    augment = BatchAugment(map_image()[None], CIFAR10_MEAN, CIFAR10_STD, recipe)
    every = [(top, left) for top in range(9) for left in range(9)]
    zero = torch.zeros(81, dtype=torch.int64)
    draws = draw(81, recipe, torch.Generator().manual_seed(0))
    draws = replace(
        draws,
        top=torch.tensor([top for top, _ in every]),
        left=torch.tensor([left for _, left in every]),
    )
    ours = {picture.tobytes() for picture in back_to_pixels(augment(zero, draws))}
    theirs = {picture.tobytes() for picture in back_to_pixels(outputs)}
    assert len(ours) == 81
    assert ours == theirs


def test_reflection_repeats_no_border_pixel():
    padded = pad(map_image()[None], 4, "reflect", CIFAR10_MEAN)
    assert padded[0, 0, :6, 10].tolist() == [104, 103, 102, 101, 100, 101]


def test_a_constant_border_has_the_mean_colour():
    padded = pad(map_image()[None], 4, "constant", CIFAR10_MEAN)
    assert padded[0, :, 0, 0].tolist() == [125, 123, 114]


@pytest.mark.parametrize("augment", KINDS)
def test_without_augmentation_the_picture_is_only_normalised(augment):
    recipe = replace(Recipe(), augment=augment, pad=0, flip=False, cutout=0)
    images, _ = next(iter(train_batches(map_images(8), recipe)))
    expected = normalise(map_image()[None], CIFAR10_MEAN, CIFAR10_STD)
    assert torch.allclose(images, expected.expand_as(images), atol=1e-5)


def test_crop_without_padding_does_nothing():
    """The trap of era1-s10-strided: RandomCrop(32) on 32×32 pictures."""
    recipe = replace(Recipe(), pad=0)
    draws = draw(100, recipe, torch.Generator().manual_seed(0))
    assert draws.top.eq(0).all()
    assert draws.left.eq(0).all()


@pytest.mark.filterwarnings("error")
def test_albumentations_ignores_none_of_our_arguments():
    train_pipeline(CIFAR10_MEAN, CIFAR10_STD, Recipe())


def test_an_unknown_argument_would_not_pass_silently(monkeypatch):
    import albumentations

    real = albumentations.CoarseDropout
    monkeypatch.setattr(
        albumentations, "CoarseDropout", lambda **known: real(**known, max_holes=1, p_old=0.3)
    )
    with pytest.raises(UserWarning, match="not valid"):
        train_pipeline(CIFAR10_MEAN, CIFAR10_STD, Recipe())


@pytest.mark.parametrize("augment", KINDS)
def test_a_square_for_some_of_the_images_in_black(augment):
    recipe = replace(Recipe(), augment=augment, cutout_probability=0.5, cutout_fill="black")
    batches = train_batches(map_images(2000), recipe)
    pixels = np.concatenate([back_to_pixels(images) for images, _ in batches])
    cut = (pixels[..., 2] != 200).sum((1, 2))
    assert set(cut) == {0, 64}
    assert stats.binomtest(int((cut > 0).sum()), 2000, 0.5).pvalue > ALPHA
    assert (pixels[pixels[..., 2] != 200] == 0).all()


def test_a_square_for_all_draws_as_before():
    """The share of squares is drawn last, and only if asked for: older runs can be repeated."""
    first, second = (
        draw(100, replace(Recipe(), cutout_probability=share), torch.Generator().manual_seed(1))
        for share in (1.0, 0.3)
    )
    assert first.cut.all()
    assert 10 < second.cut.sum() < 50
    assert torch.equal(first.cut_left, second.cut_left)


def test_alternating_flips_take_turns_and_begin_by_chance():
    recipe = replace(Recipe(), flip_alternately=True, pad=0, cutout=0, batch_size=100)
    batches = train_batches(numbered_images(1000), recipe)
    flipped = []
    for epoch in (1, 2, 3):
        batches.set_epoch(epoch)
        flipped.append(flips_by_image(batches))
    assert stats.binomtest(int(flipped[0].sum()), 1000, 0.5).pvalue > ALPHA
    assert (flipped[1] != flipped[0]).all()
    assert (flipped[2] == flipped[0]).all()
    other = train_batches(numbered_images(1000), replace(recipe, seed=1))
    assert stats.binomtest(int((flips_by_image(other) != flipped[0]).sum()), 1000).pvalue > ALPHA


def test_without_them_half_of_the_images_are_as_in_the_epoch_before():
    batches = train_batches(numbered_images(1000), replace(Recipe(), pad=0, cutout=0))
    first = flips_by_image(batches)
    batches.set_epoch(2)
    assert stats.binomtest(int((flips_by_image(batches) != first).sum()), 1000).pvalue > ALPHA


def numbered_images(count):
    """`map_image`s with their number in blue: its tens and hundreds above, its ones below."""
    images = map_images(count)
    pixels = images.train_images.copy()
    pixels[:, :16, :, 2] = np.arange(count)[:, None, None] // 10
    pixels[:, 16:, :, 2] = np.arange(count)[:, None, None] % 10
    return replace(images, train_images=pixels)


def flips_by_image(batches):
    """Whether each image is mirrored in this epoch: bool (N,)."""
    pixels = np.concatenate([back_to_pixels(images) for images, _ in batches])
    number = 10 * pixels[:, 0, 0, 2].astype(int) + pixels[:, 31, 0, 2]
    assert sorted(number) == list(range(len(pixels)))
    flipped = np.zeros(len(pixels), bool)
    flipped[number] = pixels[:, 0, 0, 1] > pixels[:, 0, 31, 1]
    return flipped


def test_pictures_are_small_for_the_first_part_of_the_run_and_else_the_same():
    recipe = replace(Recipe(), epochs=4, peak_epoch=1, batch_size=100, small_until=0.4)
    small, large = (
        train_batches(map_images(300), replace(recipe, small_until=until)) for until in (0.4, 0)
    )
    sides = []
    for epoch in range(1, 5):
        small.set_epoch(epoch)
        large.set_epoch(epoch)
        for (one, labels), (other, same) in zip(small, large, strict=True):
            sides.append(one.shape[-1])
            assert torch.equal(labels, same)
            # An average over the pixels, so the mean colour stays.
            assert (one.mean((2, 3)) - other.mean((2, 3))).abs().max() < 0.06
    # 12 steps; those that begin before 40 % of the run: 0 to 4.
    assert sides == [24] * 5 + [32] * 7


def test_shrinking_to_the_half_takes_a_weighted_mean_of_each_square():
    """Bilinear with antialiasing: a triangle over 2 × 2 and half of the pixels around them."""
    images = torch.rand(2, 3, 32, 32)
    weights = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    kernel = (weights[:, None] * weights)[None, None].expand(3, 1, 4, 4)
    # From the second square on, so that each has pixels on all sides.
    inner = torch.nn.functional.conv2d(images[:, :, 1:-1, 1:-1], kernel, stride=2, groups=3)
    torch.testing.assert_close(shrink(images, 16)[:, :, 1:-1, 1:-1], inner)
