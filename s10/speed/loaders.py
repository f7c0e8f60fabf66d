"""Training batches of the fast recipes: alternating flips, low-resolution images first."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from s10.loaders import TensorLoader, derive_seed
from s10.transforms import AugmentParams


class FastLoader(TensorLoader):
    """Batches as from `TensorLoader`, with two differences, each of them optional.

    Args:
        epochs: of the whole run.
        alternating_flips: mirror each image in every second epoch instead of at random.
        low_res_fraction: the first part of the run, 0–1, with images of smaller size.
        low_res_size: their height and width in pixels.
        *args, **options: of `TensorLoader`.
    """

    def __init__(
        self,
        *args,
        epochs: int,
        alternating_flips: bool,
        low_res_fraction: float,
        low_res_size: int,
        **options,
    ):
        super().__init__(*args, **options)
        self.epochs, self.alternating_flips = epochs, alternating_flips
        self.low_res_fraction, self.low_res_size = low_res_fraction, low_res_size
        generator = torch.Generator().manual_seed(derive_seed(self.seed, 0, "flip"))
        self.mirrored_first = torch.randint(2, (self.count,), generator=generator).bool()

    def __iter__(self):
        for batch, (images, labels) in enumerate(super().__iter__(), self.first_batch):
            epoch = min(self.epoch, self.epochs)  # After the last epoch its size is kept.
            finished = epoch - 1 + batch * self.batch_size / self.count
            if finished / self.epochs < self.low_res_fraction:
                images = resize(images, self.low_res_size)
            yield images, labels

    def sample_params(self, generator: torch.Generator) -> AugmentParams:
        params = super().sample_params(generator)
        if not self.alternating_flips:
            return params
        flip = alternating_flips(self.order(), self.epoch, self.mirrored_first)
        return replace(params, flip=flip)


def alternating_flips(index: Tensor, epoch: int, first: Tensor) -> Tensor:
    """Which of the images `index` (int64 (B,)) are mirrored in this epoch: bool (B,).

    In epoch 1 those that `first` (bool, for each image) names, in epoch 2 all others, and
    so on. With random flips, half of the images of an epoch look as in the epoch before.
    Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (2024), section 3.6.
    """
    return first[index] ^ (epoch % 2 == 0)


def resize(images: Tensor, size: int) -> Tensor:
    """Bilinear with antialiasing: float (B, C, H, W) → (B, C, size, size)."""
    return F.interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)
