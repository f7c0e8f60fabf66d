"""Batches of one epoch, the same ones for the same seed.

What an epoch's batches hold depends on the recipe's seed and the epoch's
number alone: not on what was drawn before, nor on the number of worker
processes. So a run can be repeated, and resumed at any epoch.
"""

import signal
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from s10.augment import BatchAugment, alternating_flips, draw, normalise, shrink
from s10.errors import InputError
from s10.images.dataset import Images
from s10.recipe import Recipe
from s10.stopping import StopSignals
from s10.team import Team

TEST_BATCH_SIZE = 1000


def set_epoch(batches, epoch: int, first_batch: int = 0) -> None:
    """Tell batches which epoch comes, and where in it to begin.

    A plain DataLoader shuffles by itself, and always begins at the beginning.
    """
    if first_batch:
        batches.set_epoch(epoch, first_batch)
    elif hasattr(batches, "set_epoch"):
        batches.set_epoch(epoch)


def train_batches(
    data: Images, recipe: Recipe, device="cpu", workers: int = 0, team: Team | None = None
):
    """The training batches that the recipe asks for; of a team, this process's share of each.

    What comes back knows its length, can be iterated, and takes
    `set_epoch(number)` (from 1) before each epoch, like PyTorch's
    DistributedSampler; `set_epoch(number, k)` leaves out the first k batches.
    It yields images float32 (B, 3, 32, 32), normalised and augmented (in the
    part of the run that the recipe shrinks them for, smaller), and labels int64
    (B,), on `device`. The last batch is smaller: 50,000 images at
    512 make 98 batches, the last one of 336.
    """
    team = team or Team()
    last = len(data.train_labels) % recipe.batch_size or recipe.batch_size
    if last < team.size:
        raise InputError(
            f"the last batch has {last} images for {team.size} processes; take another batch size"
        )
    if recipe.augment == "albumentations":
        return AlbumentationsBatches(data, recipe, device, workers, team)
    return TensorBatches(data, recipe, device, team)


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

    starts_anywhere = True  # `set_epoch` takes the first batch, too.

    def __init__(self, data: Images, recipe: Recipe, device="cpu", team: Team | None = None):
        self.recipe, self.device, self.team = recipe, device, team or Team()
        self.weight = 1.0  # of the batch that was given out last: its part of the whole batch
        self.augment = BatchAugment(data.train_images, data.mean, data.std, recipe, device)
        self.labels = torch.from_numpy(data.train_labels).to(device)
        self.fingerprint = data.fingerprint
        self.epoch, self.first_batch = 1, 0

    def __len__(self) -> int:
        return -(-len(self.labels) // self.recipe.batch_size)

    def set_epoch(self, epoch: int, first_batch: int = 0) -> None:
        self.epoch, self.first_batch = epoch, first_batch

    def __iter__(self):
        seed, count = self.recipe.seed, len(self.labels)
        order = epoch_order(count, seed, self.epoch).to(self.device)
        # Chance is drawn on the CPU, so that a GPU sees the same batches.
        generator = torch.Generator().manual_seed(stream(seed, self.epoch, "augment"))
        draws = draw(count, self.recipe, generator).to(self.device)
        if self.recipe.flip_alternately:
            draws = replace(draws, flip=alternating_flips(order, self.epoch, self.first_flips()))
        size = self.recipe.batch_size
        for start in range(self.first_batch * size, count, size):
            stop = min(start + size, count)
            share = self.team.share(start, stop)
            self.weight = (share.stop - share.start) / (stop - start)
            images = self.augment(order[share], draws[share])
            if (self.epoch - 1 + start / count) / self.recipe.epochs < self.recipe.small_until:
                images = shrink(images, self.recipe.small_size)
            yield images, self.labels[order[share]]

    def first_flips(self) -> Tensor:
        """Which images are mirrored in epoch 1, if they take turns: bool (N,)."""
        generator = torch.Generator().manual_seed(stream(self.recipe.seed, 0, "flip"))
        return torch.randint(2, (len(self.labels),), generator=generator).bool().to(self.device)


class AlbumentationsBatches:
    """Batches from the albumentations pipeline, in `workers` processes (0: in this one)."""

    starts_anywhere = True

    def __init__(
        self,
        data: Images,
        recipe: Recipe,
        device="cpu",
        workers: int = 0,
        team: Team | None = None,
    ):
        dataset = _AugmentedBatches(data, recipe, team or Team())
        self.device, self.weight, self.whole = device, 1.0, dataset.size_of
        self.fingerprint = data.fingerprint
        self.keys = _Keys(len(dataset))
        self.loader = DataLoader(
            dataset,
            batch_size=None,  # An item of the data set is a whole batch.
            sampler=self.keys,
            num_workers=workers,
            worker_init_fn=_leave_signals_to_the_training,
            persistent_workers=workers > 0,
            pin_memory=torch.device(device).type == "cuda",
            # The loader draws a seed for its workers. From this generator, it
            # spares the global random state; nothing here depends on that seed.
            generator=torch.Generator(),
        )

    def __len__(self) -> int:
        return self.keys.count

    def set_epoch(self, epoch: int, first_batch: int = 0) -> None:
        self.keys.epoch, self.keys.first = epoch, first_batch

    def __iter__(self):
        for number, (images, labels) in enumerate(self.loader, self.keys.first):
            self.weight = len(labels) / self.whole(number)
            yield images.to(self.device, non_blocking=True), labels.to(self.device)


def _leave_signals_to_the_training(worker: int) -> None:
    """Ctrl-C goes to all processes; a worker that obeys leaves the last step without its batch."""
    for number in StopSignals.SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class _Keys:
    """The sampler: (epoch, batch) for each batch, so that workers learn the epoch's number."""

    def __init__(self, count: int):
        self.count, self.epoch, self.first = count, 1, 0

    def __len__(self) -> int:
        return self.count - self.first

    def __iter__(self):
        return ((self.epoch, batch) for batch in range(self.first, self.count))


class _AugmentedBatches(Dataset):
    """Item (epoch, batch) is that augmented batch, whichever process asks for it."""

    def __init__(self, data: Images, recipe: Recipe, team: Team):
        # Imported here: learners who use the batched augmentation need not wait for it.
        from s10.augment_albumentations import reseed, train_pipeline

        self.images, self.labels, self.recipe = data.train_images, data.train_labels, recipe
        self.team = Team(team.rank, team.size)  # Without its connections: workers get a copy.
        self.purpose = f"augment {team.rank}" if team.rank else "augment"
        self.pipeline, self.reseed = train_pipeline(data.mean, data.std, recipe), reseed

    def __len__(self) -> int:
        return -(-len(self.labels) // self.recipe.batch_size)

    def size_of(self, batch: int) -> int:
        """How many images a batch has, over all processes."""
        size = self.recipe.batch_size
        return min(size, len(self.labels) - batch * size)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
        epoch, batch = key
        seed, start = self.recipe.seed, batch * self.recipe.batch_size
        share = self.team.share(start, start + self.size_of(batch))
        index = epoch_order(len(self.labels), seed, epoch)[share]
        self.reseed(self.pipeline, stream(seed, epoch, self.purpose, batch))
        images = [self.pipeline(image=self.images[i])["image"] for i in index.tolist()]
        return torch.stack(images), torch.from_numpy(self.labels[index.numpy()])
