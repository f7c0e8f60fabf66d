"""The batches of an epoch, determined by seed and epoch number alone.

They depend neither on what was drawn before nor on the number of worker processes, so
a run can be repeated, and resumed at any batch.
"""

import atexit
import contextlib
import signal
import weakref

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from s10.datasets.dataset import ImageDataset
from s10.runtime.errors import InputError
from s10.runtime.signals import SIGNALS
from s10.transforms import (
    AugmentParams,
    BatchTransform,
    albumentations_pipeline,
    normalize,
    reseed,
    sample_params,
)

TEST_BATCH_SIZE = 1000


def set_epoch(loader, epoch: int, first_batch: int = 0) -> None:
    """Tell a loader which epoch follows (from 1), and at which batch to begin (from 0).

    A plain DataLoader shuffles on its own and always begins at its first batch.
    """
    if first_batch:
        loader.set_epoch(epoch, first_batch)
    elif hasattr(loader, "set_epoch"):
        loader.set_epoch(epoch)


def derive_seed(seed: int, epoch: int, purpose: str, batch: int = 0) -> int:
    """A seed of its own for every purpose, epoch and batch, 63 bits."""
    key = [seed, epoch, batch, *purpose.encode()]
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]) >> 1


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """The order of the images in this epoch: a permutation, int64 (count,)."""
    generator = torch.Generator().manual_seed(derive_seed(seed, epoch, "order"))
    return torch.randperm(count, generator=generator)


def shard(start: int, stop: int, rank: int, world_size: int) -> slice:
    """The part of the batch start … stop for process `rank`; all shards have the same size."""
    size = (stop - start) // world_size
    return slice(start + rank * size, start + (rank + 1) * size)


def eval_loader(images, labels, mean, std, device="cpu") -> list[tuple[Tensor, Tensor]]:
    """Normalized images (uint8 (N, 32, 32, 3) before) and labels as batches on `device`."""
    images, labels = normalize(images, mean, std, device), torch.from_numpy(labels).to(device)
    return list(zip(images.split(TEST_BATCH_SIZE), labels.split(TEST_BATCH_SIZE), strict=True))


class TrainLoader:
    """What both loaders share.

    Iterating yields images float32 (B, 3, 32, 32), normalized and augmented, and labels
    int64 (B,), on `device`. The last batch is smaller: 50,000 images at 512 make 98
    batches, the last one of 336. `set_epoch(number)` (from 1) is called before each
    epoch, as for PyTorch's DistributedSampler; `set_epoch(number, k)` skips k batches.

    Raises:
        InputError: the batches cannot be divided equally among `world_size` processes.
    """

    def __init__(self, dataset: ImageDataset, batch_size: int, seed: int, rank=0, world_size=1):
        self.batch_size, self.seed, self.count = batch_size, seed, len(dataset.train_labels)
        self.rank, self.world_size = rank, world_size
        self.fingerprint = dataset.fingerprint
        self.epoch, self.first_batch = 1, 0
        for size in (min(batch_size, self.count), self.count % batch_size):
            if size % world_size:
                raise InputError(
                    f"batches of {batch_size} from {self.count:,} images: one has {size}, which "
                    f"{world_size} processes cannot divide equally; use another batch size or "
                    "number of processes"
                )

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def set_epoch(self, epoch: int, first_batch: int = 0) -> None:
        self.epoch, self.first_batch = epoch, first_batch

    def shard(self, batch: int) -> slice:
        """This process's part of batch number `batch`, as positions in the epoch's order."""
        start = batch * self.batch_size
        stop = min(start + self.batch_size, self.count)
        return shard(start, stop, self.rank, self.world_size)


class TensorLoader(TrainLoader):
    """Batches cut by `BatchTransform` from images that are kept on the device."""

    def __init__(
        self, dataset, mean, std, *, batch_size, seed, pad, pad_mode, flip, cutout, device="cpu",
        rank=0, world_size=1,
    ):  # fmt: skip
        super().__init__(dataset, batch_size, seed, rank, world_size)
        self.device, self.pad, self.flip, self.cutout = device, pad, flip, cutout
        self.transform = BatchTransform(
            dataset.train_images, mean, std, pad=pad, pad_mode=pad_mode, cutout=cutout,
            device=device,
        )  # fmt: skip
        self.labels = torch.from_numpy(dataset.train_labels).to(device)

    def __iter__(self):
        order = self.order().to(self.device)
        # Sampled on the CPU, so that a GPU sees the same batches.
        generator = torch.Generator().manual_seed(derive_seed(self.seed, self.epoch, "augment"))
        params = self.sample_params(generator).to(self.device)
        for batch in range(self.first_batch, len(self)):
            shard = self.shard(batch)
            self.index = order[shard]  # of the images of this batch, for hooks
            yield self.transform(self.index, params[shard]), self.labels[self.index]

    def order(self) -> Tensor:
        """The images of this epoch in their order: int64 (N,)."""
        return epoch_order(self.count, self.seed, self.epoch)

    def sample_params(self, generator: torch.Generator) -> AugmentParams:
        """The random parameters of all images of an epoch, in the epoch's order."""
        return sample_params(
            self.count, generator, pad=self.pad, flip=self.flip, cutout=self.cutout
        )


class AlbumentationsLoader(TrainLoader):
    """Batches from the albumentations pipeline, in `workers` processes (0: in this one)."""

    def __init__(
        self, dataset, mean, std, *, batch_size, seed, device="cpu", workers=0, rank=0,
        world_size=1, **options,
    ):  # fmt: skip
        super().__init__(dataset, batch_size, seed, rank, world_size)
        self.device = device
        pipeline = albumentations_pipeline(mean, std, **options)
        self.loader = DataLoader(
            _AugmentedBatches(dataset, pipeline, batch_size, seed, rank, world_size),
            batch_size=None,  # An item of the data set is a whole batch.
            # A proxy, because in a reference cycle PyTorch could not end the workers.
            sampler=_BatchKeys(weakref.proxy(self)),
            num_workers=workers,
            worker_init_fn=_ignore_signals,
            persistent_workers=workers > 0,
            pin_memory=torch.device(device).type == "cuda",
            # The loader draws a seed for its workers; from a generator of its own it
            # leaves the global random state alone. Nothing here depends on that seed.
            generator=torch.Generator(),
        )
        # Python ends its processes by SIGTERM when it exits, which these ignore.
        atexit.register(_end_workers, weakref.proxy(self.loader))

    def __iter__(self):
        for images, labels in self.loader:
            yield images.to(self.device, non_blocking=True), labels.to(self.device)


def _ignore_signals(worker: int) -> None:
    """Ctrl-C reaches all processes; a worker that obeyed would leave the last step without data."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _end_workers(loader: DataLoader) -> None:
    with contextlib.suppress(AttributeError, ReferenceError):  # It has none, or is gone.
        loader._iterator._shutdown_workers()


class _BatchKeys:
    """The sampler: (epoch, batch) for each batch, so that workers know the epoch's number."""

    def __init__(self, loader: AlbumentationsLoader):
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader) - self.loader.first_batch

    def __iter__(self):
        epoch, first = self.loader.epoch, self.loader.first_batch
        return ((epoch, batch) for batch in range(first, len(self.loader)))


class _AugmentedBatches(Dataset):
    """Item (epoch, batch) is that augmented batch, whichever process asks for it."""

    def __init__(self, dataset, pipeline, batch_size, seed, rank, world_size):
        self.batches = TrainLoader(dataset, batch_size, seed, rank, world_size)
        self.images, self.labels = dataset.train_images, dataset.train_labels
        self.pipeline, self.seed = pipeline, seed
        self.purpose = f"augment {rank}" if rank else "augment"

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
        epoch, batch = key
        index = epoch_order(len(self.labels), self.seed, epoch)[self.batches.shard(batch)]
        reseed(self.pipeline, derive_seed(self.seed, epoch, self.purpose, batch))
        images = [self.pipeline(image=self.images[i])["image"] for i in index.tolist()]
        return torch.stack(images), torch.from_numpy(self.labels[index.numpy()])
