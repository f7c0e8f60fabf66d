"""The recipes by name."""

import difflib
from dataclasses import replace
from pathlib import Path

from s10.errors import InputError
from s10.recipe import Recipe
from s10.submissions.published import SUBMISSIONS

# As little work as possible for two cores of a CPU; notebook 5 says why each part is there.
LAPTOP = Recipe(
    network="whitened_net",
    width=32,
    epochs=7,
    batch_size=512,
    pad=2,
    cutout=0,
    flip_alternately=True,
    small_until=0.5,
    small_size=24,
    optimizer="muon",
    peak_epoch=1,
    lr_max=0.12,
    lr_min=0.03,
    final_lr=0.0012,
    momentum_max=0.6,
    momentum_min=0.6,
    beta2=0.95,
    weight_decay=0.0,
    label_smoothing=0.2,
)
# Twice as wide and longer, so that there is something to regularise.
LAPTOP_94 = replace(LAPTOP, width=64, epochs=16, pad=3, cutout=8, test_views=6)
# The assignment's network and its 24 epochs; everything else is free.
BEYOND = Recipe(
    flip_alternately=True,
    optimizer="muon",
    peak_epoch=1,
    lr_max=0.08,
    lr_min=0.02,
    final_lr=0.0008,
    momentum_max=0.8,
    momentum_min=0.8,
    beta2=0.95,
    weight_decay=0.0,
    label_smoothing=0.2,
    test_views=2,
)

RECIPES = {
    "assignment": Recipe(),
    "beyond": BEYOND,
    "laptop": LAPTOP,
    "laptop-94": LAPTOP_94,
    **{name: submission.recipe for name, submission in SUBMISSIONS.items()},
}


def find_recipe(name_or_file: str) -> Recipe:
    """A recipe by its name in `RECIPES`, or from a JSON file (or a run's folder).

    Raises:
        InputError: neither exists; the message names the nearest recipe.
    """
    if name_or_file in RECIPES:
        return RECIPES[name_or_file]
    path = Path(name_or_file).expanduser()
    if path.is_dir():
        path = path / "recipe.json"
    if path.exists() or path.suffix == ".json":
        return Recipe.from_file(path)
    nearest = difflib.get_close_matches(name_or_file, RECIPES, 1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    raise InputError(
        f"there is no recipe {name_or_file!r} and no such file; recipes: {', '.join(RECIPES)}{hint}"
    )
