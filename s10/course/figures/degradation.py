"""The degradation problem: deeper plain networks train worse, deeper residual ones do not."""

import pandas as pd
from matplotlib.figure import Figure

from s10.plots.style import PALETTE, new_figure, style_axes
from s10.runtime.errors import InputError

COLUMNS = ("depth", "shortcuts", "step", "loss")


def degradation(table: pd.DataFrame, stored: dict[str, list[float]] | None = None) -> Figure:
    """Training loss of networks of several depths, plain on the left, residual on the right.

    He et al., "Deep Residual Learning for Image Recognition" (2015), figures 1
    and 4, on a small scale.

    Args:
        table: with the columns depth, shortcuts (True for residual), step and loss,
            as from `s10.course.experiments.compare_depths`. With a column seed, each
            seed is a thin line and their mean a thick one.
        stored: final losses of other runs, one for each seed, under names such as "9 layers,
            plain": they are marked at the end, and the title compares them seed by seed.

    Raises:
        InputError: a column is missing, or one of the kinds has fewer than two depths.
    """
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise InputError(f"the table of depths has no column {', '.join(missing)}")
    kinds = {False: "plain", True: "residual"}
    groups = {kind: table[table["shortcuts"].astype(bool) == kind] for kind in kinds}
    for kind, name in kinds.items():
        if groups[kind]["depth"].nunique() < 2:
            raise InputError(f"the table needs at least two depths of {name} networks")
    colors = dict(zip(sorted(table["depth"].unique()), PALETTE, strict=False))
    figure, panels = new_figure(7, 3.5, 1, 2, sharey=True)
    for axes, (kind, name) in zip(panels, kinds.items(), strict=True):
        for depth, runs in groups[kind].groupby("depth"):
            if "seed" in runs:
                for _, run in runs.groupby("seed"):
                    axes.plot(run["step"], run["loss"], color=colors[depth], alpha=0.3, lw=0.8)
            mean = runs.groupby("step")["loss"].mean()
            axes.plot(mean.index, mean, color=colors[depth], lw=2, label=f"{depth} layers")
            ends = (stored or {}).get(f"{depth} layers, {name}", [])
            axes.plot([mean.index[-1]] * len(ends), ends, "_", color=colors[depth], ms=14)
        axes.set_title(name, loc="left", fontsize=10)
        axes.set_xlabel("step")
        axes.legend(frameon=False, fontsize=9)
        axes.xaxis.get_major_locator().set_params(nbins=5, integer=True)
    style_axes(*panels)
    panels[0].set_ylabel("training loss")
    lines = [
        f"{name.capitalize()}: {_paired(stored, groups[kind], name) or _comparison(groups[kind])}"
        for kind, name in kinds.items()
    ]
    title = "\n".join(lines).replace("-", "−")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def _paired(stored: dict | None, runs: pd.DataFrame, kind: str) -> str:
    """How much higher the deepest stored network ends than the shallowest, seed by seed."""
    depths = runs["depth"].max(), runs["depth"].min()
    deep, shallow = ((stored or {}).get(f"{depth} layers, {kind}", ()) for depth in depths)
    differences = ", ".join(f"{a - b:+.2f}" for a, b in zip(deep, shallow, strict=True))
    return differences and (
        f"loss of {depths[0]} layers minus that of {depths[1]}: {differences} "
        f"({len(deep)} stored seeds)"
    )


def _comparison(runs: pd.DataFrame) -> str:
    """Compares the final loss of the deepest network with that of the shallowest."""
    # The runs may differ in their number of steps.
    last = runs[runs["step"] == runs.groupby("depth")["step"].transform("max")]
    ends = last.groupby("depth")["loss"].mean()
    shallow, deep = ends.index.min(), ends.index.max()
    words = "worse than" if ends[deep] > ends[shallow] else "better than"
    # Seeds differ by this much.
    if abs(ends[deep] / ends[shallow] - 1) < 0.02:
        words = "about as well as"
    losses = f"loss {ends[deep]:.2f} against {ends[shallow]:.2f}"
    return f"{deep} layers train {words} {shallow} ({losses})"
