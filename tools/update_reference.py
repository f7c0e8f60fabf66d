"""Write s10/course/reference.json, the stored runs that notebooks compare a learner's run with.

    python tools/update_reference.py [--check]

It is part of the installed package, which results/ is not. With --check nothing is written,
and the exit status is 1 if the file differs.
"""

import csv
import json
import re
import sys
from pathlib import Path

RESULTS = Path(__file__).resolve().parent.parent / "results"
REFERENCE = RESULTS.parent / "s10" / "course" / "reference.json"
SCORES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


def load(path: Path) -> dict:
    return json.loads(path.read_text())


def rows(path: Path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def rows_by_seed(path: Path) -> list[dict]:
    return sorted(rows(path), key=lambda row: int(row["seed"]))


def source(folder: Path) -> dict:
    """Where an entry comes from: {"from": "results/demo"}, say."""
    return {"from": f"results/{folder.name}"}


def without_seed(recipe: dict) -> dict:
    return {name: value for name, value in recipe.items() if name != "seed"}


def training() -> list[dict]:
    """An entry for each recipe that was trained over seeds: its curves, one list per seed.

    Of a recipe that was trained on several machines, the machine with the most seeds.
    """
    entries = {}
    for folder in sorted({path.parent.parent for path in RESULTS.glob("*/seed*/summary.json")}):
        if folder.name.startswith("demo"):  # No notebook trains it.
            continue
        summaries = sorted(
            (load(path) for path in folder.glob("seed*/summary.json")), key=lambda s: s["seed"]
        )
        curves = {name: [] for name in SCORES}
        for summary in summaries:
            history = rows(folder / f"seed{summary['seed']}" / "metrics.csv")
            for name in SCORES:
                curves[name].append([round(float(row[name]), 5) for row in history])
        entry = {
            **source(folder),
            "data": summaries[0]["dataset"]["name"],
            "recipe": without_seed(summaries[0]["recipe"]),
            "device": summaries[0]["device"],
            "seeds": [summary["seed"] for summary in summaries],
            **curves,
        }
        key = json.dumps(entry["recipe"])
        if len(entry["seeds"]) > len(entries.get(key, {"seeds": []})["seeds"]):
            entries[key] = entry
    return list(entries.values())


def lr_range() -> list[dict]:
    """An entry for each range test: LRMIN and LRMAX of each seed."""
    entries = []
    for path in sorted(RESULTS.glob("lr-range-*/lr_range.json")):
        found = load(path)
        entries.append(
            {
                **source(path.parent),
                "method": found["method"],
                "data": found["dataset"]["name"],
                "train_images": found["dataset"]["train_images"],
                "width": found["recipe"]["width"],
                **{name: [c[name] for c in found["choices"]] for name in ("lr_min", "lr_max")},
            }
        )
    return entries


def curves(path: Path, by: str) -> dict:
    """Training loss and test accuracy of each variant: a list for each seed, epoch after epoch."""
    if not path.exists():
        return {}
    found = {"loss_curves": {}, "test_curves": {}}
    for row in rows(path):
        for kind, column in (("loss_curves", "train_loss"), ("test_curves", "test_accuracy")):
            seeds = found[kind].setdefault(row[by], {})
            seeds.setdefault(row["seed"], []).append(round(float(row[column]), 4))
    return {kind: {name: [*seeds.values()] for name, seeds in of.items()}
            for kind, of in found.items()}  # fmt: skip


def experiments() -> list[dict]:
    """The notebooks' short experiments: the last epoch of each variant, one value per seed.

    Of the schedules, whose course notebook 2 explains, also the curves.
    """
    entries = []
    for path in sorted(RESULTS.glob("experiments-*/experiments.json")):
        found, table = load(path), path.with_name("schedules.csv")
        for name, outcome in found["outcomes"].items():
            entries.append(
                {
                    **source(path.parent),
                    # Until version 0.1 pitfalls were called traps.
                    "experiment": name.replace("traps", "pitfalls"),
                    "data": found["dataset"]["name"],
                    "train_images": outcome["train_images"],
                    "recipe": without_seed(outcome["recipe"]),
                    "seeds": found["seeds"],
                    "values": outcome["values"],
                    **(curves(table, by="schedule") if name == "schedules" else {}),
                }
            )
    return entries


# Of the single pitfalls, notebook 4 has these diagnosed from their curves.
DIAGNOSED = (
    "schedule stepped once an epoch", "no padding before the crop", "softmax before the loss",
    "L2 of 1e-2 in Adam",
)  # fmt: skip


def has_curves(row: dict) -> bool:
    """Whether the notebooks need the curves of this run."""
    return row["kind"] != "trap" or row["name"] in DIAGNOSED


def curve(folder: Path, row: dict) -> list[dict]:
    """The epochs of the run of this row, from the file that benchmarks/common.py names."""
    letters = (letter if letter.isalnum() else "-" for letter in row["name"].lower())
    return rows(folder / "curves" / f"{''.join(letters).strip('-')}-seed{row['seed']}.csv")


def submissions() -> list[dict]:
    """An entry for each submission and each pitfall: its last epoch, one value per seed."""
    entries = {}
    for path in sorted(RESULTS.glob("submissions-*/runs.csv")):
        for row in rows_by_seed(path):
            entry = entries.setdefault(
                (path.parent.name, row["kind"], row["name"]),
                {
                    **source(path.parent),
                    **{name: row[name] for name in ("kind", "name", "data")},
                    **{name: int(row[name]) for name in ("width", "epochs", "parameters")},
                    **{name: [] for name in ("seeds", "diverged", *SCORES)},
                    **({"train_curves": [], "test_curves": []} if has_curves(row) else {}),
                },
            )
            entry["seeds"].append(int(row["seed"]))
            entry["diverged"].append(row["diverged"] == "True")
            for name in SCORES:
                entry[name].append(float(row[name]) if row[name] else None)
            if has_curves(row) and not entry["diverged"][-1]:
                epochs = curve(path.parent, row)
                for split in ("train", "test"):
                    values = [round(float(epoch[f"{split}_accuracy"]), 4) for epoch in epochs]
                    entry[f"{split}_curves"].append(values)
                if row["kind"] == "trap":
                    losses = [round(float(epoch["train_loss"]), 3) for epoch in epochs]
                    entry.setdefault("loss_curves", []).append(losses)
    return list(entries.values())


def first_epochs() -> list[dict]:
    """An entry for each way of stepping the schedule: its first epochs."""
    entries = {}
    for path in sorted(RESULTS.glob("first-epochs-*/runs.csv")):
        for row in rows(path):
            entry = entries.setdefault(
                (path.parent.name, row["name"], row["stepped"]),
                {
                    **source(path.parent),
                    **{name: row[name] for name in ("name", "stepped", "data")},
                    "width": int(row["width"]),
                    **{name: [] for name in SCORES},
                },
            )
            for name in SCORES:
                entry[name].append(float(row[name]))
    return list(entries.values())


def ablation() -> list[dict]:
    """An entry for each ingredient of a recipe (None: the full recipe), one value per seed.

    A word after the width names another machine, and is added to the recipe's name.
    """
    entries, accuracies = {}, ("train_accuracy", "test_accuracy")
    for path in sorted(RESULTS.glob("ablation-*/runs.csv")):
        recipe = "".join(re.match(r"ablation-(.+)-\w+-width\d+(.*)", path.parent.name).groups())
        for row in rows_by_seed(path):
            entry = entries.setdefault(
                (path.parent, row["name"]),
                {
                    **source(path.parent),
                    "recipe": recipe,
                    "ingredient": row["name"] if row["kind"] == "without" else None,
                    "data": row["data"],
                    **{name: int(row[name]) for name in ("width", "epochs")},
                    **{name: [] for name in ("seeds", "seconds", *accuracies)},
                },
            )
            entry["seeds"].append(int(row["seed"]))
            entry["seconds"].append(int(row["seconds"]))
            for name in accuracies:
                entry[name].append(float(row[name]))
    return list(entries.values())


def main() -> int:
    reference = {
        "training": training(),
        "lr_range": lr_range(),
        "experiments": experiments(),
        "submissions": submissions(),
        "first_epochs": first_epochs(),
        "ablation": ablation(),
    }
    text = json.dumps(reference, indent=1) + "\n"
    if "--check" in sys.argv[1:]:
        same = REFERENCE.exists() and REFERENCE.read_text() == text
        if not same:
            print("s10/course/reference.json differs from results/; run `make readme`")
        return int(not same)
    REFERENCE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
