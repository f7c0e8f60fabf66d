"""The recipe: complete, checked, and the same after a trip through a file."""

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s10 import RECIPES, InputError, Recipe, find_recipe


def test_the_default_is_the_assignment():
    recipe = Recipe()
    assert recipe == RECIPES["assignment"] == find_recipe("assignment")
    assert (recipe.epochs, recipe.batch_size, recipe.peak_epoch) == (24, 512, 5)
    assert (recipe.optimizer, recipe.width, recipe.data) == ("adam", 64, "cifar10")
    assert (recipe.pad, recipe.flip, recipe.cutout) == (4, True, 8)
    assert recipe.final_lr is None


def test_it_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().epochs = 3


@given(
    st.integers(1, 200), st.integers(1, 4096), st.floats(1e-6, 10), st.integers(0, 2**32 - 1),
    st.booleans(), st.sampled_from(["linear", "cos"]),
)  # fmt: skip
def test_json_gives_it_back(epochs, batch_size, lr_max, seed, flip, anneal):
    recipe = Recipe(
        epochs=epochs, peak_epoch=1, batch_size=batch_size, lr_max=lr_max, lr_min=lr_max / 100,
        seed=seed, flip=flip, anneal=anneal,
    )  # fmt: skip
    assert Recipe.from_dict(json.loads(recipe.to_json())) == recipe


@pytest.mark.parametrize(
    "change",
    [
        *({name: bad} for name in ("lr_max", "lr_min", "final_lr", "peak_epoch")
          for bad in (0, -0.1, math.nan, math.inf, "0.1", True)),
        *({name: bad} for name in ("epochs", "batch_size", "width")
          for bad in (0, -1, 2.0, math.nan, "3", True, None)),
        *({name: bad} for name in ("momentum_max", "momentum_min", "beta2", "label_smoothing")
          for bad in (-0.1, 1, math.nan, "a", None)),
        {"test_views": 3}, {"test_views": True}, {"test_views": "2"},
        {"small_until": -0.1}, {"small_until": 1.1}, {"small_until": "1"}, {"small_size": 15},
        {"small_size": 33}, {"small_size": 24.0}, {"flip_alternately": 1},
        {"weight_decay": -1}, {"weight_decay": math.nan}, {"weight_decay": math.inf},
        {"cutout_probability": 1.1}, {"cutout_probability": -0.1}, {"network": "resnet"},
        {"std_of": "batch"}, {"cutout_fill": 0}, {"schedule": "cosine"}, {"nesterov": 1},
        {"seed": -1}, {"seed": 2**32}, {"seed": 0.5}, {"pad": -1}, {"cutout": 33},
        {"flip": 1}, {"data": 3}, {"optimizer": "lion"}, {"anneal": "exp"}, {"augment": "none"},
        {"pad_mode": "wrap"}, {"precision": "int8"}, {"peak_epoch": 25}, {"lr_min": 0.5},
    ],
    ids=str,
)  # fmt: skip
def test_a_senseless_value_is_named(change):
    with pytest.raises(InputError) as caught:
        Recipe(**change)
    assert next(iter(change)) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"lr_mx": 0.1}', "unknown field 'lr_mx'; did you mean lr_max"),
        ('{"epochs": "24"}', "epochs must be a whole number of at least 1, not '24'"),
        ('{"flip": "yes"}', "flip must be true or false"),
        ("[1, 2]", "must be a JSON object"),
        ("{broken", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("", "is not JSON"),
    ],
)
def test_a_bad_file_is_explained(tmp_path, text, message):
    path = tmp_path / "my.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        find_recipe(str(path))
    assert "my.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_may_hold_only_what_differs(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"lr_max": 1, "width": 16}')
    recipe = find_recipe(str(path))
    assert recipe == dataclasses.replace(Recipe(), lr_max=1.0, width=16)


def test_the_folder_of_a_run_is_a_recipe(tmp_path):
    (tmp_path / "recipe.json").write_text(Recipe(seed=7).to_json())
    assert find_recipe(str(tmp_path)).seed == 7


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


@given(st.integers(1, 500))
def test_the_peak_keeps_its_share_of_the_epochs(epochs):
    recipe = Recipe().with_epochs(epochs)
    assert recipe.epochs == epochs
    assert 1 <= recipe.peak_epoch <= epochs
    assert abs(recipe.peak_epoch - 5 / 24 * epochs) <= 0.8
    assert Recipe().with_epochs(24) == Recipe()


def test_lr_min_follows_lr_max():
    recipe = Recipe().with_lr_max(2 * Recipe().lr_max)
    assert recipe.lr_min == pytest.approx(2 * Recipe().lr_min)
    with pytest.raises(InputError, match="lr_max"):
        Recipe().with_lr_max(math.nan)


def test_beyond_the_assignment_network_epochs_and_images_are_the_same():
    names = {line.split()[0] for line in Recipe().differences(RECIPES["beyond"])}
    steps = {"optimizer", "peak_epoch", "lr_max", "lr_min", "final_lr", "beta2", "weight_decay"}
    steps |= {"momentum_max", "momentum_min", "label_smoothing"}
    assert names == steps | {"flip_alternately", "test_views"}


def test_the_laptops_recipes_differ_in_what_a_longer_training_needs():
    fast, better = RECIPES["laptop"], RECIPES["laptop-94"]
    names = {line.split()[0] for line in fast.differences(better)}
    assert names == {"width", "epochs", "pad", "cutout", "test_views"}
    assert fast.test_views == 1  # Its accuracy is stated as everybody's.
    assert fast.with_epochs(2).peak_epoch == 1  # The peak stays behind the first step.


@pytest.mark.parametrize("change", [{"flip_alternately": True}, {"small_until": 0.5}])
def test_what_albumentations_does_not_have_is_refused(change):
    with pytest.raises(InputError, match="need augment batched"):
        Recipe(augment="albumentations", **change)


def test_taking_turns_without_flips_is_refused():
    with pytest.raises(InputError, match="flip_alternately needs flip"):
        Recipe(flip=False, flip_alternately=True)
