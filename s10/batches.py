"""Batches of one epoch, the same ones for the same seed.

What an epoch's batches hold depends on the recipe's seed and the epoch's
number alone: not on what was drawn before, nor on the number of worker
processes. So a run can be repeated, and resumed at any epoch.
"""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from s10.augment import BatchAugment, draw, normalise
from s10.images.dataset import Images
from s10.recipe import Recipe

TEST_BATCH_SIZE = 1000


def set_epoch(batches, epoch: int) -> None:
    """Tell batches which epoch comes; a plain DataLoader shuffles by itself."""
    if hasattr(batches, "set_epoch"):
        batches.set_epoch(epoch)


def train_batches(data: Images, recipe: Recipe, device="cpu", workers: int = 0):
    """The training batches that the recipe asks for.

    What comes back knows its length, can be iterated, and takes
    `set_epoch(number)` (from 1) before each epoch, like PyTorch's
    DistributedSampler. It yields images float32 (B, 3, 32, 32), normalised and
    augmented, and labels int64 (B,), on `device`. The last batch is smaller:
    50,000 images at 512 make 98 batches, the last one of 336.
    """
    if recipe.augment == "albumentations":
        return AlbumentationsBatches(data, recipe, device, workers)
    return TensorBatches(data, recipe, device)


def eval_batches(data: Images, device="cpu") -> list[tuple[Tensor, Tensor]]:
    """The test images, normalised, as a list of batches on `device`."""
    images = normalise(data.test_images, data.mean, data.std, device)
    labels = torch.from_numpy(data.test_labels).to(device)
    return list(zip(images.split(TEST_BATCH_SIZE), labels.split(TEST_BATCH_SIZE), strict=True))


def stream(seed: int, epoch: int, purpose: str, batch: int = 0) -> int:
    """A seed of its own for every purpose, epoch and batch, 64 bits."""
    key = [seed, epoch, batch, *purpose.encode()]
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]) >> 1


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """The order of the images in this epoch: a permutation, int64 (count,)."""
    generator = torch.Generator().manual_seed(stream(seed, epoch, "order"))
    return torch.randperm(count, generator=generator)


class TensorBatches:
    """Batches cut by `BatchAugment` from images that lie on the device."""

    def __init__(self, data: Images, recipe: Recipe, device="cpu"):
        self.recipe, self.device = recipe, device
        self.augment = BatchAugment(data.train_images, data.mean, data.std, recipe, device)
        self.labels = torch.from_numpy(data.train_labels).to(device)
        self.epoch = 1

    def __len__(self) -> int:
        return -(-len(self.labels) // self.recipe.batch_size)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self):
        seed, count = self.recipe.seed, len(self.labels)
        order = epoch_order(count, seed, self.epoch).to(self.device)
        # Chance is drawn on the CPU, so that a GPU sees the same batches.
        generator = torch.Generator().manual_seed(stream(seed, self.epoch, "augment"))
        draws = draw(count, self.recipe, generator).to(self.device)
        for start in range(0, count, self.recipe.batch_size):
            batch = slice(start, start + self.recipe.batch_size)
            index = order[batch]
            yield self.augment(index, draws[batch]), self.labels[index]


class AlbumentationsBatches:
    """Batches from the albumentations pipeline, in `workers` processes (0: in this one)."""

    def __init__(self, data: Images, recipe: Recipe, device="cpu", workers: int = 0):
        dataset = _AugmentedBatches(data, recipe)
        self.device = device
        self.keys = _Keys(len(dataset))
        self.loader = DataLoader(
            dataset,
            batch_size=None,  # An item of the data set is a whole batch.
            sampler=self.keys,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.device(device).type == "cuda",
            # The loader draws a seed for its workers. From this generator, it
            # spares the global random state; nothing here depends on that seed.
            generator=torch.Generator(),
        )

    def __len__(self) -> int:
        return len(self.keys)

    def set_epoch(self, epoch: int) -> None:
        self.keys.epoch = epoch

    def __iter__(self):
        for images, labels in self.loader:
            yield images.to(self.device, non_blocking=True), labels.to(self.device)


class _Keys:
    """The sampler: (epoch, batch) for each batch, so that workers learn the epoch's number."""

    def __init__(self, count: int):
        self.count, self.epoch = count, 1

    def __len__(self) -> int:
        return self.count

    def __iter__(self):
        return ((self.epoch, batch) for batch in range(self.count))


class _AugmentedBatches(Dataset):
    """Item (epoch, batch) is that augmented batch, whichever process asks for it."""

    def __init__(self, data: Images, recipe: Recipe):
        # Imported here: learners who use the batched augmentation need not wait for it.
        from s10.augment_albumentations import reseed, train_pipeline

        self.images, self.labels, self.recipe = data.train_images, data.train_labels, recipe
        self.pipeline, self.reseed = train_pipeline(data.mean, data.std, recipe), reseed

    def __len__(self) -> int:
        return -(-len(self.labels) // self.recipe.batch_size)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
        epoch, batch = key
        seed, size = self.recipe.seed, self.recipe.batch_size
        index = epoch_order(len(self.labels), seed, epoch)[batch * size : (batch + 1) * size]
        self.reseed(self.pipeline, stream(seed, epoch, "augment", batch))
        images = [self.pipeline(image=self.images[i])["image"] for i in index.tolist()]
        return torch.stack(images), torch.from_numpy(self.labels[index.numpy()])
