"""The built-in dataset: the same on every machine, and too hard for a linear classifier."""

import numpy as np
import torch
import torch.nn.functional as F

from s10.datasets.shapes import CLASSES, draw_shapes


def test_it_is_the_same_on_every_machine(shapes):
    # Measured on Python 3.10, 3.11 and 3.13 with NumPy 2.1 to 2.4. A change of this number
    # is a change of the dataset, and all results on `shapes` must be measured again.
    assert shapes.fingerprint() == "d085088639c59a69"


def test_sizes_types_and_balance(shapes):
    assert shapes.classes == CLASSES
    assert shapes.train_images.shape == (5000, 32, 32, 3)
    assert shapes.test_images.shape == (1000, 32, 32, 3)
    assert shapes.train_images.dtype == np.uint8
    assert shapes.train_labels.dtype == np.int64
    assert (np.bincount(shapes.train_labels) == 500).all()
    assert (np.bincount(shapes.test_labels) == 100).all()


def test_the_seed_determines_the_images(shapes):
    assert np.array_equal(shapes.train_images, draw_shapes(seed=0)[0])
    assert (shapes.train_images != draw_shapes(seed=1)[0]).mean() > 0.9


def test_no_image_occurs_twice(shapes):
    images = np.concatenate([shapes.train_images, shapes.test_images]).reshape(6000, -1)
    assert len(np.unique(images, axis=0)) == 6000


def test_a_linear_classifier_on_pixels_does_not_generalize(shapes):
    """Logistic regression fits the training images, but stays near chance on the test images."""
    mean, std = torch.tensor(shapes.mean), torch.tensor(shapes.std)

    def pixels(images):
        return ((torch.from_numpy(images) / 255 - mean) / std).flatten(1)

    x, y = pixels(shapes.train_images), torch.from_numpy(shapes.train_labels)
    test_x, test_y = pixels(shapes.test_images), torch.from_numpy(shapes.test_labels)
    torch.manual_seed(0)
    linear = torch.nn.Linear(3072, 10)
    optimizer = torch.optim.AdamW(linear.parameters(), 1e-3)
    for _ in range(50):
        optimizer.zero_grad()
        (F.cross_entropy(linear(x), y) + 0.1 * linear.weight.square().sum()).backward()
        optimizer.step()
    assert (linear(x).argmax(1) == y).float().mean() > 0.35
    assert (linear(test_x).argmax(1) == test_y).float().mean() < 0.2


def test_the_shape_stands_out_from_its_background(shapes):
    # Each image has pixels of very different luminance.
    luminance = shapes.train_images @ np.array([0.299, 0.587, 0.114])
    low, high = np.percentile(luminance.reshape(5000, -1), [5, 95], axis=1)
    assert (high - low).min() > 25
