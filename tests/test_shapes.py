"""The embedded data set: the same everywhere, fast, and no gift to a linear classifier."""

import time

import numpy as np
import torch
import torch.nn.functional as F

from s10.images.shapes import CLASSES, shapes


def test_it_is_the_same_on_every_machine(shapes):
    # Measured on Python 3.10, 3.11 and 3.13 with NumPy 2.1 to 2.4. A change of this number
    # is a change of the data set, and all results on `shapes` must be made again.
    assert shapes.fingerprint() == "d085088639c59a69"


def test_sizes_types_and_balance(shapes):
    assert shapes.classes == CLASSES
    assert shapes.train_images.shape == (5000, 32, 32, 3)
    assert shapes.test_images.shape == (1000, 32, 32, 3)
    assert shapes.train_images.dtype == np.uint8
    assert shapes.train_labels.dtype == np.int64
    assert (np.bincount(shapes.train_labels) == 500).all()
    assert (np.bincount(shapes.test_labels) == 100).all()


def test_it_takes_less_than_three_seconds():
    start = time.process_time()
    shapes()
    assert time.process_time() - start < 3


def test_another_seed_gives_other_pictures_and_the_same_seed_the_same():
    first, again, other = shapes(0)[0], shapes(0)[0], shapes(1)[0]
    assert np.array_equal(first, again)
    assert (first != other).mean() > 0.9


def test_no_picture_occurs_twice(shapes):
    pictures = np.concatenate([shapes.train_images, shapes.test_images]).reshape(6000, -1)
    assert len(np.unique(pictures, axis=0)) == 6000


def test_a_linear_classifier_on_pixels_stays_below_half(shapes):
    """Logistic regression, with the best of several strengths of L2 by the test images."""
    mean, std = torch.tensor(shapes.mean), torch.tensor(shapes.std)

    def pixels(images):
        return ((torch.from_numpy(images) / 255 - mean) / std).flatten(1)

    x, y = pixels(shapes.train_images), torch.from_numpy(shapes.train_labels)
    test_x, test_y = pixels(shapes.test_images), torch.from_numpy(shapes.test_labels)
    best = 0.0
    for decay in (1e-3, 1e-2, 1e-1):
        torch.manual_seed(0)
        linear = torch.nn.Linear(3072, 10)
        optimizer = torch.optim.AdamW(linear.parameters(), 1e-3, weight_decay=decay)
        for _ in range(100):
            optimizer.zero_grad()
            (F.cross_entropy(linear(x), y) + decay * linear.weight.square().sum()).backward()
            optimizer.step()
        best = max(best, (linear(test_x).argmax(1) == test_y).float().mean().item())
    assert 0.1 < best < 0.5


def test_the_shape_stands_out_from_its_background(shapes):
    # Each picture has pixels of very different brightness: nothing is drawn tone on tone.
    brightness = shapes.train_images @ np.array([0.299, 0.587, 0.114])
    low, high = np.percentile(brightness.reshape(5000, -1), [5, 95], axis=1)
    assert (high - low).min() > 25
