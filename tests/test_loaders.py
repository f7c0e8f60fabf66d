"""Batches: each image once an epoch, the same for the same seed, new in each epoch."""

import hashlib
import multiprocessing
import pickle
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from s10 import InputError
from s10.loaders import TrainLoader, derive_seed, epoch_order, eval_loader, set_epoch, shard
from s10.runtime.signals import SIGNALS

KINDS = ("batched", "albumentations")


def digest(loader) -> str:
    sha = hashlib.sha256()
    for images, labels in loader:
        sha.update(images.contiguous().numpy().tobytes())
        sha.update(labels.numpy().tobytes())
    return sha.hexdigest()


@pytest.fixture(params=KINDS)
def recipe(request, tiny):
    return replace(tiny, augment=request.param)


def plain(recipe):
    """The recipe without augmentation, so that each image is recognized."""
    return replace(recipe, pad=0, flip=False, cutout=0)


def test_shapes_and_types(few, recipe):
    loader = recipe.train_loader(few)
    sizes = [len(labels) for _, labels in loader]
    assert sizes == [64, 64, 64, 8]
    assert len(loader) == 4
    images, labels = next(iter(loader))
    assert images.shape == (64, 3, 32, 32)
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64


def test_each_image_comes_once_an_epoch_in_its_order(few, recipe):
    loader = plain(recipe).train_loader(few)
    loader.set_epoch(2)
    images, labels = map(torch.cat, zip(*loader, strict=True))
    order = epoch_order(200, recipe.seed, 2)
    (expected, _), *_ = eval_loader(few.train_images, few.train_labels, few.mean, few.std)
    assert torch.allclose(images, expected[order], atol=1e-5)
    assert torch.equal(labels, torch.from_numpy(few.train_labels)[order])


def test_the_same_seed_gives_the_same_batches(few, recipe):
    assert digest(recipe.train_loader(few)) == digest(recipe.train_loader(few))


@pytest.mark.parametrize("options", [{}, {"pad": 0, "flip": False, "cutout": 0}], ids=str)
def test_another_seed_gives_other_batches(few, recipe, options):
    recipe = replace(recipe, **options)
    other = replace(recipe, seed=1)
    assert digest(recipe.train_loader(few)) != digest(other.train_loader(few))


def test_an_epoch_does_not_depend_on_the_ones_before(few, recipe):
    loader = recipe.train_loader(few)
    digests = []
    for epoch in (1, 2, 3):
        loader.set_epoch(epoch)
        digests.append(digest(loader))
    straight = recipe.train_loader(few)
    straight.set_epoch(3)
    assert digest(straight) == digests[2]
    assert len(set(digests)) == 3
    # Without set_epoch it is the first one.
    assert digest(recipe.train_loader(few)) == digests[0]


@pytest.mark.parametrize("first", [1, 3, 4])
def test_an_epoch_begins_at_any_batch(few, recipe, first):
    """A resumed run continues with the batches that it would have seen."""
    loader = recipe.train_loader(few)
    set_epoch(loader, 2)
    expected = list(loader)[first:]
    set_epoch(loader, 2, first)
    assert digest(loader) == digest(expected)
    assert len(loader) == 4
    set_epoch(loader, 2)
    assert len(list(loader)) == 4


def test_a_plain_dataloader_has_no_epochs():
    loader = DataLoader([1, 2, 3])
    set_epoch(loader, 2)
    assert len(list(loader)) == 3


def test_no_augmentation_repeats_over_epochs(shapes, recipe):
    """One image in many places of the dataset: all its versions, in all epochs, differ."""
    one = shapes.subset(200)
    same = replace(one, train_images=one.train_images[:1].repeat(200, 0))
    loader = recipe.train_loader(same)
    versions = []
    for epoch in (1, 2, 3):
        loader.set_epoch(epoch)
        versions += [image.numpy().tobytes() for images, _ in loader for image in images]
    # 81 crops × 2 flips × 625 squares: among 600 draws two coincide now and then.
    assert len(set(versions)) > 590


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_change_nothing(few, tiny, workers):
    """albumentations 2.0.8 alone would let workers repeat each other, and each epoch the last."""
    recipe = replace(tiny, augment="albumentations")
    alone, shared = recipe.train_loader(few), recipe.train_loader(few, workers=workers)
    for epoch, first_batch in ((1, 0), (2, 0), (3, 2)):
        alone.set_epoch(epoch, first_batch)
        shared.set_epoch(epoch, first_batch)
        assert digest(alone) == digest(shared)


def test_workers_ignore_signals(few, tiny):
    """Ctrl-C reaches them, too, and the last step still needs its batch."""
    loader = replace(tiny, augment="albumentations").train_loader(few, workers=1).loader
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        loader.worker_init_fn(0)
        assert {signal.getsignal(number) for number in before} == {signal.SIG_IGN}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_workers_end_with_the_loader(few, tiny):
    """At once: a reference cycle would leave them to the garbage collector, which cannot."""
    loader = replace(tiny, augment="albumentations").train_loader(few, workers=1)
    others = multiprocessing.active_children()
    next(iter(loader))
    (worker,) = set(multiprocessing.active_children()) - set(others)
    del loader
    assert not worker.is_alive()


def test_python_exits_although_workers_ignore_its_signal():
    """multiprocessing ends its processes by SIGTERM, and then waits for them."""
    code = """
import s10
recipe = s10.Recipe(augment="albumentations", batch_size=5, pad=0)
loader = recipe.train_loader(s10.load_dataset("shapes").subset(20), workers=2)
first = next(iterator := iter(loader))
print("done")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_the_global_random_state_is_neither_used_nor_changed(few, recipe):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = digest(recipe.train_loader(few))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert digest(recipe.train_loader(few)) == first


def test_the_order_is_a_permutation():
    assert sorted(epoch_order(1000, 0, 1).tolist()) == list(range(1000))
    assert not torch.equal(epoch_order(1000, 0, 1), epoch_order(1000, 0, 2))
    assert not torch.equal(epoch_order(1000, 0, 1), epoch_order(1000, 1, 1))


def test_every_purpose_epoch_and_batch_has_its_own_seed():
    seeds = {
        derive_seed(seed, epoch, purpose, batch)
        for seed in range(5)
        for epoch in range(1, 6)
        for purpose in ("order", "augment", "augment 1")
        for batch in range(5)
    }
    assert len(seeds) == 5 * 5 * 3 * 5
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(0, 1, "order") == derive_seed(0, 1, "order", 0)
    # So that runs with the same seed are the same in every version.
    assert derive_seed(0, 1, "order") == 2_139_449_889_753_580_586


@given(st.integers(1, 50), st.integers(1, 8), st.integers(0, 1000))
def test_shards_are_equal_and_cover_the_batch(size, world_size, start):
    shards = [
        range(5000)[shard(start, start + size * world_size, rank, world_size)]
        for rank in range(world_size)
    ]
    assert {len(part) for part in shards} == {size}
    assert [position for part in shards for position in part] == list(
        range(start, start + size * world_size)
    )


def test_the_shards_of_two_processes_are_the_batches_of_one(few, recipe):
    recipe = plain(recipe) if recipe.augment == "albumentations" else recipe
    whole = recipe.train_loader(few)
    parts = [recipe.train_loader(few, rank=rank, world_size=2) for rank in (0, 1)]
    for loader in (whole, *parts):
        loader.set_epoch(3, 1)
    assert len(parts[0]) == len(whole)
    for batch, first, second in zip(whole, *parts, strict=True):
        for one, *two in zip(batch, first, second, strict=True):
            assert torch.equal(one, torch.cat(two))


def test_processes_augment_differently(few, recipe):
    """One image everywhere: were the processes to draw the same, their batches would be equal."""
    same = replace(few, train_images=few.train_images[:1].repeat(200, 0))
    first, second = (recipe.train_loader(same, rank=rank, world_size=2) for rank in (0, 1))
    for (one, _), (other, _) in zip(first, second, strict=True):
        assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("count", "batch_size", "world_size", "odd"),
    [(200, 63, 2, 63), (200, 64, 3, 64), (201, 64, 2, 9), (30, 64, 4, 30)],
)
def test_batches_that_cannot_be_divided_are_refused(
    shapes, recipe, count, batch_size, world_size, odd
):
    recipe = replace(recipe, batch_size=batch_size)
    with pytest.raises(InputError) as caught:
        recipe.train_loader(shapes.subset(count), world_size=world_size)
    assert str(caught.value) == (
        f"batches of {batch_size} from {count} images: one has {odd}, which {world_size} "
        "processes cannot divide equally; use another batch size or number of processes"
    )


def test_the_batches_of_the_assignment_are_divided_by_up_to_16_processes():
    cifar10 = type("Dataset", (), {"train_labels": np.zeros(50_000), "fingerprint": None})
    for world_size in (1, 2, 4, 8, 16):
        loader = TrainLoader(cifar10, 512, 0, world_size - 1, world_size)
        assert len(loader) == 98
        assert loader.shard(97) == slice(50_000 - 336 // world_size, 50_000)


def test_the_loader_knows_the_fingerprint_of_its_images(few, recipe):
    assert recipe.train_loader(few).fingerprint() == few.fingerprint()


def test_the_dataset_of_the_workers_survives_pickling(few, tiny):
    """So it has to where Python starts processes by spawning them (macOS, Windows)."""
    dataset = replace(tiny, augment="albumentations").train_loader(few).loader.dataset
    images, labels = pickle.loads(pickle.dumps(dataset))[(1, 2)]
    expected = dataset[(1, 2)]
    assert torch.equal(images, expected[0])
    assert torch.equal(labels, expected[1])
    assert len(dataset) == 4


def test_test_images_come_in_order_and_complete(shapes):
    shapes = shapes.subset(10, 1000)
    images, labels = np.tile(shapes.test_images, (2, 1, 1, 1))[:1500], np.arange(1500) % 10
    batches = eval_loader(images, labels, shapes.mean, shapes.std)
    assert [len(labels) for _, labels in batches] == [1000, 500]
    assert torch.equal(torch.cat([labels for _, labels in batches]), torch.from_numpy(labels))
    whole = torch.cat([images for images, _ in batches])
    assert np.allclose(
        whole[1200].permute(1, 2, 0), (images[1200] / 255 - shapes.mean) / shapes.std, atol=1e-5
    )
