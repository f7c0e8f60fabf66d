"""Pitfalls: each is one difference to the assignment's recipe, and nothing else."""

import math
from dataclasses import asdict, replace

import pytest
import torch

from s10 import CustomResNet, InputError, Recipe, simulate_schedule
from s10.speed.recipes import LAPTOP
from s10.submissions import PITFALLS, SUBMISSIONS, pitfalls
from s10.submissions.plots import STATED
from s10.submissions.recipes import SGDRecipe
from s10.submissions.variants import ReluBeforeBNNet, SoftmaxNet, TwoBranchesNet

each = pytest.mark.parametrize("name", PITFALLS)
METHODS = [name for name, value in vars(Recipe).items() if callable(value) and name[0] != "_"]


def cycle(recipe):
    return simulate_schedule(lambda optimizer: recipe.make_scheduler(optimizer, 98), 24 * 98)


@each
def test_a_pitfall_changes_one_method_or_some_fields(name):
    pitfall = PITFALLS[name]
    recipe = pitfall.recipe(Recipe())
    changed = {field for field, value in asdict(recipe).items() if getattr(Recipe, field) != value}
    assert changed == set(pitfall.changes)
    cls = type(recipe)
    overridden = [] if cls is Recipe else [name for name in METHODS if name in vars(cls)]
    assert len(overridden) == (cls is not Recipe)
    assert changed or overridden
    assert pitfall.summary().count("→") == len(changed)
    assert pitfall.found_in
    assert set(pitfall.found_in) | set(pitfall.part_of or ()) <= set(SUBMISSIONS)


@each
def test_a_pitfall_keeps_the_rest_of_the_recipe(name):
    base = replace(Recipe(), data="shapes", width=4, seed=7, precision="fp32", batch_size=50)
    recipe = PITFALLS[name].recipe(base).with_epochs(12)
    for field in ("data", "width", "seed", "precision", "batch_size"):
        assert getattr(recipe, field) == getattr(base, field)
    assert type(recipe) is PITFALLS[name].recipe_class
    assert recipe.epochs == 12


def test_every_class_is_a_pitfall():
    classes = {
        value for value in vars(pitfalls).values()
        if isinstance(value, type) and issubclass(value, Recipe)
    }  # fmt: skip
    assert classes == {pitfall.recipe_class for pitfall in PITFALLS.values()}


def test_a_pitfall_is_for_the_assignments_recipe_only():
    with pytest.raises(InputError, match="this one is a LaptopRecipe"):
        PITFALLS["annihilation"].recipe(LAPTOP)


@pytest.mark.parametrize(
    ("name", "kind", "settings"),
    [
        ("L2 of 1e-2 in Adam", torch.optim.Adam,
         {"betas": (0.95, 0.99), "weight_decay": 0.01, "decoupled_weight_decay": False}),
        ("SGD instead of Adam", torch.optim.SGD,
         {"momentum": 0.95, "nesterov": True, "weight_decay": 5e-4, "lr": 4e-4}),
    ],
)  # fmt: skip
def test_the_optimizers(name, kind, settings):
    recipe, model = PITFALLS[name].recipe(Recipe()), torch.nn.Linear(2, 2)
    optimizer = recipe.make_optimizer(model)
    assert type(optimizer) is kind
    assert {"lr": recipe.lr_min, **settings}.items() <= optimizer.defaults.items()
    low = recipe.at_peak().make_optimizer(model).defaults
    assert low.get("momentum", low.get("betas", [0])[0]) == recipe.momentum_min


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("softmax before the loss", SoftmaxNet),
        ("ReLU before BN", ReluBeforeBNNet),
        ("two branches, no residual", TwoBranchesNet),
        ("annihilation", CustomResNet),
    ],
)
def test_the_networks(name, network):
    assert type(PITFALLS[name].recipe(Recipe(width=2)).make_model()) is network


def test_the_schedules():
    rates, momenta = cycle(PITFALLS["annihilation"].recipe(Recipe()))
    usual_rates, usual_momenta = cycle(Recipe())
    assert rates[-1] == pytest.approx(usual_rates[-1] / 100, rel=1e-6)
    assert rates[:490] == usual_rates[:490]
    assert momenta == usual_momenta
    rates, _ = cycle(PITFALLS["LRMIN a tenth of LRMAX"].recipe(Recipe()))
    assert rates[0] == pytest.approx(max(rates) / 10)
    for name, submission in SUBMISSIONS.items():
        recipe = PITFALLS[f"LRMAX {submission.recipe.lr_max:.2g}"].recipe(Recipe())
        assert recipe == Recipe().with_lr_max(submission.recipe.lr_max), name


def test_each_submission_that_has_a_pitfall_is_named():
    has = {
        "no padding before the crop": lambda recipe: recipe.pad == 0,
        "SGD instead of Adam": lambda recipe: isinstance(recipe, SGDRecipe),
        "annihilation": lambda recipe: cycle(recipe)[0][-1] < recipe.lr_min / 2,
        "LRMIN a tenth of LRMAX": lambda recipe: math.isclose(recipe.lr_max, 10 * recipe.lr_min),
    }
    for name, has_it in has.items():
        found = {each for each, recipe in STATED.items() if has_it(recipe)}
        assert set(PITFALLS[name].found_in) == found, name


def test_what_a_readme_does_not_say_is_called_inferred():
    """eva6-s9 explains Smith's example; it does not say what it used itself."""
    assert PITFALLS["LRMAX 0.8"].mark("eva6-s9") == "†"
    assert PITFALLS["SGD instead of Adam"].mark("eva8-s8") == "†"
    assert PITFALLS["SGD instead of Adam"].mark("eva4-s11") == "†"
    assert PITFALLS["annihilation"].mark("eva8-s8") == "*"
    assert PITFALLS["schedule stepped once an epoch"].mark("era1-s10-strided") == "*"
    assert PITFALLS["no padding before the crop"].mark("era1-s10-strided") == ""
    assert PITFALLS["std of single images"].mark("era1-s10-strided") == ""


def test_the_summary_says_what_changes():
    assert PITFALLS["no padding before the crop"].summary() == "pad 4 → 0"
    assert PITFALLS["L2 of 1e-2 in Adam"].summary() == (
        "Adam with an L2 term instead of decoupled decay; weight_decay 0.1 → 0.01"
    )


def test_only_what_was_measured_as_it_was_used_is_a_part_of_the_whole():
    """An LRMAX made for SGD is measured with Adam: no part of what those with SGD lost."""
    parts = {
        name: {pitfall for pitfall in PITFALLS if PITFALLS[pitfall].explains(name)}
        for name in SUBMISSIONS
    }
    lr_max = {name for name in PITFALLS if name.startswith("LRMAX")}
    assert {name: part & lr_max for name, part in parts.items() if part & lr_max} == {
        "era1-s10": {"LRMAX 0.0054"}
    }
    assert "annihilation" not in parts["era1-s10-strided"]
    assert "annihilation" in parts["eva6-s9"]
    assert "SGD instead of Adam" in parts["eva6-s9"]
