"""Seconds until a network is trained and tested, from the start of the process to its last line.

    python benchmarks/time_to_accuracy.py --target 0.9 \\
        --recipe "laptop" --recipe "assignment --width 16" \\
        --peer "airbench94=python airbench94.py {seed}" --rounds 3 --json FILE

Each contender is a whole process: a recipe is `s10 train --recipe …` with the options that
follow its name; a peer is any command that prints its accuracy as the last number of its
last line (94.2 % or 0.942). They run interleaved, so that a machine that slows down slows
all of them: in each round all contenders with the same seed (0, 1, …; it replaces "{seed}"
in the command of a peer). Everything counts, also imports, reading the images and drawing
the figures, which are shown separately. A run reaches the target if the test accuracy of
its last epoch does; a better epoch before it does not count.

With --json the runs are stored in FILE after each of them, and a second start continues
with those that are missing; if a recipe or a command has changed since, it is refused.
With --keep DIR, recipe, metrics and summary of each run of a recipe without further options
are stored in DIR/NAME-DATA/seedN.
"""

import argparse
import csv
import json
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from s10.cli.registry import find_recipe
from s10.cli.runs import commit, versions
from s10.runtime.device import describe_device, pick_device
from s10.runtime.files import write_atomically

KEPT = ("recipe.json", "metrics.csv", "summary.json")
NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Contender:
    """A name for the table, and the words of a recipe or of a command."""

    name: str
    words: tuple[str, ...]
    is_peer: bool = False

    def run(self, seed: int, data_dir: str | None, keep: Path | None = None) -> dict:
        """One run as a row: seconds, accuracy (0–1), and for a recipe what `read_run` returns.

        Raises:
            SystemExit: the process failed, or its last line has no accuracy.
        """
        if self.is_peer:
            seconds, last = timed([word.replace("{seed}", str(seed)) for word in self.words])
            return {"seconds": seconds, "accuracy": accuracy_in(last, self.name)}
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            words = ["-m", "s10", "train", "--recipe", *self.words, "--seed", str(seed)]
            words += ["--out", str(run)] + (["--data-dir", data_dir] if data_dir else [])
            seconds, _ = timed([sys.executable, *words])
            row = {"seconds": seconds, **read_run(run, seconds)}
            if keep and len(self.words) == 1:
                place = keep / f"{self.name}-{row['recipe']['data']}" / f"seed{seed}"
                place.mkdir(parents=True, exist_ok=True)
                for file in KEPT:
                    shutil.copy(run / file, place)
            return row

    def changes(self, run: dict) -> str:
        """How this contender differs from what it was in a stored run of it; empty if it does not.

        A recipe with options is compared by its command alone.
        """
        if run["command"] != shlex.join(self.words):
            return f"another command for {self.name}: {run['command']}"
        if self.is_peer or len(self.words) > 1:
            return ""
        recipe = replace(find_recipe(self.name), seed=run["round"])
        differences = ", ".join(recipe.differences(run["recipe"]))
        return f"another recipe {self.name}: {differences}" if differences else ""


def timed(words: list[str]) -> tuple[float, str]:
    """Seconds from the start of the process to its last line, and that line.

    Raises:
        SystemExit: the process failed, or cannot be started.
    """
    last, seconds, start = "", 0.0, time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        try:
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True)
        except OSError as error:
            raise SystemExit(f"cannot start {words[0]}: {error.strerror}") from None
        with process:
            for line in process.stdout:
                seconds = time.perf_counter() - start
                if line.strip():
                    last = line.strip()
                    print(f"    {last}", flush=True)
        if process.returncode:
            errors.seek(0)
            reason = (errors.read().strip().splitlines() or ["no error message"])[-1]
            raise SystemExit(f"{shlex.join(words)} ended with {process.returncode}: {reason}")
    return round(seconds, 2), last


def accuracy_in(line: str, name: str) -> float:
    """The last number of a line as a fraction: 0.942 for "94.2 %" and for "0.942"."""
    numbers = NUMBER.findall(line)
    value = float(numbers[-1]) if numbers else -1.0
    value = value / 100 if value > 1 else value
    if not 0 <= value <= 1:
        raise SystemExit(f"the last line of {name} has no accuracy: {line!r}")
    return round(value, 6)


def read_run(folder: Path, seconds: float) -> dict:
    """What the folder of a run says about it; `seconds` is the time of the whole process."""
    summary = json.loads((folder / "summary.json").read_text())
    parts = summary["seconds"]
    # What no part has measured: the start of Python and, since version 0.2, the imports.
    rest = seconds - sum(parts.values())
    elapsed = rest + parts.get("imports", 0.0) + parts["data"]
    curve = []
    with open(folder / "metrics.csv", newline="") as file:
        for row in csv.DictReader(file):
            elapsed += float(row["seconds"])
            curve.append([round(elapsed, 2), float(row["test_accuracy"])])
    return {
        "accuracy": summary.get("tta_test_accuracy", summary["test_accuracy"]),
        "views": summary.get("tta_views", 1),
        "plain_accuracy": summary["test_accuracy"],
        "parts": {**parts, "Python": round(rest, 2)},
        "curve": curve,  # on a single view
        "recipe": summary["recipe"],
        "parameters": summary["parameters"],
        "precision": summary["precision"],
        "fingerprint": summary["dataset"]["fingerprint"],
    }


def summary_of(runs: list[dict], target: float) -> list[dict]:
    """A row for each contender: medians over its runs, and how many reached the target.

    `ratio` is its time relative to that of the first contender.
    """
    rows = []
    for name in dict.fromkeys(run["name"] for run in runs):
        mine = [run for run in runs if run["name"] == name]
        accuracies = [run["accuracy"] for run in mine]
        row = {
            "name": name,
            "seconds": statistics.median(run["seconds"] for run in mine),
            "accuracy": round(statistics.mean(accuracies), 5),
            "deviation": round(statistics.stdev(accuracies), 5) if len(mine) > 1 else None,
            "reached": sum(accuracy >= target for accuracy in accuracies),
            "runs": len(mine),
            "views": mine[0].get("views"),
        }
        if "plain_accuracy" in mine[0]:
            row["plain_accuracy"] = round(statistics.mean(r["plain_accuracy"] for r in mine), 5)
        if "parts" in mine[0]:
            row["parts"] = {
                part: round(statistics.median(run["parts"].get(part, 0.0) for run in mine), 2)
                for part in mine[0]["parts"]
            }
        row["ratio"] = round(row["seconds"] / rows[0]["seconds"], 2) if rows else 1.0
        rows.append(row)
    return rows


def summary(row: dict, target: float) -> str:
    """One line of the table on the screen."""
    spread = "" if row["deviation"] is None else f" ± {100 * row['deviation']:.2f}"
    parts = ", ".join(f"{part} {seconds:.1f}" for part, seconds in row.get("parts", {}).items())
    return (
        f"{row['name']}: {row['seconds']:.1f} s ({row['ratio']:.2f} times the first), "
        f"{100 * row['accuracy']:.2f}{spread} %, {row['reached']} of {row['runs']} reached "
        f"{100 * target:g} %" + (f"; {parts}" if parts else "")
    )


def contenders(options, parser) -> list[Contender]:
    """What --recipe and --peer name, the recipes first."""
    found = [Contender(text, tuple(shlex.split(text))) for text in options.recipe]
    for text in options.peer:
        name, _, command = text.partition("=")
        if not (name.strip() and command.strip()):
            parser.error(f"a peer is NAME=COMMAND, not {text!r}")
        found.append(Contender(name.strip(), tuple(shlex.split(command)), is_peer=True))
    if not found:
        parser.error("name at least one --recipe or --peer")
    return found


def stored_runs(options, parser, runners: list[Contender]) -> list[dict]:
    """The runs in --json, if there are any and they belong to this measurement."""
    if not (options.json and options.json.exists()):
        return []
    found = json.loads(options.json.read_text())
    if found["target"] != options.target:
        parser.error(f"{options.json} is for a target of {found['target']:g}")
    for runner in runners:
        for run in found["runs"]:
            if run["name"] == runner.name and (changes := runner.changes(run)):
                parser.error(f"{options.json} has {changes}; name another file")
    return found["runs"]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=float, required=True, help="test accuracy, such as 0.9")
    parser.add_argument("--recipe", action="append", default=[], metavar="'NAME OPTIONS'")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="(3)")
    parser.add_argument("--data-dir", metavar="DIR", help="the folder of CIFAR-10, for the recipes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the runs here")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="and the recipes' files here")
    options = parser.parse_args(arguments)
    if not 0 < options.target <= 1:
        parser.error(f"--target is a fraction, such as 0.9, not {options.target:g}")
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, not {options.rounds}")
    runners = contenders(options, parser)
    runs = stored_runs(options, parser, runners)
    for number in range(options.rounds):
        for runner in runners:
            if any((run["name"], run["round"]) == (runner.name, number) for run in runs):
                continue
            print(f"round {number + 1} of {options.rounds}: {runner.name}", flush=True)
            code = commit()  # Before the run, during which the checkout may change.
            row = {"name": runner.name, "command": shlex.join(runner.words), "round": number}
            row |= runner.run(number, options.data_dir, options.keep)
            device = describe_device(pick_device())
            runs.append({**row, "device": device, "versions": versions(), "commit": code})
            if options.json:
                options.json.parent.mkdir(parents=True, exist_ok=True)
                found = {"target": options.target, "runs": runs}
                write_atomically(options.json, json.dumps(found, indent=1) + "\n")
    for row in summary_of(runs, options.target):
        print(summary(row, options.target))


if __name__ == "__main__":
    main()
