"""Test-time augmentation: the network looks at several versions of an image."""

import torch.nn.functional as F
from torch import Tensor, nn

from s10.errors import InputError
from s10.recipe import VIEWS


def logits_of_views(model: nn.Module, images: Tensor, views: int = 1) -> Tensor:
    """The model's logits, averaged over versions of each image: float (B, C).

    `images` is float (B, 3, H, W). 1 view is the image itself. 2 are the image and
    its mirror image. 6 are these two, and both again from one pixel further up
    and left, and down and right (the border mirrored); the middle counts
    half, as in Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU"
    (2024), section 3.5. It helps for what was trained on such versions, and costs
    as many times the time; results with it are to be stated apart.

    Raises:
        InputError: another number of views.
    """
    if views not in VIEWS:
        raise InputError(f"views must be {', '.join(map(str, VIEWS))}, not {views!r}")
    if views == 1:
        return model(images)
    if views == 2:
        return (model(images) + model(images.flip(3))) / 2
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    shifted = [padded[:, :, :-2, :-2], padded[:, :, 2:, 2:]]
    around = [logits_of_views(model, view, 2) for view in shifted]
    return logits_of_views(model, images, 2) / 2 + (around[0] + around[1]) / 4
