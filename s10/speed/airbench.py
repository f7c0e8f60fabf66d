"""94% on a CPU with little work: Jordan's airbench94_muon, mostly on images that are still hard.

Network, optimizer and their constants follow `airbench94_muon.py` (Jordan,
github.com/KellerJordan/cifar10-airbench, 2024). What differs: each epoch leaves out the easier half
of the images; the first ones are on small images; the last two blocks are an eighth wider; smaller
batches with a more exact orthogonalization; an LR that rises for one such epoch and ends at a
hundredth of its peak; a whitening bias that starts at 0 and learns as long as the images are small.
`results/README.md` says what was measured of these.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s10.datasets.dataset import ImageDataset
from s10.runtime.errors import InputError, check_fraction
from s10.runtime.hooks import Hook
from s10.speed.muon import Muon
from s10.speed.recipes import LaptopRecipe
from s10.speed.rest import RestEasyImages, RestingLoader
from s10.speed.whitened_net import WhitenedNet
from s10.transforms import SIZE

# a, b and c of six iterations that bring singular values to within 1% of 1, unless they were very
# small: Amsel et al., "The Polar Express" (2025), with their safety factor of 1.01.
POLAR = (
    (8.2052, -22.9019, 16.4607), (4.0664, -2.8612, 0.5184), (3.9096, -2.8234, 0.5250),
    (3.2856, -2.4153, 0.4853), (2.2779, -1.6198, 0.3985), (1.8726, -1.2307, 0.3585),
)  # fmt: skip
# Jordan's LRs of biases and of the last layer, 0.053 and 0.67 for a loss that is summed, as
# multiples of `lr_max` for one that is the mean over 1,000 images.
BIAS_LR_SCALE = 312
HEAD_LR_SCALE = 3941
SGD_MOMENTUM = 0.85
GROWTH = 4.5  # times as many channels in blocks 2 and 3 as in the first; Jordan has 4


class AirbenchNet(WhitenedNet):
    """`WhitenedNet`, a little wider, with fewer trained parameters, and logits that start small.

    Batch norms have no scale, and running statistics of the last few batches. The whitening
    layer has a bias, which is trained on small images alone: its gradient needs a backward
    pass through the largest feature maps, which costs most at 32 pixels. The last two
    blocks have `GROWTH` · `width` channels. Input and output as there.
    """

    def __init__(self, num_classes: int = 10, width: int = 64):
        super().__init__(num_classes, width, wide=round(GROWTH * width))
        self.whitening.bias = nn.Parameter(torch.zeros(self.whitening.out_channels))
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.4
                module.weight.requires_grad_(False)
        self.fc = nn.Linear(self.fc.in_features, num_classes, bias=False)
        with torch.no_grad():
            self.fc.weight.div_(self.fc.weight.std())

    def forward(self, x: Tensor) -> Tensor:
        bias = self.whitening.bias if x.shape[-1] < SIZE else self.whitening.bias.detach()
        x = F.gelu(F.conv2d(x, self.whitening.weight, bias))
        x = self.block3(self.block2(self.block1(x)))
        return self.fc(x.amax((2, 3))) / self.fc.in_features


class MuonSGD(Muon):
    """Muon with a nearly exact orthogonalization, and SGD for all other weights.

    The SGD has Nesterov momentum (0.85). Biases have `lr · BIAS_LR_SCALE`, matrices
    `lr · HEAD_LR_SCALE`; each step subtracts `lr · weight_decay` of the weights, too, and the
    momentum repeats that as it repeats the gradient. `beta2` is unused.
    """

    coefficients = POLAR

    def _update_of_others(self, weight: Tensor, gradient: Tensor, state: dict, group: dict) -> None:
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        scale = HEAD_LR_SCALE if weight.ndim > 1 else BIAS_LR_SCALE
        gradient = gradient.add(weight, alpha=group["weight_decay"] / scale)
        buffer = state["momentum_buffer"].mul_(SGD_MOMENTUM).add_(gradient)
        weight.sub_(gradient.add(buffer, alpha=SGD_MOMENTUM), alpha=group["lr"] * scale)


@dataclass(frozen=True)
class AirbenchRecipe(LaptopRecipe):
    """Fourteen epochs of half of the images each, and six views of each test image.

    Its LRs are for batches of 1,000 at width 64.

    Raises:
        InputError: also if more than half of the images are to rest, and for several processes:
            DistributedDataParallel expects a gradient of each weight in each step.
    """

    OPTIMIZER: ClassVar[type[Muon]] = MuonSGD

    width: int = 64
    epochs: int = 14
    batch_size: int = 1000

    peak_epoch: float = 1  # 25 steps
    lr_max: float = 0.17  # 0.14 and 0.2 were worse
    lr_min: float = 0.0425
    final_lr: float = 0.0017
    weight_decay: float = 0.012  # of biases and the last layer

    low_res_fraction: float = 0.4  # a quarter was worse
    low_res_size: int = 20
    rest: float = 0.5  # share of the images that an epoch leaves out: see RestEasyImages
    tta_views: int = 6

    def __post_init__(self):
        super().__post_init__()
        if check_fraction("rest", self.rest) > 0.5:
            raise InputError(
                f"rest must be at most 0.5, not {self.rest}: more images would have to come back "
                "than an epoch has"
            )

    def make_model(self, num_classes: int = 10) -> nn.Module:
        return AirbenchNet(num_classes, self.width)

    def train_loader(self, dataset: ImageDataset, device="cpu", **options) -> RestingLoader:
        if options.get("world_size", 1) > 1:
            raise InputError(f"{type(self).__name__} is for one process; start it without torchrun")
        return super().train_loader(
            dataset, device, batched=RestingLoader, rest=self.rest, **options
        )

    def make_hooks(self) -> list[Hook]:
        return [RestEasyImages()] if self.rest else []

    def relative_work(self) -> float:
        return super().relative_work() * (1 - self.rest)

    def with_epochs(self, epochs: int) -> "AirbenchRecipe":
        """The same recipe over another number of epochs; the LR peaks at the same epoch."""
        return replace(super().with_epochs(epochs), peak_epoch=self.peak_epoch)


LAPTOP_94 = AirbenchRecipe()
