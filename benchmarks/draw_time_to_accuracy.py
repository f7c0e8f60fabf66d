"""Draw test accuracy against seconds from what `time_to_accuracy.py` has stored.

    python benchmarks/draw_time_to_accuracy.py images/accuracy_against_seconds.png

Of each recipe the run with the median time is drawn, epoch by epoch on a single view of
each image, counted from the start of the process. The diamond is the median time and the
mean accuracy of all runs, over as many views as the recipe has; the accuracy of a peer is
the one that it reports. Without --json the stored runs at full width are drawn, too.
"""

import argparse
import json
import statistics
from pathlib import Path

from common import RESULTS
from matplotlib.figure import Figure
from time_to_accuracy import read_run

from s10.plots.style import PALETTE, new_figure, save_figure, style_axes

# Runs that were made alone, as they take an hour: the name of the recipe, and the folder.
ALONE = {"assignment": "cifar10-width64/seed0", "beyond": "beyond-cifar10/seed0"}


def median_run(runs: list[dict]) -> dict:
    """The run with the median time (of an even number, the faster of the middle two)."""
    return sorted(runs, key=lambda run: run["seconds"])[(len(runs) - 1) // 2]


def stored_run(name: str, folder: Path) -> dict:
    """A run in results/ as a row of `time_to_accuracy.py`, without the start of Python."""
    summary = json.loads((folder / "summary.json").read_text())
    seconds = summary["total_seconds"]
    row = {"name": name, "seconds": seconds, "device": summary["device"]}
    return row | read_run(folder, seconds)


def plot(files: list[dict]) -> Figure:
    """The figure for the contents of some files, each contender once."""
    runs = {}
    for found in files:
        for run in found["runs"]:
            runs.setdefault(run["name"], []).append(run)
    figure, axes = new_figure(8, 4.8)
    for color, (name, mine) in zip(PALETTE, runs.items(), strict=False):
        run = median_run(mine)
        if "curve" in run:
            seconds, accuracies = zip(*run["curve"], strict=True)
            axes.plot(seconds, [100 * a for a in accuracies], "o-", color=color, markersize=3)
        end = statistics.median(run["seconds"] for run in mine)
        accuracy = 100 * statistics.mean(run["accuracy"] for run in mine)
        axes.plot(end, accuracy, "D", color=color, markersize=6)
        views = run.get("views")
        note = {None: ", as it reports", 1: ""}.get(views, f", over {views} views")
        label = f"{name}: {accuracy:.1f} % in {end:,.0f} s{note}"
        axes.plot([], [], "D-", color=color, markersize=5, label=label)
    for target in sorted({found["target"] for found in files if "target" in found}):
        axes.axhline(100 * target, color="0.5", linestyle=":", linewidth=1)
    axes.set_xscale("log")
    axes.set_ylim(60, 96)
    axes.set_xlabel("seconds since the start of the process")
    axes.set_ylabel("test accuracy (%)")
    device = next(iter(runs.values()))[0]["device"]
    axes.set_title(f"CIFAR-10 on {device}: test accuracy against time", loc="left")
    # Below: between the curves there is no room for six lines.
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2)
    style_axes(axes)
    ticks = (10, 30, 100, 300, 1000, 3000)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    return figure


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figure", type=Path)
    parser.add_argument("--json", type=Path, nargs="+", help="(results/time-to-accuracy-*.json)")
    options = parser.parse_args(arguments)
    paths = options.json or sorted(RESULTS.glob("time-to-accuracy-*.json"))
    if not paths:
        parser.error("nothing is measured yet; see benchmarks/time_to_accuracy.py")
    files = [json.loads(path.read_text()) for path in paths]
    if not options.json:
        files.append({"runs": [stored_run(name, RESULTS / at) for name, at in ALONE.items()]})
    save_figure(plot(files), options.figure)


if __name__ == "__main__":
    main()
