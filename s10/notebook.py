"""What the notebooks need around the lesson: a preflight, sources to read, signed pictures."""

import inspect
import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from matplotlib.figure import Figure

from s10.device import describe, keep_freed_memory, pick_device, pick_precision
from s10.errors import InputError
from s10.images import Images, default_data_dir, load_images
from s10.networks import NETWORKS
from s10.plots.style import sign
from s10.preflight import FORWARD_SHARE, seconds_per_step, training_share
from s10.recipe import Recipe
from s10.recipes import find_recipe

WIDTH_ON_GPU, WIDTH_ON_CPU = 64, 16
# Longer than this, and a learner without a GPU is shown shorter settings.
PATIENCE_MINUTES = 20
DRIVE = "/content/drive"  # where Colab mounts it


@dataclass(frozen=True)
class Lab:
    """The bench that a notebook works at, made by `start`.

    `images`, `recipe` and `device` are what fits this machine. `smoke` is true
    when the notebook is only tested: everything runs, on small sizes. `keep` is
    the folder for checkpoints, or None.
    """

    images: Images
    recipe: Recipe
    device: torch.device
    seconds_per_step: float
    smoke: bool = False
    keep: Path | None = None

    def size(self, full: int, *, smoke: int) -> int:
        """`full`, or the small size when the notebook is only tested."""
        return smoke if self.smoke else full

    def few(self, train: int, test: int) -> Images:
        """The first so many images, for a short experiment."""
        return self.images.subset(self.size(train, smoke=256), self.size(test, smoke=100))

    def minutes(self, epochs: int, images: Images | None = None) -> float:
        """Minutes that so many epochs over these images take here, from the timed steps."""
        images = images or self.images
        steps = -(-len(images.train_images) // self.recipe.batch_size) * training_share(self.recipe)
        evaluation = FORWARD_SHARE * len(images.test_images) / self.recipe.batch_size
        return epochs * (steps + evaluation) * self.seconds_per_step / 60

    def with_recipe(self, name: str) -> "Lab":
        """The same bench with another recipe of `s10.recipes`, timed, and small for a test."""
        recipe = replace(find_recipe(name), data=self.images.name)
        if self.smoke:
            recipe = replace(recipe.with_epochs(2), width=4, batch_size=64)
        step = seconds_per_step(recipe, self.device, steps=3 if self.smoke else 10)
        return replace(self, recipe=recipe, seconds_per_step=step)

    def checkpoints(self, name: str) -> Path | None:
        """A folder for the checkpoints of the training of that name; None if none are kept.

        With `s10.fit(…, checkpoints=lab.checkpoints("mine"), resume=True)` a
        training that was cut off goes on where it was. Another data set or width
        has a folder of its own.
        """
        if self.keep is None:
            return None
        return self.keep / f"{name}-{self.images.name.split(':')[0]}-width{self.recipe.width}"

    def announce(self, epochs: int, images: Images | None = None) -> None:
        """Say before a long cell how long it will take."""
        minutes = self.minutes(epochs, images)
        print(f"this takes about {_in_words(minutes)} here")

    def sign(self, figure: Figure, network: str | None = None) -> Figure:
        """The figure with network and data in its corner, and a title that owns up to shapes.

        `network`: what to call it where it is not that of this lab's recipe.
        """
        name = NETWORKS[self.recipe.network].__name__
        network = network or f"{name} of width {self.recipe.width}"
        sign(figure, f"{network} on {self.images.name}")
        if self.images.name != "cifar10":
            title = figure.get_suptitle()
            warning = f"on {self.images.name}, not CIFAR-10"
            figure.suptitle(f"{title}\n({warning})" if title else warning, x=0.01, ha="left")
        return figure


def start(data: str = "auto", width: int | None = None, keep: str | Path | None = None) -> Lab:
    """Look at the machine, load the images, time 20 steps, and say what fits.

    Args:
        data: "auto" takes CIFAR-10, downloaded if need be, and `shapes` where
            neither it nor a network is there; or a source of `load_images`.
        width: of the network's prep layer; by default 64 on a GPU, 16 without.
        keep: a folder for checkpoints, or "drive" for the folder `s10` of the
            learner's Google Drive, which outlives a Colab machine.

    Raises:
        InputError: "drive" outside Colab, or not permitted there.

    With the environment variable S10_SMOKE set, all sizes are small, for tests.
    """
    smoke = bool(os.environ.get("S10_SMOKE"))
    folder = _drive() if keep == "drive" else None if keep is None else Path(keep).expanduser()
    device = pick_device("auto")
    if device.type == "cpu":
        keep_freed_memory()
    recipe = Recipe(width=width or (WIDTH_ON_GPU if device.type == "cuda" else WIDTH_ON_CPU))
    if smoke:
        data = "shapes"
        recipe = replace(recipe.with_epochs(2), width=4, batch_size=64)
    images = _load(data)
    if smoke:
        images = images.subset(1000, 200)
    recipe = replace(recipe, data=images.name)
    step = seconds_per_step(recipe, device, steps=3 if smoke else 20)
    lab = Lab(images, recipe, device, step, smoke, folder)
    print("\n".join(_introduction(lab)))
    return lab


def show(*things) -> None:
    """Display the source of functions or classes of s10, so that text and code cannot differ."""
    from IPython.display import Markdown, display

    for thing in things:
        lines, _ = inspect.getsourcelines(thing)
        # Behind a decorator, such as torch.no_grad(), stands the function itself.
        path = Path(inspect.getsourcefile(inspect.unwrap(thing)))
        where = path.relative_to(Path(__file__).parent.parent).as_posix()
        display(Markdown(f"from `{where}`:\n\n```python\n{''.join(lines).rstrip()}\n```"))


def _load(data: str) -> Images:
    """The images; "auto" falls back to shapes where CIFAR-10 cannot be had."""
    if data != "auto":
        return load_images(data)
    try:
        return load_images("cifar10")
    except InputError as error:
        print(f"no CIFAR-10: {error}")
        print(
            "going on with the drawn shapes: everything works, the numbers are others "
            f"(CIFAR-10 goes to {default_data_dir()})"
        )
        return load_images("shapes")


def _drive() -> Path:
    """The folder `s10` of the mounted Google Drive."""
    try:
        from google.colab import drive
    except ImportError:
        raise InputError('keep="drive" is for Colab; name a folder here') from None
    try:
        drive.mount(DRIVE)
    except Exception as error:  # Colab raises several kinds, one for a click on "No".
        raise InputError(
            f"Google Drive was not mounted ({error}); allow it, or leave out keep"
        ) from None
    return Path(DRIVE) / "MyDrive" / "s10"


def _introduction(lab: Lab) -> list[str]:
    recipe, images = lab.recipe, lab.images
    precision = pick_precision(recipe.precision, lab.device)
    gpu = "" if lab.device.type == "cuda" else " (no GPU here, so a quarter of the width)"
    if recipe.width != WIDTH_ON_CPU:
        gpu = ""
    lines = [
        f"device     {describe(lab.device)}, precision {precision.name}",
        f"data       {images.name}: {len(images.train_images):,} training and "
        f"{len(images.test_images):,} test images",
        f"network    CustomResNet of width {recipe.width}{gpu}",
        f"time       {recipe.epochs} epochs take about {_in_words(lab.minutes(recipe.epochs))} "
        "here, from timed steps",
    ]
    if lab.keep:
        lines.append(f"kept in    {lab.keep}: a training that is cut off can go on")
    if lab.minutes(recipe.epochs) > PATIENCE_MINUTES:
        epochs = max(6, int(recipe.epochs * PATIENCE_MINUTES / lab.minutes(recipe.epochs)))
        half = max(4, recipe.width // 2)
        lines.append(
            f"           that is long; recipe.with_epochs({epochs}) takes about "
            f"{_in_words(lab.minutes(epochs))}, start(width={half}) about a quarter of the time, "
            "start(data='shapes') a tenth"
        )
    return lines


def _in_words(minutes: float) -> str:
    if minutes < 1:
        return _count(max(1, round(60 * minutes)), "second")
    return _count(round(minutes), "minute")


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"
