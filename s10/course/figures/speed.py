"""What two tricks of the laptop recipe do: Muon's iterations and the whitening layer."""

import numpy as np
import torch
from matplotlib.figure import Figure

from s10.course.figures.drawing import keep_random_state
from s10.datasets.dataset import ImageDataset
from s10.plots.style import PALETTE, new_figure, style_axes
from s10.speed.whitened_net import WhitenedNet
from s10.transforms import normalize


def newton_schulz() -> Figure:
    """How Muon's Newton–Schulz iterations (`s10.speed.muon`) map the singular values."""
    figure, axes = new_figure(7, 3.4)
    start = np.logspace(-3, 0, 400)
    value = start
    axes.loglog(start, start, color="0.6", linestyle=":", label="no iteration")
    for count in range(1, 6):
        value = 3.4445 * value - 4.775 * value**3 + 2.0315 * value**5
        if count in (1, 3, 5):
            label = f"{count} iteration{'s' * (count > 1)}"
            axes.loglog(start, value, color=PALETTE[count // 2], linewidth=2, label=label)
    axes.axhspan(0.68, 1.2, color="0.9", zorder=0)
    axes.text(0.0011, 1.55, "0.7 to 1.2", va="center", fontsize=9, color="0.3")
    axes.set(ylim=(1e-3, 3), ylabel="singular value after the iterations")
    axes.set_xlabel("singular value (of the momentum, divided by its norm)")
    title = "After 3 iterations, singular values above 0.02 are about 0.7 to 1.2"
    axes.set_title(title, loc="left")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    style_axes(axes)
    return figure


@keep_random_state
def patch_correlation(dataset: ImageDataset) -> Figure:
    """Correlations of the 12 values of a 2 × 2 patch, before and after the whitening layer.

    Measured on a sample of 1,000 training images.
    """
    pixels = normalize(dataset.subset(1000).train_images, dataset.mean, dataset.std)
    model = WhitenedNet(width=1)
    model.whiten(pixels)
    with torch.no_grad():
        after = model.whitening(pixels)[:, :12]
    patches = pixels.unfold(2, 2, 1).unfold(3, 2, 1).permute(1, 4, 5, 0, 2, 3)
    figure, panels = new_figure(7, 3.3, 1, 2)
    titles = ("values of a 2 × 2 patch", "after the whitening layer")
    values = (patches.reshape(12, -1), after.permute(1, 0, 2, 3).reshape(12, -1))
    for axes, title, rows in zip(panels, titles, values, strict=True):
        image = axes.imshow(torch.corrcoef(rows), cmap="RdBu", vmin=-1, vmax=1)
        axes.set_title(title, loc="left", fontsize=10)
        axes.set(xticks=[], yticks=[])
    panels[0].set_yticks([1.5, 5.5, 9.5], ["red", "green", "blue"])
    figure.colorbar(image, ax=panels, label="correlation", shrink=0.9)
    return figure
