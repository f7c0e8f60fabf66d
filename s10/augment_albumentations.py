"""The assignment's augmentation as an albumentations pipeline, one image at a time."""

import os
import random
import warnings

import numpy as np

# albumentations asks the network for its newest version at import; with none, that stalls.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2
from albumentations.pytorch import ToTensorV2

from s10.recipe import Recipe


def train_pipeline(mean, std, recipe: Recipe) -> A.Compose:
    """Pad → RandomCrop 32 → HorizontalFlip → CutOut → Normalize → ToTensorV2.

    Takes `image=` uint8 (32, 32, 3), gives `["image"]` float32 (3, 32, 32).
    Written for albumentations 2.x. An argument that the installed version does
    not know is only warned about there, and the augmentation silently becomes
    another one; here the warning is an error.
    """
    fill = tuple(round(255 * channel) for channel in mean)
    border = {"reflect": cv2.BORDER_REFLECT_101, "constant": cv2.BORDER_CONSTANT}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steps = [
            A.Pad(padding=recipe.pad, border_mode=border[recipe.pad_mode], fill=fill),
            A.RandomCrop(height=32, width=32),
        ]
        if recipe.flip:
            steps.append(A.HorizontalFlip(p=0.5))
        if recipe.cutout:
            side = (recipe.cutout, recipe.cutout)
            steps.append(
                # p: albumentations would leave every second image uncut.
                A.CoarseDropout(
                    num_holes_range=(1, 1),
                    hole_height_range=side,
                    hole_width_range=side,
                    fill=fill if recipe.cutout_fill == "mean" else 0,
                    p=recipe.cutout_probability,
                )
            )
        return A.Compose([*steps, A.Normalize(mean=mean, std=std), ToTensorV2()])


def reseed(pipeline: A.Compose, seed: int) -> None:
    """Let all steps of the pipeline draw from one stream that starts at `seed`.

    Not `pipeline.set_random_seed`: in 2.0.8 that gives every step a generator
    of its own with the same seed, so that flip and crop are no longer
    independent.
    """
    pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
