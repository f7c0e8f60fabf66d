"""The recipe: complete, validated, the same after a trip through JSON; it makes a run's parts."""

import dataclasses
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from fuzzing import error_of
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from s10 import CustomResNet, InputError, OneCycle, Recipe, simulate_schedule
from s10.loaders import AlbumentationsLoader, TensorLoader, eval_loader

FIELDS = [field.name for field in dataclasses.fields(Recipe)]


def test_the_default_is_the_assignment():
    assert dataclasses.asdict(Recipe()) == {
        "data": "cifar10", "width": 64, "seed": 0, "precision": "auto",
        "epochs": 24, "batch_size": 512, "augment": "batched", "pad": 4, "pad_mode": "reflect",
        "flip": True, "cutout": 8,
        "peak_epoch": 5, "lr_max": 0.01, "lr_min": 0.00001,
        "momentum_max": 0.95, "momentum_min": 0.85,
        "beta2": 0.99, "weight_decay": 0.1, "label_smoothing": 0.1,
    }  # fmt: skip


def test_it_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().epochs = 3


# What each field allows and refuses.

BAD_SIZES = (0, -1, 2.0, math.nan, "3", True, None)
BAD_RATES = (0, -0.1, math.nan, math.inf, "0.1", True, None)
BAD_FRACTIONS = (-0.1, 1, math.nan, "a", None, False)
BAD_VALUES = {
    "data": (3, None),
    "width": (*BAD_SIZES, 1025),
    "seed": (-1, 2**32, 0.5, True, None),
    "precision": ("int8", None, 32),
    "epochs": (*BAD_SIZES, 10_001),
    "batch_size": (*BAD_SIZES, 1_000_001),
    "augment": ("none", None),
    "pad": (-1, 17, 4.0, True),
    "pad_mode": ("wrap", None),
    "flip": (1, 0, "yes", None),
    "cutout": (-1, 33, 8.0, True),
    "peak_epoch": (*BAD_RATES, 25),
    "lr_max": BAD_RATES,
    "lr_min": (*BAD_RATES, 0.5),  # The last one is above lr_max.
    "momentum_max": BAD_FRACTIONS,
    "momentum_min": BAD_FRACTIONS,
    "beta2": BAD_FRACTIONS,
    "weight_decay": (-1, math.nan, math.inf, "0", False, None),
    "label_smoothing": BAD_FRACTIONS,
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_bad_value_is_named(name):
    for bad in BAD_VALUES[name]:
        with pytest.raises(InputError) as caught:
            Recipe(**{name: bad})
        assert name in str(caught.value), bad
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be an integer from 1 to 10,000, not 0"),
        ({"flip": "yes"}, "flip must be true or false, not 'yes'"),
        ({"precision": "int8"}, "precision must be auto or fp32 or bf16 or fp16, not 'int8'"),
        ({"beta2": 1}, "beta2 must be a number at least 0 and below 1, not 1"),
        ({"data": 3}, "data must be a string, not 3"),
        ({"lr_min": 1.0}, r"lr_min \(1\.0\) must not be above lr_max \(0\.01\)"),
        ({"peak_epoch": 25}, r"peak_epoch \(25\) must not be after the last epoch \(24\)"),
    ],
)
def test_the_message_says_what_is_allowed(change, message):
    with pytest.raises(InputError, match=f"^{message}$"):
        Recipe(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"width": 1024}, {"seed": 2**32 - 1}, {"epochs": 10_000}, {"batch_size": 1_000_000},
        {"pad": 0}, {"pad": 16}, {"pad_mode": "constant"}, {"flip": False}, {"cutout": 0},
        {"cutout": 32}, {"peak_epoch": 24}, {"peak_epoch": 4.8}, {"lr_min": 0.01}, {"lr_max": 1},
        {"momentum_max": 0.999}, {"momentum_min": 0}, {"beta2": 0.0}, {"label_smoothing": 0},
        {"weight_decay": 0}, {"weight_decay": 5.0}, {"augment": "albumentations"},
        {"precision": "fp16"}, {"data": "folder:/pets"},
    ],
    ids=str,
)  # fmt: skip
def test_the_limits_are_allowed(change):
    (name, value), *_ = change.items()
    assert getattr(Recipe(**change), name) == value


# To a dictionary and back.


@given(
    st.integers(1, 200), st.integers(1, 4096), st.floats(1e-6, 10), st.integers(0, 2**32 - 1),
    st.booleans(), st.sampled_from(["reflect", "constant"]),
)  # fmt: skip
def test_json_keeps_every_field(epochs, batch_size, lr_max, seed, flip, pad_mode):
    recipe = Recipe(
        epochs=epochs, peak_epoch=1, batch_size=batch_size, lr_max=lr_max, lr_min=lr_max / 100,
        seed=seed, flip=flip, pad_mode=pad_mode,
    )  # fmt: skip
    assert Recipe.from_dict(json.loads(recipe.to_json())) == recipe


class Variation(Recipe):
    """A recipe of another class."""


def test_the_dictionary_begins_with_the_class():
    assert list(Recipe().to_dict()) == ["class", *FIELDS]
    assert Recipe().to_dict()["class"] == "Recipe"
    assert Variation(seed=7).to_dict()["class"] == "Variation"
    assert Recipe().to_json().endswith("}\n")
    assert len(Recipe().to_json().splitlines()) == 2 + len(["class", *FIELDS])


def test_a_recipe_of_the_class_that_reads_it():
    recipe = Variation.from_dict(Variation(seed=7).to_dict())
    assert type(recipe) is Variation
    assert recipe.seed == 7


def test_absent_fields_have_their_default():
    assert Recipe.from_dict({}) == Recipe()
    assert Recipe.from_dict({"width": 16}) == Recipe(width=16)


def test_an_integer_in_json_is_a_float_where_one_belongs():
    values = {"lr_max": 1, "weight_decay": 0}
    recipe = Recipe.from_dict(values)
    assert type(recipe.lr_max) is type(recipe.weight_decay) is float
    assert type(recipe.peak_epoch) is int
    assert values == {"lr_max": 1, "weight_decay": 0}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr_mx": 0.1}, "my.json has an unknown field 'lr_mx'; did you mean lr_max?"),
        ({"q": 0.1}, "my.json has an unknown field 'q'"),
        ({"epochs": "24"}, "my.json: epochs must be an integer from 1 to 10,000, not '24'"),
        ({"flip": "yes"}, "my.json: flip must be true or false, not 'yes'"),
    ],
)
def test_what_is_wrong_is_said_and_where(values, message):
    with pytest.raises(InputError) as caught:
        Recipe.from_dict(values, "my.json")
    assert str(caught.value) == message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.sampled_from(FIELDS), json_values)
def test_anything_in_a_field_is_refused_or_kept(name, value):
    error = error_of(lambda: Recipe.from_dict({name: value}))
    assert "\n" not in error
    if not error:
        recipe = Recipe.from_dict({name: value})
        assert Recipe.from_dict(json.loads(recipe.to_json())) == recipe


def test_differences_between_recipes():
    recipe = Recipe()
    assert recipe.differences(recipe.to_dict()) == []
    other = {**recipe.to_dict(), "lr_max": 0.02, "class": "Variation", "views": 6}
    del other["seed"]
    assert recipe.differences(other) == [
        "class is Recipe, was Variation",
        "seed is 0, was None",
        "lr_max is 0.01, was 0.02",
        "views is None, was 6",
    ]


# Other recipes derived from it.


@given(st.integers(1, 500))
def test_the_peak_stays_at_its_fraction_of_the_epochs(epochs):
    recipe = Recipe().with_epochs(epochs)
    assert recipe.epochs == epochs
    assert 1 <= recipe.peak_epoch <= epochs
    assert isinstance(recipe.peak_epoch, int)
    # Rounded, and never before the end of the first epoch.
    assert abs(recipe.peak_epoch - 5 / 24 * epochs) <= (0.5 if epochs >= 5 else 0.8)
    assert replace(recipe, epochs=24, peak_epoch=5) == Recipe()


def test_a_fractional_peak_is_not_rounded():
    assert replace(Recipe(), peak_epoch=4.8).with_epochs(10).peak_epoch == pytest.approx(2)
    assert replace(Recipe(), peak_epoch=4.5).with_epochs(12).peak_epoch == 2.25


@pytest.mark.parametrize("bad", [0, 1.5, "3"])
def test_a_bad_number_of_epochs_is_refused(bad):
    with pytest.raises(InputError, match="epochs must be an integer of at least 1"):
        Recipe().with_epochs(bad)


def test_lr_min_follows_lr_max():
    recipe = Recipe().with_lr_max(0.02)
    assert recipe == replace(Recipe(), lr_max=0.02, lr_min=recipe.lr_min)
    assert recipe.lr_min == pytest.approx(2e-5)
    with pytest.raises(InputError, match="lr_max"):
        Recipe().with_lr_max(math.nan)


# The parts of a run. Every field differs from its default, so that none is forgotten.


@pytest.fixture
def unusual():
    return Recipe(
        data="shapes", width=6, seed=3, precision="fp32", epochs=10, batch_size=48, pad=2,
        pad_mode="constant", flip=False, cutout=5, peak_epoch=3, lr_max=0.02, lr_min=1e-4,
        momentum_max=0.9, momentum_min=0.7, beta2=0.95, weight_decay=0.3, label_smoothing=0.2,
    )  # fmt: skip


def test_the_model_has_the_width_and_classes_asked_for(few, unusual):
    model = unusual.make_model(7)
    assert isinstance(model, CustomResNet)
    assert (model.fc.in_features, model.fc.out_features) == (8 * 6, 7)
    assert unusual.make_model().fc.out_features == 10
    twelve = replace(few, classes=(*few.classes, "a", "b"))
    assert unusual.initial_model(twelve).fc.out_features == 12
    torch.manual_seed(0)
    expected = CustomResNet(12, 6).state_dict()
    torch.manual_seed(0)
    for name, value in unusual.initial_model(twelve).state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("beta1", [0.9, 0.7, 0.0])
def test_the_optimizer_is_adamw(unusual, beta1):
    """PyTorch is the oracle: the same weights after three steps."""
    if beta1 == 0.7:
        recipe = unusual.at_peak()
    else:
        recipe = replace(unusual, momentum_max=beta1, momentum_min=0.0)
    weights = []
    for make in (
        recipe.make_optimizer,
        lambda model: torch.optim.AdamW(
            model.parameters(), 1e-4, (beta1, 0.95), weight_decay=0.3
        ),
    ):  # fmt: skip
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = make(model)
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(1, 3)).square().sum().backward()
            optimizer.step()
        weights.append(model.weight.detach().clone())
    assert torch.equal(*weights)


def test_the_schedule_is_one_cycle(unusual):
    def by_hand(optimizer):
        return OneCycle(
            optimizer, lr_max=0.02, lr_min=1e-4, epochs=10, steps_per_epoch=7, peak_epoch=3,
            momentum_max=0.9, momentum_min=0.7,
        )  # fmt: skip

    ours = simulate_schedule(lambda optimizer: unusual.make_scheduler(optimizer, 7), 70)
    assert ours == simulate_schedule(by_hand, 70)
    rates, momenta = ours
    assert (rates.index(max(rates)), max(rates)) == (20, pytest.approx(0.02))
    assert (momenta[0], min(momenta)) == (pytest.approx(0.9), pytest.approx(0.7))


def content(batches) -> list:
    """All tensors of some batches, ready to be compared."""
    return [(images.tolist(), labels.tolist()) for images, labels in batches]


@pytest.mark.parametrize("augment", ["batched", "albumentations"])
def test_the_train_loader_gets_every_setting(few, unusual, augment):
    few = few.subset(100, 10)
    loader_type = {"batched": TensorLoader, "albumentations": AlbumentationsLoader}[augment]
    loader = replace(unusual, augment=augment).train_loader(few, rank=1, world_size=2)
    assert type(loader) is loader_type
    by_hand = loader_type(
        few, few.mean, few.std, batch_size=48, seed=3, pad=2, pad_mode="constant", flip=False,
        cutout=5, rank=1, world_size=2,
    )  # fmt: skip
    assert content(loader) == content(by_hand)


def test_the_train_loader_gets_workers_and_device(few, unusual):
    albumentations = replace(unusual, augment="albumentations")
    assert albumentations.train_loader(few, workers=2).loader.num_workers == 2
    assert albumentations.train_loader(few).loader.num_workers == 0
    for recipe in (unusual, albumentations):
        # "meta" is a device without memory.
        assert torch.device(recipe.train_loader(few, "meta").device).type == "meta"
    assert unusual.test_loader(few, "meta")[0][0].device.type == "meta"


def test_both_loaders_normalize_by_the_recipe(few, unusual):
    class OtherStatistics(Recipe):
        def normalization(self, dataset):
            return (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)

    assert unusual.normalization(few) == (few.mean, few.std)
    plain = eval_loader(few.test_images, few.test_labels, few.mean, few.std)
    assert content(unusual.test_loader(few)) == content(plain)
    other = OtherStatistics.from_dict({**unusual.to_dict(), "pad": 0, "cutout": 0})
    (images, _), *_ = other.test_loader(few)
    expected = few.test_images[0, 0, 0] / 255 - (0.1, 0.2, 0.3)
    assert images[0, :, 0, 0].tolist() == pytest.approx(list(expected / (0.5, 0.6, 0.7)), abs=1e-5)
    for augment in ("batched", "albumentations"):
        images = torch.cat(
            [images for images, _ in replace(other, augment=augment).train_loader(few)]
        )
        pixels = torch.from_numpy(few.train_images) / 255 - torch.tensor([0.1, 0.2, 0.3])
        expected = (pixels / torch.tensor([0.5, 0.6, 0.7])).mean((0, 1, 2))
        assert images.mean((0, 2, 3)).tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_the_momentum_must_not_rise_where_it_should_fall():
    with pytest.raises(InputError, match=r"momentum_min \(0.9\) must not be above momentum_max"):
        Recipe(momentum_max=0.8, momentum_min=0.9)
    assert Recipe(momentum_max=0.9, momentum_min=0.9).momentum_min == 0.9


def test_numbers_of_numpy_are_numbers():
    """And are Python's afterwards: JSON knows no others."""
    plain = {"width": 16, "seed": 3, "lr_max": 0.5, "flip": False, "data": "shapes", "cutout": 4}
    kinds = (np.int64, np.uint32, np.float32, np.bool_, np.str_, np.int8)
    recipe = Recipe(**{k: kind(v) for (k, v), kind in zip(plain.items(), kinds, strict=True)})
    assert recipe == Recipe(**plain)
    assert recipe.to_json() == Recipe(**plain).to_json()
    assert type(recipe.width) is int
    assert type(recipe.with_epochs(np.int64(12)).epochs) is int
    assert type(recipe.with_lr_max(np.float64(0.25)).lr_min) is float
    for bad in ({"width": np.float64(16)}, {"seed": np.bool_(True)}, {"lr_max": np.bool_(True)}):
        with pytest.raises(InputError):
            Recipe(**bad)


def test_at_the_peak_the_momentum_is_the_smallest_all_along(unusual):
    assert unusual.at_peak() == replace(unusual, momentum_max=0.7)
