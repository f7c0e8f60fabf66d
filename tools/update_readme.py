"""Write the measured numbers of results/ into README.md and benchmarks/README.md.

    python tools/update_readme.py [--check]

Between `<!-- results: NAME -->` and `<!-- end -->` stands what the function of that name
returns, so no number there is typed by hand. With --check nothing is written, and the
exit status is 1 if a file differs.
"""

import csv
import json
import re
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
sys.path.insert(0, str(ROOT / "benchmarks"))

import estimate_gpu  # noqa: E402
import time_to_accuracy  # noqa: E402

from s10 import Recipe  # noqa: E402
from s10.course.ablation import TERMS  # noqa: E402
from s10.runtime.progress import format_duration  # noqa: E402


def load(path: Path) -> dict:
    return json.loads(path.read_text())


def runs(name: str) -> list[dict]:
    """The summaries of all seeds of one experiment, in the order of the seeds."""
    found = [load(path) for path in RESULTS.glob(f"{name}/seed*/summary.json")]
    return sorted(found, key=lambda summary: summary["seed"])


# The folder of an experiment, and the command that makes each of its seeds.
TRAINED = {
    "cifar10-width64-h200": "s10 train --data cifar10",
    "assignment-94-cifar10-h200": "s10 train --recipe assignment-94",
    "cifar10-width64": "s10 train --data cifar10",
    "cifar10-width16": "s10 train --data cifar10 --width 16",
    "laptop-cifar10": "s10 train --recipe laptop",
    "demo": "make demo",
    "demo-avx2": "make demo",
}
# How the machine was restricted for an experiment, see results/README.md.
LIMITED = {
    "demo-avx2": ", limited to AVX2",
    "cifar10-width64-h200": ", four runs at once",
    "assignment-94-cifar10-h200": ", four runs at once",
}


def training() -> str:
    """The table of trained networks: one row for each experiment."""
    rows = [
        "| command | parameters | epochs | test accuracy | seeds | time | on |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, command in TRAINED.items():
        summaries = runs(name)
        if not summaries:
            continue
        first = summaries[0]
        accuracies = [100 * summary["test_accuracy"] for summary in summaries]
        seconds = max(summary["train_seconds"] for summary in summaries)
        if len(accuracies) > 1:
            each = ", ".join(f"{accuracy:.2f}" for accuracy in accuracies)
            spread = f"± {statistics.stdev(accuracies):.2f}: {each}"
        else:
            spread = "(one run)"
        with_tta = [summary.get("tta_test_accuracy") for summary in summaries]
        if None not in with_tta:
            views = first["recipe"]["tta_views"]
            spread += f"; over {views} views {100 * statistics.mean(with_tta):.2f} %"
        seeds = ", ".join(str(summary["seed"]) for summary in summaries)
        rows.append(
            f"| `{command}` | {first['parameters']:,} | {first['epochs']} "
            f"| **{statistics.mean(accuracies):.2f} %** {spread} | {seeds} "
            f"| {format_duration(seconds)} | {first['device']}, {first['precision']}"
            f"{LIMITED.get(name, '')} |"
        )
    return "\n".join(rows)


def ablation() -> str:
    """The gain of each ingredient of the assignment's recipe, seed by seed."""
    with open(RESULTS / "ablation-assignment-cifar10-width16" / "runs.csv", newline="") as file:
        found = list(csv.DictReader(file))
    whole, lacking = {}, {}
    for row in sorted(found, key=lambda row: int(row["seed"])):
        accuracies = whole if row["kind"] == "whole" else lacking.setdefault(row["name"], {})
        accuracies[row["seed"]] = 100 * float(row["test_accuracy"])
    seeds = sorted(set(whole).intersection(*lacking.values()))
    gains = {
        name: [whole[seed] - accuracies[seed] for seed in seeds]
        for name, accuracies in lacking.items()
    }
    rows = [
        f"| width 16, CIFAR-10, seeds {', '.join(seeds)} | test accuracy without it "
        "| gain (percentage points) | seed by seed |",
        "| --- | --- | --- | --- |",
    ]
    for name in sorted(gains, key=lambda name: -statistics.mean(gains[name])):
        without = statistics.mean(lacking[name][seed] for seed in seeds)
        mean, *each = (signed(p) for p in (statistics.mean(gains[name]), *gains[name]))
        rows.append(
            f"| {TERMS.get(name, name)} | {without:.2f} % | **{mean}** | {', '.join(each)} |"
        )
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
            "| success rate | training time |",
            "| --- | --- | --- | --- | --- |",
        ]
        summary = time_to_accuracy.summary_of(found["runs"], found["target"])
        commands = {run["name"]: run["command"] for run in found["runs"]}
        for row in summary:
            spread = "" if row["deviation"] is None else f" ± {100 * row['deviation']:.2f}"
            times = "" if row is summary[0] else f", {row['ratio']:.2f} times as long"
            training = f"{row['parts']['training']:.0f} s" if "parts" in row else "n/a"
            plain = ""
            if (row["views"] or 1) > 1:
                plain = f" ({100 * row['plain_accuracy']:.2f} % on a single view)"
            rows.append(
                f"| {called(row['name'], commands[row['name']])} "
                f"| **{row['seconds']:.0f} s**{times} "
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
        f"([`estimate_gpu.py`](estimate_gpu.py)): {each} of training and tests. "
        "Imports, reading the images and the start of each kernel are not counted."
    )


def called(name: str, command: str) -> str:
    """Ours as the command that runs it, without the seed; a peer by its name."""
    if command == name:
        return f"`s10 train --recipe {name}`"
    ours = command.startswith("python benchmarks/")
    return f"`{command.partition(' --seed ')[0]}`" if ours else name


# Which file holds which blocks.
BLOCKS = {
    "README.md": (training,),
    "benchmarks/README.md": (speed, ablation, lr_range, throughput, estimate),
}


def updated(text: str, blocks) -> str:
    """The text with every block written again."""
    for block in blocks:
        name = block.__name__
        pattern = rf"(<!-- results: {name} -->\n).*?(<!-- end -->)"
        text, count = re.subn(
            pattern, lambda match, block=block: f"{match[1]}{block()}\n{match[2]}", text, flags=re.S
        )
        if count != 1:
            raise SystemExit(f"the block {name!r} must be there once, not {count} times")
    return text


def main() -> int:
    different = 0
    for name, blocks in BLOCKS.items():
        before = (ROOT / name).read_text()
        after = updated(before, blocks)
        if "--check" not in sys.argv[1:]:
            (ROOT / name).write_text(after)
        elif before != after:
            print(f"{name} differs from results/; run `make readme`")
            different += 1
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
