"""What the command line understands: its commands, their options, and the recipe they ask for."""

import argparse
import contextlib
import dataclasses
import math

from s10.cli.registry import RECIPES, find_recipe, recipe_from
from s10.recipe import CHOICES, Recipe
from s10.runtime.errors import InputError
from s10.speed.tta import VIEWS

DESCRIPTION = """\
Train a small residual network on CIFAR-10 in 24 epochs with the one-cycle policy.

  s10 train --data shapes --width 16     a first run that needs no download (about a minute)
  s10 train --recipe laptop              real images on a laptop's CPU, in minutes
  s10 train --data cifar10               the assignment itself, on a GPU
"""

CHECK = """\
Run FILE.py as an import would, without what stands under `if __name__ == "__main__":`, and
compare what it defines with the assignment, line by line. It looks for these names:

  network or model        a torch.nn.Module
  transforms, train_transforms, train_transform or transform
                          the augmentation of the training images: an albumentations Compose,
                          a torchvision transform, or a function from an image to a tensor
  schedule                a list with the LR of each step, what s10.simulate_schedule returned,
                          or a function that makes a scheduler from an optimizer
  history                 a row for each epoch with a column test_accuracy (a data frame, a
                          dict of lists), or a list of test accuracies

Exit status: 0 if all that is there passes, 1 if not, 2 if there is nothing to check.
"""

GRADE = """\
Grade the notebooks of a class: a table with a row for each file in FOLDER and below it, and a
column for each exercise with its points; `feedback` has the hints for those that are not solved.
Files may be renamed, have added cells, and cells that are broken or were never run: of a notebook
only the cells of the exercises run, and those that they need.

THIS RUNS THE STUDENTS' CODE. Each notebook has a kernel of its own, in an empty folder and with a
time limit, so that an endless loop or a crash costs one exercise and not the table. That does not
protect your files, or the grades, from code that means harm. Use a container or a throw-away
account, without network, with nothing in it that you would miss. The checks come from this s10,
not from the notebook; still, code that wants to deceive them can.

Exit status: 0 if at least one file was graded, 2 if none was.
"""


class _Parser(argparse.ArgumentParser):
    """Reports errors in one line."""

    def error(self, message: str):
        raise InputError(f"{message} (see {self.prog} --help)")


def make_parser() -> argparse.ArgumentParser:
    """The parser; its result has the name of the command in `command`.

    It raises an InputError for what it does not understand.
    """
    parser = _Parser(
        prog="s10",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="`s10 COMMAND --help` explains each command.",
    )
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True
    )
    _add_train(commands.add_parser("train", help="train the network and plot the results"))
    _add_lr_range(commands.add_parser("lr-range", help="find LRMIN and LRMAX by a range test"))
    _add_evaluate(commands.add_parser("evaluate", help="test a trained network again"))
    _add_check(commands.add_parser("check", help="does your own code meet the assignment?"))
    _add_grade(commands.add_parser("grade", help="which exercises the notebooks of a class solve"))
    _add_predict(commands.add_parser("predict", help="what a trained network sees in pictures"))
    commands.add_parser("submissions", help="the five published submissions, stated and measured")
    _add_info(commands.add_parser("info", help="versions, device, data, and minutes of a run here"))
    return parser


def recipe_from_options(options: argparse.Namespace, recipe: Recipe | None = None) -> Recipe:
    """This recipe, or else the one that --recipe names, with what the options change."""
    recipe = recipe or find_recipe(options.recipe or "assignment")
    given = {name: value for name, value in vars(options).items() if value is not None}
    if "epochs" in given:
        recipe = recipe.with_epochs(given["epochs"])
    if "lr_max" in given:
        recipe = recipe.with_lr_max(given["lr_max"])
    named = {name: given[name] for name in ("data", "width", "seed", "precision") if name in given}
    recipe = dataclasses.replace(recipe, **named)
    if not options.settings:
        return recipe
    values = recipe.to_dict()
    for name, text in options.settings:
        values[name] = text if isinstance(values.get(name), str) else _parse_value(text)
    return recipe_from(values, "--set")


def _parse_value(text: str) -> object:
    """A bool, None, an int or a float; any other text is left for the recipe to refuse."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    return text


def _add_train(command) -> None:
    _add_data(command)
    group = _add_recipe(command)
    group.add_argument("--epochs", type=int, metavar="N", help="the peak keeps its fraction (24)")
    group.add_argument("--lr-max", type=float, metavar="X", help="LR at the peak; LRMIN follows it")
    _add_device(command, workers=True)
    _add_views(command, "after training, also test")
    _add_out(command, "the run")
    command.add_argument(
        "--resume", metavar="RUN", help="continue an interrupted run, given by its folder"
    )
    command.add_argument(
        "--deterministic", action="store_true",
        help="the same bits each time on a GPU, too; slower (a CPU does so anyway)",
    )  # fmt: skip
    command.add_argument(
        "--checkpoint-minutes", type=_at_least(0, float), default=5.0, metavar="N",
        help="save a checkpoint after every epoch (of short ones: every 10 seconds), and every "
        "N minutes within one (5)",
    )  # fmt: skip


def _add_lr_range(command) -> None:
    _add_data(command)
    _add_recipe(command)
    _add_device(command, workers=True)
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
        "--epochs", dest="range_epochs", type=int, metavar="N", help="LRs, per-epoch (20)"
    )
    group.add_argument("--images", type=_at_least(1), metavar="N", help="only a sample of N images")
    group.add_argument("--seeds", type=_at_least(1), default=3, metavar="N", help="how many (3)")
    _add_out(command, "the curve")


def _add_evaluate(command) -> None:
    command.add_argument("run_folder", metavar="RUN", help="the folder of a run")
    _add_data(command)
    _add_device(command)
    _add_views(command, "test")
    command.add_argument("--out", metavar="DIR", help="also save the figures in this folder")


def _add_check(command) -> None:
    command.description = CHECK
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument("file", metavar="FILE.py", help="your code")


def _add_grade(command) -> None:
    command.description = GRADE
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument("folder", metavar="FOLDER", help="the folder of the notebooks")
    command.add_argument("--out", metavar="FILE", default="grades.csv", help="table (grades.csv)")
    command.add_argument("--overwrite", action="store_true", help="replace that file")
    command.add_argument(
        "--points", action="append", type=_points, default=[], metavar="EXERCISE=N",
        help="such as 1.4=2; may be repeated (1 for each exercise)",
    )  # fmt: skip
    command.add_argument(
        "--seconds", type=_at_least(1), default=30, metavar="N",
        help="limit for a cell (30); for the cells of a notebook it is five times as long",
    )  # fmt: skip


def _add_predict(command) -> None:
    command.description = (
        "Print the three most probable classes of each picture, and a warning if it is unlike the "
        "training images. Of each, the center square is seen, at 32×32: crop it first."
    )
    command.add_argument(
        "run_folder", metavar="RUN",
        help="the folder of a run, or assignment-width16, which comes with s10",
    )  # fmt: skip
    command.add_argument(
        "pictures", metavar="PICTURE", nargs="+",
        help="a file (PNG, JPEG, WebP …), a folder of them, or a URL",
    )  # fmt: skip
    command.add_argument("--out", metavar="DIR", help="save them as the network sees them here")


def _add_info(command) -> None:
    command.add_argument("--data-dir", metavar="DIR", help="the folder of CIFAR-10 (data)")
    _add_device(command)


def _add_data(command) -> None:
    group = command.add_argument_group("data")
    group.add_argument(
        "--data", metavar="SOURCE",
        help="cifar10 (downloaded once, 170 MB), shapes (drawn, no download) or folder:PATH "
        "with train/<class>/ and test/<class>/, or only <class>/",
    )  # fmt: skip
    group.add_argument("--data-dir", metavar="DIR", help="of CIFAR-10 ($S10_DATA, else data)")
    group.add_argument(
        "--data-url", metavar="URL", help="a URL of cifar-10-python.tar.gz to try first"
    )


def _add_recipe(command):
    group = command.add_argument_group("recipe")
    group.add_argument(
        "--recipe", metavar="NAME|FILE",
        help=f"{', '.join(RECIPES)}, or a recipe.json, or the folder of a run (assignment)",
    )  # fmt: skip
    group.add_argument(
        "--width", type=int, metavar="N", help="channels of the first layer: 64, or 16 on a CPU"
    )
    group.add_argument("--seed", type=int, metavar="N", help="(0)")
    group.add_argument(
        "--precision", metavar="KIND", help=f"{', '.join(CHOICES['precision'])} (auto)"
    )
    group.add_argument(
        "--set", dest="settings", action="append", type=_setting, default=[],
        metavar="FIELD=VALUE",
        help="any field of recipe.json, such as batch_size=256, augment=albumentations or "
        "cutout=0; may be repeated",
    )  # fmt: skip
    return group


def _add_device(command, workers: bool = False) -> None:
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (auto)")
    if workers:
        command.add_argument(
            "--workers", type=_at_least(0), default=0, metavar="N",
            help="processes for albumentations (0)",
        )  # fmt: skip


def _add_views(command, what: str) -> None:
    command.add_argument(
        "--views", type=int, choices=VIEWS,
        help=f"{what} with test-time augmentation: 2, also the mirror image; 6, also both "
        "shifted by one pixel (1: the image alone)",
    )  # fmt: skip


def _add_out(command, what: str) -> None:
    command.add_argument("--out", metavar="DIR", help=f"folder for {what} (runs/<name and time>)")
    command.add_argument("--overwrite", action="store_true", help="replace what --out holds")


def _setting(text: str) -> tuple[str, str]:
    field, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"must be FIELD=VALUE, not {text}")
    return field.strip(), value.strip()


def _points(text: str) -> tuple[str, float]:
    number, value = _setting(text)
    return number, _at_least(0, float)(value)


def _at_least(low: int, kind: type = int):
    """The `type` of an option: finite numbers of this kind that are not below `low`."""

    def convert(text: str) -> float:
        with contextlib.suppress(ValueError):
            if low <= kind(text) < math.inf:
                return kind(text)
        name = "an integer" if kind is int else "a number"
        raise argparse.ArgumentTypeError(f"must be {name} of at least {low}, not {text}")

    return convert
