"""The assignment's network with one mistake of a submission each, to measure its cost."""

from torch import Tensor, nn

from s10.custom_resnet import CustomResNet, conv_block


class SoftmaxNet(CustomResNet):
    """A softmax ends `forward`: returns probabilities where cross-entropy expects logits.

    The loss cannot fall below ln(1 + 9/e) ≈ 1.461 for ten classes, because it takes the
    softmax of numbers from 0 to 1.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).float().softmax(1)


class ReluBeforeBNNet(CustomResNet):
    """Every ReLU comes before its batch norm, not after it."""

    def __init__(self, num_classes: int = 10, width: int = 64):
        super().__init__(num_classes, width)
        for block in self.modules():
            if isinstance(block, nn.Sequential) and isinstance(block[-1], nn.ReLU):
                block[-2], block[-1] = nn.ReLU(), block[-2]


class TwoBranchesNet(CustomResNet):
    """Layers 1 and 3 add two downsampling branches of their input, as `era1-s10-strided` does.

    Instead of x + residual(x) with x = down(input) they return down(input) + strided(input),
    where `strided` is conv-BN-ReLU-conv-BN-ReLU, its second convolution with stride 2: there
    is no identity path.
    """

    def __init__(self, num_classes: int = 10, width: int = 64):
        super().__init__(num_classes, width)
        self.layer1 = _TwoBranches(self.layer1[0], width, 2 * width)
        self.layer3 = _TwoBranches(self.layer3[0], 4 * width, 8 * width)


class _TwoBranches(nn.Module):
    def __init__(self, pooled: nn.Module, channels_in: int, channels_out: int):
        super().__init__()
        self.pooled = pooled
        self.strided = nn.Sequential(
            *conv_block(channels_in, channels_out),
            nn.Conv2d(channels_out, channels_out, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.pooled(x) + self.strided(x)
