"""Recipes from before version 0.2.0 become those of today that train in the same way.

`recipes_of_0_1.json` holds all recipes of 0.1.0, written by its code: the fields of its only
class with their defaults, and for each recipe those that differ.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from s10 import InputError, Recipe
from s10.cli.registry import RECIPES, load_recipe
from s10.course.ablation import ABLATIONS
from s10.speed.recipes import LaptopRecipe
from s10.submissions import PITFALLS

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "convert_recipes.py"
OLD = json.loads(Path(__file__).with_name("recipes_of_0_1.json").read_text(encoding="utf-8"))
# What the recipes of 0.1.0 are today; `laptop-94` is another one since.
SIXTEEN_EPOCHS = LaptopRecipe(width=64, epochs=16, pad=3, cutout=8, tta_views=6)
TODAY = {**RECIPES, "laptop-94": SIXTEEN_EPOCHS}


@pytest.fixture(scope="module")
def convert():
    spec = importlib.util.spec_from_file_location("convert_recipes", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.convert


def old(changes: dict) -> dict:
    return {**OLD["defaults"], **changes}


def run(*paths: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, SCRIPT, *paths]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", OLD["recipes"])
def test_every_recipe(convert, name):
    assert convert(old(OLD["recipes"][name])) == TODAY[name].to_dict()


@pytest.mark.parametrize("name", OLD["pitfalls"])
def test_every_pitfall(convert, name):
    assert convert(old(OLD["pitfalls"][name])) == PITFALLS[name].recipe(Recipe()).to_dict()


@pytest.mark.parametrize(
    ("recipe", "ingredient"), [(r, name) for r, names in OLD["ablations"].items() for name in names]
)
def test_every_ablation(convert, recipe, ingredient):
    found = convert(old(OLD["ablations"][recipe][ingredient]))
    assert found == ABLATIONS[recipe][ingredient].to_dict()


def test_what_no_class_of_today_trains_is_refused(convert):
    with pytest.raises(InputError, match=r"no class of today trains with .*'optimizer': 'muon'"):
        convert(old({"optimizer": "muon", "std_of": "images"}))


def test_a_run_is_converted_in_place_and_only_once(tmp_path):
    recipe = old(OLD["recipes"]["laptop-94"])
    (tmp_path / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")
    summary = {"test_accuracy": 0.93, "recipe": recipe, "test_accuracy_of_views": 0.94}
    (tmp_path / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    with pytest.raises(InputError, match=r"convert it with python tools/convert_recipes\.py"):
        load_recipe(tmp_path / "recipe.json")
    assert run(tmp_path).returncode == 0
    assert load_recipe(tmp_path / "recipe.json") == TODAY["laptop-94"]
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "test_accuracy": 0.93, "recipe": TODAY["laptop-94"].to_dict(),
        "tta_test_accuracy": 0.94, "tta_views": 6,
    }  # fmt: skip
    assert run(tmp_path).stdout == ""


def test_a_file_that_cannot_be_converted_is_named_and_stays(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    strange = json.dumps(old({"optimizer": "muon", "std_of": "images"}))
    (tmp_path / "strange.json").write_text(strange)
    done = run(tmp_path)
    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == [
        str(tmp_path / "broken.json"), str(tmp_path / "strange.json")
    ]  # fmt: skip
    assert (tmp_path / "strange.json").read_text() == strange
