"""Small runs that end before a chosen step, and the comparison with one that does not."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from s10 import Checkpointer, FitResult, ImageDataset, Recipe, fit, seed_everything


class Killed(Exception):
    """What SIGKILL looks like from inside: nothing that the run wants to save comes after it."""


def counting(loader, killed_before: int | None = None):
    """This loader of a recipe: it counts its `batches`, and ends the run before a chosen one.

    The count shows that a run was resumed: one that starts from scratch ends with the
    same bits, too.
    """

    class Counting(type(loader)):
        batches = 0

        def __iter__(self):
            for batch in super().__iter__():
                if self.batches + 1 == killed_before:
                    raise Killed
                self.batches += 1
                yield batch

    loader.__class__ = Counting
    return loader


@dataclass
class Outcome:
    """Of one call of `fit`; `steps` are those that it made itself."""

    result: FitResult
    model: nn.Module
    steps: int


def train(
    dataset, recipe, folder: Path | None = None, *, resume=True, minutes=0, killed_before=None,
    workers=0, parts=None, hooks=(), last_hooks=(),
) -> Outcome:  # fmt: skip
    """Train a new network, with checkpoints in `folder` and by default after every step.

    Args:
        parts: a function of the network that returns its optimizer and scheduler.
        hooks, last_hooks: those before and after the Checkpointer.
    """
    seed_everything(recipe.seed)
    model = recipe.initial_model(dataset)
    loader = counting(recipe.train_loader(dataset, workers=workers), killed_before)
    optimizer, scheduler = parts(model) if parts else (None, None)
    if folder:
        hooks = [*hooks, Checkpointer(folder, resume=resume, minutes=minutes)]
    result = fit(
        model, loader, recipe.test_loader(dataset), recipe, dataset.classes, optimizer=optimizer,
        scheduler=scheduler, hooks=[*hooks, *last_hooks],
    )  # fmt: skip
    return Outcome(result, model, loader.batches)


def interrupt(dataset, recipe, folder: Path, killed_before: int, **options) -> None:
    """The same, killed before this step of its own, counted from 1."""
    with pytest.raises(Killed):
        train(dataset, recipe, folder, killed_before=killed_before, **options)


def assert_same(one: Outcome, other: Outcome) -> None:
    """Weights, history and predictions are equal to the last bit."""
    theirs = other.model.state_dict()
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, theirs[name]), name
    columns = [name for name in one.result.history if name != "seconds"]
    assert one.result.history[columns].equals(other.result.history[columns])
    assert np.array_equal(one.result.predictions.logits, other.result.predictions.logits)


def snapshot(folder: Path) -> dict[Path, bytes]:
    """All files in the folder and below."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def train_to_the_end(folder: Path) -> int:
    """A run of 12 steps on random images, for a process of its own; the outcome in `end.pt`."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (68, 32, 32, 3), dtype=np.uint8)
    labels = generator.integers(0, 3, 68)
    dataset = ImageDataset.from_arrays("random", ("a", "b", "c"), images[:56], labels[:56],
                                       images[56:], labels[56:])  # fmt: skip
    recipe = Recipe(width=4, batch_size=16, epochs=3, peak_epoch=1, precision="fp32")
    outcome = train(dataset, recipe, folder)
    history = outcome.result.history.drop(columns="seconds").to_dict("list")
    end = {"weights": outcome.model.state_dict(), "history": history, "steps": outcome.steps}
    torch.save(end, folder / "end.pt")
    return 0
