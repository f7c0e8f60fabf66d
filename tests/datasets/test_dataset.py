"""`ImageDataset`: subsets, held-out images, statistics, fingerprint; and `load_dataset`."""

import json

import numpy as np
import pytest
import torch

from s10 import ImageDataset, InputError, load_dataset
from s10.datasets.dataset import channel_statistics, per_image_std, stratified


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


def by_class(counts):
    """Data that lie class by class, as in folders; each image has a color of its own."""
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.zeros((len(labels), 32, 32, 3), np.uint8) + np.arange(
        len(labels), dtype=np.uint8
    ).reshape(-1, 1, 1, 1)
    return ImageDataset.from_arrays("classes", map(str, counts), images, labels, images, labels)


def test_a_subset_is_balanced_and_keeps_the_order_and_the_statistics():
    dataset = by_class([40, 40, 40, 40, 40])
    subset = dataset.subset(60, 50)
    assert np.bincount(subset.train_labels).tolist() == [12] * 5
    assert np.bincount(subset.test_labels).tolist() == [10] * 5
    chosen = subset.train_images[:, 0, 0, 0]
    assert (np.diff(chosen) > 0).all()
    assert np.array_equal(subset.train_labels, chosen // 40)
    assert (subset.mean, subset.std) == (dataset.mean, dataset.std)
    assert dataset.subset().fingerprint() == dataset.fingerprint()
    assert dataset.subset(60, 50).fingerprint() == subset.fingerprint()


def test_held_out_images_are_balanced_and_replace_the_test_images():
    dataset = by_class([40, 40, 40, 40, 40])
    held_out = dataset.hold_out(50)
    assert np.bincount(held_out.test_labels).tolist() == [10] * 5
    assert np.bincount(held_out.train_labels).tolist() == [30] * 5
    numbers = [*held_out.train_images[:, 0, 0, 0], *held_out.test_images[:, 0, 0, 0]]
    assert sorted(numbers) == list(range(200))
    assert np.array_equal(held_out.train_labels, held_out.train_images[:, 0, 0, 0] // 40)
    assert np.array_equal(held_out.test_labels, held_out.test_images[:, 0, 0, 0] // 40)


@pytest.mark.parametrize("counts", [[100, 100], [7, 93, 250], [1, 1, 1, 400], [5000] * 10])
@pytest.mark.parametrize("fraction", [0.05, 0.3, 0.77, 1])
def test_every_class_has_its_share_to_within_one_image(counts, fraction):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    chosen = stratified(labels, count := round(fraction * len(labels)))
    assert len(chosen) == len(np.unique(chosen)) == count
    share = np.bincount(labels[chosen], minlength=len(counts)) - np.array(counts) * fraction
    assert np.abs(share).max() <= 1


def test_a_sample_is_random_and_contains_the_smaller_ones():
    labels = np.repeat([0, 1], 500)
    chosen = stratified(labels, 100)
    assert set(stratified(labels, 30)) < set(chosen)
    assert 400 < np.ptp(chosen[:50]) < 500  # From all over the class, not its beginning.
    assert len(set(stratified(labels, 100, seed=1)) & set(chosen)) < 30
    firsts = {int(labels[stratified(labels, 1, seed)[0]]) for seed in range(20)}
    assert firsts == {0, 1}


def test_more_than_there_are_is_all_in_order():
    assert stratified(np.array([2, 0, 1]), 5).tolist() == [0, 1, 2]


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


# Arrays of other types and sizes.


def make(images, labels, classes=("a", "b")):
    return ImageDataset.from_arrays("mine", classes, images, labels, images[:2], labels[:2])


def test_tensors_and_lists_as_torchvision_has_them(dataset):
    images, labels = dataset.train_images, dataset.train_labels
    for made in (
        make(torch.from_numpy(images), labels.tolist()),
        make(list(images), torch.from_numpy(labels)),
        make(images, labels.astype(np.uint8)),
    ):
        assert np.array_equal(made.train_images, images)
        assert np.array_equal(made.train_labels, labels)
        assert made.train_labels.dtype == np.int64
        assert made.mean == dataset.mean


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 3), (64, 64, 3), (48, 96, 3), (32, 32)])
def test_images_of_other_sizes_are_resized_and_gray_ones_are_rgb(shape):
    images = np.full((4, *shape), 80, np.uint8)
    images[:, shape[0] // 2 :] = 160
    dataset = make(torch.from_numpy(images), [0, 1, 0, 1])
    assert dataset.train_images.shape == (4, 32, 32, 3)
    assert (dataset.train_images[:, :12] == 80).all()
    assert (dataset.train_images[:, 20:] == 160).all()
    assert make(images[:0], []).train_images.shape == (0, 32, 32, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images, labels: (images / 255, labels), r"they are float64 \(20, 32, 32, 3\)"),
        (lambda images, labels: (images.transpose(0, 3, 1, 2), labels), r"\(20, 3, 32, 32\)"),
        (lambda images, labels: (images[0, 0], labels), r"\(N, height, width\); they are"),
        (lambda images, labels: ([images[0], images[1, 1:]], labels), "train_images or .* array"),
        (lambda images, labels: (images, labels[1:]), "must be 20 integers from 0 to 1, one for"),
        (lambda images, labels: (images, labels + 1), "train_labels must be 20 integers from 0"),
        (lambda images, labels: (images, labels - 1), "from 0 to 1"),
        (lambda images, labels: (images, labels / 3), "from 0 to 1"),
        (lambda images, labels: (images, labels.astype(str)), "from 0 to 1"),
        (lambda images, labels: (images, np.eye(2)[labels]), "from 0 to 1"),
    ],
    ids=[
        "floats",
        "channels first",
        "one",
        "sizes",
        "few",
        "from 1",
        "negative",
        "thirds",
        "text",
        "hot",
    ],
)
def test_arrays_that_are_no_images_or_labels_are_explained(dataset, change, message):
    images, labels = change(dataset.train_images, dataset.train_labels)
    with pytest.raises(InputError, match=message) as caught:
        make(images, labels)
    assert "\n" not in str(caught.value)


def test_data_that_cannot_be_read_are_named(monkeypatch):
    def load(folder, train):
        raise PermissionError(13, "Permission denied", "pets/train")

    monkeypatch.setattr("s10.datasets.load_folder", load)
    with pytest.raises(InputError, match=r"folder:pets: .*denied: 'pets/train'"):
        load_dataset("folder:pets")
