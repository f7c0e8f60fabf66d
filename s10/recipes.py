"""The recipes by name."""

import difflib
from pathlib import Path

from s10.errors import InputError
from s10.recipe import Recipe
from s10.submissions.published import SUBMISSIONS

RECIPES = {
    "assignment": Recipe(),
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
