"""The laptop recipe without one of its techniques, each in one overridden method.

Techniques that are fields, such as alternating flips, need no class: change the field.
"""

from dataclasses import dataclass

from torch import nn

from s10.datasets.dataset import ImageDataset
from s10.recipe import Recipe
from s10.speed.recipes import LaptopRecipe


class WithoutWhitening(LaptopRecipe):
    """The first layer starts at random and is trained, like all others."""

    def initial_model(self, dataset: ImageDataset) -> nn.Module:
        model = self.make_model(len(dataset.classes))
        model.whitening.requires_grad_(True)
        return model


class WithoutDirac(LaptopRecipe):
    """All filters start at random; none copies its input."""

    def make_model(self, num_classes: int = 10) -> nn.Module:
        model = super().make_model(num_classes)
        for block in (model.block1, model.block2, model.block3):
            for layer in block:
                if isinstance(layer, nn.Conv2d):
                    layer.reset_parameters()
        return model


@dataclass(frozen=True)
class WithoutMuon(LaptopRecipe):
    """The assignment's AdamW, with its LR, momenta, β2 and decay; the LR ends at LRMIN."""

    lr_max: float = Recipe.lr_max
    lr_min: float = Recipe.lr_min
    final_lr: float = Recipe.lr_min
    momentum_max: float = Recipe.momentum_max
    momentum_min: float = Recipe.momentum_min
    beta2: float = Recipe.beta2
    weight_decay: float = Recipe.weight_decay

    make_optimizer = Recipe.make_optimizer
