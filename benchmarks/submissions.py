"""Measure the five submissions, and each of their pitfalls alone in the assignment's recipe.

    python benchmarks/submissions.py --width 16 --seeds 0
    python benchmarks/submissions.py --width 16 --seeds 0 1 2 --only "ReLU before BN"

The runs follow one another: the submissions, the pitfalls, a variant. Each writes one row
of runs.csv, and its curve and recipe into curves/. What is there already is skipped, so this
may be stopped at any time and started again; if it is of another recipe, this is refused.
"""

from dataclasses import replace
from pathlib import Path

from common import RESULTS, make_parser, measure, missing_runs, prepare_device

from s10 import InputError, Recipe, load_dataset
from s10.submissions.pitfalls import PITFALLS
from s10.submissions.published import SUBMISSIONS
from s10.submissions.recipes import Era1S10StridedPerBatch

# Kind → name → recipe, in the order in which they are measured. The kinds are called as in
# the stored files, where a pitfall is a "trap".
RECIPES = {
    "submission": {name: submission.recipe for name, submission in SUBMISSIONS.items()},
    "trap": {name: pitfall.recipe(Recipe()) for name, pitfall in PITFALLS.items()},
    "variant": {"era1-s10-strided, stepped every batch": Era1S10StridedPerBatch()},
}


def main(arguments: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--out", type=Path, help="(results/submissions-DATA-widthN)")
    options = parser.parse_args(arguments)
    device = prepare_device(options.device)
    out = options.out or RESULTS / f"submissions-{options.data}-width{options.width}"
    recipes = {(kind, name): r for kind, group in RECIPES.items() for name, r in group.items()}
    names = [name for _, name in recipes]
    if unknown := set(options.only or ()) - set(names):
        parser.error(f"no {', '.join(unknown)}; there are {', '.join(names)}")
    try:
        dataset = load_dataset(options.data, options.data_dir)
        runs = [
            (*run, replace(recipe, data=options.data, width=options.width, seed=seed))
            for seed in dict.fromkeys(options.seeds)
            for run, recipe in recipes.items()
            if run[1] in (options.only or names)
        ]
        runs = [(kind, name, recipe.with_epochs(options.epochs)) for kind, name, recipe in runs]
        missing = missing_runs(runs, dataset, out)
    except InputError as error:
        parser.error(str(error))
    for kind, name, recipe in missing:
        print(f"{kind} {name}, seed {recipe.seed}", flush=True)
        measure(kind, name, recipe, dataset, device, out)


if __name__ == "__main__":
    main()
