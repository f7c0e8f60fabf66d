"""Both augmentations draw from the same distribution, and never the same twice."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from s10 import ImageDataset, Recipe
from s10.datasets.cifar10 import CIFAR10_MEAN, CIFAR10_STD
from s10.transforms import (
    AugmentParams,
    BatchTransform,
    albumentations_pipeline,
    cutout_mask,
    normalize,
    pad_images,
    reseed,
    sample_params,
)

COUNT = 6000
KINDS = ("batched", "albumentations")
# So rarely does a correct augmentation fail one test by chance; the seeds are fixed.
ALPHA = 1e-4
ASSIGNMENT = {"pad": 4, "pad_mode": "reflect", "flip": True, "cutout": 8}


def map_image():
    """An image whose pixels tell their position: red 100 + row, green 100 + column.

    Blue is 200, which the mean color is not, so that the CutOut is seen.
    """
    rows, columns = np.mgrid[:32, :32]
    return np.stack([100 + rows, 100 + columns, np.full_like(rows, 200)], -1).astype(np.uint8)


def map_dataset(count=COUNT):
    images = map_image()[None].repeat(count, 0)
    labels = np.zeros(count, np.int64)
    return ImageDataset(
        "map", ("a", "b"), images, labels, images[:1], labels[:1], CIFAR10_MEAN, CIFAR10_STD
    )


def to_pixels(batch):
    """float (B, 3, 32, 32), normalized → uint8 (B, 32, 32, 3)."""
    mean, std = torch.tensor(CIFAR10_MEAN), torch.tensor(CIFAR10_STD)
    pixels = batch.permute(0, 2, 3, 1) * std + mean
    return (pixels * 255).round().clamp(0, 255).to(torch.uint8).numpy()


def decode(pixels):
    """What was done to one `map_image`: top, left (−4 … 4), flip, cut_top, cut_left, cut shape."""
    cut = pixels[..., 2] != 200
    rows, columns = np.nonzero(cut)
    # Pixels of the interior, where no reflection is: rows 104 to 127.
    row, column = np.argwhere(
        ~cut & (pixels[..., 0] > 104) & (pixels[..., 0] < 127)
        & (pixels[..., 1] > 104) & (pixels[..., 1] < 127)
    )[0]  # fmt: skip
    same_row = np.nonzero(~cut[row] & (pixels[row, :, 1] > 104) & (pixels[row, :, 1] < 127))[0]
    first, last = same_row[0], same_row[-1]
    flip = pixels[row, first, 1] > pixels[row, last, 1]
    top = int(pixels[row, column, 0]) - 100 - row
    position = 31 - column if flip else column
    left = int(pixels[row, column, 1]) - 100 - position
    shape = (np.ptp(rows) + 1, np.ptp(columns) + 1, len(rows))
    return (top, left, int(flip), int(rows.min()), int(columns.min()), *map(int, shape))


@pytest.fixture(scope="module", params=KINDS)
def decoded(request):
    """The parameters of 6,000 augmented images: int (6000, 8)."""
    loader = Recipe(augment=request.param).train_loader(map_dataset())
    pixels = np.concatenate([to_pixels(images) for images, _ in loader])
    return np.array([decode(image) for image in pixels])


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
            assert independence(decoded[:, one], decoded[:, other]) > ALPHA, (one, other)


def independence(one, other):
    """p-value of the independence of two columns, each cut into thirds (a coin: halves)."""
    thirds = [np.digitize(column, np.quantile(column, [1 / 3, 2 / 3])) for column in (one, other)]
    return stats.chi2_contingency(stats.contingency.crosstab(*thirds).count).pvalue


def test_seeding_each_step_alike_would_not_be_independent():
    """Why `reseed` exists, and that `independence` would see it."""
    pipeline = albumentations_pipeline(CIFAR10_MEAN, CIFAR10_STD, **ASSIGNMENT)
    found = []
    for seed in range(1000):
        pipeline.set_random_seed(seed)
        image = pipeline(image=map_image())["image"][None]
        found.append(decode(to_pixels(image)[0]))
    found = np.array(found)
    p_values = [
        independence(found[:, one], found[:, other]) for one in range(5) for other in range(one)
    ]
    assert min(p_values) < 1e-6


def test_consecutive_images_are_independent(decoded):
    for column in range(5):
        assert independence(decoded[:-1, column], decoded[1:, column]) > ALPHA


def test_the_square_is_8_by_8_in_every_image(decoded):
    assert (decoded[:, 5:] == (8, 8, 64)).all()


def test_an_image_is_flipped_about_as_often_as_not_in_the_next_epoch():
    """Not alternating: each epoch draws its own."""
    first, second = (
        sample_params(1000, torch.Generator().manual_seed(seed), pad=4, flip=True, cutout=8).flip
        for seed in (0, 1)
    )
    assert stats.binomtest(int((first != second).sum()), 1000).pvalue > ALPHA


@pytest.mark.parametrize("augment", KINDS)
def test_the_square_has_the_mean_color(augment):
    images, _ = next(iter(Recipe(augment=augment).train_loader(map_dataset(64))))
    pixels = to_pixels(images)
    cut = pixels[..., 2] != 200
    assert (pixels[cut] == np.round(255 * np.array(CIFAR10_MEAN))).all()
    # Normalized, the mean is 0; albumentations fills a whole number of 255ths.
    assert images.permute(0, 2, 3, 1)[torch.from_numpy(cut)].abs().max() < 0.5 / 255 / 0.24


@pytest.mark.parametrize("mode", ["reflect", "constant"])
def test_the_border_is_the_same_pixel_for_pixel(mode):
    """The 81 crops without flip and square are those that albumentations makes."""
    options = {"pad": 4, "pad_mode": mode, "cutout": 0}
    pipeline = albumentations_pipeline(CIFAR10_MEAN, CIFAR10_STD, flip=False, **options)
    reseed(pipeline, 0)
    theirs = torch.stack([pipeline(image=map_image())["image"] for _ in range(600)])
    top, left = torch.arange(81) // 9, torch.arange(81) % 9
    none = torch.zeros(81, dtype=torch.int64)
    transform = BatchTransform(map_image()[None], CIFAR10_MEAN, CIFAR10_STD, **options)
    ours = transform(none, AugmentParams(top, left, none.bool(), none, none))
    ours, theirs = ({image.tobytes() for image in to_pixels(batch)} for batch in (ours, theirs))
    assert len(ours) == 81
    assert ours == theirs


def test_every_step_by_hand(few):
    """NumPy is the oracle: pad, crop, flip, normalize, and the square last."""
    params = sample_params(50, torch.Generator().manual_seed(1), pad=3, flip=True, cutout=5)
    index = torch.arange(199, 149, -1)
    transform = BatchTransform(
        few.train_images, few.mean, few.std, pad=3, pad_mode="reflect", cutout=5
    )
    images = transform(index, params)
    assert images.shape == (50, 3, 32, 32)
    assert images.dtype == torch.float32
    for number in range(50):
        top, left, flip, cut_top, cut_left = (int(v[number]) for v in vars(params).values())
        padded = np.pad(few.train_images[index[number]], ((3, 3), (3, 3), (0, 0)), "reflect")
        pixels = padded[top : top + 32, left : left + 32]
        pixels = (pixels[:, ::-1] if flip else pixels) / 255
        expected = (pixels - few.mean) / few.std
        expected[cut_top : cut_top + 5, cut_left : cut_left + 5] = 0
        assert np.allclose(images[number].permute(1, 2, 0), expected, atol=1e-5)


def test_the_parameters_have_their_ranges():
    params = sample_params(5000, torch.Generator().manual_seed(0), pad=2, flip=True, cutout=30)
    for name, highest in {"top": 4, "left": 4, "cut_top": 2, "cut_left": 2}.items():
        assert getattr(params, name).unique().tolist() == list(range(highest + 1))
        assert getattr(params, name).dtype == torch.int64
    assert params.flip.unique().tolist() == [False, True]
    plain = sample_params(100, torch.Generator().manual_seed(0), pad=0, flip=False, cutout=32)
    for name, value in vars(plain).items():
        assert not value.any(), name
        assert value.shape == (100,)


def test_parameters_of_a_part_and_on_another_device():
    params = sample_params(10, torch.Generator().manual_seed(0), pad=4, flip=True, cutout=8)
    part = params[torch.tensor([7, 2])]
    assert all(
        torch.equal(getattr(part, name), value[[7, 2]]) for name, value in vars(params).items()
    )
    assert all(value.device.type == "meta" for value in vars(params.to("meta")).values())


def test_the_mask_covers_the_square():
    where = torch.tensor([0, 24, 3])
    none = torch.zeros(3, dtype=torch.int64)
    mask = cutout_mask(AugmentParams(none, none, none.bool(), where, where.flip(0)), 8)
    assert mask.shape == (3, 1, 32, 32)
    expected = torch.zeros(3, 1, 32, 32)
    for number, (top, left) in enumerate([(0, 3), (24, 24), (3, 0)]):
        expected[number, 0, top : top + 8, left : left + 8] = 1
    assert torch.equal(mask, expected)


def test_reflection_repeats_no_border_pixel(few):
    padded = pad_images(map_image()[None], 4, "reflect", CIFAR10_MEAN)
    assert padded[0, 0, :6, 10].tolist() == [104, 103, 102, 101, 100, 101]
    images = torch.from_numpy(few.train_images[:5]).permute(0, 3, 1, 2)
    ours = torch.from_numpy(pad_images(few.train_images[:5], 4, "reflect", few.mean))
    assert torch.equal(ours, F.pad(images.float(), (4, 4, 4, 4), mode="reflect").byte())


def test_a_constant_border_has_the_mean_color():
    padded = pad_images(map_image()[None], 4, "constant", CIFAR10_MEAN)
    assert padded.shape == (1, 3, 40, 40)
    assert padded.dtype == np.uint8
    assert padded[0, :, 0, 0].tolist() == [125, 123, 114]
    assert padded[0, :, 4, 4].tolist() == [100, 100, 200]


@pytest.mark.parametrize("augment", KINDS)
def test_without_augmentation_the_image_is_only_normalized(augment):
    recipe = replace(Recipe(), augment=augment, pad=0, flip=False, cutout=0)
    images, _ = next(iter(recipe.train_loader(map_dataset(8))))
    expected = normalize(map_image()[None], CIFAR10_MEAN, CIFAR10_STD)
    assert torch.allclose(images, expected.expand_as(images), atol=1e-5)


def test_normalize_by_hand(few):
    images = normalize(few.train_images, few.mean, few.std)
    assert images.dtype == torch.float32
    expected = (few.train_images / 255 - few.mean) / few.std
    assert np.allclose(images.permute(0, 2, 3, 1), expected, atol=1e-5)
    assert normalize(few.train_images, few.mean, few.std, "meta").device.type == "meta"


@pytest.mark.filterwarnings("error")
def test_albumentations_ignores_none_of_our_arguments():
    albumentations_pipeline(CIFAR10_MEAN, CIFAR10_STD, **ASSIGNMENT)


def test_an_unknown_argument_would_not_pass_silently(monkeypatch):
    import albumentations

    real = albumentations.CoarseDropout
    monkeypatch.setattr(
        albumentations, "CoarseDropout", lambda **known: real(**known, max_holes=1, p_old=0.3)
    )
    with pytest.raises(UserWarning, match="not valid"):
        albumentations_pipeline(CIFAR10_MEAN, CIFAR10_STD, **ASSIGNMENT)
