"""The assignment's augmentation, twice: as an albumentations pipeline, and for whole batches.

Pad 4 → RandomCrop 32 → horizontal flip → CutOut 8×8 → normalize. Both draw from the
same distribution; the batched one runs where the images are and is about twenty times
as fast. Crop and flip: He et al. (2015), section 4.2. CutOut: DeVries & Taylor (2017);
as in albumentations, the square lies entirely inside the image.
"""

import os
import random
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SIZE = 32


@dataclass(frozen=True)
class AugmentParams:
    """The random parameters of N images: int64 tensors (N,), `flip` bool.

    `top` and `left` (0 … 2·pad) place the crop in the padded image, `cut_top` and
    `cut_left` (0 … 32 − cutout) the square in the crop.
    """

    top: Tensor
    left: Tensor
    flip: Tensor
    cut_top: Tensor
    cut_left: Tensor

    def __getitem__(self, index) -> "AugmentParams":
        return AugmentParams(*(value[index] for value in vars(self).values()))

    def to(self, device: torch.device | str) -> "AugmentParams":
        return AugmentParams(*(value.to(device) for value in vars(self).values()))


def sample_params(
    count: int, generator: torch.Generator, *, pad: int, flip: bool, cutout: int
) -> AugmentParams:
    """Sample crop, flip and square for `count` images, each uniform and independent."""

    def uniform(highest: int) -> Tensor:
        return torch.randint(highest + 1, (count,), generator=generator)

    top, left = uniform(2 * pad), uniform(2 * pad)
    flips = uniform(1).bool() if flip else torch.zeros(count, dtype=torch.bool)
    return AugmentParams(top, left, flips, uniform(SIZE - cutout), uniform(SIZE - cutout))


class BatchTransform:
    """Holds the padded images on a device and cuts augmented batches from them.

    Args:
        images: uint8 (N, 32, 32, 3).
        mean, std: of each channel, scale 0–1.
        pad, pad_mode, cutout: as in `Recipe`.
        device: where the images are kept, 3 × 1,600 bytes each.
    """

    def __init__(
        self, images: np.ndarray, mean, std, *, pad: int, pad_mode: str, cutout: int, device="cpu"
    ):
        self.mean = 255 * torch.tensor(mean, device=device).view(3, 1, 1)
        self.std = 255 * torch.tensor(std, device=device).view(3, 1, 1)
        self.cutout = cutout
        self.padded = torch.from_numpy(pad_images(images, pad, pad_mode, mean)).to(device)
        # Every crop is a window of the padded image: (N, top, left, 3, 32, 32), a view
        # that takes no memory.
        self.windows = self.padded.unfold(2, SIZE, 1).unfold(3, SIZE, 1).permute(0, 2, 3, 1, 4, 5)

    def __call__(self, index: Tensor, params: AugmentParams) -> Tensor:
        """Augment the images `index` (int64 (B,)): float32 (B, 3, 32, 32), normalized."""
        images = self.windows[index, params.top, params.left]
        # Eight bytes at a time (int64): a CPU selects between the two ten times as fast.
        mirrored, images = images.flip(3).view(torch.int64), images.view(torch.int64)
        images = torch.where(params.flip[:, None, None, None], mirrored, images).view(torch.uint8)
        images = images.float().sub_(self.mean).div_(self.std)
        # After normalization 0 is the mean color.
        return images.mul_(1 - cutout_mask(params, self.cutout))


def cutout_mask(params: AugmentParams, size: int) -> Tensor:
    """1.0 where the square of side `size` covers the image, else 0.0: float32 (B, 1, 32, 32)."""

    def covered(start: Tensor) -> Tensor:
        position = torch.arange(SIZE, device=start.device) - start[:, None]
        return ((position >= 0) & (position < size)).float()

    return (covered(params.cut_top)[:, :, None] * covered(params.cut_left)[:, None, :])[:, None]


def pad_images(images: np.ndarray, width: int, mode: str, mean) -> np.ndarray:
    """uint8 (N, 32, 32, 3) → uint8 (N, 3, 32 + 2·width, 32 + 2·width).

    "reflect" mirrors the image at its border pixels (cv2.BORDER_REFLECT_101),
    "constant" fills with the mean color.
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


def normalize(images: np.ndarray, mean, std, device="cpu") -> Tensor:
    """uint8 (N, 32, 32, 3) → float32 (N, 3, 32, 32), without augmentation."""
    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()
    mean = 255 * torch.tensor(mean, device=device).view(3, 1, 1)
    std = 255 * torch.tensor(std, device=device).view(3, 1, 1)
    return (pixels - mean) / std


def albumentations_pipeline(mean, std, *, pad: int, pad_mode: str, flip: bool, cutout: int):
    """Pad → RandomCrop 32 → HorizontalFlip → CutOut → Normalize → ToTensorV2 (an `A.Compose`).

    Takes `image=` uint8 (32, 32, 3); `["image"]` of the result is float32 (3, 32, 32).
    Written for albumentations 2.x, which only warns about an argument that it does not
    know, and then applies another augmentation; here the warning is an error.
    """
    # At import, albumentations looks for a newer version of itself; offline that stalls.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations as A  # Here, for it takes seconds, and the batched one needs none of it.
    import cv2
    from albumentations.pytorch import ToTensorV2

    fill = tuple(round(255 * channel) for channel in mean)
    border = {"reflect": cv2.BORDER_REFLECT_101, "constant": cv2.BORDER_CONSTANT}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steps = [
            A.Pad(padding=pad, border_mode=border[pad_mode], fill=fill),
            A.RandomCrop(height=SIZE, width=SIZE),
        ]
        if flip:
            steps.append(A.HorizontalFlip(p=0.5))
        if cutout:
            side = (cutout, cutout)
            steps.append(
                # p=1: by default every second image would stay uncut.
                A.CoarseDropout(
                    num_holes_range=(1, 1),
                    hole_height_range=side,
                    hole_width_range=side,
                    fill=fill,
                    p=1.0,
                )
            )
        return A.Compose([*steps, A.Normalize(mean=mean, std=std), ToTensorV2()])


def reseed(pipeline, seed: int) -> None:
    """Let all steps of the albumentations pipeline draw from one generator, seeded here.

    Not `pipeline.set_random_seed`: in 2.0.8 that gives every step a generator of its
    own with the same seed, so that flip and crop are no longer independent.
    """
    pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
