"""What a network looks at: Grad-CAM, as heat maps and in words."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor, nn

from s10.plots.images import plot_images
from s10.runtime.parts import evaluation_mode

OPACITY = 0.75  # of the color where a map is largest
ROWS, COLUMNS = ("upper", "middle", "lower"), ("left", "center", "right")


@torch.enable_grad()
def grad_cam(model: nn.Module, layer: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    """Where in each image this layer finds evidence for the class: float (N, h, w), ≥ 0.

    Selvaraju et al., "Grad-CAM" (2017), equations 1 and 2. `layer` is a part of the model whose
    output is feature maps (N, C, h, w); the images are float (N, 3, H, W), normalized;
    `classes` is int64 (N,). The model is used in evaluation mode, and left in its own.
    """
    kept = []
    handle = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    with evaluation_mode(model), handle:
        logits = model(images)
    maps = kept[0]
    scores = logits.gather(1, classes[:, None])  # of the class, before the softmax
    (gradients,) = torch.autograd.grad(scores.sum(), maps)
    weights = gradients.mean(dim=(2, 3), keepdim=True)  # how much each map counts for the class
    return F.relu((weights * maps).sum(dim=1)).detach()


def plot_heat(
    images: np.ndarray,
    heat: Sequence[Tensor],
    names: Sequence[str],
    *,
    columns: int | None = None,
    size: float = 1.2,
) -> Figure:
    """Images, and for each heat map the same images in gray, under the map in color.

    Each map is scaled to its own maximum, which is dark red; where it is zero, the gray is bare.

    Args:
        images: uint8 (N, H, W, 3). heat: tensors (N, h, w), as from `grad_cam`.
        names: N of the images, then N for each of the tensors.
        columns: N if not given, so that each tensor has its row. size: of an image, in inches.
    """
    images = np.asarray(images) / 255
    rows = [images]
    for maps in heat:
        maps = F.interpolate(maps[:, None].float().cpu(), images.shape[1:3], mode="bilinear")
        maps = maps / maps.amax(dim=(2, 3), keepdim=True).clamp_min(1e-12)
        maps = maps.movedim(1, 3).numpy()
        gray = images.mean(axis=3, keepdims=True)
        color = colormaps["YlOrRd"](maps[..., 0])[..., :3]
        rows.append(gray + OPACITY * maps * (color - gray))
    return plot_images(np.concatenate(rows), names, columns=columns or len(images), size=size)


def place(heat: Tensor) -> str:
    """Where a map (h, w) is largest, such as "upper left"; "nowhere" if it is zero."""
    if not heat.max() > 0:
        return "nowhere"
    position = np.unravel_index(int(heat.argmax()), heat.shape)
    row, column = ((3 * at + 1.5) // size for at, size in zip(position, heat.shape, strict=True))
    words = f"{ROWS[int(row)]} {COLUMNS[int(column)]}"
    return "center" if words == "middle center" else words
