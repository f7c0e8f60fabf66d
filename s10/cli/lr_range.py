"""`s10 lr-range`: an LR range test and the folder with its curve, its choice and its figure."""

import json
from pathlib import Path

from torch import nn

from s10.cli.arguments import recipe_from_options
from s10.cli.runs import describe_conditions, new_folder, report_write_errors
from s10.datasets import load_dataset
from s10.lr_finder import range_test_per_batch, range_test_per_epoch
from s10.plots import plot_lr_range
from s10.plots.style import add_caption, save_figure
from s10.recipe import Recipe
from s10.runtime.device import pick_device, report_out_of_memory, tune_malloc
from s10.runtime.errors import InputError
from s10.runtime.files import check_writable, write_atomically

FILES = ("lr_range.csv", "lr_range.json", "lr_range.png")


def lr_range(options) -> int:
    """`s10 lr-range`: run the test, and write its curve, choice and figure to a folder."""
    per_batch = options.method == "per-batch"
    if (options.range_epochs if per_batch else options.iterations) is not None:
        raise InputError("--iterations is for --method per-batch, --epochs for per-epoch")
    recipe = recipe_from_options(options)
    out = Path(options.out or f"{new_folder(recipe)}-lr-range").expanduser()
    device = pick_device(options.device)
    if device.type == "cpu":
        tune_malloc()
    if not options.overwrite and any((out / name).exists() for name in FILES):
        raise InputError(
            f"{out} already holds a range test; name another folder with --out, "
            "or replace it with --overwrite"
        )
    check_writable(out)
    dataset = load_dataset(recipe.data, options.data_dir, options.data_url)
    dataset = dataset.subset(options.images)
    conditions = describe_conditions(recipe, dataset, device)

    def make_model() -> nn.Module:
        return recipe.initial_model(dataset).to(device)

    def make_loader(seeded: Recipe):
        return seeded.train_loader(dataset, device, workers=options.workers)

    def on_seed(seed: int) -> None:
        print(f"seed {seed} …", flush=True)

    def on_epoch(seed: int, lr: float, accuracy: float) -> None:
        print(f"seed {seed}  LR {lr:.6f}  training accuracy {accuracy:.2%}", flush=True)

    settings = {"lr_low": options.lr_low, "lr_high": options.lr_high}
    if per_batch:
        range_test = range_test_per_batch
        settings |= {"iterations": options.iterations, "on_seed": on_seed}
    else:
        range_test = range_test_per_epoch
        settings |= {"epochs": options.range_epochs, "on_epoch": on_epoch}
    # What is not given keeps the default of the range test itself.
    given = {name: value for name, value in settings.items() if value is not None}
    given["seeds"] = range(recipe.seed, recipe.seed + options.seeds)
    with report_out_of_memory(recipe.batch_size):
        result = range_test(make_model, make_loader, recipe, **given)
    print(result.summary())
    caption = f"{type(recipe.make_model()).__name__} of width {recipe.width} on {dataset.name}"
    summary = {
        "method": result.method,
        "lr_min": result.lr_min,
        "lr_max": result.lr_max,
        "spread": result.spread(),
        "steepest_spread": result.spread("steepest"),
        "choices": result.choices.to_dict("records"),
        **conditions,
    }
    curves = result.curves.to_csv(index=False, lineterminator="\n")
    with report_write_errors(out, "make room there, or name another folder with --out"):
        out.mkdir(parents=True, exist_ok=True)
        save_figure(add_caption(plot_lr_range(result), caption), out / "lr_range.png")
        write_atomically(out / "lr_range.csv", curves)
        write_atomically(out / "lr_range.json", json.dumps(summary, indent=2) + "\n")
    print(f"figure: {out / 'lr_range.png'}")
    return 0
