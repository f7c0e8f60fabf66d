"""What this machine is, and how long a run would take on it."""

import time
from dataclasses import replace

import numpy as np
import torch

from s10.augment import SIZE
from s10.batches import train_batches
from s10.device import pick_precision
from s10.images.cifar10 import CIFAR10_MEAN, CIFAR10_STD
from s10.images.dataset import Images
from s10.networks import make_network
from s10.progress import no_bars
from s10.recipe import Recipe
from s10.training import make_optimizer, train_epoch

CIFAR10_TRAIN, CIFAR10_TEST = 50_000, 10_000
# A forward pass alone is about a third of a training step's arithmetic.
FORWARD_SHARE = 1 / 3


def predicted_minutes(
    recipe: Recipe,
    device: torch.device,
    *,
    train_images: int = CIFAR10_TRAIN,
    test_images: int = CIFAR10_TEST,
    steps: int = 20,
) -> float:
    """Minutes that the whole run would take here, from `steps` timed steps of the real loop.

    Made on random pictures, so no data are needed; evaluation after each epoch
    is counted in, loading the data and drawing the pictures are not.
    """
    step = seconds_per_step(recipe, device, steps)
    per_epoch = -(-train_images // recipe.batch_size) * training_share(recipe)
    evaluation = FORWARD_SHARE * test_images / recipe.batch_size
    return recipe.epochs * (per_epoch + evaluation) * step / 60


def training_share(recipe: Recipe) -> float:
    """The work of all steps, as a part of what it would be with pictures of full size."""
    return 1 - recipe.small_until * (1 - (recipe.small_size / SIZE) ** 2)


def seconds_per_step(recipe: Recipe, device: torch.device, steps: int = 20) -> float:
    """Seconds of one training step with pictures of full size, mean over `steps`.

    Two steps before them warm up.
    """
    recipe = replace(recipe, small_until=0.0)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), no_bars():
        model = make_network(recipe).to(device, memory_format=torch.channels_last)
        # Different pictures in each step, but no more of them than needed.
        pictures = random_images(min(4, steps) * recipe.batch_size)
        batches = train_batches(pictures, replace(recipe, augment="batched"), device)
        optimizer = make_optimizer(model, recipe)
        precision = pick_precision(recipe.precision, device)
        options = {"precision": precision, "scaler": precision.scaler()}
        train_epoch(model, _first(batches, 2), optimizer, **options)
        _wait(device)
        start = time.perf_counter()
        train_epoch(model, _first(batches, steps), optimizer, **options)
        _wait(device)
    return (time.perf_counter() - start) / steps


def random_images(count: int) -> Images:
    """`count` pictures of noise in ten classes; nothing can be learnt from them."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = generator.integers(0, 10, count)
    classes = tuple(f"class {index}" for index in range(10))
    return Images(
        "noise", classes, pixels, labels, pixels[:1000], labels[:1000], CIFAR10_MEAN, CIFAR10_STD
    )


def _first(batches, count: int):
    """`count` batches, beginning anew as often as needed."""
    while True:
        for batch in batches:
            if count == 0:
                return
            count -= 1
            yield batch


def _wait(device: torch.device) -> None:
    """A GPU works on while Python goes ahead; a clock must wait for it."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
