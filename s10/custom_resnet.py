"""The assignment's network: a 6.57 M-parameter ResNet for 32×32 images.

It is the network of David Page's DAWNBench entry ("How to Train Your ResNet",
2018) with batch norm after the pooling; the residual block is that of He et
al., "Deep Residual Learning for Image Recognition" (2015), section 3, with
the ReLU inside the branch.
"""

from torch import Tensor, nn

from s10.runtime.errors import positive_int


def conv3x3(channels_in: int, channels_out: int) -> nn.Conv2d:
    """A 3×3 convolution, stride 1, padding 1: height and width stay the same.

    It has no bias, because the batch norm after it subtracts any constant.
    """
    return nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=1, padding=1, bias=False)


def conv_block(channels_in: int, channels_out: int) -> nn.Sequential:
    """conv → BN → ReLU."""
    return nn.Sequential(
        conv3x3(channels_in, channels_out), nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True)
    )


def down_block(channels_in: int, channels_out: int) -> nn.Sequential:
    """conv → MaxPool2 → BN → ReLU: height and width are halved."""
    return nn.Sequential(
        conv3x3(channels_in, channels_out),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class ResBlock(nn.Module):
    """x + (conv → BN → ReLU → conv → BN → ReLU)(x); the shape stays the same."""

    def __init__(self, channels: int):
        super().__init__()
        self.branch = nn.Sequential(conv_block(channels, channels), conv_block(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class CustomResNet(nn.Module):
    """Prep layer, three layers (the first and third with a residual), pool, FC.

    Args:
        num_classes: number of logits.
        width: channels of the prep layer; the later layers have 2, 4 and 8
            times as many. 64 is the assignment's network (6,573,130 parameters
            at ten classes), 16 the quarter-width one for a CPU.

    Input: float tensor (N, 3, 32, 32), normalized. Output: logits, float
    tensor (N, num_classes); the softmax belongs to the loss.

    Raises:
        InputError: `num_classes` or `width` is no positive whole number.
    """

    def __init__(self, num_classes: int = 10, width: int = 64):
        super().__init__()
        positive_int("num_classes", num_classes)
        positive_int("width", width)
        self.prep = conv_block(3, width)
        self.layer1 = nn.Sequential(down_block(width, 2 * width), ResBlock(2 * width))
        self.layer2 = down_block(2 * width, 4 * width)
        self.layer3 = nn.Sequential(down_block(4 * width, 8 * width), ResBlock(8 * width))
        self.pool = nn.MaxPool2d(4)
        self.fc = nn.Linear(8 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.prep(x)  #   N ×  64 × 32 × 32
        x = self.layer1(x)  # N × 128 × 16 × 16
        x = self.layer2(x)  # N × 256 ×  8 ×  8
        x = self.layer3(x)  # N × 512 ×  4 ×  4
        x = self.pool(x)  #   N × 512 ×  1 ×  1
        return self.fc(x.flatten(1))
