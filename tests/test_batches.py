"""Batches: each image once an epoch, the same for the same seed, new in each epoch."""

import hashlib
from dataclasses import replace

import pytest
import torch

from s10.batches import epoch_order, eval_batches, train_batches

KINDS = ("batched", "albumentations")


def digest(batches) -> str:
    sha = hashlib.sha256()
    for images, labels in batches:
        sha.update(images.contiguous().numpy().tobytes())
        sha.update(labels.numpy().tobytes())
    return sha.hexdigest()


@pytest.fixture(params=KINDS)
def recipe(request, tiny):
    return replace(tiny, augment=request.param)


def test_shapes_and_types(few, recipe):
    batches = train_batches(few, recipe)
    sizes = [len(labels) for _, labels in batches]
    assert sizes == [64, 64, 64, 8]
    assert len(batches) == 4
    images, labels = next(iter(batches))
    assert images.shape == (64, 3, 32, 32)
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64


def test_each_image_comes_once_an_epoch(few, recipe):
    # Without augmentation, so that each picture is recognised.
    plain = replace(recipe, pad=0, flip=False, cutout=0)
    seen = torch.cat([images for images, _ in train_batches(few, plain)])
    labels = torch.cat([labels for _, labels in train_batches(few, plain)])
    expected = torch.cat([images for images, _ in eval_batches(_swapped(few))])
    mode = "donot_use_mm_for_euclid_dist"  # The fast way rounds too much.
    distance = torch.cdist(seen.flatten(1), expected.flatten(1), compute_mode=mode)
    match = distance.argmin(1)
    assert distance.min(1).values.max() < 0.01
    assert sorted(match.tolist()) == list(range(200))
    assert torch.equal(labels, torch.from_numpy(few.train_labels)[match])


def _swapped(images):
    return replace(images, test_images=images.train_images, test_labels=images.train_labels)


def test_the_same_seed_gives_the_same_batches(few, recipe):
    assert digest(train_batches(few, recipe)) == digest(train_batches(few, recipe))


def test_another_seed_gives_other_batches(few, recipe):
    other = replace(recipe, seed=1)
    assert digest(train_batches(few, recipe)) != digest(train_batches(few, other))


def test_an_epoch_does_not_depend_on_the_ones_before(few, recipe):
    through = train_batches(few, recipe)
    digests = []
    for epoch in (1, 2, 3):
        through.set_epoch(epoch)
        digests.append(digest(through))
    straight = train_batches(few, recipe)
    straight.set_epoch(3)
    assert digest(straight) == digests[2]
    assert len(set(digests)) == 3


def test_no_augmentation_repeats_over_epochs(shapes, recipe):
    """One picture in many places of the data set: all its versions, in all epochs, differ."""
    one = shapes.subset(200)
    same = replace(one, train_images=one.train_images[:1].repeat(200, 0))
    batches = train_batches(same, recipe)
    versions = []
    for epoch in (1, 2, 3):
        batches.set_epoch(epoch)
        versions += [image.numpy().tobytes() for images, _ in batches for image in images]
    # 81 crops × 2 flips × 625 squares: among 600 draws two coincide now and then.
    assert len(set(versions)) > 590


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_change_nothing(few, tiny, workers):
    """albumentations 2.0.8 alone would let workers repeat each other, and each epoch the last."""
    recipe = replace(tiny, augment="albumentations")
    alone, shared = train_batches(few, recipe), train_batches(few, recipe, workers=workers)
    for epoch in (1, 2):
        alone.set_epoch(epoch)
        shared.set_epoch(epoch)
        assert digest(alone) == digest(shared)


def test_the_global_random_state_is_neither_used_nor_moved(few, recipe):
    torch.manual_seed(1)
    first = digest(train_batches(few, recipe))
    before = torch.get_rng_state()
    torch.manual_seed(2)
    assert digest(train_batches(few, recipe)) == first
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_order_is_a_permutation():
    assert sorted(epoch_order(1000, 0, 1).tolist()) == list(range(1000))
    assert not torch.equal(epoch_order(1000, 0, 1), epoch_order(1000, 0, 2))


def test_test_images_come_in_order_and_whole(few):
    batches = eval_batches(few)
    labels = torch.cat([labels for _, labels in batches])
    assert torch.equal(labels, torch.from_numpy(few.test_labels))


def test_held_out_images_are_the_last_training_images(few):
    split = few.hold_out(50)
    assert (split.train_images == few.train_images[:150]).all()
    assert (split.test_images == few.train_images[150:]).all()
    assert (split.test_labels == few.train_labels[150:]).all()
    assert split.mean == few.mean
