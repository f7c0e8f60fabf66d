"""Recipes by name and from files: complete, checked, and the same after a trip through a file."""

import dataclasses
import json
import re
from dataclasses import replace

import pytest

from s10 import InputError, Recipe
from s10.cli.registry import CLASSES, OLD_FIELDS, RECIPES, find_recipe, load_recipe, recipe_from


@pytest.fixture
def load(tmp_path):
    """A function that loads a recipe from this text."""

    def load(text):
        path = tmp_path / "my.json"
        path.write_text(text)
        return load_recipe(path)

    return load


def test_the_default_is_the_assignment():
    assert Recipe() == RECIPES["assignment"] == find_recipe("assignment")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_comes_back_from_its_file(name, load):
    recipe = RECIPES[name]
    again = load(recipe.to_json())
    assert again == recipe
    assert type(again) is type(recipe)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_comes_back_from_a_file(name, load):
    recipe = CLASSES[name](seed=7)
    assert json.loads(recipe.to_json())["class"] == name
    again = load(recipe.to_json())
    assert again == recipe
    assert type(again) is CLASSES[name]


def test_classes_have_one_name_each():
    """No two rooms use a name for two classes, of which one would be lost."""

    def subclasses(cls):
        return {cls}.union(*map(subclasses, cls.__subclasses__()))

    # The notebooks' short experiments have recipes of their own, which no run's folder holds.
    found = subclasses(Recipe)
    classes = [cls for cls in found if re.match(r"s10\.(?!course\.)", cls.__module__)]
    assert sorted(cls.__name__ for cls in classes) == sorted(CLASSES)
    assert set(CLASSES.values()) == set(classes)
    assert {type(recipe) for recipe in RECIPES.values()} <= set(classes)


def test_a_file_may_hold_only_what_differs(load):
    recipe = load('{"lr_max": 1, "width": 16}')
    assert recipe == replace(Recipe(), lr_max=1.0, width=16)
    assert type(recipe) is Recipe
    assert load('{"class": "LaptopRecipe", "width": 48}') == replace(RECIPES["laptop"], width=48)


def test_the_folder_of_a_run_is_a_recipe(tmp_path):
    (tmp_path / "recipe.json").write_text(Recipe(seed=7).to_json())
    assert find_recipe(str(tmp_path)).seed == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"lr_mx": 0.1}', "unknown field 'lr_mx'; did you mean lr_max"),
        ('{"epochs": "24"}', "epochs must be an integer from 1 to 10,000, not '24'"),
        ('{"lr_max": null}', "lr_max must be a number above 0, not None"),
        ('{"width": 1e9}', "width must be an integer"),
        ('{"flip": "yes"}', "flip must be true or false"),
        ('{"class": "Recipe", "tta_views": 2}', "unknown field 'tta_views'"),
        ('{"class": "Laptop"}', "a class that does not exist: 'Laptop'; did you mean LaptopRecipe"),
        ('{"class": ["Recipe"]}', "a class that does not exist"),
        ('{"class": null}', "a class that does not exist: None"),
        ("[1, 2]", "must be a JSON object"),
        ("{broken", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("", "is not JSON"),
        ('{"seed": 1' + " " * (1 << 20) + "}", "is not JSON"),
    ],
)
def test_a_bad_file_is_explained(load, text, message):
    with pytest.raises(InputError, match=message) as caught:
        load(text)
    assert "my.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_an_older_version_is_refused(load):
    """They name the fields of all recipes and no class; `network` decided what was trained."""
    for text in ('{"data": "shapes", "network": "whitened_net"}', '{"test_views": 2, "lr_mx": 1}'):
        with pytest.raises(InputError, match=r"python tools/convert_recipes.py .*my.json") as error:
            load(text)
        assert "\n" not in str(error.value)
    assert not OLD_FIELDS & {field.name for field in dataclasses.fields(Recipe)}
    # With a class it is a new file, in which some of these fields exist.
    assert load('{"class": "FastRecipe", "final_lr": 0.001}').final_lr == 0.001


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("asignment", "did you mean assignment"),
        ("nothing.json", "No such file"),
        ("x", "there is no recipe 'x'"),
    ],
)
def test_an_unknown_recipe_is_explained(name, message):
    with pytest.raises(InputError, match=message):
        find_recipe(name)


def test_where_the_values_come_from_is_named():
    with pytest.raises(InputError, match=r"^--set names a class that does not exist"):
        recipe_from({"class": "Rezept"}, "--set")
