"""Test-time augmentation: the network's answers averaged over several views of an image."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s10.predictions import Predictions
from s10.runtime.device import Precision
from s10.runtime.errors import check_choice, check_fraction
from s10.training import evaluate

VIEWS = (1, 2, 6)  # of a test image; see `tta_logits`


def tta_logits(model: nn.Module, images: Tensor, views: int = 1) -> Tensor:
    """The model's logits, averaged over views of each image: float (B, C).

    `images` is float (B, 3, H, W). 1 view is the image itself. 2 views are the image and
    its mirror image. 6 views are these two, and both again shifted by one pixel to the
    lower right and to the upper left (reflect padding); the unshifted ones have half of
    the weight, as in Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (2024),
    section 3.5. It helps a network that was trained on such views, and multiplies the
    time. State accuracies with it separately.

    Raises:
        InputError: another number of views.
    """
    check_choice("tta_views", views, VIEWS)
    if views == 1:
        return model(images)
    if views == 2:
        return (model(images) + model(images.flip(3))) / 2
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    shifted = [padded[:, :, :-2, :-2], padded[:, :, 2:, 2:]]
    around = [tta_logits(model, view, 2) for view in shifted]
    return tta_logits(model, images, 2) / 2 + (around[0] + around[1]) / 4


class _Averaged(nn.Module):
    """A network whose logits are averaged over views."""

    def __init__(self, model: nn.Module, views: int):
        super().__init__()
        self.model, self.views = model, views
        self.train(model.training)  # So that `evaluate` restores the model's mode.

    def forward(self, images: Tensor) -> Tensor:
        return tta_logits(self.model, images, self.views)


def evaluate_with_tta(
    model: nn.Module,
    batches: Iterable,
    classes: Sequence[str],
    *,
    views: int,
    share: float = 1.0,
    precision: Precision | None = None,
) -> Predictions:
    """Like `evaluate`, with logits averaged over this many views of each image.

    Args:
        share: 0–1; with less than 1, only this share of the images, those of whose class the
            network is least sure, is looked at again. The others hardly ever change their class.

    Raises:
        InputError: another number of views, a share out of that range, or no batch.
    """
    check_choice("tta_views", views, VIEWS)
    if check_fraction("share", share) == 1 or views == 1:
        return evaluate(_Averaged(model, views), batches, classes, precision=precision)
    batches = list(batches)
    found = evaluate(model, batches, classes, precision=precision)
    confidence = torch.from_numpy(found.logits).softmax(1).amax(1)
    unsure = confidence.argsort()[: round(share * len(confidence))]
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    again = [(images[part], labels[part]) for part in unsure.to(images.device).split(1000)]
    logits = found.logits.copy()
    if again:
        averaged = evaluate(_Averaged(model, views), again, classes, precision=precision)
        logits[unsure.numpy()] = averaged.logits
    return replace(found, logits=logits)
