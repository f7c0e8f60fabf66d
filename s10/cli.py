"""The command line: `s10 train`, `lr-range`, `evaluate`, `submissions`, `info`."""

import os
import shlex
import signal
import sys
from dataclasses import replace
from pathlib import Path

from s10.arguments import make_parser
from s10.errors import InputError, S10Error
from s10.recipe import Recipe
from s10.recipes import RECIPES, find_recipe

EXIT_BAD_INPUT, EXIT_FAILED, EXIT_INTERRUPTED = 2, 1, 130
EXIT_SIGNAL = 128  # plus the signal's number, as shells have it


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; gives back the exit status."""
    jobs = {
        "train": train,
        "lr-range": lr_range,
        "evaluate": evaluate,
        "submissions": submissions,
        "info": info,
    }
    try:
        options = make_parser().parse_args(arguments)
        return jobs[options.command](options)
    except InputError as error:
        if os.environ.get("LOCAL_RANK", "0") == "0":  # Of a team all on a machine say the same.
            print(f"s10: error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except S10Error as error:
        print(f"s10: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("s10: stopped", file=sys.stderr)
        return EXIT_INTERRUPTED


def train(options) -> int:
    """`s10 train`."""
    from s10 import STARTED
    from s10.device import be_deterministic, pick_device
    from s10.pipeline import train_run
    from s10.runs import Run, new_folder
    from s10.stopwatch import Stopwatch
    from s10.team import team
    from s10.training import enough_memory

    stopwatch = Stopwatch(STARTED)
    stopwatch.lap("imports")

    if options.resume:
        if options.out or options.overwrite:
            raise InputError("--resume goes on in the run's own folder: no --out, no --overwrite")
        # The run's own recipe; whatever else is asked for has to agree with it.
        own = Run.find(options.resume).recipe()
        recipe = _recipe(options, None if options.recipe else own)
    else:
        recipe = _recipe(options)
    if options.deterministic:
        be_deterministic()
    with team(pick_device(options.device)) as members:
        out = members.from_leader(options.resume or options.out or str(new_folder(recipe)))
        with enough_memory(recipe):
            run, result = train_run(
                recipe,
                out,
                device=options.device,
                data_dir=options.data_dir,
                data_url=options.data_url,
                workers=options.workers,
                overwrite=options.overwrite,
                resume=bool(options.resume),
                minutes=options.checkpoint_minutes,
                team=members,
                stopwatch=stopwatch,
            )
        if members.leads:
            print(stopwatch.in_words())
            _say_what_came_out(run, result, options)
        members.wait()  # Else torchrun ends the others as soon as one has ended.
    return EXIT_SIGNAL + (result.signal or signal.SIGINT) if result.interrupted else 0


def _say_what_came_out(run, result, options) -> None:
    from s10.runs import PICTURES

    if result.predictions is not None and not result.told_to_end:
        print(
            f"test accuracy {result.predictions.accuracy:.2%} after epoch "
            f"{len(result.history)}, {result.seconds:.0f} s of training; look at"
        )
        for name in PICTURES:
            print(f"  {run.folder / name}")
    if result.interrupted:
        print(f"to go on: {_how_to_go_on(run.folder, options)}")


def _how_to_go_on(folder: Path, options) -> str:
    """The command, with those options that the run's recipe does not hold."""
    words, usual = ["s10", "train", "--resume", str(folder)], make_parser().parse_args(["train"])
    for name in ("device", "data_dir", "data_url", "workers", "checkpoint_minutes"):
        value = getattr(options, name)
        if value != getattr(usual, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words + ["--deterministic"] * options.deterministic)


def lr_range(options) -> int:
    """`s10 lr-range`."""
    from s10.pipeline import lr_range_run
    from s10.runs import new_folder
    from s10.training import enough_memory

    recipe = _recipe(options)
    # What is not given keeps the default of the range test itself.
    given = {"lr_low": options.lr_low, "lr_high": options.lr_high}
    if options.method == "per-batch":
        given["iterations"] = options.iterations
    else:
        given["epochs"] = options.range_epochs
    folder = Path(options.out or f"{new_folder(recipe)}-lr-range")
    with enough_memory(recipe):
        result = lr_range_run(
            recipe,
            folder,
            method=options.method,
            seeds=range(recipe.seed, recipe.seed + options.seeds),
            train_images=options.images,
            device=options.device,
            data_dir=options.data_dir,
            data_url=options.data_url,
            workers=options.workers,
            overwrite=options.overwrite,
            **{name: value for name, value in given.items() if value is not None},
        )
    print(result.in_words())
    print(f"the curve: {folder / 'lr_range.png'}")
    return 0


def evaluate(options) -> int:
    """`s10 evaluate`."""
    from dataclasses import replace as replaced

    from s10.batches import eval_batches
    from s10.device import pick_device, pick_precision
    from s10.images import load_images
    from s10.pipeline import save_pictures
    from s10.runs import Run, check_writable
    from s10.training import evaluate as predict

    folder = Path(options.run_folder).expanduser()
    if not folder.is_dir():
        raise InputError(f"there is no run {folder}")
    run = Run(folder)
    recipe = run.recipe()
    device = pick_device(options.device)
    if options.out:
        check_writable(Path(options.out))
    model, notes = run.load_model()
    images = load_images(options.data or recipe.data, options.data_dir, options.data_url)
    if list(images.classes) != notes["classes"]:
        raise InputError(
            f"the classes of {images.name} ({', '.join(images.classes)}) are not those "
            f"that the network was trained on ({', '.join(notes['classes'])})"
        )
    # The network expects the normalisation that it was trained with.
    images = replaced(images, mean=tuple(notes["mean"]), std=tuple(notes["std"]))
    predictions = predict(
        model.to(device),
        eval_batches(images, device),
        images.classes,
        precision=pick_precision(recipe.precision, device),
        views=options.test_views or 1,
    )
    views = f", mean over {options.test_views} views of each" if options.test_views else ""
    print(
        f"{images.name}: test accuracy {predictions.accuracy:.2%}, loss {predictions.loss:.4f}, "
        f"{len(predictions.labels):,} images{views}"
    )
    for row in predictions.class_accuracy().itertuples():
        print(f"  {row[1]:12s} {row.accuracy:7.2%}  (95 %: {row.low:.1%} to {row.high:.1%})")
    for pair in predictions.confused_pairs().head(5).itertuples():
        print(f"  {pair.true} taken for {pair.predicted}: {pair.count} times")
    if options.out:
        out = Path(options.out)
        out.mkdir(parents=True, exist_ok=True)
        save_pictures(out, images, predictions, f"{run.folder.name} on {images.name}")
        print(f"pictures: {out}")
    return 0


def submissions(options) -> int:
    """`s10 submissions`."""
    from s10.submissions.results import submission_table

    print("Test and training accuracy after epoch 24, in per cent.")
    print(submission_table().to_string(index=False, na_rep="-"))
    print("Train one with `s10 train --recipe NAME`; s10/submissions/published.py says what is")
    print("stated in each README and what is our choice.")
    return 0


def info(options) -> int:
    """`s10 info`."""
    from s10.device import describe, keep_freed_memory, pick_device, pick_precision
    from s10.images import SOURCES, default_data_dir
    from s10.images.cifar10 import find_cifar10
    from s10.preflight import predicted_minutes
    from s10.runs import commit, versions

    device = pick_device(options.device)
    if device.type == "cpu":
        keep_freed_memory()
    print("versions   " + ", ".join(f"{name} {number}" for name, number in versions().items()))
    print(f"commit     {commit()}")
    precision = pick_precision("auto", device)
    print(f"device     {describe(device)}, precision {precision.name}")
    data_dir = default_data_dir(options.data_dir)
    found = find_cifar10(data_dir)
    print(f"data       CIFAR-10 {f'in {found}' if found else f'not in {data_dir} yet'}; {SOURCES}")
    print("a run over CIFAR-10 would take, by 20 timed steps")
    for name, width in (("assignment", 64), ("assignment", 16), ("laptop", 32)):
        minutes = predicted_minutes(replace(RECIPES[name], width=width), device)
        print(f"  {name}, width {width}: {_duration(minutes)}", flush=True)
    return 0


def _recipe(options, recipe: Recipe | None = None) -> Recipe:
    """This recipe, or else the one that the options name, with what they change."""
    recipe = recipe or find_recipe(options.recipe or "assignment")
    if getattr(options, "epochs", None) is not None:
        recipe = recipe.with_epochs(options.epochs)
    if getattr(options, "lr_max", None) is not None:
        recipe = recipe.with_lr_max(options.lr_max)
    names = (
        "data", "width", "seed", "augment", "precision", "batch_size", "peak_epoch", "lr_min",
        "test_views",
    )  # fmt: skip
    given = {name: getattr(options, name, None) for name in names}
    return replace(recipe, **{name: value for name, value in given.items() if value is not None})


def _duration(minutes: float) -> str:
    if minutes < 1:
        return f"{60 * minutes:.0f} seconds"
    return f"{minutes:.1f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"
