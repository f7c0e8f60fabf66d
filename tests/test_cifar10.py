"""The real CIFAR-10, where it is at hand; elsewhere these tests are skipped and say so."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from s10 import (
    CustomResNet,
    InputError,
    Recipe,
    fit,
    load_images,
    make_optimizer,
    range_test_per_batch,
    seed_everything,
    train_batches,
)
from s10.batches import eval_batches
from s10.images.cifar10 import CIFAR10_MEAN, CIFAR10_STD
from s10.images.dataset import channel_statistics


@pytest.fixture(scope="module")
def cifar10(cifar10_dir):
    return load_images("cifar10", cifar10_dir)


def test_it_is_what_torchvision_gives(cifar10, cifar10_dir):
    from torchvision.datasets import CIFAR10

    theirs = CIFAR10(cifar10_dir, train=False, download=False)
    assert np.array_equal(cifar10.test_images, theirs.data)
    assert cifar10.test_labels.tolist() == theirs.targets
    assert list(cifar10.classes) == theirs.classes
    assert cifar10.train_images.shape == (50_000, 32, 32, 3)
    assert (np.bincount(cifar10.train_labels) == 5000).all()


def test_the_constants_are_the_pixels_mean_and_deviation(cifar10):
    mean, std = channel_statistics(cifar10.train_images)
    assert mean == CIFAR10_MEAN == cifar10.mean
    assert std == CIFAR10_STD == cifar10.std
    pixels = cifar10.train_images[..., 0] / 255
    assert pixels.mean() == pytest.approx(mean[0], abs=5e-5)
    assert pixels.std() == pytest.approx(std[0], abs=5e-5)


def test_the_often_seen_deviation_is_another_thing(cifar10):
    """(0.2023, 0.1994, 0.2010) is the mean of the deviations of the single images."""
    sample = cifar10.train_images / np.float32(255)
    # The unbiased deviation, which is torch.std's default.
    of_images = sample.std(axis=(1, 2), ddof=1).mean(axis=0)
    assert of_images == pytest.approx([0.2023, 0.1994, 0.2010], abs=1e-4)


def test_the_fingerprint(cifar10):
    assert cifar10.fingerprint() == "85d212b49fbcdd74"


def test_an_epoch_has_98_batches(cifar10):
    batches = train_batches(cifar10, Recipe())
    assert len(batches) == 98
    assert 50_000 - 97 * 512 == 336


@pytest.mark.parametrize("spoil", ["truncate", "flip a bit"])
def test_a_damaged_batch_is_named(cifar10_dir, tmp_path, spoil):
    folder = tmp_path / "cifar-10-batches-py"
    shutil.copytree(cifar10_dir / "cifar-10-batches-py", folder)
    path = folder / "data_batch_3"
    content = bytearray(path.read_bytes())
    if spoil == "truncate":
        del content[-1000:]
    else:
        content[12345] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="data_batch_3 is truncated or altered"):
        load_images("cifar10", tmp_path)


def test_the_folder_of_the_batches_itself_will_do(cifar10_dir, cifar10):
    images = load_images("cifar10", cifar10_dir / "cifar-10-batches-py")
    assert images.fingerprint() == cifar10.fingerprint()


def test_two_epochs_at_quarter_width_learn_something(cifar10):
    """The real loop on real images: 10,000 of them, two epochs, far above the 10 % of chance."""
    data = cifar10.subset(10_000, 2_000)
    recipe = replace(Recipe().with_epochs(2), width=16)
    seed_everything(0)
    model = CustomResNet(10, 16)
    result = fit(model, train_batches(data, recipe), eval_batches(data), recipe, data.classes)
    assert result.history["test_accuracy"].iloc[-1] > 0.3
    assert result.history["train_loss"].iloc[-1] < result.history["train_loss"].iloc[0]


def test_the_range_test_finds_a_usable_lr(cifar10):
    """One seed, quarter width: within a factor of 4 of what three seeds gave (results/)."""
    recipe = replace(Recipe(), width=16)
    model = CustomResNet(10, 16)
    optimizer = make_optimizer(model, recipe, momentum=recipe.momentum_min)
    result = range_test_per_batch(
        model, optimizer, train_batches(cifar10, recipe), iterations=60, seeds=(0,)
    )
    assert 0.0025 < result.lr_max < 0.04
    assert result.lr_min < result.lr_max / 30
