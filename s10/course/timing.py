"""How long a run would take on this machine."""

import itertools
import time
from dataclasses import replace

import numpy as np
import torch

from s10.datasets.cifar10 import CIFAR10_MEAN, CIFAR10_STD
from s10.datasets.dataset import ImageDataset
from s10.recipe import Recipe
from s10.runtime.device import pick_precision
from s10.runtime.progress import no_bars
from s10.speed.recipes import FastRecipe
from s10.training import train_epoch
from s10.transforms import SIZE

CIFAR10_TRAIN, CIFAR10_TEST = 50_000, 10_000
# A forward pass is about a third of the arithmetic of a training step.
FORWARD_SHARE = 1 / 3


def predicted_minutes(
    recipe: Recipe,
    device: torch.device,
    *,
    train_images: int = CIFAR10_TRAIN,
    test_images: int = CIFAR10_TEST,
    steps: int = 20,
) -> float:
    """Minutes that a run would take here, from `steps` timed steps on random images.

    The evaluation after each epoch is included; loading the data and drawing the
    figures are not.
    """
    step = seconds_per_step(recipe, device, steps)
    return recipe.epochs * seconds_per_epoch(recipe, step, train_images, test_images) / 60


def seconds_per_epoch(
    recipe: Recipe, seconds_per_step: float, train_images: int, test_images: int
) -> float:
    """Mean seconds of an epoch and its evaluation, from those of a step at full resolution."""
    training = -(-train_images // recipe.batch_size) * training_share(recipe)
    evaluation = FORWARD_SHARE * test_images / recipe.batch_size
    return (training + evaluation) * seconds_per_step


def training_share(recipe: Recipe) -> float:
    """The work of a run's training steps relative to as many steps at full resolution."""
    if not isinstance(recipe, FastRecipe):
        return 1.0
    return 1 - recipe.low_res_fraction * (1 - (recipe.low_res_size / SIZE) ** 2)


def seconds_per_step(recipe: Recipe, device: torch.device, steps: int = 20) -> float:
    """Mean seconds of a training step at full resolution over `steps`, after two to warm up."""
    if isinstance(recipe, FastRecipe):
        recipe = replace(recipe, low_res_fraction=0.0)
    # Different images in each step, but no more of them than necessary.
    dataset = random_dataset(min(4, steps) * recipe.batch_size)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), no_bars():
        model = recipe.make_model().to(device, memory_format=torch.channels_last)
        loader = replace(recipe, augment="batched").train_loader(dataset, device)
        optimizer = recipe.make_optimizer(model)
        precision = pick_precision(recipe.precision, device)
        options = {"precision": precision, "scaler": precision.scaler()}
        batches = itertools.chain.from_iterable(itertools.repeat(loader))
        train_epoch(model, itertools.islice(batches, 2), optimizer, **options)
        _synchronize(device)
        start = time.perf_counter()
        train_epoch(model, itertools.islice(batches, steps), optimizer, **options)
        _synchronize(device)
    return (time.perf_counter() - start) / steps


def random_dataset(count: int) -> ImageDataset:
    """`count` images of noise in ten classes, from which nothing can be learned."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = generator.integers(0, 10, count)
    classes = tuple(f"class {index}" for index in range(10))
    return ImageDataset(
        "noise", classes, pixels, labels, pixels[:1000], labels[:1000], CIFAR10_MEAN, CIFAR10_STD
    )


def _synchronize(device: torch.device) -> None:
    """Wait for a GPU, which computes while Python goes on."""
    if torch.device(device).type != "cpu":
        torch.accelerator.synchronize(device)
