"""The environment of a notebook: its data set, its recipe and how long they take here."""

import inspect
import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from matplotlib.figure import Figure

from s10.course.timing import run_minutes, seconds_per_step
from s10.datasets import ImageDataset, absolute_source, default_data_dir, load_dataset
from s10.plots.style import add_caption
from s10.plots.text import as_title
from s10.recipe import Recipe
from s10.runtime.checkpoints import Checkpointer
from s10.runtime.device import describe_device, pick_device, pick_precision, tune_malloc
from s10.runtime.errors import InputError
from s10.runtime.hooks import Hook
from s10.runtime.progress import format_duration

WIDTH_ON_GPU, WIDTH_ON_CPU = 64, 16
# If the 24 epochs take longer, shorter settings are suggested.
LONG_MINUTES = 20
DRIVE = "/content/drive"  # where Colab mounts it


@dataclass(frozen=True)
class NotebookEnv:
    """What a notebook works with, made by `setup`.

    `dataset`, `recipe` and `device` fit this machine. `smoke`: the notebook is only
    tested, so everything runs at a small size. `keep`: the folder for checkpoints, or None.
    """

    dataset: ImageDataset
    recipe: Recipe
    device: torch.device
    seconds_per_step: float
    smoke: bool = False
    keep: Path | None = None

    def size(self, full: int, *, smoke: int) -> int:
        """`full`, or the small size when the notebook is only tested."""
        return smoke if self.smoke else full

    def subset(self, train: int, test: int) -> ImageDataset:
        """A sample of `train` training and `test` test images, for a short experiment."""
        return self.dataset.subset(self.size(train, smoke=256), self.size(test, smoke=100))

    def minutes(self, epochs: int, dataset: ImageDataset | None = None) -> float:
        """Minutes that `epochs` on this data set take here, from the timed steps."""
        dataset = dataset or self.dataset
        images = len(dataset.train_images), len(dataset.test_images)
        return run_minutes(self.recipe, epochs, self.seconds_per_step, *images)

    def print_estimate(self, epochs: int, dataset: ImageDataset | None = None) -> None:
        """Print how long the following cell will take."""
        print(f"this takes about {format_duration(60 * self.minutes(epochs, dataset))} here")

    def with_recipe(self, recipe: Recipe) -> "NotebookEnv":
        """The same environment with another recipe, timed; small when only tested."""
        recipe = _adapted(recipe, self.recipe.data, self.dataset, self.smoke)
        step = seconds_per_step(recipe, self.device, self.size(2, smoke=0.1))
        return replace(self, recipe=recipe, seconds_per_step=step)

    def checkpointer(self, name: str) -> list[Hook]:
        """Hooks for `s10.fit` that save the run of this name and resume it after a disconnect.

        There are none unless checkpoints are kept. Other images and another width have a
        folder of their own.
        """
        if self.keep is None:
            return []
        data, width = self.dataset.name, self.recipe.width
        if data.startswith("folder:"):  # By its images: any folder may be called "pictures".
            data = f"folder-{self.dataset.fingerprint()}"
        return [Checkpointer(self.keep / f"{name}-{data}-width{width}", resume=True)]

    def add_caption(self, figure: Figure, network: str | None = None) -> Figure:
        """Caption the figure with network and data; warn in its title if that is not CIFAR-10.

        Args:
            network: what to call it if it is not the network of the recipe; "" for photographs.
        """
        if network is None:
            with torch.device("meta"):  # without its weights
                network = type(self.recipe.make_model()).__name__
            network += f" of width {self.recipe.width}"
        add_caption(figure, f"{network} on {self.dataset.name}" if network else self.dataset.name)
        if self.dataset.name != "cifar10":
            title = figure.get_suptitle()
            warning = f"on {self.dataset.name}, not CIFAR-10"
            warning = as_title(warning, figure.get_figwidth() - 0.3, 12)
            figure.suptitle(f"{title}\n({warning})" if title else warning, x=0.01, ha="left")
        return figure


def setup(
    data: str = "auto", width: int | None = None, keep: str | Path | None = None
) -> NotebookEnv:
    """Choose the device, load the images, time 20 steps, and print what fits this machine.

    With the environment variable S10_SMOKE set, all sizes are small, for tests.

    Args:
        data: "auto" is CIFAR-10, downloaded if necessary, or `shapes` where it cannot be
            downloaded; otherwise a source of `load_dataset`, such as "folder:PATH".
        width: of the network's prep layer; default 64 on a GPU, 16 without.
        keep: a folder for checkpoints, or "drive" for the folder `s10` of your
            Google Drive, which outlives a Colab machine.

    Raises:
        InputError: "drive" outside Colab, or not permitted there.
    """
    smoke = bool(os.environ.get("S10_SMOKE"))
    folder = _mount_drive() if keep == "drive" else Path(keep).expanduser() if keep else None
    device = pick_device("auto")
    if device.type == "cpu":
        tune_malloc()
    recipe = Recipe(width=width or (WIDTH_ON_GPU if device.type == "cuda" else WIDTH_ON_CPU))
    dataset = _load("shapes" if smoke and data == "auto" else data)
    if smoke:
        dataset = dataset.subset(1000, 200)
    # The recipe can then be loaded from any working directory.
    source = absolute_source(data) if data.startswith("folder:") else dataset.name
    recipe = _adapted(recipe, source, dataset, smoke)
    step = seconds_per_step(recipe, device, 0.1 if smoke else 2)
    env = NotebookEnv(dataset, recipe, device, step, smoke, folder)
    print("\n".join(_introduction(env)))
    return env


def show(*objects) -> None:
    """Display the source code of functions or classes of s10, folded."""
    from IPython.display import Markdown, display

    for thing in objects:
        lines, _ = inspect.getsourcelines(thing)
        # Of a decorated function (torch.no_grad), the file of the function itself.
        path = Path(inspect.getsourcefile(inspect.unwrap(thing)))
        file = path.relative_to(Path(__file__).parents[2]).as_posix()
        # Without the style, nbconvert's HTML shows highlighted Markdown in the font of the text.
        display(
            Markdown(
                f'<details style="font-family: monospace"><summary>{thing.__name__}, from '
                f"{file}</summary>\n\n```python\n{''.join(lines).rstrip()}\n```\n\n</details>"
            )
        )


def _adapted(recipe: Recipe, source: str, dataset: ImageDataset, smoke: bool) -> Recipe:
    """The recipe for these images, in at least four batches an epoch; small when only tested."""
    if smoke:
        recipe = replace(recipe.with_epochs(2), width=4, batch_size=64)
    most = max(1, len(dataset.train_images) // 4)
    return replace(recipe, data=source, batch_size=min(recipe.batch_size, most))


def _load(data: str) -> ImageDataset:
    """The images; "auto" falls back to `shapes` where CIFAR-10 cannot be loaded."""
    if data != "auto":
        return load_dataset(data)
    try:
        return load_dataset("cifar10")
    except InputError as error:
        print(f"no CIFAR-10: {error}")
        print(
            "continuing with the drawn shapes: everything works, but the numbers differ "
            f"(CIFAR-10 belongs in {default_data_dir()})"
        )
        return load_dataset("shapes")


def _mount_drive() -> Path:
    """The folder `s10` of the mounted Google Drive."""
    try:
        from google.colab import drive
    except ImportError:
        raise InputError('keep="drive" is for Colab; name a folder here') from None
    try:
        drive.mount(DRIVE)
    except Exception as error:  # Colab raises several kinds, one of them for a click on "No".
        raise InputError(
            f"Google Drive was not mounted ({error}); allow it, or leave out keep"
        ) from None
    return Path(DRIVE) / "MyDrive" / "s10"


def _introduction(env: NotebookEnv) -> list[str]:
    """The lines that `setup` prints."""
    recipe, dataset, minutes = env.recipe, env.dataset, env.minutes(env.recipe.epochs)
    precision = pick_precision(recipe.precision, env.device)
    narrow = env.device.type == "cpu" and recipe.width == WIDTH_ON_CPU
    remark = " (no GPU here, so a quarter of the width)" if narrow else ""
    lines = [
        f"device     {describe_device(env.device)}, precision {precision.name}",
        f"data       {dataset.name}: {len(dataset.train_images):,} training and "
        f"{len(dataset.test_images):,} test images",
        f"network    CustomResNet of width {recipe.width}{remark}",
        f"time       {recipe.epochs} epochs take about {format_duration(60 * minutes)} here, from "
        "timed steps",
    ]
    if recipe.batch_size < Recipe.batch_size:
        lines.append(f"batches    of {recipe.batch_size} images, not {Recipe.batch_size}")
    if env.keep:
        lines.append(f"kept in    {env.keep}: an interrupted run can be resumed")
    if minutes > LONG_MINUTES:
        epochs = max(6, int(recipe.epochs * LONG_MINUTES / minutes))
        half = max(4, recipe.width // 2)
        lines.append(
            f"           that is long; recipe.with_epochs({epochs}) takes about "
            f"{format_duration(60 * env.minutes(epochs))}, setup(width={half}) about a quarter of "
            "the time, setup(data='shapes') a tenth"
        )
    return lines
