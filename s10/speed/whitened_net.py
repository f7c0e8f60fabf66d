"""The network of the laptop recipe: few multiplications per image.

Mostly the network of Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (2024),
section 3, which goes back to Page, "How to Train Your ResNet" (2018).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s10.custom_resnet import conv3x3
from s10.runtime.errors import InputError, positive_int

PATCH = 2  # side of the patches that are whitened, in pixels


class WhitenedNet(nn.Module):
    """A whitening convolution, three blocks of two convolutions, pool, FC.

    Args:
        num_classes: number of logits.
        width: channels of the first block.
        wide: channels of the other two, by default four times as many.

    Input: float tensor (N, 3, S, S), normalized, S at least 16. Output: logits, float
    tensor (N, num_classes). `whiten` sets the first layer, which is not trained.

    Raises:
        InputError: `num_classes`, `width` or `wide` is not a positive integer.
    """

    def __init__(self, num_classes: int = 10, width: int = 64, wide: int | None = None):
        super().__init__()
        positive_int("num_classes", num_classes)
        positive_int("width", width)
        wide = 4 * width if wide is None else positive_int("wide", wide)
        directions = 3 * PATCH * PATCH
        self.whitening = nn.Conv2d(3, 2 * directions, PATCH, bias=False)
        self.whitening.requires_grad_(False)
        self.block1 = block(2 * directions, width)
        self.block2 = block(width, wide)
        self.block3 = block(wide, wide)
        self.fc = nn.Linear(wide, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.whitening(x))  # N × 24 × 31 × 31
        x = self.block1(x)  # N ×  64 × 15 × 15
        x = self.block2(x)  # N × 256 ×  7 ×  7
        x = self.block3(x)  # N × 256 ×  3 ×  3
        return self.fc(x.amax((2, 3)))  # The largest value of each channel: N × 256

    @torch.no_grad()
    def whiten(self, images: Tensor, eps: float = 5e-4) -> None:
        """Set the first layer so that it whitens the patches of these images.

        Its first twelve outputs are then uncorrelated, each with variance 1. Neighboring
        pixels of a photograph are nearly equal, and a network has to learn first to look at
        their differences; here it starts with that. The other twelve are their negatives,
        because the GELU that follows lets only one sign pass. `eps` is added to the
        variances, so that the noise in the faintest directions stays small.

        Args:
            images: float32 (N, 3, H, W), normalized; a few thousand are enough.

        Raises:
            InputError: there are fewer than two images.
        """
        if len(images) < 2:
            raise InputError("whitening needs at least two images")
        patches = images.unfold(2, PATCH, 1).unfold(3, PATCH, 1)
        patches = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * PATCH * PATCH)
        variances, directions = torch.linalg.eigh(torch.cov(patches.T))
        scaled = (directions / (variances + eps).sqrt()).T.reshape(-1, 3, PATCH, PATCH)
        self.whitening.weight.copy_(torch.cat([scaled, -scaled]))


def block(channels_in: int, channels_out: int) -> nn.Sequential:
    """conv → MaxPool2 → BN → GELU → conv → BN → GELU: height and width are halved."""
    return nn.Sequential(
        dirac_init_(PooledConv(channels_in, channels_out)),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(channels_out),
        nn.GELU(),
        dirac_init_(conv3x3(channels_out, channels_out)),
        nn.BatchNorm2d(channels_out),
        nn.GELU(),
    )


class PooledConv(nn.Conv2d):
    """`conv3x3` in front of a 2×2 max pooling: it computes no output that the pooling drops.

    The pooling drops the last row of an odd height, and the last column of an odd width. Without
    them a layer of a 7 × 7 map has a quarter fewer multiplications.

    Input: float tensor (N, channels_in, H, W). Output: float tensor (N, channels_out, H', W'),
    where H' and W' are the even numbers up to H and W.
    """

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__(channels_in, channels_out, kernel_size=3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        bottom, right = (1 - side % 2 for side in x.shape[-2:])
        if bottom and right:
            return super().forward(x)
        return F.conv2d(F.pad(x, (1, right, 1, bottom)), self.weight)


def dirac_init_(conv: nn.Conv2d) -> nn.Conv2d:
    """Initialize the first output channels as copies of the input channels; return `conv`.

    So the input is not lost in random filters, and the first gradients are useful
    (Zagoruyko & Komodakis, "DiracNets", 2017).
    """
    with torch.no_grad():
        nn.init.dirac_(conv.weight[: conv.in_channels])
    return conv
