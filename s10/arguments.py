"""What the command line understands: its commands and their options."""

import argparse
import math

from s10.errors import InputError
from s10.recipe import CHOICES, VIEWS
from s10.recipes import RECIPES

DESCRIPTION = """\
Train a small residual network on CIFAR-10 in 24 epochs with the one-cycle policy.

  s10 train --data shapes --width 16     a first run that needs no download (about a minute)
  s10 train --recipe laptop              real images on a laptop's CPU, in minutes
  s10 train --data cifar10               the assignment itself, on a GPU
"""


class _Parser(argparse.ArgumentParser):
    """Complains in one line."""

    def error(self, message: str):
        raise InputError(f"{message} (see {self.prog} --help)")


def make_parser() -> argparse.ArgumentParser:
    """The parser; what it gives has the name of the command in `command`.

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

    command = commands.add_parser("train", help="train the network and draw what came of it")
    _add_data(command)
    _add_network(command)
    group = command.add_argument_group("training")
    group.add_argument("--epochs", type=int, metavar="N", help="the LR's peak keeps its share (24)")
    group.add_argument("--peak-epoch", type=int, metavar="N", help="the LR peaks at its end (5)")
    group.add_argument("--lr-max", type=float, metavar="X", help="LR at the peak; LRMIN follows it")
    group.add_argument("--lr-min", type=float, metavar="X", help="LR at the start and at the end")
    _add_views(command, "test the last network once more, over several versions of each image")
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
        help="keep the training after every epoch (of short ones: every 10 seconds), and within "
        "one every N minutes (5)",
    )  # fmt: skip

    command = commands.add_parser("lr-range", help="find LRMIN and LRMAX by a range test")
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
    command.add_argument("run_folder", metavar="RUN", help="the folder of a run")
    _add_data(command)
    command.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    _add_views(command, "average over several versions of each image")
    command.add_argument("--out", metavar="DIR", help="also draw the pictures, into this folder")

    command = commands.add_parser(
        "submissions", help="the five published submissions, stated and measured"
    )

    command = commands.add_parser("info", help="versions, device, data, and minutes of a run here")
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


def _add_views(command, what: str) -> None:
    command.add_argument(
        "--views", dest="test_views", type=int, choices=VIEWS,
        help=f"{what}: 2, the mirrored one as well; 6, both from one pixel beside, too (1: the "
        "image alone)",
    )  # fmt: skip


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
