"""The networks by the names that a recipe knows them by."""

import torch
from torch import nn

from s10.augment import SIZE, normalise
from s10.custom_resnet import CustomResNet
from s10.errors import InputError
from s10.images.dataset import Images
from s10.recipe import Recipe
from s10.submissions.networks import ReluFirstNet, StridedNet
from s10.submissions.variants import ReluBeforeBN, SoftmaxOutput, TwoBranches
from s10.whitened_net import WhitenedNet
from s10.whitened_variants import RandomFilters, TrainedFirstLayer

WHITENED = 5000  # images by which a whitening layer is set

NETWORKS = {
    "custom_resnet": CustomResNet,
    "era1-s10-strided": StridedNet,
    "eva8-s8": ReluFirstNet,
    "softmax": SoftmaxOutput,
    "relu_before_bn": ReluBeforeBN,
    "two_branches": TwoBranches,
    "whitened_net": WhitenedNet,
    "trained_first_layer": TrainedFirstLayer,
    "random_filters": RandomFilters,
}
# They pool over whatever is left; the others need 32×32 pixels.
TAKE_SMALL_PICTURES = ("whitened_net", "trained_first_layer", "random_filters")


def make_network(recipe: Recipe, num_classes: int = 10) -> nn.Module:
    """The recipe's network, of the recipe's width, with new weights.

    Each takes images (N, 3, 32, 32) and gives (N, num_classes).

    Raises:
        InputError: the recipe has small pictures, which this network does not take.
    """
    small = recipe.small_until and recipe.small_size != SIZE
    if small and recipe.network not in TAKE_SMALL_PICTURES:
        raise InputError(
            f"{recipe.network} takes pictures of {SIZE} pixels only: take small_until 0, "
            f"or a network of {', '.join(TAKE_SMALL_PICTURES)}"
        )
    return NETWORKS[recipe.network](num_classes, recipe.width)


def initial_network(
    recipe: Recipe, images: Images, device: torch.device | str = "cpu"
) -> nn.Module:
    """The recipe's network for these images' classes, ready to be trained on them.

    A whitening layer is set by the first few thousand training images.
    """
    model = make_network(recipe, len(images.classes))
    if hasattr(model, "whiten"):
        model.whiten(normalise(images.train_images[:WHITENED], images.mean, images.std))
    return model.to(device)
