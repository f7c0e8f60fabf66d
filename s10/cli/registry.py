"""The recipes by name, and the classes that a recipe.json names."""

import difflib
import json
from collections.abc import Iterable
from pathlib import Path

from s10 import recipe
from s10.recipe import Recipe
from s10.runtime.errors import InputError
from s10.speed import ablations, airbench
from s10.speed import recipes as fast_recipes
from s10.speed.airbench import LAPTOP_94
from s10.speed.recipes import ASSIGNMENT_94, BEYOND, LAPTOP
from s10.submissions import pitfalls
from s10.submissions import recipes as submitted_recipes
from s10.submissions.published import SUBMISSIONS

RECIPES = {
    "assignment": Recipe(),
    "assignment-94": ASSIGNMENT_94,
    "beyond": BEYOND,
    "laptop": LAPTOP,
    "laptop-94": LAPTOP_94,
    **{name: submission.recipe for name, submission in SUBMISSIONS.items()},
}

CLASSES = {
    name: value
    for module in (recipe, fast_recipes, airbench, ablations, submitted_recipes, pitfalls)
    for name, value in vars(module).items()
    if isinstance(value, type) and issubclass(value, Recipe)
}

MAX_BYTES = 1 << 20  # of a recipe's file
# Until version 0.1 one class had the fields of all recipes, and a recipe.json named none.
OLD_FIELDS = {
    "network", "optimizer", "nesterov", "flip_alternately", "cutout_probability", "cutout_fill",
    "std_of", "small_until", "small_size", "schedule", "final_lr", "anneal",
    "decoupled_weight_decay", "test_views",
}  # fmt: skip


def find_recipe(name_or_file: str) -> Recipe:
    """A recipe by its name in `RECIPES`, or from a JSON file or the folder of a run.

    Raises:
        InputError: neither exists (the message names the nearest recipe), or the file is
            not a recipe.
    """
    if name_or_file in RECIPES:
        return RECIPES[name_or_file]
    path = Path(name_or_file).expanduser()
    if path.is_dir():
        path = path / "recipe.json"
    if path.exists() or path.suffix == ".json":
        return load_recipe(path)
    raise InputError(
        f"there is no recipe {name_or_file!r} and no such file; recipes: {', '.join(RECIPES)}"
        + _suggestion(name_or_file, RECIPES)
    )


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe.json; fields that it does not hold keep the default of its class.

    Raises:
        InputError: the file cannot be read, is not JSON, is of an older version, or names
            a class or a field that does not exist, or a value that makes no sense.
    """
    try:
        with open(path, encoding="utf-8") as file:
            values = json.loads(file.read(MAX_BYTES))
    except OSError as error:
        raise InputError(f"cannot read the recipe {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"the recipe {path} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"the recipe {path} must be a JSON object of fields and values")
    if "class" not in values and OLD_FIELDS & set(values):
        raise InputError(
            f"the recipe {path} is of an older version of s10; convert it with "
            f"python tools/convert_recipes.py {path}"
        )
    return recipe_from(values, f"the recipe {path}")


def recipe_from(values: dict, where: str) -> Recipe:
    """A recipe from its `to_dict()`; without "class" it is a `Recipe`.

    Raises:
        InputError: there is no such class or field, or a value makes no sense.
    """
    name = values.get("class", "Recipe")
    if not isinstance(name, str) or name not in CLASSES:
        raise InputError(
            f"{where} names a class that does not exist: {name!r}" + _suggestion(str(name), CLASSES)
        )
    return CLASSES[name].from_dict(values, where)


def _suggestion(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {nearest[0]}?" if nearest else ""
