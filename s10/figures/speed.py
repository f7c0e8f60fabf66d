"""What the tricks of the laptop's recipe do, drawn."""

import numpy as np
import torch
from matplotlib.figure import Figure

from s10.augment import normalise
from s10.figures.drawing import keep_random_state
from s10.images.dataset import Images
from s10.plots.style import PALETTE, new_figure, tidy
from s10.whitened_net import WhitenedNet


def newton_schulz() -> Figure:
    """What Muon's iterations do to a singular value, and how many it takes to hear a faint one."""
    figure, axes = new_figure(7, 3.4)
    start = np.logspace(-3, 0, 400)
    value = start
    axes.loglog(start, start, color="0.6", linestyle=":", label="as it is")
    for count in range(1, 6):
        value = 3.4445 * value - 4.775 * value**3 + 2.0315 * value**5
        if count in (1, 3, 5):
            words = f"after {count} iteration{'s' * (count > 1)}"
            axes.loglog(start, value, color=PALETTE[count // 2], linewidth=2, label=words)
    axes.axhspan(0.68, 1.2, color="0.9", zorder=0)
    axes.text(0.0011, 1.55, "about the same for all", va="center", fontsize=9, color="0.3")
    axes.set_ylim(1e-3, 3)
    axes.set_xlabel("singular value of the momentum, divided by its length")
    axes.set_ylabel("… of the step")
    axes.set_title("Three iterations level all but the faintest directions", loc="left")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    tidy(axes)
    return figure


@keep_random_state
def patch_correlation(images: Images, count: int = 1000) -> Figure:
    """How the 12 numbers of a patch of 2 × 2 pixels go together, before and behind the whitening.

    From the first `count` training images; each square is a correlation, −1 to 1.
    """
    pixels = normalise(images.train_images[:count], images.mean, images.std)
    model = WhitenedNet(width=1)
    model.whiten(pixels)
    with torch.no_grad():
        after = model.whitening(pixels)[:, :12]
    patches = pixels.unfold(2, 2, 1).unfold(3, 2, 1).permute(1, 4, 5, 0, 2, 3)
    figure, panels = new_figure(7, 3.3, 1, 2)
    titles = ("12 numbers of a 2 × 2 patch", "behind the whitening layer")
    numbers = (patches.reshape(12, -1), after.permute(1, 0, 2, 3).reshape(12, -1))
    for axes, title, values in zip(panels, titles, numbers, strict=True):
        drawn = axes.imshow(torch.corrcoef(values), cmap="RdBu", vmin=-1, vmax=1)
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
    panels[0].set_yticks([1.5, 5.5, 9.5], ["red", "green", "blue"])
    figure.colorbar(drawn, ax=panels, label="correlation", shrink=0.9)
    return figure
