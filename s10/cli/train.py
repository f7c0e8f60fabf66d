"""`s10 train`: from a recipe to a folder with the results and figures of a run."""

import contextlib
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from s10.cli.runs import Run, describe_conditions, on_this_device, report_write_errors
from s10.cli.stopwatch import Stopwatch, TimeEvaluation
from s10.datasets import ImageDataset, absolute_source, load_dataset
from s10.plots import (
    plot_class_accuracy,
    plot_confusion,
    plot_curves,
    plot_misclassified,
    plot_schedule,
)
from s10.plots.style import add_caption, save_figure
from s10.predictions import Predictions
from s10.recipe import Recipe
from s10.runtime.checkpoint_files import CheckpointFolder
from s10.runtime.checkpoints import Checkpointer
from s10.runtime.device import pick_device, pick_precision, tune_malloc
from s10.runtime.distributed import SINGLE_PROCESS, DistributedContext, SyncProcesses
from s10.runtime.errors import InputError, check_choice
from s10.runtime.hooks import Hook
from s10.schedules import simulate_schedule
from s10.speed.tta import VIEWS, evaluate_with_tta
from s10.training import FitResult, evaluate, fit, seed_everything


class MetricsFile(Hook):
    """Write the history to metrics.csv after each epoch.

    If that fails, it is reported and training continues: the checkpoints hold the
    history, too, and the end of the run writes it again.
    """

    def __init__(self, run: Run):
        self.run = run

    def on_epoch(self, state) -> None:
        try:
            self.run.save_history(state.history)
        except OSError as error:
            path = self.run.folder / "metrics.csv"
            print(f"cannot write to {path}: {error.strerror}; training continues", flush=True)


def train_run(
    recipe: Recipe,
    out: str | Path,
    *,
    device: str = "auto",
    data_dir: str | Path | None = None,
    data_url: str | None = None,
    workers: int = 0,
    overwrite: bool = False,
    resume: bool = False,
    minutes: float = 5.0,
    views: int | None = None,
    context: DistributedContext = SINGLE_PROCESS,
    stopwatch: Stopwatch | None = None,
) -> tuple[Run, FitResult]:
    """Train by the recipe and write everything about the run to the folder `out`.

    If it is interrupted, the results so far are written; with `resume` the run in `out`
    continues. Of several processes each calls this, and the main one prints and writes.

    Args:
        minutes: between two checkpoints within an epoch.
        views: of each test image, for test-time augmentation after the last epoch (see
            `s10.speed.tta`); default: the recipe's `tta_views`, if it has that field.
        stopwatch: measures how long each part takes.

    Raises:
        InputError: bad input; then nothing was changed.
        TrainingDiverged: the loss is not finite; recipe.json, metrics.csv and the
            checkpoints so far are kept.
        S10Error: the results cannot be written; the message says how to resume.
    """
    stopwatch = stopwatch or Stopwatch()
    torch_device = pick_device(device)
    if resume:
        recipe = on_this_device(recipe, torch_device)
    precision = pick_precision(recipe.precision, torch_device)
    views = views or getattr(recipe, "tta_views", 1)
    check_choice("tta_views", views, VIEWS)
    if torch_device.type == "cpu":
        tune_malloc()
    run = _check_folder(recipe, out, overwrite, resume, context)
    dataset = _load_dataset(recipe, data_dir, data_url, context)
    # From now on the path is right in any working directory.
    recipe = replace(recipe, data=absolute_source(recipe.data))
    # Now: during a long run the checkout may change.
    conditions = describe_conditions(recipe, dataset, torch_device)

    seed_everything(recipe.seed)
    model = recipe.initial_model(dataset).to(torch_device)
    train_loader = recipe.train_loader(
        dataset, torch_device, workers=workers, rank=context.rank, world_size=context.world_size
    )
    test_loader = recipe.test_loader(dataset, torch_device)
    # Before the folder is created: an impossible schedule must leave nothing behind.
    steps = len(train_loader)
    lrs, momenta = simulate_schedule(
        lambda optimizer: recipe.make_scheduler(optimizer, steps), recipe.epochs * steps
    )
    caption = (
        f"{type(model).__name__} of width {recipe.width} on {dataset.name}, seed {recipe.seed}"
    )
    if context.is_main_process:
        print(_introduction(recipe, dataset, model, steps, lrs, conditions), flush=True)
        if context.world_size > 1:
            print(f"processes  {context.world_size}, each trains on its shard of every batch")
        if not resume:
            Run.start(out, recipe, overwrite)
        if not (run.folder / "schedule.png").exists():
            with report_write_errors(run.folder):
                figures = {"schedule.png": plot_schedule(lrs, momenta, steps)}
                save_figures(run.folder, figures, caption)
    finished = run.is_finished()
    stopwatch.lap("data")

    hooks = [SyncProcesses(context), TimeEvaluation(stopwatch)]
    if context.is_main_process:
        hooks.append(MetricsFile(run))
    # After the metrics: what is killed between the two is trained, and written, again.
    hooks.append(Checkpointer(run.checkpoints, resume=resume, minutes=minutes, context=context))
    with _silent_unless_main(context):
        # What `wrap` returns trains `model` itself.
        result = fit(
            context.wrap(model), train_loader, test_loader, recipe, dataset.classes, hooks=hooks
        )
    stopwatch.lap("training")
    if not context.is_main_process:
        return run, result

    with_results = result.predictions is not None and not result.terminated
    if with_results and result.interrupted:
        # Within an epoch, say: what is written about the network is measured on these weights.
        predictions = evaluate(model, test_loader, dataset.classes, precision=precision)
        result = replace(result, predictions=predictions)
    tta = {}
    if views > 1 and not result.interrupted:
        predictions = evaluate_with_tta(
            model, test_loader, dataset.classes, views=views, precision=precision
        )
        print(f"test accuracy {predictions.accuracy:.2%} with {views} views of each image")
        tta = {"tta_test_accuracy": predictions.accuracy, "tta_views": views}
        stopwatch.lap("evaluation")
    if not finished:
        with report_write_errors(run.folder):
            run.save_history(result.history)
            if with_results:
                run.save_model(model, dataset.classes, *recipe.normalization(dataset))
                figures = {"curves.png": plot_curves(result.history)}
                figures |= plot_predictions(dataset, result.predictions)
                save_figures(run.folder, figures, caption)
                stopwatch.lap("figures")
                summary = summarize(recipe, model, result, stopwatch)
                run.save_summary({**summary, **tta, **conditions})
    return run, result


def plot_predictions(dataset: ImageDataset, predictions: Predictions) -> dict:
    """Figures of class-wise accuracy, confusion matrix and misclassified images, by file name."""
    return {
        "class_accuracy.png": plot_class_accuracy(predictions),
        "confusion.png": plot_confusion(predictions),
        "misclassified.png": plot_misclassified(dataset.test_images, predictions),
    }


def save_figures(folder: Path, figures: dict, caption: str) -> None:
    """Save figures, given by file name, with this caption."""
    for name, figure in figures.items():
        save_figure(add_caption(figure, caption), folder / name)


def summarize(recipe: Recipe, model: nn.Module, result: FitResult, stopwatch: Stopwatch) -> dict:
    """The results in summary.json; accuracies are fractions.

    Those on the test images are of the weights in model.safetensors, at `position`; those on
    the training images are of the last whole epoch.
    """
    last = result.history.iloc[-1]
    classes = result.predictions.class_accuracy()
    return {
        "test_accuracy": result.predictions.accuracy,
        "train_accuracy": float(last.train_accuracy),
        "test_loss": result.predictions.loss,
        "train_loss": float(last.train_loss),
        "class_accuracy": {
            name: None if np.isnan(accuracy) else accuracy
            for name, accuracy in zip(classes["class"], classes["accuracy"], strict=True)
        },
        "parameters": count_parameters(model),
        "epochs": len(result.history),
        "interrupted": result.interrupted,
        "position": result.position,
        "batch_size": recipe.batch_size,
        "lr_max": recipe.lr_max,
        "lr_min": recipe.lr_min,
        "seed": recipe.seed,
        # Of all epochs, also of those before an interruption.
        "train_seconds": round(float(result.history["seconds"].sum()), 2),
        "total_seconds": round(stopwatch.total, 2),
        # By part; since the last interruption, if there was one.
        "seconds": {part: round(seconds, 2) for part, seconds in stopwatch.parts.items()},
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def count_parameters(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def check_same_images(dataset: ImageDataset, context: DistributedContext) -> None:
    """Raise an InputError where a process, on another machine, has other images."""
    if context.world_size == 1:
        return
    found = context.all_gather((dataset.fingerprint(), dataset.classes))
    for rank, images in enumerate(found):
        if images != found[0]:
            raise InputError(f"process {rank} has other images than process 0")


def _check_folder(
    recipe: Recipe, out: str | Path, overwrite: bool, resume: bool, context: DistributedContext
) -> Run:
    """The run in `out`, if it may be started or resumed there; nothing is written yet."""
    if resume:
        run = Run.open(out)
        begun = run.recipe().to_dict() | {"precision": recipe.precision}
        same_path = absolute_source(begun["data"]) == absolute_source(recipe.data)
        if same_path or CheckpointFolder(run.checkpoints).files():  # These know the images.
            begun["data"] = recipe.data
        if differences := recipe.differences(begun):
            raise InputError(f"cannot resume {out}: its recipe differs: {'; '.join(differences)}")
        return run
    if context.is_main_process:
        Run.check_free(out, overwrite)
    return Run(Path(out).expanduser())


def _load_dataset(recipe, data_dir, data_url, context: DistributedContext) -> ImageDataset:
    """The recipe's images. The main process comes first, as it may have to download them."""
    for main_process in (True, False):
        if context.is_main_process == main_process:
            dataset = load_dataset(recipe.data, data_dir, data_url)
        context.barrier()
    check_same_images(dataset, context)
    return dataset


def _introduction(recipe, dataset, model, steps: int, lrs: list[float], conditions: dict) -> str:
    optimizer, peak = type(recipe.make_optimizer(model)).__name__, lrs.index(max(lrs))
    return (
        f"device     {conditions['device']}, precision {conditions['precision']}\n"
        f"data       {dataset.name}: {len(dataset.train_images):,} training and "
        f"{len(dataset.test_images):,} test images, {len(dataset.classes)} classes\n"
        f"network    {type(model).__name__}, width {recipe.width}: "
        f"{count_parameters(model):,} parameters\n"
        f"training   {recipe.epochs} epochs of {steps} batches of {recipe.batch_size}, "
        f"{optimizer}, {recipe.augment} augmentation, seed {recipe.seed}\n"
        f"LR         {lrs[0]:.3g} up to {lrs[peak]:.3g} in epoch {peak // steps + 1}, "
        f"down to {lrs[-1]:.3g}"
    )


@contextlib.contextmanager
def _silent_unless_main(context: DistributedContext):
    """Processes other than the main one print no lines."""
    if context.is_main_process:
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
