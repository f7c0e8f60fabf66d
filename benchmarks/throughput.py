"""How fast the training loop and the augmentations are, against what they are compared with.

    python benchmarks/throughput.py [--widths 64 16] [--json FILE]

1. Training: images per second of `s10.train_epoch` (augmentation, metrics and
   schedule included) against a bare loop: the same network and precision,
   one fixed batch in memory, nothing but forward, backward and step. The two
   take turns, so that a machine that slows down slows both.
2. Augmentation: the batched one against the albumentations pipeline, images
   per second, each giving whole batches of normalised float32 tensors:
   albumentations in this process and with a worker for each core.

All figures are medians over rounds; the first round warms up and is dropped.
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

from s10 import CustomResNet, Recipe, make_optimizer, one_cycle, train_batches, train_epoch
from s10.device import describe, keep_freed_memory, pick_device, pick_precision
from s10.preflight import random_images
from s10.runs import commit, versions

ROUNDS = 7


def training(width: int, device: torch.device, seconds: float) -> dict:
    """Images per second of the library's loop and of the bare one, and their ratio."""
    recipe = replace(Recipe(), width=width)
    precision = pick_precision("auto", device)

    def network():
        model = CustomResNet(10, width).to(device, memory_format=torch.channels_last)
        return model, make_optimizer(model, recipe)

    bare_model, bare_optimizer = network()
    model, optimizer = network()
    fixed = next(iter(train_batches(random_images(recipe.batch_size), recipe, device)))
    fixed = (fixed[0].contiguous(memory_format=torch.channels_last), fixed[1])

    def bare(steps: int) -> None:
        bare_model.train()
        images, labels = fixed
        for _ in range(steps):
            with precision.autocast():
                loss = F.cross_entropy(bare_model(images).float(), labels)
            bare_optimizer.zero_grad()
            loss.backward()
            bare_optimizer.step()

    # As many steps as fit into the time asked for, and so many images in the epoch.
    bare(2)
    step = clock(lambda: bare(2), device) / 2
    steps = max(4, round(seconds / step))
    batches = train_batches(random_images(steps * recipe.batch_size), recipe, device)
    scheduler = one_cycle(optimizer, replace(recipe, epochs=1000), steps)

    def ours() -> None:
        train_epoch(model, batches, optimizer, scheduler, precision=precision)

    rates = {"loop": [], "bare": []}
    for number in range(ROUNDS):
        for name, work in (("loop", ours), ("bare", lambda: bare(steps))):
            rate = steps * recipe.batch_size / clock(work, device)
            if number:
                rates[name].append(rate)
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
    recipe = Recipe()
    many, few = random_images(40 * recipe.batch_size), random_images(8 * recipe.batch_size)
    rates = {}
    cores = torch.get_num_threads()
    kinds = {
        "batched": (many, "batched", 0),
        "albumentations": (few, "albumentations", 0),
        f"albumentations_{cores}_workers": (few, "albumentations", cores),
    }
    loaders = {
        name: train_batches(images, replace(recipe, augment=kind), device, workers)
        for name, (images, kind, workers) in kinds.items()
    }
    found = {name: [] for name in kinds}
    for number in range(ROUNDS):
        for name, loader in loaders.items():
            seconds = clock(lambda loader=loader: [len(labels) for _, labels in loader], device)
            if number:
                found[name].append(len(kinds[name][0].train_labels) / seconds)
    rates = {name: round(statistics.median(values)) for name, values in found.items()}
    return {
        "images_per_second": rates,
        "ratios": {
            name: round(rates["batched"] / rate, 1)
            for name, rate in rates.items()
            if name != "batched"
        },
    }


def clock(work, device: torch.device) -> float:
    """Seconds that the work takes, the GPU's included."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 16])
    parser.add_argument("--seconds", type=float, default=6, help="for each round of each loop")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    device = pick_device(options.device)
    if device.type == "cpu":
        keep_freed_memory()
    torch.manual_seed(0)
    print(f"{describe(device)}, batch {Recipe().batch_size}")
    result = {"device": describe(device), "versions": versions(), "commit": commit()}
    result["augmentation"] = augmentation(device)
    for name, rate in result["augmentation"]["images_per_second"].items():
        ratio = result["augmentation"]["ratios"].get(name)
        print(f"augmentation {name:28s} {rate:9,} images/s"
              + (f"   batched is {ratio} times as fast" if ratio else ""))  # fmt: skip
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
