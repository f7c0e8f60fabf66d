"""Measure what each ingredient of a recipe brings: without one of them at a time, over seeds.

    python benchmarks/ablation.py laptop --seeds 0 1 2
    python benchmarks/ablation.py assignment --width 16 --seeds 0 1

`s10/ablation.py` says what stands in the place of each. One run after the other,
first the whole recipe; each writes one row of runs.csv and its curve into
curves/. What is there already is skipped, so this may be stopped at any time and
started again. Of the whole recipe, a run that results/ holds already
(DATA-widthN/seedN, with this very recipe) is copied and not made again.
"""

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

from submissions import COLUMNS, append, done, measure, slug

from s10 import InputError, Recipe, load_images
from s10.ablation import ABLATIONS, without
from s10.device import keep_freed_memory, pick_device

WHOLE = "the whole recipe"
RESULTS = Path(__file__).resolve().parent.parent / "results"


def copied(recipe: Recipe, fingerprint: str, out: Path) -> bool:
    """Take row and curve from a stored run of this recipe on these images, if there is one."""
    folder = RESULTS / f"{recipe.data}-width{recipe.width}" / f"seed{recipe.seed}"
    if not (folder / "summary.json").exists():
        return False
    found = json.loads((folder / "summary.json").read_text())
    same = Recipe.from_dict(found["recipe"]) == recipe
    if not same or found["dataset"]["fingerprint"] != fingerprint:
        return False
    row = {
        **{name: found.get(name) for name in COLUMNS},
        **{name: found["recipe"][name] for name in ("seed", "width", "epochs", "data")},
        **{name: found["versions"][name] for name in ("python", "torch", "numpy")},
        **{name: round(found[name], 5) for name in COLUMNS if name.startswith(("train_", "test_"))},
        "kind": "whole",
        "name": WHOLE,
        "diverged": False,
        "seconds": round(found["train_seconds"]),
        "fingerprint": fingerprint,
    }
    curve = out / "curves" / f"{slug(WHOLE)}-seed{recipe.seed}.csv"
    curve.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "metrics.csv", curve)
    append(out / "runs.csv", COLUMNS, [row])
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", choices=ABLATIONS)
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--data-dir")
    parser.add_argument("--width", type=int, help="(the recipe's own)")
    parser.add_argument("--epochs", type=int, help="(the recipe's own)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", metavar="INGREDIENT", help="only without these")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="(results/ablation-RECIPE-DATA-widthN)")
    options = parser.parse_args()
    device = pick_device(options.device)
    if device.type == "cpu":
        keep_freed_memory()
    names = [None, *(options.only or ABLATIONS[options.recipe])]
    try:
        recipes = {name: without(options.recipe, name) for name in names}
        images = load_images(options.data, options.data_dir)
    except InputError as error:
        parser.error(str(error))
    width = options.width or recipes[None].width
    out = options.out or RESULTS / f"ablation-{options.recipe}-{options.data}-width{width}"
    out.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for name, recipe in recipes.items():
            kind, called = ("whole", WHOLE) if name is None else ("without", name)
            if (kind, called, seed) in done(out / "runs.csv"):
                continue
            print(f"{called if name is None else f'without {name}'}, seed {seed}", flush=True)
            recipe = replace(recipe, data=options.data, width=width, seed=seed)
            recipe = recipe if options.epochs is None else recipe.with_epochs(options.epochs)
            if name is not None or not copied(recipe, images.fingerprint(), out):
                measure(kind, called, recipe, images, device, out)


if __name__ == "__main__":
    main()
