"""How long a run would take on this machine."""

import itertools
import time
from dataclasses import replace

import numpy as np
import torch

from s10.datasets.dataset import ImageDataset
from s10.recipe import Recipe
from s10.runtime.device import pick_precision
from s10.runtime.progress import no_bars
from s10.speed.recipes import FastRecipe
from s10.training import train_epoch


def predicted_minutes(recipe: Recipe, device: torch.device) -> float:
    """Minutes that a run on CIFAR-10 would take here, from timed steps on random images.

    Loading the data and drawing the figures are not included.
    """
    return run_minutes(recipe, recipe.epochs, seconds_per_step(recipe, device), 50_000, 10_000)


def run_minutes(
    recipe: Recipe, epochs: int, seconds_per_step: float, train_images: int, test_images: int
) -> float:
    """Minutes of `epochs` and their evaluations, from the time of a step at full resolution."""
    training = -(-train_images // recipe.batch_size)
    if isinstance(recipe, FastRecipe):
        training *= recipe.relative_work()
    # A forward pass is about a third of the arithmetic of a training step.
    evaluation = test_images / recipe.batch_size / 3
    return epochs * (training + evaluation) * seconds_per_step / 60


def seconds_per_step(recipe: Recipe, device: torch.device, seconds: float = 2.0) -> float:
    """Seconds of a training step at full resolution: the median of about so many seconds.

    The median, as other programs disturb single steps. A CPU's time grows with the images, except
    in the optimizer, so there smaller batches are timed, and scaled: without bf16, a step of 512
    images can take 20 s at full width.
    """
    size = recipe.batch_size
    if device.type == "cpu":
        size = min(size, max(1, 4096 // recipe.width))
    timed = replace(recipe, batch_size=size, augment="batched")
    if isinstance(recipe, FastRecipe):
        timed = replace(timed, low_res_fraction=0.0)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), no_bars():
        model = timed.make_model().to(device, memory_format=torch.channels_last)
        loader = timed.train_loader(random_dataset(4 * size), device)
        optimizer = timed.make_optimizer(model)
        precision = pick_precision(timed.precision, device)
        options = {"precision": precision, "scaler": precision.scaler()}
        batches = itertools.chain.from_iterable(itertools.repeat(loader))
        train_epoch(model, itertools.islice(batches, 2), optimizer, **options)  # warms up
        ends, in_optimizer = [], []
        clock = time.perf_counter
        optimizer.register_step_pre_hook(lambda *_: in_optimizer.append(-clock()))
        optimizer.register_step_post_hook(
            lambda *_: in_optimizer.append(in_optimizer.pop() + clock())
        )

        def until_late():
            _synchronize(device)
            ends.append(clock())
            while ends[-1] - ends[0] < seconds:
                yield next(batches)
                _synchronize(device)
                ends.append(clock())

        train_epoch(model, until_late(), optimizer, **options)
    fixed = float(np.median(in_optimizer))
    return (float(np.median(np.diff(ends))) - fixed) * recipe.batch_size / size + fixed


def random_dataset(count: int) -> ImageDataset:
    """`count` images of noise in ten classes, from which nothing can be learned."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = generator.integers(0, 10, count)
    images = pixels, labels, pixels[:1000], labels[:1000]
    return ImageDataset.from_arrays("noise", "0123456789", *images)


def _synchronize(device: torch.device) -> None:
    """Wait for a GPU, which computes while Python goes on."""
    if torch.device(device).type != "cpu":
        torch.accelerator.synchronize(device)
