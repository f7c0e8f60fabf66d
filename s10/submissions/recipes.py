"""The five submissions as recipes, with their mistakes.

Each class is what one README says. Where it is silent, the assignment's settings and
PyTorch's defaults apply; `published.py` lists these choices with their reasons.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from s10.datasets.dataset import ImageDataset, per_image_std
from s10.recipe import Recipe
from s10.runtime.errors import InputError
from s10.schedules import OneCycle
from s10.submissions.loaders import BlackCutOutLoader
from s10.submissions.networks import ReluFirstNet, StridedNet
from s10.submissions.schedules import OneCyclePerEpoch, OneCycleSteppedOncePerEpoch


@dataclass(frozen=True)
class PublishedRecipe(Recipe):
    """The assignment's settings, with PyTorch's defaults where our recipe has other values."""

    beta2: float = 0.999
    weight_decay: float = 0.0
    label_smoothing: float = 0.0

    def make_optimizer(self, model: nn.Module) -> Optimizer:
        """Adam, whose weight decay is an L2 term."""
        return torch.optim.Adam(
            model.parameters(),
            lr=self.lr_min,
            betas=(self.momentum_max, self.beta2),
            weight_decay=self.weight_decay,
        )


@dataclass(frozen=True)
class SGDRecipe(PublishedRecipe):
    """The same with SGD."""

    def make_optimizer(self, model: nn.Module) -> Optimizer:
        """SGD with momentum, not Nesterov's."""
        return torch.optim.SGD(
            model.parameters(),
            lr=self.lr_min,
            momentum=self.momentum_max,
            weight_decay=self.weight_decay,
        )


@dataclass(frozen=True)
class Era1S10Strided(PublishedRecipe):
    """era1-s10-strided: another network, no padding, and a schedule that hardly moves."""

    lr_max: float = 1.91e-3
    lr_min: float = lr_max / 100
    weight_decay: float = 1e-2
    pad: int = 0
    cycle: ClassVar[type[OneCycle]] = OneCycleSteppedOncePerEpoch

    def __post_init__(self):
        super().__post_init__()
        if self.augment != "batched":
            raise InputError(
                f"{type(self).__name__} needs augment batched: its CutOut is not the assignment's"
            )

    def make_model(self, num_classes: int = 10) -> nn.Module:
        return StridedNet(num_classes, self.width)

    def make_scheduler(self, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler:
        final_lr = self.lr_min / 100
        return super().make_scheduler(
            optimizer, steps_per_epoch, cycle=self.cycle, final_lr=final_lr, anneal="cos"
        )

    def normalization(self, dataset: ImageDataset) -> tuple[tuple, tuple]:
        """The standard deviation is the mean over single images, by mistake."""
        return dataset.mean, per_image_std(dataset.train_images)

    def train_loader(
        self, dataset: ImageDataset, device: torch.device | str = "cpu", **options
    ) -> BlackCutOutLoader:
        """Batches of which every second image, on average, has a black square."""
        return super().train_loader(dataset, device, batched=BlackCutOutLoader, **options)


class Era1S10StridedPerBatch(Era1S10Strided):
    """The same with the schedule stepped after every batch, as its README suggests."""

    cycle = OneCycle


@dataclass(frozen=True)
class Era1S10(PublishedRecipe):
    """era1-s10: the assignment's network with Adam."""

    lr_max: float = 5.4e-3
    lr_min: float = lr_max / 25

    def make_scheduler(self, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler:
        return super().make_scheduler(optimizer, steps_per_epoch, anneal="cos")


@dataclass(frozen=True)
class Eva4S11(SGDRecipe):
    """eva4-s11: SGD, one LR for each epoch."""

    lr_max: float = 1e-4 + (1 - 1e-4) / 19  # the second of the 20 LRs of its range test
    lr_min: float = lr_max / 10
    momentum_min: float = 0.8

    def make_scheduler(self, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler:
        return super().make_scheduler(optimizer, steps_per_epoch, cycle=OneCyclePerEpoch)


@dataclass(frozen=True)
class Eva8S8(SGDRecipe):
    """eva8-s8: SGD, the ReLU before the batch norm, and a softmax before the loss."""

    peak_epoch: float = 4.8
    lr_max: float = 0.14820207057988588  # fitted to its log, see `fit_schedule.py`
    lr_min: float = lr_max / 10

    def make_model(self, num_classes: int = 10) -> nn.Module:
        return ReluFirstNet(num_classes, self.width)

    def make_scheduler(self, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler:
        final_lr = self.lr_min / 50.00000000000187  # fitted, too
        return super().make_scheduler(optimizer, steps_per_epoch, final_lr=final_lr)


@dataclass(frozen=True)
class Eva6S9(SGDRecipe):
    """eva6-s9: SGD, with the values of an example that its README explains."""

    lr_max: float = 0.8
    lr_min: float = 0.08
    momentum_min: float = 0.8

    def make_scheduler(self, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler:
        final_lr = self.lr_min / 10
        return super().make_scheduler(optimizer, steps_per_epoch, final_lr=final_lr)
