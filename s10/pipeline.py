"""The whole jobs, from a recipe to a folder with results and pictures."""

import contextlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn

from s10.batches import eval_batches, train_batches
from s10.device import describe, keep_freed_memory, pick_device, pick_precision
from s10.errors import InputError, S10Error
from s10.images import Images, load_images
from s10.lr_range import LRRange, range_test_per_batch, range_test_per_epoch
from s10.networks import NETWORKS, initial_network
from s10.plots import (
    plot_class_accuracy,
    plot_confusion,
    plot_curves,
    plot_misclassified,
    plot_schedule,
)
from s10.plots.lr_range import plot_lr_range
from s10.plots.style import save_picture, sign
from s10.predictions import Predictions
from s10.recipe import Recipe
from s10.runs import Run, check_writable, commit, summarise, versions, write_atomically
from s10.schedules import one_cycle, trace
from s10.session import MINUTES
from s10.stopwatch import Stopwatch
from s10.team import Team
from s10.training import Fit, evaluate, fit, make_optimizer, seed_everything


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
    minutes: float = MINUTES,
    team: Team | None = None,
    stopwatch: Stopwatch | None = None,
) -> tuple[Run, Fit]:
    """Train the recipe's network and write everything about it to the folder `out`.

    Gives back the run and the fit. When the user interrupts it, what there is
    by then is written; with `resume` the run in `out` then goes on from there.
    Of a `team` each process calls this, and its leader prints and writes. A
    `stopwatch` that was started before is told how long each part takes.

    Raises:
        InputError: bad input; then nothing was changed.
        TrainingDiverged: the loss is not finite; recipe.json and the epochs so
            far in metrics.csv are kept.
    """
    stopwatch = stopwatch or Stopwatch()
    code = commit()  # Now: while a long run goes on, the checkout may change.
    torch_device = pick_device(device)
    precision = pick_precision(recipe.precision, torch_device)
    if torch_device.type == "cpu":
        keep_freed_memory()
    team = team or Team()
    run = Run.find(out) if resume else None
    if run is None and team.leads:
        Run.check_free(out, overwrite)
    if run and (differences := run.recipe().differences(recipe)):
        raise InputError(
            f"cannot go on with {out}: its recipe is another one: {'; '.join(differences)}"
        )
    # The leader first: it may have to download them.
    for turn in (True, False):
        if team.leads == turn:
            images = load_images(recipe.data, data_dir, data_url).normalised_by(recipe.std_of)
        team.wait()
    _check_images(images, team)
    seed_everything(recipe.seed)
    model = initial_network(recipe, images, torch_device)
    batches = train_batches(images, recipe, torch_device, workers, team)
    test = eval_batches(images, torch_device)
    # Before the folder is made: a schedule that cannot be must leave nothing behind.
    rates, momenta = trace(
        lambda optimizer: one_cycle(optimizer, recipe, len(batches)), recipe.epochs * len(batches)
    )
    subject = f"{_name(recipe)} of width {recipe.width} on {images.name}, seed {recipe.seed}"

    def draw_schedule() -> None:
        picture = plot_schedule(rates, momenta, len(batches))
        save_picture(sign(picture, subject), run.folder / "schedule.png")

    if team.leads:
        introduction = _introduction(recipe, images, model, len(batches), torch_device, precision)
        print("\n".join(introduction + _of_team(team)), flush=True)
        if run is None:
            run = Run.start(out, recipe, overwrite)
            with _room_in(run.folder):
                draw_schedule()
    run = run or Run(Path(out).expanduser())
    finished = run.is_finished()
    stopwatch.lap("data")

    result = fit(
        model,
        batches,
        test,
        recipe,
        images.classes,
        on_epoch=run.add_epoch,
        checkpoints=run.checkpoints,
        resume=resume,
        minutes=minutes,
        team=team,
    )
    stopwatch.lap("training")
    stopwatch.move(result.evaluation_seconds, "training", "evaluation")
    if team.leads and not finished:
        with _room_in(run.folder):
            if not (run.folder / "schedule.png").exists():  # Killed before it was drawn.
                draw_schedule()
            viewed = _look_again(recipe, model, test, images, result, precision)
            stopwatch.lap("evaluation")
            _write_results(
                run, recipe, images, model, result, viewed, subject, torch_device, stopwatch, code
            )
    return run, result


def _check_images(images: Images, team: Team) -> None:
    """Raise an InputError where a process has other images than the leader: another machine's."""
    if team.size == 1:
        return
    theirs = team.gathered((images.fingerprint(), list(images.classes)))
    for number, mine in enumerate(theirs):
        if mine != theirs[0]:
            raise InputError(f"process {number} has other images than process 0")


@contextlib.contextmanager
def _room_in(folder: Path):
    """Where writing fails, say so and what to do."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise S10Error(
            f"cannot write to {folder}: {getattr(error, 'strerror', None) or error}; "
            f"make room there, then {shlex.join(['s10', 'train', '--resume', str(folder)])}"
        ) from None


def _look_again(recipe, model, test, images, result, precision) -> float | None:
    """The accuracy over several views of each test image, if the recipe asks for them."""
    if recipe.test_views == 1 or result.interrupted:
        return None
    predictions = evaluate(
        model, test, images.classes, precision=precision, views=recipe.test_views
    )
    print(
        f"test accuracy {predictions.accuracy:.2%} over {recipe.test_views} views of each image",
        flush=True,
    )
    return predictions.accuracy


def _write_results(
    run, recipe, images, model, result, viewed, subject, device, stopwatch, code
) -> None:
    """History, network, pictures and summary; only the history where somebody said to end."""
    run.save_history(result.history.to_dict("records"))
    if result.told_to_end or result.predictions is None:
        return
    run.save_model(model, images)
    save_picture(sign(plot_curves(result.history), subject), run.folder / "curves.png")
    save_pictures(run.folder, images, result.predictions, subject)
    stopwatch.lap("pictures")
    summary = summarise(
        recipe,
        images,
        model,
        result,
        device=describe(device),
        precision=pick_precision(recipe.precision, device).name,
        stopwatch=stopwatch,
        code=code,
    )
    if viewed is not None:
        summary["test_accuracy_of_views"] = viewed
    run.save_summary(summary)


LR_RANGE_FILES = ("lr_range.csv", "lr_range.json", "lr_range.png")


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
    """Make an LR range test and write its curve, choice and picture to the folder `out`.

    Args:
        method: "per-batch" or "per-epoch" (see `s10.lr_range`).
        train_images: only the first so many training images; None for all.
        options: what is left for that range test: lr_low, lr_high, iterations
            or epochs.

    Raises:
        InputError: bad input; then nothing was changed.
    """
    out, code = Path(out).expanduser(), commit()
    torch_device = pick_device(device)
    if torch_device.type == "cpu":
        keep_freed_memory()
    if not overwrite and any((out / name).exists() for name in LR_RANGE_FILES):
        raise InputError(
            f"{out} already holds a range test; name another folder with --out, "
            "or replace it with --overwrite"
        )
    check_writable(out)
    images = load_images(recipe.data, data_dir, data_url).normalised_by(recipe.std_of)
    images = images.subset(train_images)

    def make_model() -> nn.Module:
        return initial_network(recipe, images, torch_device)

    def make_batches(seeded: Recipe):
        return train_batches(images, seeded, torch_device, workers)

    if method == "per-batch":
        model = make_model()
        result = range_test_per_batch(
            model,
            # With the momentum that stands beside LRMAX at the peak of the cycle.
            make_optimizer(model, recipe, momentum=recipe.momentum_min),
            make_batches(recipe),
            seeds=seeds,
            precision=recipe.precision,
            on_seed=lambda seed: print(f"seed {seed} …", flush=True),
            **options,
        )
    else:
        result = range_test_per_epoch(
            make_model,
            make_batches,
            recipe,
            seeds=seeds,
            on_epoch=lambda seed, rate, accuracy: print(
                f"seed {seed}  LR {rate:.6f}  training accuracy {accuracy:.2%}", flush=True
            ),
            **options,
        )
    out.mkdir(parents=True, exist_ok=True)
    subject = f"{_name(recipe)} of width {recipe.width} on {images.name}"
    save_picture(sign(plot_lr_range(result), subject), out / "lr_range.png")
    result.curves.to_csv(out / "lr_range.csv", index=False)
    summary = {
        "method": result.method,
        "lr_min": result.lr_min,
        "lr_max": result.lr_max,
        "spread": result.spread(),
        "steepest_spread": result.spread("steepest"),
        "choices": result.choices.to_dict("records"),
        "recipe": asdict(recipe),
        "dataset": images.describe(),
        "device": describe(torch_device),
        "precision": pick_precision(recipe.precision, torch_device).name,
        "versions": versions(),
        "commit": code,
    }
    write_atomically(out / "lr_range.json", json.dumps(summary, indent=2) + "\n")
    return result


def save_pictures(folder: Path, images: Images, predictions: Predictions, subject: str) -> None:
    """Class-wise accuracy, confusion matrix and misclassified images as PNG."""
    pictures = {
        "class_accuracy.png": plot_class_accuracy(predictions),
        "confusion.png": plot_confusion(predictions),
        "misclassified.png": plot_misclassified(images.test_images, predictions),
    }
    for name, figure in pictures.items():
        save_picture(sign(figure, subject), folder / name)


def _of_team(team: Team) -> list[str]:
    return [f"processes  {team.size}, each on its share of every batch"] * (team.size > 1)


def _name(recipe: Recipe) -> str:
    return NETWORKS[recipe.network].__name__


def _introduction(recipe, images, model, steps, device: torch.device, precision) -> list[str]:
    parameters = sum(p.numel() for p in model.parameters())
    final_lr = recipe.lr_min if recipe.final_lr is None else recipe.final_lr
    return [
        f"device     {describe(device)}, precision {precision.name}",
        f"data       {images.name}: {len(images.train_images):,} training and "
        f"{len(images.test_images):,} test images, {len(images.classes)} classes",
        f"network    {_name(recipe)}, width {recipe.width}: {parameters:,} parameters",
        f"training   {recipe.epochs} epochs of {steps} batches of {recipe.batch_size}, "
        f"{recipe.optimizer}, {recipe.augment} augmentation, seed {recipe.seed}",
        f"LR         {recipe.lr_min:g} up to {recipe.lr_max:g} at the end of epoch "
        f"{recipe.peak_epoch}, down to {final_lr:g}",
    ]
