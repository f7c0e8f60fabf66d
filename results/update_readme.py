"""Write the measured numbers of results/ into README.md.

    python results/update_readme.py [--check]

Between `<!-- results: NAME -->` and `<!-- end -->` in the README stands what the
function of that name gives here, so no number there is typed by hand. With
--check nothing is written, and the exit status is 1 if the README differs.
"""

import csv
import json
import re
import statistics
import sys
from pathlib import Path

RESULTS = Path(__file__).resolve().parent
sys.path.insert(0, str(RESULTS.parent / "benchmarks"))

import estimate_gpu  # noqa: E402
import time_to_accuracy  # noqa: E402

from s10 import Recipe  # noqa: E402
from s10.recipes import RECIPES  # noqa: E402

README = RESULTS.parent / "README.md"


def load(path: Path) -> dict:
    return json.loads(path.read_text())


def runs(name: str) -> list[dict]:
    """The summaries of all seeds of one experiment, in the order of the seeds."""
    found = [load(path) for path in RESULTS.glob(f"{name}/seed*/summary.json")]
    return sorted(found, key=lambda summary: summary["seed"])


# The folder of an experiment, and the command that each of its seeds is made by.
TRAINED = {
    "cifar10-width64": "s10 train --data cifar10",
    "beyond-cifar10": "s10 train --recipe beyond",
    "cifar10-width16": "s10 train --data cifar10 --width 16",
    "shapes-width16": "make demo",
}


def training() -> str:
    """The table of trained networks: one row for each experiment."""
    rows = [
        "| command | parameters | test accuracy after epoch 24 | seeds | training, tests | on |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, command in TRAINED.items():
        summaries = runs(name)
        if not summaries:
            continue
        first = summaries[0]
        accuracies = [100 * summary["test_accuracy"] for summary in summaries]
        minutes = max(summary["train_seconds"] for summary in summaries) / 60
        if len(accuracies) > 1:
            each = ", ".join(f"{accuracy:.2f}" for accuracy in accuracies)
            spread = f"± {statistics.stdev(accuracies):.2f}: {each}"
        else:
            spread = "(one run)"
        viewed = [summary.get("test_accuracy_of_views") for summary in summaries]
        if None not in viewed:
            views = first["recipe"]["test_views"]
            spread += f"; over {views} views {100 * statistics.mean(viewed):.2f} %"
        seeds = ", ".join(str(summary["seed"]) for summary in summaries)
        rows.append(
            f"| `{command}` | {first['parameters']:,} "
            f"| **{statistics.mean(accuracies):.2f} %** {spread} | {seeds} "
            f"| {minutes:.1f} min | {first['device']}, {first['precision']} |"
        )
    return "\n".join(rows)


def ablation() -> str:
    """What each ingredient of the assignment's recipe brings, seed by seed."""
    with open(RESULTS / "ablation-assignment-cifar10-width16" / "runs.csv", newline="") as file:
        found = list(csv.DictReader(file))
    whole, lacking = {}, {}
    for row in sorted(found, key=lambda row: int(row["seed"])):
        accuracies = whole if row["kind"] == "whole" else lacking.setdefault(row["name"], {})
        accuracies[row["seed"]] = 100 * float(row["test_accuracy"])
    seeds = sorted(set(whole).intersection(*lacking.values()))
    brings = {
        name: [whole[seed] - accuracies[seed] for seed in seeds]
        for name, accuracies in lacking.items()
    }
    rows = [
        f"| width 16, CIFAR-10, seeds {' and '.join(seeds)} | test accuracy without it "
        "| points it brings | seed by seed |",
        "| --- | --- | --- | --- |",
    ]
    for name in sorted(brings, key=lambda name: -statistics.mean(brings[name])):
        without = statistics.mean(lacking[name][seed] for seed in seeds)
        mean, *each = (signed(p) for p in (statistics.mean(brings[name]), *brings[name]))
        rows.append(f"| {name} | {without:.2f} % | **{mean}** | {', '.join(each)} |")
    return "\n".join(rows)


def signed(points: float) -> str:
    """A difference with its sign, such as +0.52."""
    return f"{points:+.2f}".replace("-", "−")


def lr_range() -> str:
    """What the range test found on CIFAR-10, in a sentence."""
    found = load(RESULTS / "lr-range-cifar10-width16" / "lr_range.json")
    steepest = [choice["steepest"] for choice in found["choices"]]
    return (
        f"On CIFAR-10 at width 16, over {len(steepest)} seeds, our rule gives LRMAX "
        f"{found['lr_max']:.2g} and LRMIN {found['lr_min']:.1g}, and LRMAX moves by a factor of "
        f"{found['spread']:.1f} from seed to seed; the steepest slope of the very same curves "
        f"moves by a factor of {found['steepest_spread']:.1f}, from {min(steepest):.1g} to "
        f"{max(steepest):.1g}."
    )


def throughput() -> str:
    """Images per second and ratios, as `make bench` measured them."""
    found = load(RESULTS / "throughput.json")
    rates, ratios = found["augmentation"]["images_per_second"], found["augmentation"]["ratios"]
    rows = ["| on " + found["device"] + " | images per second | ratio |", "| --- | --- | --- |"]
    rows.append(f"| augmentation, batched | {rates['batched']:,} | |")
    for name, ratio in ratios.items():
        words = name.replace("_", " ", 1).replace("_", " ").replace("albumentations ", "")
        words = "in one process" if words == "albumentations" else f"with {words}"
        rows.append(
            f"| augmentation, albumentations {words} | {rates[name]:,} "
            f"| batched is {ratio} times as fast |"
        )
    for row in found["training"]:
        rows.append(
            f"| training, width {row['width']}, {row['precision']} "
            f"| {row['loop_images_per_second']:,} | {row['ratio']} of a bare loop |"
        )
    return "\n".join(rows)


def speed() -> str:
    """Seconds to an accuracy on this machine, a table for each target."""
    rows = []
    for path in sorted(RESULTS.glob("time-to-accuracy-*.json")):
        found = load(path)
        device = found["runs"][0]["device"]
        rows += [
            f"| {100 * found['target']:g} % on {device} | seconds, median | test accuracy "
            "| reached in | of that training |",
            "| --- | --- | --- | --- | --- |",
        ]
        summary = time_to_accuracy.summary_of(found["runs"], found["target"])
        for row in summary:
            spread = "" if row["deviation"] is None else f" ± {100 * row['deviation']:.2f}"
            times = "" if row is summary[0] else f", {row['ratio']:.1f} times as long"
            training = f"{row['parts']['training']:.0f} s" if "parts" in row else "not said"
            plain = ""
            if (row["views"] or 1) > 1:
                plain = f" ({100 * row['plain_accuracy']:.2f} % on one view)"
            rows.append(
                f"| {called(row['name'])} | **{row['seconds']:.0f} s**{times} "
                f"| {100 * row['accuracy']:.2f} %{spread}{plain} "
                f"| {row['reached']} of {row['runs']} runs | {training} |"
            )
        rows.append("")
    return "\n".join(rows).rstrip()


def estimate() -> str:
    """What GPUs that are not at hand would need, as an estimate."""
    flops, traffic = estimate_gpu.work_of_a_step(64, Recipe().batch_size)
    steps = Recipe().epochs * estimate_gpu.IMAGES / Recipe().batch_size
    seconds = {gpu.name: estimate_gpu.seconds(gpu, 64, Recipe()) for gpu in estimate_gpu.GPUS}
    each = ", ".join(f"{name} {good:.0f} to {bad:.0f} s" for name, (good, bad) in seconds.items())
    return (
        f"**Estimated, not measured**: 24 epochs at full width are {flops * steps / 1e15:.1f} "
        f"PFLOP and {traffic * steps / 1e12:.0f} TB of memory traffic; from the peaks of "
        "the data sheets and usual shares of them "
        f"([`estimate_gpu.py`](benchmarks/estimate_gpu.py)): {each} of training and tests. "
        "Imports, reading the images and the start of each kernel are not counted."
    )


def called(name: str) -> str:
    """A recipe as the command that runs it; a peer by its name."""
    recipe = name.split()[0] in RECIPES
    return f"`s10 train --recipe {name}`" if recipe else name


BLOCKS = {
    "training": training,
    "ablation": ablation,
    "lr_range": lr_range,
    "throughput": throughput,
    "speed": speed,
    "estimate": estimate,
}


def updated(text: str) -> str:
    """The README's text with every block made anew."""
    for name, make in BLOCKS.items():
        pattern = rf"(<!-- results: {name} -->\n).*?(<!-- end -->)"
        text, count = re.subn(
            pattern, lambda match, make=make: f"{match[1]}{make()}\n{match[2]}", text, flags=re.S
        )
        if count != 1:
            raise SystemExit(f"README.md must have the block {name!r} once, not {count} times")
    return text


def main() -> int:
    before = README.read_text()
    after = updated(before)
    if "--check" in sys.argv[1:]:
        if before != after:
            print("README.md differs from results/; run `make readme`")
        return int(before != after)
    README.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
