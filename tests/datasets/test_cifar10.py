"""The real CIFAR-10, where it is available; elsewhere most of these tests are skipped."""

import hashlib
import shutil

import numpy as np
import pytest

from s10 import InputError, load_dataset
from s10.datasets.cifar10 import CIFAR10_MEAN, CIFAR10_STD
from s10.datasets.dataset import channel_statistics, per_image_std


@pytest.fixture(scope="module")
def cifar10(cifar10_dir):
    return load_dataset("cifar10", cifar10_dir)


def test_the_arrays_are_those_of_torchvision(cifar10, cifar10_dir):
    from torchvision.datasets import CIFAR10

    for train, images, labels in (
        (True, cifar10.train_images, cifar10.train_labels),
        (False, cifar10.test_images, cifar10.test_labels),
    ):
        expected = CIFAR10(cifar10_dir, train=train, download=False)
        assert np.array_equal(images, expected.data)
        assert images.dtype == expected.data.dtype
        assert labels.tolist() == expected.targets
        assert list(cifar10.classes) == expected.classes
    assert cifar10.train_images.shape == (50_000, 32, 32, 3)
    assert cifar10.train_labels.dtype == np.int64
    assert (np.bincount(cifar10.train_labels) == 5000).all()


def test_each_file_is_hashed_once(cifar10_dir, monkeypatch):
    hashed = []
    md5 = hashlib.md5

    def counting_md5(*content, **options):  # torchvision would hash piece by piece.
        hashed.extend(map(len, content))
        return md5(*content, **options)

    monkeypatch.setattr(hashlib, "md5", counting_md5)
    load_dataset("cifar10", cifar10_dir)
    files = [
        path for path in (cifar10_dir / "cifar-10-batches-py").iterdir() if path.stem != "readme"
    ]
    assert sorted(hashed) == sorted(path.stat().st_size for path in files)


def test_the_constants_are_the_mean_and_std_of_all_pixels(cifar10):
    mean, std = channel_statistics(cifar10.train_images)
    assert mean == CIFAR10_MEAN == cifar10.mean
    assert std == CIFAR10_STD == cifar10.std
    pixels = cifar10.train_images[..., 0] / 255
    assert pixels.mean() == pytest.approx(mean[0], abs=5e-5)
    assert pixels.std() == pytest.approx(std[0], abs=5e-5)


def test_the_often_published_std_is_the_one_within_images(cifar10):
    assert per_image_std(cifar10.train_images) == (0.2023, 0.1994, 0.2010)
    sample = cifar10.train_images[:5000]
    within_images = (sample / 255).std(axis=(1, 2), ddof=1)  # Unbiased, as torch.std.
    assert per_image_std(sample) == pytest.approx(within_images.mean(axis=0), abs=5e-5)


def test_the_fingerprint(cifar10):
    assert cifar10.fingerprint() == "85d212b49fbcdd74"


@pytest.mark.parametrize("damage", ["truncate", "flip a bit", "append"])
def test_a_damaged_batch_is_named(cifar10_dir, tmp_path, damage):
    folder = tmp_path / "cifar-10-batches-py"
    shutil.copytree(cifar10_dir / "cifar-10-batches-py", folder)
    path = folder / "data_batch_3"
    content = bytearray(path.read_bytes())
    if damage == "truncate":
        del content[-1000:]
    elif damage == "append":
        content += b"x"
    else:
        content[12345] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="data_batch_3 is truncated or altered"):
        load_dataset("cifar10", tmp_path)


def test_a_missing_batch_is_named(cifar10_dir, tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    shutil.copytree(cifar10_dir / "cifar-10-batches-py", folder)
    (folder / "test_batch").unlink()
    with pytest.raises(InputError, match="test_batch is missing"):
        load_dataset("cifar10", tmp_path)


def test_the_folder_of_the_batches_can_be_given_itself(cifar10_dir, cifar10):
    dataset = load_dataset("cifar10", cifar10_dir / "cifar-10-batches-py")
    assert dataset.fingerprint() == cifar10.fingerprint()
