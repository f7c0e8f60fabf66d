"""The degradation problem in a picture: deep plain nets train worse, deep residual ones do not."""

import pandas as pd
from matplotlib.figure import Figure

from s10.errors import InputError
from s10.plots.style import PALETTE, new_figure, tidy

COLUMNS = ("depth", "shortcuts", "step", "loss")


def degradation(table: pd.DataFrame) -> Figure:
    """Training loss against step for nets of several depths, plain left, residual right.

    He et al., "Deep Residual Learning for Image Recognition" (2015), figure 1
    and 4, on a small scale.

    Args:
        table: with the columns depth, shortcuts (true: residual), step and loss,
            as from `s10.experiments.compare_depths`; with a column seed, each
            seed is a thin line and their mean a thick one.

    Raises:
        InputError: a column is missing, or either kind has not two depths.
    """
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise InputError(f"the table of depths has no column {', '.join(missing)}")
    kinds = {False: "plain", True: "with shortcuts"}
    groups = {kind: table[table["shortcuts"].astype(bool) == kind] for kind in kinds}
    for kind, name in kinds.items():
        if groups[kind]["depth"].nunique() < 2:
            raise InputError(f"the table needs nets of at least two depths that are {name}")
    colours = dict(zip(sorted(table["depth"].unique()), PALETTE, strict=False))
    figure, panels = new_figure(7, 3.5, 1, 2, sharey=True)
    for axes, (kind, name) in zip(panels, kinds.items(), strict=True):
        for depth, nets in groups[kind].groupby("depth"):
            if "seed" in nets:
                for _, net in nets.groupby("seed"):
                    axes.plot(net["step"], net["loss"], color=colours[depth], alpha=0.3, lw=0.8)
            mean = nets.groupby("step")["loss"].mean()
            axes.plot(mean.index, mean, color=colours[depth], lw=2, label=f"{depth} layers")
        axes.set_title(name, loc="left", fontsize=10)
        axes.set_xlabel("step")
        axes.legend(frameon=False, fontsize=9)
        axes.xaxis.get_major_locator().set_params(nbins=5, integer=True)
        tidy(axes)
    panels[0].set_ylabel("training loss")
    sentences = [
        f"{name.capitalize()}: {_comparison(groups[kind])}" for kind, name in kinds.items()
    ]
    figure.suptitle("\n".join(sentences), x=0.01, ha="left", fontsize=11)
    return figure


def _comparison(nets: pd.DataFrame) -> str:
    """What the deepest net's loss at the end is against the shallowest one's, in words."""
    # The nets may have been trained for different numbers of steps.
    last = nets[nets["step"] == nets.groupby("depth")["step"].transform("max")]
    ends = last.groupby("depth")["loss"].mean()
    shallow, deep = ends.index.min(), ends.index.max()
    words = "worse than" if ends[deep] > ends[shallow] else "better than"
    # Another seed moves a loss by this much.
    if abs(ends[deep] / ends[shallow] - 1) < 0.02:
        words = "about as well as"
    losses = f"loss {ends[deep]:.2f} against {ends[shallow]:.2f}"
    return f"{deep} layers train {words} {shallow} ({losses})"
