"""Train by a recipe and test once, at the end, which is what a race should time.

    python benchmarks/once.py laptop-94 --seed 0
    python benchmarks/once.py laptop-94 --seed 0 --hold-out 5000

`s10 train` tests after each epoch, and draws figures. The last line is the accuracy. Recipes
with test-time augmentation look at further views only where the network is unsure: at the
quarter of the images with the smallest probability of the predicted class.
"""

import time
from dataclasses import replace

import torch
from common import make_parser, prepare_device
from torch import nn

from s10 import ImageDataset, InputError, Recipe, load_dataset, seed_everything
from s10.cli.registry import find_recipe
from s10.loaders import set_epoch
from s10.runtime.device import pick_precision
from s10.speed.tta import evaluate_with_tta
from s10.training import TrainState, train_epoch

UNSURE = 0.25


def main(arguments: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("recipe", metavar="RECIPE")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(0)")
    parser.add_argument("--width", type=int, help="(the recipe's own)")
    parser.add_argument("--epochs", type=int, help="(the recipe's own)")
    parser.add_argument("--hold-out", type=int, metavar="N", help="test on N training images")
    options = parser.parse_args(arguments)
    device = prepare_device(options.device)
    try:
        recipe = find_recipe(options.recipe)
        changes = {"data": options.data, "seed": options.seed, "width": options.width}
        changes = {name: value for name, value in changes.items() if value is not None}
        recipe = replace(recipe, **changes)
        if options.epochs is not None:
            recipe = recipe.with_epochs(options.epochs)
        dataset = load_dataset(options.data, options.data_dir)
        if options.hold_out is not None:
            if not 0 < options.hold_out < len(dataset.train_images):
                parser.error(f"--hold-out must be from 1 to {len(dataset.train_images) - 1}")
            dataset = dataset.hold_out(options.hold_out)
        model = train(recipe, dataset, device)
    except InputError as error:
        parser.error(str(error))
    views = getattr(recipe, "tta_views", 1)
    predictions = evaluate_with_tta(
        model, recipe.test_loader(dataset, device), dataset.classes, views=views, share=UNSURE,
        precision=pick_precision(recipe.precision, device),
    )  # fmt: skip
    over = f" over {views} views of the unsure" if views > 1 else ""
    print(f"test accuracy{over}: {predictions.accuracy:.2%}")


def train(recipe: Recipe, dataset: ImageDataset, device: torch.device) -> nn.Module:
    """The trained network, and a line for each epoch. As `s10.fit`, without its tests."""
    precision = pick_precision(recipe.precision, device)
    seed_everything(recipe.seed)
    model = recipe.initial_model(dataset).to(device, memory_format=torch.channels_last)
    loader = recipe.train_loader(dataset, device)
    optimizer = recipe.make_optimizer(model)
    scheduler = recipe.make_scheduler(optimizer, len(loader))
    state = TrainState(model, optimizer, scheduler, precision.scaler(), loader, recipe,
                       dataset.classes, recipe.make_hooks())  # fmt: skip
    state.call("on_start")
    while not state.finished:
        start = time.perf_counter()
        set_epoch(loader, state.epoch)
        result = train_epoch(
            model, loader, optimizer, scheduler, precision=precision, scaler=state.scaler,
            label_smoothing=recipe.label_smoothing, metrics=state.metrics,
            on_step=state.after_step,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        accuracy = f"training accuracy {result.accuracy:.2%}"
        print(f"epoch {state.epoch}: {accuracy}, {seconds:.1f} s", flush=True)
        state.epoch, state.step = state.epoch + 1, 0
        state.metrics.reset()
        state.call("on_epoch")
    state.call("on_end")
    return model


if __name__ == "__main__":
    main()
