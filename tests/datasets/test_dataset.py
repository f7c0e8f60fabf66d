"""`ImageDataset`: subsets, held-out images, statistics, fingerprint; and `load_dataset`."""

import json

import numpy as np
import pytest

from s10 import ImageDataset, InputError, load_dataset
from s10.datasets.dataset import channel_statistics, per_image_std


@pytest.fixture
def dataset():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(30) % 2
    return ImageDataset.from_arrays(
        "noise", ["a", "b"], images[:20], labels[:20], images[20:], labels[20:]
    )


def test_from_arrays_measures_the_training_images(dataset):
    assert dataset.classes == ("a", "b")
    assert dataset.mean == pytest.approx(dataset.train_images.mean((0, 1, 2)) / 255, abs=1e-4)
    assert dataset.std == pytest.approx(dataset.train_images.std((0, 1, 2)) / 255, abs=1e-4)


def test_a_subset_is_the_first_images_with_the_same_statistics(dataset):
    subset = dataset.subset(8, 3)
    assert np.array_equal(subset.train_images, dataset.train_images[:8])
    assert np.array_equal(subset.train_labels, dataset.train_labels[:8])
    assert np.array_equal(subset.test_images, dataset.test_images[:3])
    assert np.array_equal(subset.test_labels, dataset.test_labels[:3])
    assert (subset.mean, subset.std) == (dataset.mean, dataset.std)
    assert dataset.subset().fingerprint() == dataset.fingerprint()


def test_held_out_images_replace_the_test_images(dataset):
    held_out = dataset.hold_out(5)
    assert np.array_equal(held_out.train_images, dataset.train_images[:15])
    assert np.array_equal(held_out.train_labels, dataset.train_labels[:15])
    assert np.array_equal(held_out.test_images, dataset.train_images[15:])
    assert np.array_equal(held_out.test_labels, dataset.train_labels[15:])


def test_the_fingerprint_covers_images_labels_and_their_split(dataset):
    labels = dataset.train_labels.copy()
    labels[0] = 1
    arrays = dataset.train_images, labels, dataset.test_images, dataset.test_labels
    relabeled = ImageDataset.from_arrays("noise", dataset.classes, *arrays)
    changed = [dataset, relabeled, dataset.subset(19), dataset.hold_out(10)]
    assert len({each.fingerprint() for each in changed}) == 4


def test_the_description_is_json(dataset):
    description = dataset.describe()
    assert json.loads(json.dumps(description)) == description
    assert (description["train_images"], description["test_images"]) == (20, 10)


def test_images_of_one_color_have_a_positive_std():
    images = np.full((3, 32, 32, 3), 255, np.uint8)
    assert channel_statistics(images) == ((1.0,) * 3, (1e-4,) * 3)
    assert per_image_std(images) == (1e-4,) * 3


def test_the_std_within_images_ignores_differences_between_them(dataset):
    dark, bright = dataset.train_images // 4, dataset.train_images // 4 + 190
    images = np.concatenate([dark, bright])
    assert per_image_std(images) == pytest.approx(per_image_std(dark), abs=1e-4)
    assert min(channel_statistics(images)[1]) > 4 * max(per_image_std(images))


@pytest.mark.parametrize(
    ("source", "hint"), [("cifar", "Did you mean cifar10"), ("mnist", "cifar10, shapes or folder")]
)
def test_an_unknown_source_is_explained(source, hint):
    with pytest.raises(InputError, match=hint):
        load_dataset(source)
