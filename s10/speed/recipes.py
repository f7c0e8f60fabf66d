"""Recipes that reach the assignment's accuracy in less time, or more in the same time.

Notebook 5 explains the techniques; `results/README.md` says how the values were chosen.
"""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from s10.datasets.dataset import ImageDataset
from s10.recipe import Recipe
from s10.runtime.errors import InputError, check_choice, check_fraction, check_int, positive_float
from s10.runtime.hooks import Hook
from s10.speed.averaging import AverageWeights
from s10.speed.loaders import FastLoader
from s10.speed.muon import Muon
from s10.speed.tta import VIEWS
from s10.speed.whitened_net import WhitenedNet
from s10.transforms import SIZE, normalize

WHITENING_IMAGES = 5000  # from which the whitening layer is computed


@dataclass(frozen=True)
class AveragedRecipe(Recipe):
    """The assignment as it is stated, with averaged weights."""

    lr_max: float = 0.005  # half; on held-out images a little better than 0.01 in the mean
    lr_min: float = 0.000005
    batch_norm_momentum: float = 0.4  # running statistics keep pace with the weights
    average_decay: float = 0.98  # a mean over the last 250 steps or so; see AverageWeights

    def __post_init__(self):
        super().__post_init__()
        check_fraction("batch_norm_momentum", self.batch_norm_momentum)
        check_fraction("average_decay", self.average_decay, below_1=True)

    def make_model(self, num_classes: int = 10) -> nn.Module:
        model = super().make_model(num_classes)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = self.batch_norm_momentum
        return model

    def make_hooks(self) -> list[Hook]:
        return [AverageWeights(self.average_decay)]


@dataclass(frozen=True)
class FastRecipe(Recipe):
    """The assignment's network, epochs and images with Muon.

    Raises:
        InputError: also for albumentations, which has neither alternating flips nor low
            resolution, and for images that are too small for the network.
    """

    MIN_SIZE: ClassVar[int] = SIZE  # the network pools until one pixel is left
    OPTIMIZER: ClassVar[type[Muon]] = Muon

    peak_epoch: float = 1  # earlier is no better, and needs more than a few images
    lr_max: float = 0.08  # a step replaces this fraction of the filters; 0.05 was worse
    lr_min: float = 0.02  # at the start: a quarter, as the steps have a bounded size
    final_lr: float = 0.0008  # a hundredth; a hundredth of that was no better
    momentum_max: float = 0.8  # constant, and larger than the laptop's: the LR is smaller
    momentum_min: float = 0.8
    beta2: float = 0.95  # of AdamW, for the weights that are no filters; 0.99 was no better
    weight_decay: float = 0.0  # the filters have a fixed norm
    label_smoothing: float = 0.2  # twice the assignment's; it helped the laptop recipe

    alternating_flips: bool = True  # no image looks the same in two consecutive epochs
    low_res_fraction: float = 0.0  # first part of the run on smaller, cheaper images, 0–1
    low_res_size: int = 24  # their side in pixels: 44% fewer pixels
    tta_views: int = 2  # of each test image after the last epoch, 1 for none; stated separately

    def __post_init__(self):
        super().__post_init__()
        positive_float("final_lr", self.final_lr)
        check_fraction("low_res_fraction", self.low_res_fraction)
        check_int("low_res_size", self.low_res_size, 16, SIZE)
        check_choice("tta_views", self.tta_views, VIEWS)
        if self.augment != "batched":
            raise InputError(
                f"{type(self).__name__} needs augment batched: albumentations has neither "
                "alternating flips nor low resolution"
            )
        if not isinstance(self.alternating_flips, bool):
            raise InputError(
                f"alternating_flips must be true or false, not {self.alternating_flips!r}"
            )
        if self.alternating_flips and not self.flip:
            raise InputError("alternating_flips needs flip: set both, or neither")
        if self.low_res_fraction and self.low_res_size < self.MIN_SIZE:
            raise InputError(
                f"the network of {type(self).__name__} needs images of {self.MIN_SIZE} pixels: "
                "set low_res_fraction to 0"
            )

    def make_optimizer(self, model: nn.Module) -> Optimizer:
        """`OPTIMIZER`: Muon for the filters, by default AdamW for all other weights."""
        return self.OPTIMIZER(
            model.parameters(),
            lr=self.lr_min,
            momentum=self.momentum_max,
            beta2=self.beta2,
            weight_decay=self.weight_decay,
        )

    def make_scheduler(self, optimizer: Optimizer, steps_per_epoch: int, **options) -> LRScheduler:
        """One cycle that ends at `final_lr`."""
        options = {"final_lr": self.final_lr, **options}
        return super().make_scheduler(optimizer, steps_per_epoch, **options)

    def train_loader(
        self,
        dataset: ImageDataset,
        device: torch.device | str = "cpu",
        *,
        batched: type[FastLoader] = FastLoader,
        **options,
    ) -> FastLoader:
        return super().train_loader(
            dataset,
            device,
            batched=batched,
            epochs=self.epochs,
            alternating_flips=self.alternating_flips,
            low_res_fraction=self.low_res_fraction,
            low_res_size=self.low_res_size,
            **options,
        )

    def relative_work(self) -> float:
        """Work of the training relative to all images in each epoch, at full resolution."""
        return 1 - self.low_res_fraction * (1 - (self.low_res_size / SIZE) ** 2)

    def with_lr_max(self, lr_max: float) -> "FastRecipe":
        """The same recipe with another peak; lr_min and final_lr keep their ratio to it."""
        factor = positive_float("lr_max", lr_max) / self.lr_max
        recipe = super().with_lr_max(lr_max)
        return dataclasses.replace(recipe, final_lr=self.final_lr * factor)

    def at_peak(self) -> "FastRecipe":
        """Also all images of one size."""
        low_res = self.peak_epoch / self.epochs <= self.low_res_fraction
        return dataclasses.replace(super().at_peak(), low_res_fraction=float(low_res))


@dataclass(frozen=True)
class LaptopRecipe(FastRecipe):
    """As little work as possible for two CPU cores: another network, fewer epochs."""

    MIN_SIZE: ClassVar[int] = 16  # WhitenedNet pools over whatever is left

    width: int = 32  # 64 needs fewer epochs for the same accuracy, but more work in all
    epochs: int = 7  # 6 stayed just below 90% on held-out images
    pad: int = 2  # so short a run overfits little
    cutout: int = 0

    lr_max: float = 0.12  # 0.08 was no better, 0.2 was worse
    lr_min: float = 0.03
    final_lr: float = 0.0012
    momentum_max: float = 0.6  # as in Jordan's airbench94_muon; 0.8 was worse with this LR
    momentum_min: float = 0.6

    low_res_fraction: float = 0.5  # a twelfth less work than one epoch less, equally good
    tta_views: int = 1

    def make_model(self, num_classes: int = 10) -> nn.Module:
        return WhitenedNet(num_classes, self.width)

    def initial_model(self, dataset: ImageDataset) -> nn.Module:
        """The network with its first layer whitening a sample of the training images."""
        model = self.make_model(len(dataset.classes))
        mean, std = self.normalization(dataset)
        model.whiten(normalize(dataset.subset(WHITENING_IMAGES).train_images, mean, std))
        return model


ASSIGNMENT_94 = AveragedRecipe()
LAPTOP = LaptopRecipe()
# The assignment's network and its 24 epochs; everything else is free.
BEYOND = FastRecipe()
