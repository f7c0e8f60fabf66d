"""The networks by the names that a recipe knows them by."""

from torch import nn

from s10.custom_resnet import CustomResNet
from s10.recipe import Recipe
from s10.submissions.networks import ReluFirstNet, StridedNet
from s10.submissions.variants import ReluBeforeBN, SoftmaxOutput, TwoBranches

NETWORKS = {
    "custom_resnet": CustomResNet,
    "era1-s10-strided": StridedNet,
    "eva8-s8": ReluFirstNet,
    "softmax": SoftmaxOutput,
    "relu_before_bn": ReluBeforeBN,
    "two_branches": TwoBranches,
}


def make_network(recipe: Recipe, num_classes: int = 10) -> nn.Module:
    """The recipe's network, of the recipe's width, with new weights.

    Each takes images (N, 3, 32, 32) and gives (N, num_classes).
    """
    return NETWORKS[recipe.network](num_classes, recipe.width)
