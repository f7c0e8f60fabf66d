"""The command line: train, lr-range, evaluate, check, grade, predict, submissions, info."""

import errno
import os
import shlex
import signal
import sys
from dataclasses import replace
from pathlib import Path

from s10.cli.arguments import make_parser, recipe_from_options
from s10.cli.check import check
from s10.cli.grade import grade
from s10.cli.lr_range import lr_range
from s10.cli.pictures import UNLIKE, predict
from s10.cli.pretrained import find_run
from s10.cli.registry import RECIPES
from s10.cli.runs import (
    FIGURES,
    Run,
    commit,
    new_folder,
    on_this_device,
    report_write_errors,
    versions,
)
from s10.cli.stopwatch import Stopwatch
from s10.cli.train import plot_predictions, save_figures, train_run
from s10.course.measured import submission_table
from s10.course.timing import predicted_minutes
from s10.datasets import SOURCES, default_data_dir, load_dataset
from s10.datasets.cifar10 import find_cifar10
from s10.loaders import eval_loader
from s10.predictions import Predictions
from s10.recipe import Recipe
from s10.runtime.device import (
    describe_device,
    enable_determinism,
    pick_device,
    pick_precision,
    report_out_of_memory,
    tune_malloc,
)
from s10.runtime.distributed import distributed_context
from s10.runtime.errors import InputError, S10Error, one_line
from s10.runtime.files import check_writable
from s10.runtime.progress import format_duration, ignore_output_errors
from s10.speed.tta import evaluate_with_tta
from s10.training import FitResult

EXIT_BAD_INPUT, EXIT_FAILED, EXIT_INTERRUPTED = 2, 1, 130
ADVICE = "make room there, or name another folder with --out"
EXIT_SIGNAL = 128  # plus the signal's number, as in a shell


@ignore_output_errors()
def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    commands = {
        "train": train,
        "lr-range": lr_range,
        "evaluate": evaluate,
        "check": check,
        "grade": grade,
        "predict": predict_pictures,
        "submissions": submissions,
        "info": info,
    }
    try:
        options = make_parser().parse_args(arguments)
        return commands[options.command](options)
    except InputError as error:
        if os.environ.get("LOCAL_RANK", "0") == "0":  # All processes here would say the same.
            print(f"s10: error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        print(f"s10: error: {error.strerror}: {error.filename}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except S10Error as error:
        print(f"s10: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("s10: stopped", file=sys.stderr)
        return EXIT_INTERRUPTED


def train(options) -> int:
    """`s10 train`."""
    stopwatch = Stopwatch()
    recipe = _recipe_to_train(options)
    if options.deterministic:
        enable_determinism()
    with distributed_context(pick_device(options.device)) as context:
        folder = options.resume or options.out or str(new_folder(recipe))
        with report_out_of_memory(recipe.batch_size):
            run, result = train_run(
                recipe,
                context.broadcast(folder),  # Its name may hold the time.
                device=options.device,
                data_dir=options.data_dir,
                data_url=options.data_url,
                workers=options.workers,
                overwrite=options.overwrite,
                resume=bool(options.resume),
                minutes=options.checkpoint_minutes,
                views=options.views,
                context=context,
                stopwatch=stopwatch,
            )
        if context.is_main_process:
            print(stopwatch.summary())
            _print_outcome(run, result, options)
        context.barrier()  # torchrun would end the others as soon as one has ended.
    return EXIT_SIGNAL + (result.signal or signal.SIGINT) if result.interrupted else 0


def _recipe_to_train(options) -> Recipe:
    if not options.resume:
        return recipe_from_options(options)
    if options.out or options.overwrite:
        raise InputError("--resume continues in the run's own folder: no --out, no --overwrite")
    # By default the run's own recipe; whatever else is asked for has to agree with it.
    own = Run.open(options.resume).recipe()
    return recipe_from_options(options, None if options.recipe else own)


def _print_outcome(run: Run, result: FitResult, options) -> None:
    if result.predictions is not None and not result.terminated:
        print(
            f"test accuracy {result.predictions.accuracy:.2%} after {result.position}, "
            f"{result.seconds:.0f} s of training; figures:"
        )
        for name in FIGURES:
            print(f"  {run.folder / name}")
    if result.interrupted:
        print(f"resume with: {_resume_command(run.folder, options)}")


def _resume_command(folder: Path, options) -> str:
    """The command, with those options that the run's recipe does not hold."""
    words, default = ["s10", "train", "--resume", str(folder)], make_parser().parse_args(["train"])
    for name in ("device", "data_dir", "data_url", "workers", "views", "checkpoint_minutes"):
        value = getattr(options, name)
        if value != getattr(default, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words + ["--deterministic"] * options.deterministic)


def evaluate(options) -> int:
    """`s10 evaluate`."""
    run = find_run(options.run_folder)
    if options.out:
        check_writable(out := Path(options.out).expanduser())
    device = pick_device(options.device)
    recipe = on_this_device(run.recipe(), device)
    model, metadata = run.load_model()
    source = options.data or recipe.data
    dataset = load_dataset(source, options.data_dir, options.data_url, train=False)
    if list(dataset.classes) != metadata["classes"]:
        raise InputError(
            f"the classes of {dataset.name} ({', '.join(dataset.classes)}) are not those "
            f"that the network was trained on ({', '.join(metadata['classes'])})"
        )
    # The network expects the normalization that it was trained with.
    loader = eval_loader(
        dataset.test_images, dataset.test_labels, metadata["mean"], metadata["std"], device
    )
    precision = pick_precision(recipe.precision, device)
    predictions = evaluate_with_tta(
        model.to(device), loader, dataset.classes, views=options.views or 1, precision=precision
    )
    _print_predictions(dataset.name, predictions, options.views)
    if options.out:
        figures = plot_predictions(dataset, predictions)
        with report_write_errors(out, ADVICE):
            out.mkdir(parents=True, exist_ok=True)
            save_figures(out, figures, f"{run.folder.name} on {dataset.name}")
        print(f"figures: {out}")
    return 0


def _print_predictions(name: str, predictions: Predictions, views: int | None) -> None:
    with_views = f", {views} views of each" if views else ""
    print(
        f"{name}: test accuracy {predictions.accuracy:.2%}, loss {predictions.loss:.4f}, "
        f"{len(predictions.labels):,} images{with_views}"
    )
    for row in predictions.class_accuracy().itertuples():
        print(
            f"  {one_line(row[1]):12s} {row.accuracy:7.2%}  (95%: {row.low:.1%} to {row.high:.1%})"
        )
    for pair in predictions.confused_pairs().head(5).itertuples():
        names = one_line(f"{pair.true} misclassified as {pair.predicted}")
        print(f"  {names}: {pair.count} times")


def predict_pictures(options) -> int:
    """`s10 predict`."""
    if options.out:
        check_writable(Path(options.out).expanduser())
    found = predict(options.run_folder, options.pictures)
    print(found)
    if found.unlike.any():
        print(f"{UNLIKE}: other colors and textures, so do not trust the answer")
    if options.out:
        out = Path(options.out).expanduser()
        with report_write_errors(out, ADVICE):
            out.mkdir(parents=True, exist_ok=True)
            save_figures(out, {"pictures.png": found.plot()}, f"classified by {options.run_folder}")
        print(f"as the network sees them: {out / 'pictures.png'}")
    return 0


def submissions(options) -> int:
    """`s10 submissions`."""
    print("Test and training accuracy after epoch 24, in %.")
    print(submission_table().to_string(index=False, na_rep="-"))
    print("Train one with `s10 train --recipe NAME`; s10/submissions/published.py says what is")
    print("stated in each README and what is our choice.")
    return 0


def info(options) -> int:
    """`s10 info`."""
    device = pick_device(options.device)
    if device.type == "cpu":
        tune_malloc()
    print("versions   " + ", ".join(f"{name} {number}" for name, number in versions().items()))
    print(f"commit     {commit()}")
    precision = pick_precision("auto", device)
    print(f"device     {describe_device(device)}, precision {precision.name}")
    data_dir = default_data_dir(options.data_dir)
    found = find_cifar10(data_dir)
    print(f"data       CIFAR-10 {f'in {found}' if found else f'not in {data_dir} yet'}; {SOURCES}")
    print("a run on CIFAR-10 would take, estimated from timed steps")
    for name, width in (("assignment", 64), ("assignment", 16), ("laptop", 32)):
        minutes = predicted_minutes(replace(RECIPES[name], width=width), device)
        print(f"  {name}, width {width}: {format_duration(60 * minutes)}", flush=True)
    return 0
