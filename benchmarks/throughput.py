"""How fast the training loop and the augmentations are, against what they are compared with.

    python benchmarks/throughput.py [--widths 64 16] [--json FILE]

1. Training: images per second of `s10.train_epoch` (augmentation, metrics and schedule
   included) against a bare loop: the same network and precision, one fixed batch in
   memory, nothing but forward, backward and step.
2. Augmentation: the batched one against the albumentations pipeline, in images per
   second, each making whole batches of normalized float32 tensors: albumentations in
   this process, and with a worker for each core.

What is compared runs interleaved, so that a machine that slows down slows all of it. All
numbers are medians over rounds, without a first round to warm up.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from common import prepare_device

from s10 import Recipe, train_epoch
from s10.cli.runs import commit, versions
from s10.course.timing import random_dataset
from s10.runtime.device import describe_device, pick_precision

ROUNDS = 6


def training(width: int, device: torch.device, seconds: float) -> dict:
    """Images per second of the library's loop and of the bare one, and their ratio."""
    recipe = Recipe(width=width, epochs=1000)
    precision = pick_precision("auto", device)

    def network():
        model = recipe.make_model().to(device, memory_format=torch.channels_last)
        return model, recipe.make_optimizer(model)

    bare_model, bare_optimizer = network()
    model, optimizer = network()
    images, labels = next(iter(recipe.train_loader(random_dataset(recipe.batch_size), device)))
    images = images.contiguous(memory_format=torch.channels_last)

    def bare_loop(steps: int) -> None:
        bare_model.train()
        for _ in range(steps):
            with precision.autocast():
                loss = F.cross_entropy(bare_model(images).float(), labels)
            bare_optimizer.zero_grad()
            loss.backward()
            bare_optimizer.step()

    # As many steps as fit into the time asked for, and the images for them in one epoch.
    bare_loop(2)
    steps = max(4, round(seconds / (measure_seconds(lambda: bare_loop(2), device) / 2)))
    loader = recipe.train_loader(random_dataset(steps * recipe.batch_size), device)
    scheduler = recipe.make_scheduler(optimizer, steps)

    def loop() -> None:
        train_epoch(model, loader, optimizer, scheduler, precision=precision)

    count = steps * recipe.batch_size
    rates = interleaved_rates(
        {"loop": (loop, count), "bare": (lambda: bare_loop(steps), count)}, device
    )
    ratios = [ours / bare for ours, bare in zip(rates["loop"], rates["bare"], strict=True)]
    return {
        "width": width,
        "precision": precision.name,
        "loop_images_per_second": round(statistics.median(rates["loop"])),
        "bare_images_per_second": round(statistics.median(rates["bare"])),
        "ratio": round(statistics.median(ratios), 3),
    }


def augmentation(device: torch.device) -> dict:
    """Images per second of both augmentations, and their ratios."""
    recipe, cores = Recipe(), torch.get_num_threads()
    albumentations = replace(recipe, augment="albumentations")
    # The slower ones get fewer images.
    large, small = (random_dataset(batches * recipe.batch_size) for batches in (40, 8))
    loaders = {
        "batched": recipe.train_loader(large, device),
        "albumentations": albumentations.train_loader(small, device),
        f"albumentations_{cores}_workers": albumentations.train_loader(
            small, device, workers=cores
        ),
    }
    work = {
        name: (lambda loader=loader: [len(labels) for _, labels in loader], loader.count)
        for name, loader in loaders.items()
    }
    rates = {
        name: round(statistics.median(found))
        for name, found in interleaved_rates(work, device).items()
    }
    batched, *others = rates
    ratios = {name: round(rates[batched] / rates[name], 1) for name in others}
    return {"images_per_second": rates, "ratios": ratios}


def interleaved_rates(
    work: dict[str, tuple[Callable[[], object], int]], device: torch.device
) -> dict[str, list[float]]:
    """Name → images per second in each round; `work` has the function and its images."""
    rates = {name: [] for name in work}
    for number in range(1 + ROUNDS):
        for name, (function, images) in work.items():
            rate = images / measure_seconds(function, device)
            if number:
                rates[name].append(rate)
    return rates


def measure_seconds(function: Callable[[], object], device: torch.device) -> float:
    """Seconds that a call takes, the GPU's included."""
    start = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 16])
    parser.add_argument("--seconds", type=float, default=6, help="for each round of each loop")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    options = parser.parse_args(arguments)
    device = prepare_device(options.device)
    torch.manual_seed(0)
    print(f"{describe_device(device)}, batch {Recipe().batch_size}")
    result = {"device": describe_device(device), "versions": versions(), "commit": commit()}
    result["augmentation"] = augmentation(device)
    for name, rate in result["augmentation"]["images_per_second"].items():
        ratio = result["augmentation"]["ratios"].get(name)
        comparison = f"   batched is {ratio} times as fast" if ratio else ""
        print(f"augmentation {name:28s} {rate:9,} images/s{comparison}")
    result["training"] = []
    for width in options.widths:
        row = training(width, device, options.seconds)
        result["training"].append(row)
        print(
            f"training, width {width:2d} {row['precision']}: loop "
            f"{row['loop_images_per_second']:,} images/s, bare loop "
            f"{row['bare_images_per_second']:,} images/s, ratio {row['ratio']}"
        )
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
