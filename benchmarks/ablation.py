"""Measure what each ingredient of a recipe brings: without one of them at a time, over seeds.

    python benchmarks/ablation.py laptop --seeds 0 1 2
    python benchmarks/ablation.py assignment --width 16 --seeds 0 1

`s10/ablation.py` says what stands in the place of each. One run after the other,
first the whole recipe; each writes one row of runs.csv and its curve into
curves/. What is there already is skipped, so this may be stopped at any time and
started again.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from submissions import done, measure

from s10 import InputError, load_images
from s10.ablation import ABLATIONS, without
from s10.device import keep_freed_memory, pick_device

WHOLE = "the whole recipe"


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
    results = Path(__file__).resolve().parent.parent / "results"
    out = options.out or results / f"ablation-{options.recipe}-{options.data}-width{width}"
    out.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for name, recipe in recipes.items():
            kind, called = ("whole", WHOLE) if name is None else ("without", name)
            if (kind, called, seed) in done(out / "runs.csv"):
                continue
            print(f"{called if name is None else f'without {name}'}, seed {seed}", flush=True)
            recipe = replace(recipe, data=options.data, width=width, seed=seed)
            recipe = recipe if options.epochs is None else recipe.with_epochs(options.epochs)
            measure(kind, called, recipe, images, device, out)


if __name__ == "__main__":
    main()
