"""The command line: `s10 train`, `lr-range`, `evaluate`, `submissions`, `info`."""

import argparse
import math
import os
import shlex
import signal
import sys
from dataclasses import replace
from pathlib import Path

from s10.errors import InputError, S10Error
from s10.recipe import CHOICES, Recipe
from s10.recipes import RECIPES, find_recipe

EXIT_BAD_INPUT, EXIT_FAILED, EXIT_INTERRUPTED = 2, 1, 130
EXIT_SIGNAL = 128  # plus the signal's number, as shells have it

DESCRIPTION = """\
Train a small residual network on CIFAR-10 in 24 epochs with the one-cycle policy.

  s10 train --data shapes --width 16     a first run that needs no download (about a minute)
  s10 train --data cifar10 --width 16    real images on a laptop's CPU
  s10 train --data cifar10               the assignment itself, on a GPU
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; gives back the exit status."""
    parser = _parser()
    try:
        options = parser.parse_args(arguments)
        return options.run(options)
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
    from s10.device import be_deterministic, pick_device
    from s10.pipeline import train_run
    from s10.runs import Run, new_folder
    from s10.team import team
    from s10.training import enough_memory

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
            )
        if members.leads:
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
    words, usual = ["s10", "train", "--resume", str(folder)], _parser().parse_args(["train"])
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
    )
    print(
        f"{images.name}: test accuracy {predictions.accuracy:.2%}, loss {predictions.loss:.4f}, "
        f"{len(predictions.labels):,} images"
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
    for width in (64, 16):
        minutes = predicted_minutes(replace(Recipe(), width=width), device)
        print(f"  assignment, width {width}: {_duration(minutes)}", flush=True)
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
    )  # fmt: skip
    given = {name: getattr(options, name, None) for name in names}
    return replace(recipe, **{name: value for name, value in given.items() if value is not None})


def _duration(minutes: float) -> str:
    if minutes < 1:
        return f"{60 * minutes:.0f} seconds"
    return f"{minutes:.1f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"


class _Parser(argparse.ArgumentParser):
    """Complains in one line."""

    def error(self, message: str):
        raise InputError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="s10",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="`s10 COMMAND --help` explains each command.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = commands.add_parser("train", help="train the network and draw what came of it")
    command.set_defaults(run=train)
    _add_data(command)
    _add_network(command)
    group = command.add_argument_group("training")
    group.add_argument("--epochs", type=int, metavar="N", help="the LR's peak keeps its share (24)")
    group.add_argument("--peak-epoch", type=int, metavar="N", help="the LR peaks at its end (5)")
    group.add_argument("--lr-max", type=float, metavar="X", help="LR at the peak; LRMIN follows it")
    group.add_argument("--lr-min", type=float, metavar="X", help="LR at the start and at the end")
    _add_out(command, "the run")
    command.add_argument(
        "--resume", metavar="RUN", help="go on with an interrupted run, given by its folder"
    )
    command.add_argument(
        "--deterministic", action="store_true",
        help="on a GPU, too, the same bits each time; slower (a CPU gives them anyway)",
    )  # fmt: skip
    command.add_argument(
        "--checkpoint-minutes", type=_minutes, default=5.0, metavar="N",
        help="keep the training after every epoch, and within one every N minutes (5)",
    )  # fmt: skip

    command = commands.add_parser("lr-range", help="find LRMIN and LRMAX by a range test")
    command.set_defaults(run=lr_range)
    _add_data(command)
    _add_network(command)
    group = command.add_argument_group("range test")
    group.add_argument(
        "--method", choices=("per-batch", "per-epoch"), default="per-batch",
        help="the LR grows with each batch, loss against LR (default), or a fresh network "
        "for each LR, accuracy against LR",
    )  # fmt: skip
    group.add_argument("--lr-low", type=float, metavar="X", help="smallest LR (1e-6; 1e-4)")
    group.add_argument("--lr-high", type=float, metavar="X", help="largest LR (1)")
    group.add_argument("--iterations", type=int, metavar="N", help="batches, per-batch (100)")
    group.add_argument(
        "--epochs", dest="range_epochs", type=int, default=20, metavar="N",
        help="LRs, per-epoch (20)",
    )  # fmt: skip
    group.add_argument(
        "--images", type=_count, metavar="N", help="only the first N training images"
    )
    group.add_argument("--seeds", type=_count, default=3, metavar="N", help="how many seeds (3)")
    _add_out(command, "the curve")

    command = commands.add_parser("evaluate", help="test a trained network again")
    command.set_defaults(run=evaluate)
    command.add_argument("run_folder", metavar="RUN", help="the folder of a run")
    _add_data(command)
    command.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    command.add_argument("--out", metavar="DIR", help="also draw the pictures, into this folder")

    command = commands.add_parser(
        "submissions", help="the five published submissions, stated and measured"
    )
    command.set_defaults(run=submissions)

    command = commands.add_parser("info", help="versions, device, data, and minutes of a run here")
    command.set_defaults(run=info)
    command.add_argument("--data-dir", metavar="DIR", help="where CIFAR-10 lies (data)")
    command.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    return parser


def _add_data(command) -> None:
    group = command.add_argument_group("data")
    group.add_argument(
        "--data", metavar="SOURCE",
        help="cifar10 (downloaded once, 170 MB), shapes (drawn here, no download) or folder:PATH "
        "with train/<class>/ and test/<class>/",
    )  # fmt: skip
    group.add_argument(
        "--data-dir", metavar="DIR", help="where CIFAR-10 lies or goes ($S10_DATA, else data)"
    )
    group.add_argument(
        "--data-url", metavar="URL", help="an address of cifar-10-python.tar.gz to try first"
    )


def _add_network(command) -> None:
    group = command.add_argument_group("recipe")
    group.add_argument(
        "--recipe", metavar="NAME|FILE",
        help=f"{', '.join(RECIPES)}, or a recipe.json, or the folder of a run (assignment)",
    )  # fmt: skip
    group.add_argument(
        "--width", type=int, metavar="N", help="channels of the first layer: 64, or 16 on a CPU"
    )
    group.add_argument("--seed", type=int, metavar="N", help="(0)")
    group.add_argument("--batch-size", type=int, metavar="N", help="(512)")
    group.add_argument(
        "--augment", metavar="KIND", help=f"{' or '.join(CHOICES['augment'])} (batched)"
    )
    group.add_argument(
        "--precision", metavar="KIND", help=f"{', '.join(CHOICES['precision'])} (auto)"
    )
    group.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    group.add_argument(
        "--workers", type=_workers, default=0, metavar="N", help="processes for albumentations (0)"
    )


def _add_out(command, what: str) -> None:
    command.add_argument("--out", metavar="DIR", help=f"folder for {what} (runs/<name and time>)")
    command.add_argument("--overwrite", action="store_true", help="replace what --out holds")


def _count(text: str) -> int:
    return _whole_number(text, 1)


def _workers(text: str) -> int:
    return _whole_number(text, 0)


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of at least 0, not {text}")
    return value


def _whole_number(text: str, least: int) -> int:
    value = int(text) if text.strip().lstrip("-").isdigit() else least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, not {text}")
    return value
