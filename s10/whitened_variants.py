"""The laptop's network with one of its tricks taken away, to measure what that one brings."""

from torch import Tensor, nn

from s10.whitened_net import WhitenedNet


class TrainedFirstLayer(WhitenedNet):
    """Its first layer begins at random and is trained, like all others."""

    def __init__(self, num_classes: int = 10, width: int = 64):
        super().__init__(num_classes, width)
        self.whitening.requires_grad_(True)

    def whiten(self, images: Tensor, eps: float = 5e-4) -> None:
        """Leave the first layer as it is."""


class RandomFilters(WhitenedNet):
    """All its filters begin at random; none passes on what it gets."""

    def __init__(self, num_classes: int = 10, width: int = 64):
        super().__init__(num_classes, width)
        for block in (self.block1, self.block2, self.block3):
            for layer in block:
                if isinstance(layer, nn.Conv2d):
                    layer.reset_parameters()
