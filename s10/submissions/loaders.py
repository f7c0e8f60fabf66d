"""CutOut as albumentations' CoarseDropout has it by default."""

from dataclasses import replace

import torch
from torch import Tensor

from s10.loaders import TensorLoader
from s10.transforms import SIZE, AugmentParams, BatchTransform, cutout_mask


class BlackCutOutLoader(TensorLoader):
    """Batches as from `TensorLoader`, but only half of the images have a square, a black one."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.transform = _BlackCutOut(self.transform)

    def sample_params(self, generator: torch.Generator) -> AugmentParams:
        params = super().sample_params(generator)
        cut = torch.rand(self.count, generator=generator) < 0.5
        # A square below the last row covers nothing.
        return replace(params, cut_top=torch.where(cut, params.cut_top, SIZE))


class _BlackCutOut:
    """A `BatchTransform` whose squares are black, not of the mean color."""

    def __init__(self, transform: BatchTransform):
        self.transform = transform
        self.black = -transform.mean / transform.std  # after normalization

    def __call__(self, index: Tensor, params: AugmentParams) -> Tensor:
        square = cutout_mask(params, self.transform.cutout)
        return self.transform(index, params).add_(square * self.black)
