"""The assignment's augmentation for a whole batch at once, where the images are.

Pad 4 → RandomCrop 32 → horizontal flip → CutOut 8×8 → normalise, drawn from
the same distribution as the pipeline in `augment_albumentations.py`, about
twenty times as fast. Crop and flip: He et al. (2015), section 4.2. CutOut:
DeVries & Taylor (2017); as in albumentations, the square lies wholly inside.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from s10.recipe import Recipe

SIZE = 32


@dataclass(frozen=True)
class Draws:
    """What chance decided for N images: int64 tensors (N,), `flip` and `cut` bool.

    `top` and `left` (0 … 2·pad) place the crop in the padded image, `cut_top`
    and `cut_left` (0 … 32 − cutout) the square in the crop; `cut` says whether
    there is one.
    """

    top: Tensor
    left: Tensor
    flip: Tensor
    cut_top: Tensor
    cut_left: Tensor
    cut: Tensor

    def __getitem__(self, index) -> "Draws":
        return Draws(*(value[index] for value in vars(self).values()))

    def to(self, device: torch.device | str) -> "Draws":
        return Draws(*(value.to(device) for value in vars(self).values()))


def draw(count: int, recipe: Recipe, generator: torch.Generator) -> Draws:
    """Draw crop, flip and square for `count` images, each uniform and independent."""

    def uniform(highest: int) -> Tensor:
        return torch.randint(highest + 1, (count,), generator=generator)

    top, left = uniform(2 * recipe.pad), uniform(2 * recipe.pad)
    flip = uniform(1).bool() if recipe.flip else torch.zeros(count, dtype=torch.bool)
    cut_top, cut_left = uniform(SIZE - recipe.cutout), uniform(SIZE - recipe.cutout)
    cut = torch.ones(count, dtype=torch.bool)
    if recipe.cutout_probability < 1:
        cut = torch.rand(count, generator=generator) < recipe.cutout_probability
    return Draws(top, left, flip, cut_top, cut_left, cut)


def alternating_flips(index: Tensor, epoch: int, first: Tensor) -> Tensor:
    """Which of the images `index` (int64 (B,)) are mirrored in this epoch: bool (B,).

    In epoch 1 those that `first` (bool, for each image) says, then all turn
    about. By chance, half of the images would be seen in an epoch just as in the
    one before; so the network sees each side in every second epoch.
    Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (2024), section 3.6.
    """
    return first[index] ^ (epoch % 2 == 0)


def shrink(images: Tensor, size: int) -> Tensor:
    """float (B, C, H, W) → (B, C, size, size), bilinear, each pixel the mean of those it covers."""
    return F.interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)


class BatchAugment:
    """Holds the padded images on a device and cuts augmented batches from them.

    Args:
        images: uint8 (N, 32, 32, 3).
        mean, std: of each channel, scale 0–1.
        recipe: its pad, pad_mode, cutout and cutout_fill.
        device: where the images are to lie: 1,600 × 3 bytes each.
    """

    def __init__(self, images: np.ndarray, mean, std, recipe: Recipe, device="cpu"):
        self.mean = 255 * torch.tensor(mean, device=device).view(3, 1, 1)
        self.std = 255 * torch.tensor(std, device=device).view(3, 1, 1)
        self.cutout = recipe.cutout
        # In normalised numbers: 0 is the mean colour.
        self.fill = -self.mean / self.std if recipe.cutout_fill == "black" else None
        padded = pad(images, recipe.pad, recipe.pad_mode, mean)
        self.padded = torch.from_numpy(padded).to(device)
        # Each crop is a window of the padded image: (N, top, left, 3, 32, 32),
        # a view that takes no memory.
        self.windows = self.padded.unfold(2, SIZE, 1).unfold(3, SIZE, 1).permute(0, 2, 3, 1, 4, 5)

    def __call__(self, index: Tensor, draws: Draws) -> Tensor:
        """The images `index` (int64 (B,)) as `draws` says: float32 (B, 3, 32, 32), normalised."""
        images = self.windows[index, draws.top, draws.left]
        # Eight bytes at a time (int64): the CPU chooses between the two in a tenth of the time.
        mirrored, images = images.flip(3).view(torch.int64), images.view(torch.int64)
        images = torch.where(draws.flip[:, None, None, None], mirrored, images).view(torch.uint8)
        images = images.float().sub_(self.mean).div_(self.std)
        rows = self.within(draws.cut_top) * draws.cut[:, None]
        square = (rows[:, :, None] * self.within(draws.cut_left)[:, None, :])[:, None]
        images.mul_(1 - square)
        return images if self.fill is None else images.add_(square * self.fill)

    def within(self, start: Tensor) -> Tensor:
        """1.0 for the rows (or columns) that the square covers, else 0.0: float32 (B, 32)."""
        position = torch.arange(SIZE, device=start.device) - start[:, None]
        return ((position >= 0) & (position < self.cutout)).float()


def pad(images: np.ndarray, width: int, mode: str, mean) -> np.ndarray:
    """uint8 (N, 32, 32, 3) → uint8 (N, 3, 32 + 2·width, 32 + 2·width).

    "reflect" mirrors the image at its border pixels (cv2.BORDER_REFLECT_101),
    "constant" fills with the mean colour.
    """
    widths = ((0, 0), (width, width), (width, width))
    channels = [images[..., channel] for channel in range(3)]
    if mode == "reflect":
        padded = [np.pad(channel, widths, mode="reflect") for channel in channels]
    else:
        padded = [
            np.pad(channel, widths, constant_values=round(255 * fill))
            for channel, fill in zip(channels, mean, strict=True)
        ]
    return np.stack(padded, axis=1)


def normalise(images: np.ndarray, mean, std, device="cpu") -> Tensor:
    """uint8 (N, 32, 32, 3) → float32 (N, 3, 32, 32), without augmentation."""
    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()
    mean = 255 * torch.tensor(mean, device=device).view(3, 1, 1)
    std = 255 * torch.tensor(std, device=device).view(3, 1, 1)
    return (pixels - mean) / std
