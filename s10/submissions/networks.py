"""The two networks of submissions that differ from the assignment's, as published.

At width 64 they are the published ones, parameter for parameter; `width` scales them as
it scales `CustomResNet`. Their mistakes are kept, because they are what a learner studies.
"""

from torch import Tensor, nn

from s10.runtime.errors import positive_int


def conv3x3(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    """A 3×3 convolution with a bias, which is useless if a batch norm follows directly."""
    return nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=stride, padding=1)


def conv_bn_relu(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        conv3x3(channels_in, channels_out, stride), nn.BatchNorm2d(channels_out), nn.ReLU()
    )


class StridedNet(nn.Module):
    """The network of `era1-s10-strided`.

    What looks like a residual block adds two different branches of the layer's input.
    Both halve height and width, one by a stride of 2, one by pooling; so there is no
    identity path. The pooling at the end leaves 3 × 3 positions. Output: log-probabilities
    (N, num_classes). The published `forward` ends with a log_softmax; cross-entropy takes
    it again, which changes nothing.
    """

    def __init__(self, num_classes: int = 10, width: int = 64):
        super().__init__()
        positive_int("num_classes", num_classes)
        positive_int("width", width)
        self.prepblock = conv_bn_relu(3, width)
        self.R1 = self._strided(width, 2 * width)
        self.convblockx1 = nn.Sequential(*self._pooled(width, 2 * width), nn.Dropout(0.1))
        self.convblockmid = conv_bn_relu(2 * width, 4 * width)
        self.R2 = self._strided(4 * width, 8 * width)
        self.convblockx2 = self._pooled(4 * width, 8 * width)
        self.pool = nn.MaxPool2d(4, 2)
        self.fc1 = nn.Linear(9 * 8 * width, num_classes)

    @staticmethod
    def _strided(channels_in: int, channels_out: int) -> nn.Sequential:
        return nn.Sequential(
            *conv_bn_relu(channels_in, channels_out),
            *conv_bn_relu(channels_out, channels_out, stride=2),
        )

    @staticmethod
    def _pooled(channels_in: int, channels_out: int) -> nn.Sequential:
        return nn.Sequential(
            conv3x3(channels_in, channels_out),
            nn.MaxPool2d(2, 2),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.prepblock(x)  #                    N ×  64 × 32 × 32
        x = self.R1(x) + self.convblockx1(x)  #     N × 128 × 16 × 16
        x = self.convblockmid(x)  #                 N × 256 × 16 × 16
        x = self.R2(x) + self.convblockx2(x)  #     N × 512 ×  8 ×  8
        x = self.pool(x)  #                         N × 512 ×  3 ×  3
        return self.fc1(x.flatten(1)).log_softmax(-1)


class ReluFirstNet(nn.Module):
    """The network of `eva8-s8`.

    The assignment's layers, but the ReLU comes before the batch norm, the convolutions
    have a bias, layer 3 has a dropout, and `forward` ends with a softmax. Output:
    probabilities (N, num_classes), of which cross-entropy takes the softmax once more.
    """

    def __init__(self, num_classes: int = 10, width: int = 64):
        super().__init__()
        positive_int("num_classes", num_classes)
        positive_int("width", width)
        self.prep = self._block(3, width)
        self.layer1 = self._block(width, 2 * width, nn.MaxPool2d(2, 2))
        self.residual1 = self._residual(2 * width)
        self.layer2 = self._block(2 * width, 4 * width, nn.MaxPool2d(2, 2))
        self.layer3 = self._block(4 * width, 8 * width, nn.MaxPool2d(2, 2)).append(nn.Dropout(0.1))
        self.residual2 = self._residual(8 * width)
        self.maxpool = nn.MaxPool2d(4, 2)
        self.fc = nn.Linear(8 * width, num_classes)
        self.softmax = nn.Softmax(1)

    @staticmethod
    def _block(channels_in: int, channels_out: int, *pooling: nn.Module) -> nn.Sequential:
        return nn.Sequential(
            conv3x3(channels_in, channels_out), *pooling, nn.ReLU(), nn.BatchNorm2d(channels_out)
        )

    @classmethod
    def _residual(cls, channels: int) -> nn.Sequential:
        return nn.Sequential(*cls._block(channels, channels), *cls._block(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer1(self.prep(x))
        x = x + self.residual1(x)
        x = self.layer3(self.layer2(x))
        x = x + self.residual2(x)
        return self.softmax(self.fc(self.maxpool(x).flatten(1)))
