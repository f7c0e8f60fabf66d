"""`s10 lr-range`: an LR range test and the folder with its curve, its choice and its figure."""

import json
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from s10.cli.runs import describe_conditions
from s10.datasets import load_dataset
from s10.lr_finder import LRRange, range_test_per_batch, range_test_per_epoch
from s10.plots import plot_lr_range
from s10.plots.style import add_caption, save_figure
from s10.recipe import Recipe
from s10.runtime.device import pick_device, tune_malloc
from s10.runtime.errors import InputError
from s10.runtime.files import check_writable, write_atomically

FILES = ("lr_range.csv", "lr_range.json", "lr_range.png")


def lr_range_run(
    recipe: Recipe,
    out: str | Path,
    *,
    method: str = "per-batch",
    seeds: Sequence[int] = (0, 1, 2),
    train_images: int | None = None,
    device: str = "auto",
    data_dir: str | Path | None = None,
    data_url: str | None = None,
    workers: int = 0,
    overwrite: bool = False,
    **options,
) -> LRRange:
    """Run an LR range test and write its curve, choice and figure to the folder `out`.

    Args:
        method: "per-batch" or "per-epoch" (see `s10.lr_finder`).
        train_images: only the first so many training images; None for all.
        options: those of the method: lr_low, lr_high, iterations or epochs.

    Raises:
        InputError: bad input; then nothing was changed.
    """
    out, device = Path(out).expanduser(), pick_device(device)
    if device.type == "cpu":
        tune_malloc()
    if not overwrite and any((out / name).exists() for name in FILES):
        raise InputError(
            f"{out} already holds a range test; name another folder with --out, "
            "or replace it with --overwrite"
        )
    check_writable(out)
    dataset = load_dataset(recipe.data, data_dir, data_url).subset(train_images)
    conditions = describe_conditions(recipe, dataset, device)

    def make_model() -> nn.Module:
        return recipe.initial_model(dataset).to(device)

    def make_loader(seeded: Recipe):
        return seeded.train_loader(dataset, device, workers=workers)

    model = make_model()
    if method == "per-batch":
        result = range_test_per_batch(
            model,
            # With the momentum that the LR meets at the peak of the cycle.
            recipe.make_optimizer(model, momentum=recipe.momentum_min),
            make_loader(recipe),
            seeds=seeds,
            precision=recipe.precision,
            on_seed=lambda seed: print(f"seed {seed} …", flush=True),
            **options,
        )
    else:
        result = range_test_per_epoch(
            make_model,
            make_loader,
            recipe,
            seeds=seeds,
            on_epoch=lambda seed, lr, accuracy: print(
                f"seed {seed}  LR {lr:.6f}  training accuracy {accuracy:.2%}", flush=True
            ),
            **options,
        )
    out.mkdir(parents=True, exist_ok=True)
    caption = f"{type(model).__name__} of width {recipe.width} on {dataset.name}"
    save_figure(add_caption(plot_lr_range(result), caption), out / "lr_range.png")
    write_atomically(out / "lr_range.csv", result.curves.to_csv(index=False, lineterminator="\n"))
    summary = {
        "method": result.method,
        "lr_min": result.lr_min,
        "lr_max": result.lr_max,
        "spread": result.spread(),
        "steepest_spread": result.spread("steepest"),
        "choices": result.choices.to_dict("records"),
        **conditions,
    }
    write_atomically(out / "lr_range.json", json.dumps(summary, indent=2) + "\n")
    return result
