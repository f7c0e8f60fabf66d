"""Write s10/reference.json, the stored bands that the notebooks compare a learner's run with.

    python results/update_reference.py [--check]

It travels with the installed package, where results/ does not. With --check
nothing is written, and the exit status is 1 if the file differs.
"""

import csv
import json
import sys
from pathlib import Path

RESULTS = Path(__file__).resolve().parent
REFERENCE = RESULTS.parent / "s10" / "reference.json"
CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


def load(path: Path) -> dict:
    return json.loads(path.read_text())


def rows(path: Path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def training() -> list[dict]:
    """One entry for each recipe that was trained over seeds: its curves, one list a seed."""
    entries = []
    for folder in sorted({path.parent.parent for path in RESULTS.glob("*/seed*/summary.json")}):
        summaries = sorted(
            (load(path) for path in folder.glob("seed*/summary.json")), key=lambda s: s["seed"]
        )
        curves = {name: [] for name in CURVES}
        for summary in summaries:
            history = rows(folder / f"seed{summary['seed']}" / "metrics.csv")
            for name in CURVES:
                curves[name].append([round(float(row[name]), 5) for row in history])
        entries.append(
            {
                "from": f"results/{folder.name}",
                "data": summaries[0]["dataset"]["name"],
                "recipe": {k: v for k, v in summaries[0]["recipe"].items() if k != "seed"},
                "device": summaries[0]["device"],
                "seeds": [summary["seed"] for summary in summaries],
                **curves,
            }
        )
    return entries


def lr_range() -> list[dict]:
    """One entry for each range test: LRMIN and LRMAX of each seed."""
    entries = []
    for path in sorted(RESULTS.glob("lr-range-*/lr_range.json")):
        found = load(path)
        entries.append(
            {
                "from": f"results/{path.parent.name}",
                "method": found["method"],
                "data": found["dataset"]["name"],
                "train_images": found["dataset"]["train_images"],
                "width": found["recipe"]["width"],
                **{name: [c[name] for c in found["choices"]] for name in ("lr_min", "lr_max")},
            }
        )
    return entries


def experiments() -> list[dict]:
    """The notebooks' short experiments: the last epoch of each variant, one value a seed."""
    entries = []
    for path in sorted(RESULTS.glob("experiments-*/experiments.json")):
        found = load(path)
        for name, outcome in found["outcomes"].items():
            entries.append(
                {
                    "from": f"results/{path.parent.name}",
                    "experiment": name,
                    "data": found["dataset"]["name"],
                    "train_images": outcome["train_images"],
                    "recipe": {k: v for k, v in outcome["recipe"].items() if k != "seed"},
                    "seeds": found["seeds"],
                    "values": outcome["values"],
                }
            )
    return entries


def with_curves(row: dict) -> bool:
    """Only the five systems' curves are shown anywhere."""
    return row["kind"] != "trap"


def file_name(name: str) -> str:
    """The name of a run's curve without its seed, as benchmarks/submissions.py makes it."""
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-")


def submissions() -> list[dict]:
    """One entry for each submission and each trap: its last epoch, one value a seed."""
    entries = {}
    for path in sorted(RESULTS.glob("submissions-*/runs.csv")):
        for row in sorted(rows(path), key=lambda row: int(row["seed"])):
            key = (path.parent.name, row["kind"], row["name"])
            entry = entries.setdefault(
                key,
                {
                    "from": f"results/{path.parent.name}",
                    **{name: row[name] for name in ("kind", "name", "data")},
                    **{name: int(row[name]) for name in ("width", "epochs", "parameters")},
                    **{name: [] for name in ("seeds", "diverged", *CURVES)},
                    **({"train_curves": [], "test_curves": []} if with_curves(row) else {}),
                },
            )
            entry["seeds"].append(int(row["seed"]))
            entry["diverged"].append(row["diverged"] == "True")
            for name in CURVES:
                entry[name].append(float(row[name]) if row[name] else None)
            if with_curves(row) and not entry["diverged"][-1]:
                file = f"{file_name(row['name'])}-seed{row['seed']}.csv"
                curve = rows(path.parent / "curves" / file)
                for split in ("train", "test"):
                    values = [round(float(epoch[f"{split}_accuracy"]), 4) for epoch in curve]
                    entry[f"{split}_curves"].append(values)
    return list(entries.values())


def first_epochs() -> list[dict]:
    """One entry for each way in which the schedule was stepped: its first epochs."""
    entries = {}
    for path in sorted(RESULTS.glob("first-epochs-*/runs.csv")):
        for row in rows(path):
            entry = entries.setdefault(
                (path.parent.name, row["name"], row["stepped"]),
                {
                    "from": f"results/{path.parent.name}",
                    **{name: row[name] for name in ("name", "stepped", "data")},
                    "width": int(row["width"]),
                    **{name: [] for name in CURVES},
                },
            )
            for name in CURVES:
                entry[name].append(float(row[name]))
    return list(entries.values())


def ablation() -> list[dict]:
    """One entry for each ingredient of a recipe (None: the whole recipe), one value a seed."""
    entries = {}
    for path in sorted(RESULTS.glob("ablation-*/runs.csv")):
        for row in sorted(rows(path), key=lambda row: int(row["seed"])):
            entry = entries.setdefault(
                (path.parent.name, row["name"]),
                {
                    "from": f"results/{path.parent.name}",
                    "recipe": path.parent.name.split("-")[1],
                    "ingredient": row["name"] if row["kind"] == "without" else None,
                    "data": row["data"],
                    **{name: int(row[name]) for name in ("width", "epochs")},
                    **{name: [] for name in ("seeds", "seconds", "test_accuracy")},
                },
            )
            entry["seeds"].append(int(row["seed"]))
            entry["seconds"].append(int(row["seconds"]))
            entry["test_accuracy"].append(float(row["test_accuracy"]))
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
            print("s10/reference.json differs from results/; run `make readme`")
        return int(not same)
    REFERENCE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
