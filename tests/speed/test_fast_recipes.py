"""The fast recipes: validated, and made of their own parts."""

import math
from dataclasses import asdict, replace

import pytest
import torch

from s10 import CustomResNet, InputError, Recipe, fit, seed_everything, simulate_schedule
from s10.speed.ablations import WithoutMuon
from s10.speed.airbench import LAPTOP_94
from s10.speed.loaders import FastLoader
from s10.speed.muon import Muon
from s10.speed.recipes import BEYOND, LAPTOP, FastRecipe, LaptopRecipe
from s10.speed.whitened_net import WhitenedNet

BAD_VALUES = {
    "final_lr": (0, -0.1, math.nan, "0.1", None, True),
    "alternating_flips": ("yes", None, 1),
    "low_res_fraction": (-0.1, 1.1, math.nan, "half", True),
    "low_res_size": (15, 33, 24.0, "24", True),
    "tta_views": (0, 3, "2", True, None),
}


def changes(recipe, other):
    """The names of the fields that differ."""
    return {line.split()[0] for line in recipe.differences(other.to_dict())}


def test_beyond_has_the_assignments_network_epochs_and_images():
    assert type(BEYOND.make_model()) is CustomResNet
    steps = {"peak_epoch", "lr_max", "lr_min", "final_lr", "beta2", "weight_decay"}
    steps |= {"momentum_max", "momentum_min", "label_smoothing"}
    fast = {"alternating_flips", "low_res_fraction", "low_res_size", "tta_views"}
    assert changes(BEYOND, Recipe()) == {"class"} | steps | fast
    assert BEYOND.low_res_fraction == 0


def test_the_laptops_accuracy_is_over_one_view():
    assert type(LAPTOP.make_model()) is WhitenedNet
    assert LAPTOP.tta_views == 1  # Like that of the assignment.


@pytest.mark.parametrize(
    ("name", "bad"), [(name, bad) for name, every in BAD_VALUES.items() for bad in every]
)
def test_bad_values_are_refused_and_named(name, bad):
    with pytest.raises(InputError, match=name):
        replace(LAPTOP, **{name: bad})


@pytest.mark.parametrize("recipe", [LAPTOP, LAPTOP_94, BEYOND, WithoutMuon()])
def test_a_recipe_survives_the_trip_through_a_dict(recipe):
    values = recipe.to_dict()
    assert values["class"] == type(recipe).__name__
    assert type(recipe).from_dict(values) == recipe


def test_what_does_not_fit_together_is_refused_in_one_line():
    for change, message in (
        ({"augment": "albumentations"}, "needs augment batched"),
        ({"flip": False}, "alternating_flips needs flip"),
        ({"low_res_fraction": 0.5}, "32 pixels: set low_res_fraction to 0"),
    ):
        with pytest.raises(InputError, match=message) as refused:
            FastRecipe(**change)
        assert "\n" not in str(refused.value)
    assert not FastRecipe(flip=False, alternating_flips=False).flip
    assert FastRecipe(low_res_fraction=0.5, low_res_size=32).low_res_size == 32
    assert LaptopRecipe(low_res_fraction=1.0, low_res_size=16).low_res_fraction == 1


def test_muon_gets_the_recipes_settings():
    model = LaptopRecipe(width=4).make_model()
    optimizer = LAPTOP.make_optimizer(model)
    assert type(optimizer) is Muon
    (filters, others) = optimizer.param_groups
    expected = {"lr": 0.03, "momentum": 0.6, "beta2": 0.95, "weight_decay": 0.0}
    for group in (filters, others):
        assert expected.items() <= group.items()
    without = LaptopRecipe(momentum_max=0.0, momentum_min=0.0)
    assert without.make_optimizer(model).param_groups[0]["momentum"] == 0


def test_without_muon_it_is_the_assignments_optimizer_and_cycle():
    recipe, model = WithoutMuon(), CustomResNet(width=4)
    ours, theirs = (each.make_optimizer(model) for each in (recipe, Recipe()))
    assert type(ours) is torch.optim.AdamW
    assert ours.defaults == theirs.defaults
    same = replace(Recipe(), epochs=recipe.epochs, peak_epoch=recipe.peak_epoch)
    assert cycle(recipe) == cycle(same)


def cycle(recipe):
    return simulate_schedule(
        lambda optimizer: recipe.make_scheduler(optimizer, 10), 10 * recipe.epochs
    )


def test_the_cycle_ends_at_the_final_lr():
    rates, momenta = cycle(LAPTOP)
    assert (rates[0], rates[9], rates[-1]) == pytest.approx((0.03, 0.12, 0.0012))
    assert momenta == pytest.approx([0.6] * 70)


def test_another_peak_keeps_the_shape_of_the_cycle():
    recipe = LAPTOP.with_lr_max(0.06)
    assert (recipe.lr_max, recipe.lr_min, recipe.final_lr) == pytest.approx((0.06, 0.015, 0.0006))
    others = {"lr_max", "lr_min", "final_lr"}
    for name, value in asdict(LAPTOP).items():
        assert name in others or getattr(recipe, name) == value


def test_another_number_of_epochs_moves_the_end_of_low_resolution(few):
    loader = replace(LAPTOP, batch_size=50).with_epochs(2).train_loader(few)
    assert type(loader) is FastLoader
    sizes = []
    for epoch in (1, 2):
        loader.set_epoch(epoch)
        sizes += [images.shape[-1] for images, _ in loader]
    assert sizes == [24] * 4 + [32] * 4


@pytest.mark.parametrize("recipe", [LAPTOP, BEYOND])
def test_each_trains(recipe, few):
    recipe = replace(recipe, width=4, batch_size=50, precision="fp32").with_epochs(5)
    seed_everything(0)
    model = recipe.initial_model(few)
    train, test = recipe.train_loader(few), recipe.test_loader(few)
    history = fit(model, train, test, recipe, few.classes).history
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
