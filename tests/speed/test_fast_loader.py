"""The batches of the fast recipes: alternating flips, low-resolution images first."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from s10 import ImageDataset, Recipe
from s10.loaders import epoch_order
from s10.speed.loaders import resize
from s10.speed.recipes import FastRecipe, LaptopRecipe
from s10.transforms import normalize

ALPHA = 1e-4  # how rarely a correct loader fails one test; the seeds are fixed


@pytest.fixture(scope="module")
def noise():
    """1,000 images that differ from each other and from their mirror images."""
    images = np.random.default_rng(0).integers(0, 256, (1000, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(1000) % 2
    return ImageDataset.from_arrays("noise", ("a", "b"), images, labels, images[:1], labels[:1])


def flips(dataset, loader, epoch):
    """Whether each image is mirrored in this epoch: bool (N,). There is no other augmentation."""
    loader.set_epoch(epoch)
    images = torch.cat([images for images, _ in loader])
    order = epoch_order(len(images), loader.seed, epoch)
    plain = normalize(dataset.train_images, dataset.mean, dataset.std)[order]
    equal = [torch.allclose(*pair, atol=1e-5) for pair in zip(images, plain, strict=True)]
    mirrored = [
        torch.allclose(*pair, atol=1e-5) for pair in zip(images.flip(3), plain, strict=True)
    ]
    assert all(one != other for one, other in zip(equal, mirrored, strict=True))
    found = np.zeros(len(images), bool)
    found[order] = mirrored
    return found


def test_flips_alternate_and_start_at_random(noise):
    recipe = FastRecipe(pad=0, cutout=0, batch_size=100)
    loader = recipe.train_loader(noise)
    first, second, third = (flips(noise, loader, epoch) for epoch in (1, 2, 3))
    assert stats.binomtest(int(first.sum()), 1000, 0.5).pvalue > ALPHA
    assert (second != first).all()
    assert (third == first).all()
    other = flips(noise, replace(recipe, seed=1).train_loader(noise), 1)
    assert stats.binomtest(int((other != first).sum()), 1000).pvalue > ALPHA


@pytest.mark.parametrize("recipe", [Recipe(), FastRecipe(alternating_flips=False)])
def test_random_flips_repeat_for_half_of_the_images(noise, recipe):
    loader = replace(recipe, pad=0, cutout=0).train_loader(noise)
    change = flips(noise, loader, 1) != flips(noise, loader, 2)
    assert stats.binomtest(int(change.sum()), 1000).pvalue > ALPHA


def test_without_its_options_the_batches_are_those_of_the_assignment(few):
    fields = {"batch_size": 64, "seed": 3, "pad": 4, "cutout": 8}
    ours = FastRecipe(alternating_flips=False, **fields).train_loader(few)
    for batch, expected in zip(ours, Recipe(**fields).train_loader(few), strict=True):
        assert all(map(torch.equal, batch, expected))


def test_alternating_flips_change_nothing_else(few):
    fields = {"batch_size": 64, "pad": 2, "cutout": 8}
    random = FastRecipe(alternating_flips=False, **fields).train_loader(few)
    alternating = FastRecipe(**fields).train_loader(few)
    params = [
        loader.sample_params(torch.Generator().manual_seed(5)) for loader in (random, alternating)
    ]
    for name in ("top", "left", "cut_top", "cut_left"):
        assert torch.equal(*(getattr(each, name) for each in params))
    assert not torch.equal(*(each.flip for each in params))


def test_images_are_smaller_in_the_first_part_of_the_run_and_else_the_same(few):
    recipe = LaptopRecipe(epochs=4, batch_size=67, low_res_fraction=0.4)
    small, large = (replace(recipe, low_res_fraction=f).train_loader(few) for f in (0.4, 0.0))
    sizes = []
    for epoch in range(1, 5):
        small.set_epoch(epoch)
        large.set_epoch(epoch)
        for (images, labels), (expected, same) in zip(small, large, strict=True):
            sizes.append(images.shape[-1])
            assert torch.equal(labels, same)
            assert torch.equal(images, expected if sizes[-1] == 32 else resize(expected, 24))
    # 12 steps; those that begin before 40% of the run are 0 to 4.
    assert sizes == [24] * 5 + [32] * 7


def test_a_resumed_epoch_has_the_same_sizes_and_batches(few):
    recipe = LaptopRecipe(epochs=2, batch_size=50, low_res_fraction=0.25)
    whole, rest = recipe.train_loader(few), recipe.train_loader(few)
    rest.set_epoch(1, 1)
    assert [images.shape[-1] for images, _ in rest] == [24, 32, 32]
    for batch, expected in zip(rest, list(whole)[1:], strict=True):
        assert all(map(torch.equal, batch, expected))


def test_two_processes_have_the_two_halves_of_each_batch(few):
    recipe = LaptopRecipe(batch_size=50, low_res_fraction=0.04)
    shards = [recipe.train_loader(few, rank=rank, world_size=2) for rank in (0, 1)]
    for whole, *halves in zip(recipe.train_loader(few), *shards, strict=True):
        for number in (0, 1):
            joined = torch.cat([half[number] for half in halves])
            torch.testing.assert_close(joined, whole[number])


def test_resizing_to_half_takes_a_weighted_mean_of_each_square():
    """Bilinear with antialiasing: a triangle over 2 × 2 and half of the pixels around them."""
    images = torch.rand(2, 3, 32, 32)
    weights = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    kernel = (weights[:, None] * weights)[None, None].expand(3, 1, 4, 4)
    # From the second square on, so that each has pixels on all sides.
    inner = torch.nn.functional.conv2d(images[:, :, 1:-1, 1:-1], kernel, stride=2, groups=3)
    torch.testing.assert_close(resize(images, 16)[:, :, 1:-1, 1:-1], inner)
