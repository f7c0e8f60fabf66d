"""The assignment's settings, and the parts of a run that they determine.

A variation is a subclass in a room of its own, which overrides one of the methods or adds
fields.
"""

import dataclasses
import difflib
import json
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from s10.custom_resnet import CustomResNet
from s10.datasets.dataset import ImageDataset
from s10.loaders import AlbumentationsLoader, TensorLoader, eval_loader
from s10.runtime.errors import (
    InputError,
    check_choice,
    check_fraction,
    check_int,
    check_order,
    positive_float,
    positive_int,
)
from s10.runtime.hooks import Hook
from s10.schedules import OneCycle

CHOICES = {
    "precision": ("auto", "fp32", "bf16", "fp16"),
    "augment": ("batched", "albumentations"),
    "pad_mode": ("reflect", "constant"),
}
# Smallest and largest value. Larger widths or epochs are typing errors, and would fill the
# memory before they fail.
INTEGERS = {
    "width": (1, 1024),
    "seed": (0, 2**32 - 1),
    "epochs": (1, 10_000),
    "batch_size": (1, 1_000_000),
    "pad": (0, 16),
    "cutout": (0, 32),
}


@dataclass(frozen=True)
class Recipe:
    """The assignment's recipe. Change a field with `dataclasses.replace`.

    `results/README.md` says how the settings that the assignment leaves open were chosen.

    Raises:
        InputError: a value makes no sense; the message names the field.
    """

    data: str = "cifar10"  #: cifar10, shapes or folder:PATH
    width: int = 64  #: channels of the prep layer; 16 for a CPU
    seed: int = 0  #: of initial weights, order of the images, augmentation
    precision: str = "auto"  #: the fastest that the device computes natively

    epochs: int = 24  #: assignment
    batch_size: int = 512  #: assignment
    augment: str = "batched"  #: or albumentations: the same distribution, slower
    pad: int = 4  #: assignment: pixels on each side before the random crop
    pad_mode: str = "reflect"  #: no artificial edges; "constant" fills with the mean color
    flip: bool = True  #: assignment: horizontally, with probability ½
    cutout: int = 8  #: assignment: side of the square in pixels; 0 for none

    peak_epoch: float = 5  #: assignment: the LR peaks at the end of this epoch
    lr_max: float = 0.01  #: LRMAX; the range test gives half of it, and both do equally well
    lr_min: float = 0.00001  #: LRMIN, at the start and at the end: no annihilation
    momentum_max: float = 0.95  #: β1 of Adam, which falls while the LR rises (Smith 2018)
    momentum_min: float = 0.85  #: where the LR peaks

    beta2: float = 0.99  #: Adam forgets gradient sizes faster than with 0.999: runs are short
    weight_decay: float = 0.1  #: decoupled, as in AdamW: an L2 term would be rescaled by Adam
    label_smoothing: float = 0.1  #: in training only; reported losses are plain cross-entropy

    def __post_init__(self):
        for name, value in vars(self).items():
            if isinstance(value, np.generic):  # A number of NumPy's, which JSON cannot hold.
                object.__setattr__(self, name, value.item())
        if not isinstance(self.data, str):
            raise InputError(f"data must be a string, not {self.data!r}")
        for name, choices in CHOICES.items():
            check_choice(name, getattr(self, name), choices)
        for name, limits in INTEGERS.items():
            check_int(name, getattr(self, name), *limits)
        if not isinstance(self.flip, bool):
            raise InputError(f"flip must be true or false, not {self.flip!r}")
        for name in ("lr_max", "lr_min", "peak_epoch"):
            positive_float(name, getattr(self, name))
        for name in ("momentum_max", "momentum_min", "beta2", "label_smoothing"):
            check_fraction(name, getattr(self, name), below_1=True)
        if self.weight_decay != 0 or self.weight_decay is False:
            positive_float("weight_decay", self.weight_decay)
        check_order("lr", self.lr_min, self.lr_max)
        check_order("momentum", self.momentum_min, self.momentum_max)
        if self.peak_epoch > self.epochs:
            raise InputError(
                f"peak_epoch ({self.peak_epoch}) must not be after the last epoch ({self.epochs})"
            )

    # The parts of a run.

    def make_model(self, num_classes: int = 10) -> nn.Module:
        """The network, with new weights."""
        return CustomResNet(num_classes, self.width)

    def initial_model(self, dataset: ImageDataset) -> nn.Module:
        """The network as it is before the first step of a run on this data set."""
        return self.make_model(len(dataset.classes))

    def make_optimizer(self, model: nn.Module) -> Optimizer:
        """AdamW: Adam (Kingma & Ba 2014) with decoupled decay (Loshchilov & Hutter 2017).

        It has the LR and the momentum (β1) with which the cycle begins.
        """
        return torch.optim.AdamW(
            model.parameters(),
            lr=self.lr_min,
            betas=(self.momentum_max, self.beta2),
            weight_decay=self.weight_decay,
        )

    def make_scheduler(
        self, optimizer: Optimizer, steps_per_epoch: int, *, cycle: type = OneCycle, **options
    ) -> LRScheduler:
        """The one-cycle schedule, to be stepped after each batch.

        Args:
            cycle, options: for subclasses, another schedule and more of its arguments.
        """
        return cycle(
            optimizer,
            lr_max=self.lr_max,
            lr_min=self.lr_min,
            epochs=self.epochs,
            steps_per_epoch=steps_per_epoch,
            peak_epoch=self.peak_epoch,
            momentum_max=self.momentum_max,
            momentum_min=self.momentum_min,
            **options,
        )

    def make_hooks(self) -> list[Hook]:
        """What else takes part in the training; nothing here."""
        return []

    def normalization(self, dataset: ImageDataset) -> tuple[tuple, tuple]:
        """Mean and standard deviation of each channel over all training pixels, scale 0–1."""
        return dataset.mean, dataset.std

    def train_loader(
        self,
        dataset: ImageDataset,
        device: torch.device | str = "cpu",
        *,
        workers: int = 0,
        batched: type[TensorLoader] = TensorLoader,
        **options,
    ):
        """The augmented training batches; see `s10.loaders`.

        Args:
            workers: processes for albumentations; 0 augments in this one.
            batched, options: for subclasses, another loader and more of its arguments;
                `rank` and `world_size` select this process's shard of each batch.
        """
        if self.augment == "albumentations":
            batched, options = AlbumentationsLoader, {**options, "workers": workers}
        return batched(
            dataset, *self.normalization(dataset), batch_size=self.batch_size, seed=self.seed,
            pad=self.pad, pad_mode=self.pad_mode, flip=self.flip, cutout=self.cutout,
            device=device, **options,
        )  # fmt: skip

    def test_loader(self, dataset: ImageDataset, device: torch.device | str = "cpu") -> list:
        """The normalized test images as a list of batches on `device`."""
        mean, std = self.normalization(dataset)
        return eval_loader(dataset.test_images, dataset.test_labels, mean, std, device)

    # Changing, comparing and storing a recipe.

    def with_epochs(self, epochs: int) -> "Recipe":
        """The same recipe over another number of epochs, with the peak at the same fraction."""
        positive_int("epochs", epochs)
        peak = self.peak_epoch / self.epochs * epochs
        if float(self.peak_epoch).is_integer():  # Then the new one is an integer, too.
            peak = min(epochs, max(1, round(peak)))
        return dataclasses.replace(self, epochs=epochs, peak_epoch=peak)

    def with_lr_max(self, lr_max: float) -> "Recipe":
        """The same recipe with another peak; lr_min keeps its ratio to it."""
        factor = positive_float("lr_max", lr_max) / self.lr_max
        return dataclasses.replace(self, lr_max=lr_max, lr_min=self.lr_min * factor)

    def at_peak(self) -> "Recipe":
        """The recipe for a range test: all along, what changes is as where the LR peaks."""
        return dataclasses.replace(self, momentum_max=self.momentum_min)

    def to_dict(self) -> dict:
        """The class's name, under "class", and all fields."""
        return {"class": type(self).__name__, **dataclasses.asdict(self)}

    def to_json(self) -> str:
        """One field on each line; `s10.cli.registry.load_recipe` reads it."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def differences(self, other: dict) -> list[str]:
        """How this recipe differs from another one's `to_dict()`: "lr_max is 0.01, was 0.02"."""
        ours = self.to_dict()
        return [
            f"{name} is {ours.get(name)}, was {other.get(name)}"
            for name in {**ours, **other}
            if ours.get(name) != other.get(name)
        ]

    @classmethod
    def from_dict(cls, values: dict, where: str = "the recipe") -> "Recipe":
        """A recipe of this class from field → value; absent fields keep their default.

        Raises:
            InputError: a field does not exist, or its value makes no sense.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        values = {name: value for name, value in values.items() if name != "class"}
        for name, value in values.items():
            if name not in fields:
                nearest = difflib.get_close_matches(name, fields, 1, cutoff=0.4)
                hint = f"; did you mean {nearest[0]}?" if nearest else ""
                raise InputError(f"{where} has an unknown field {name!r}{hint}")
            # JSON does not distinguish 1 from 1.0.
            if isinstance(fields[name].default, float) and type(value) is int:
                values[name] = float(value)
        try:
            return cls(**values)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
