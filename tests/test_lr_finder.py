"""The LR range test: torch-lr-finder's curve, the rule, and that it leaves everything as it was."""

import copy
import random
from dataclasses import replace
from itertools import islice

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d
from torch import nn
from torch.utils.data import DataLoader
from torch_lr_finder import LRFinder, TrainDataLoaderIter

from s10 import (
    CustomResNet,
    InputError,
    LRRange,
    Recipe,
    range_test_per_batch,
    range_test_per_epoch,
    seed_everything,
)
from s10.lr_finder import choose_from_accuracy, choose_from_loss
from s10.speed.recipes import LaptopRecipe


@pytest.fixture
def parts(few, tiny):
    """What both range tests are given: make_model, make_loader, recipe."""
    return (lambda: CustomResNet(10, 4)), (lambda recipe: recipe.train_loader(few)), tiny


def per_batch(parts, **options):
    return range_test_per_batch(*parts, **{"iterations": 30, **options})


# Per batch.


class Batches(TrainDataLoaderIter):
    """Our batches, where LRFinder wants those of a DataLoader."""

    def __init__(self, loader, first_epoch):
        self._iterator = self.endless(loader, first_epoch)

    def endless(self, loader, epoch):
        while True:
            loader.set_epoch(epoch)
            yield from loader
            epoch += 1

    def __next__(self):
        return next(self._iterator)


def torch_lr_finder(model, optimizer, batches, lr_low, lr_high, iterations):
    """LRs and losses of torch-lr-finder, from this model's weights."""
    model.to(memory_format=torch.channels_last)
    finder = LRFinder(model, optimizer, nn.CrossEntropyLoss())
    finder.range_test(
        batches, start_lr=lr_low, end_lr=lr_high, num_iter=iterations, smooth_f=0, diverge_th=3
    )
    return finder.history["lr"], finder.history["loss"]


@pytest.mark.parametrize("lr_high", [1.0, 1e4], ids=["to the end", "until it diverges"])
def test_the_curve_is_torch_lr_finders_bit_for_bit(few, tiny, parts, lr_high):
    lr_range = {"lr_low": 1e-5, "lr_high": lr_high, "iterations": 40}
    result = per_batch(parts, seeds=(7, 3), **lr_range)
    for number, seed in enumerate((7, 3)):
        # The initial weights of a run of this seed, the momentum of the cycle's peak, and
        # epochs that training does not see, other ones for each seed.
        seed_everything(seed)
        model = tiny.initial_model(few)
        betas = (tiny.momentum_min, tiny.beta2)
        optimizer = torch.optim.AdamW(model.parameters(), betas=betas, weight_decay=0.1)
        batches = Batches(tiny.train_loader(few), 1 + 1000 * number)
        lrs, losses = torch_lr_finder(model, optimizer, batches, **lr_range)
        ours = result.curves[result.curves["seed"] == seed]
        assert ours["lr"].tolist() == lrs
        assert ours["value"].tolist() == losses
        assert (len(lrs) < 40) is (lr_high > 1)
        smooth = gaussian_filter1d(losses, 40 / 25, mode="nearest")
        assert ours["smooth"].tolist() == smooth.tolist()
        choice = result.choices.loc[number].to_dict()
        assert choice == {"seed": seed, **choose_from_loss(np.array(lrs), smooth)}


def test_the_result_has_curve_choice_and_text(parts):
    seen = []
    result = per_batch(parts, lr_low=1e-5, lr_high=1.0, on_seed=seen.append)
    assert result.method == "per-batch"
    assert list(result.curves.columns) == ["seed", "lr", "value", "smooth"]
    assert result.curves["seed"].unique().tolist() == seen == [0, 1, 2]
    first = result.curves[result.curves["seed"] == 0]
    assert first["lr"].iloc[0] == pytest.approx(1e-5)
    assert np.diff(np.log(first["lr"])) == pytest.approx(np.log(1e5) / 29)
    assert 1e-5 <= result.lr_min < result.lr_max <= 1.0
    assert result.lr_max == result.choices["lr_max"].median()
    assert result.lr_min == result.choices["lr_min"].median()
    assert "LRMAX" in result.summary()


def recorded(dataset, recipe, images, epochs):
    """A loader that notes the epochs that it is set to and the images that it gives."""
    loader = recipe.train_loader(dataset)

    class Spy:
        def set_epoch(self, epoch):
            epochs.append(epoch)
            loader.set_epoch(epoch)

        def __iter__(self):
            for batch in loader:
                images.append(batch[0])
                yield batch

    return Spy()


def test_each_seed_has_its_own_weights_and_batches(few, parts):
    """Over the same batches, or from the same weights, the seeds would say less than it seems."""
    make_model, _, tiny = parts
    epochs, images = [], []
    # So small an LR that the first loss is that of the initial weights.
    options = {"lr_low": 1e-5, "iterations": 10}
    per_batch(
        (make_model, lambda recipe: recorded(few, recipe, images, epochs), tiny),
        seeds=(0, 1), **options,
    )  # fmt: skip
    assert epochs == [1, 2, 3, 1001, 1002, 1003]
    assert not any(torch.equal(one, other) for one in images[:10] for other in images[10:])
    fixed = list(islice(tiny.train_loader(few), 1)) * 10
    result = per_batch((make_model, lambda recipe: fixed, tiny), seeds=(0, 1, 0), **options)
    first_losses = result.curves.groupby(np.arange(30) // 10)["value"].first()
    assert first_losses[0] == first_losses[2] != first_losses[1]


KINDS = pytest.mark.parametrize(
    ("range_test", "options"),
    [
        (range_test_per_batch, {"lr_low": 1e-4, "iterations": 10}),
        (range_test_per_epoch, {"lr_low": 1e-3, "lr_high": 0.1, "epochs": 2}),
    ],
)


class FirstWeights(nn.Module):
    """A network with the initial weights that a recipe computes from the images."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3072, 10)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images):
        return self.layer(images.flatten(1)) * self.scale


@KINDS
def test_it_starts_from_what_the_recipes_own_run_starts_from(few, tiny, range_test, options):
    """A recipe may set initial weights that its layers, initialized anew, would not have."""
    started = []

    class WithWeights(Recipe):
        def initial_model(self, dataset):
            model = FirstWeights()
            nn.init.constant_(model.scale, float(dataset.train_images.mean()))
            return model

        def make_optimizer(self, model):
            started.append(copy.deepcopy(model.state_dict()))
            return super().make_optimizer(model)

    recipe = WithWeights(**vars(tiny))
    range_test(
        lambda: recipe.initial_model(few), lambda recipe: recipe.train_loader(few), recipe,
        seeds=(3, 4), **options,
    )  # fmt: skip
    for seed, at in ((3, 0), (4, -1)):
        seed_everything(seed)
        expected = recipe.initial_model(few).state_dict()
        assert all(torch.equal(started[at][name], value) for name, value in expected.items())


@KINDS
def test_a_model_that_is_handed_in_keeps_its_weights_and_each_run_starts_from_them(
    few, tiny, range_test, options
):
    model = CustomResNet(10, 4).eval()
    seed_everything(0)
    for images, labels in tiny.train_loader(few):  # It has learned something.
        optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    before, started = copy.deepcopy(model.state_dict()), []

    class Spy(Recipe):
        def make_optimizer(self, model):
            started.append(copy.deepcopy(model.state_dict()))
            return super().make_optimizer(model)

    result = range_test(
        lambda: model, lambda recipe: recipe.train_loader(few), Spy(**vars(tiny)),
        seeds=(0, 1), **options,
    )  # fmt: skip
    assert result.curves["seed"].nunique() == 2
    assert not model.training
    assert len(started) in (2, 4)
    for weights in (model.state_dict(), *started):
        assert all(torch.equal(before[name], value) for name, value in weights.items())


@KINDS
@pytest.mark.parametrize(
    ("low_res", "peak", "size"), [(0.5, 1, 24), (0.5, 2, 32), (0.1, 1, 32), (1.0, 3, 24)]
)
def test_all_images_have_the_size_that_they_have_at_the_peak(
    few, range_test, options, low_res, peak, size
):
    recipe = LaptopRecipe(
        width=4, batch_size=100, epochs=3, peak_epoch=peak, low_res_fraction=low_res,
        precision="fp32",
    )  # fmt: skip
    images = []
    range_test(
        lambda: recipe.initial_model(few),
        lambda recipe: recorded(few, recipe, images, []), recipe, seeds=(0, 1), **options,
    )  # fmt: skip
    assert {batch.shape[-1] for batch in images} == {size}


@KINDS
def test_the_momentum_is_that_of_the_peak(few, tiny, range_test, options):
    """With a larger one the loss lags behind the LR."""
    seen = []

    class Spy(Recipe):
        def make_optimizer(self, model):
            optimizer = super().make_optimizer(model)
            seen.append(optimizer.param_groups[0]["betas"])
            return optimizer

    recipe = Spy(**{**vars(tiny), "momentum_min": 0.5})
    range_test(
        lambda: CustomResNet(10, 4), lambda recipe: recipe.train_loader(few), recipe,
        seeds=(0,), **options,
    )  # fmt: skip
    assert set(seen) == {(0.5, recipe.beta2)}


@KINDS
def test_the_random_state_is_what_it_was(parts, range_test, options):
    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()

    def fail(*_):
        raise ZeroDivisionError

    before = states()
    range_test(*parts, **options)
    assert states() == before
    event = "on_seed" if range_test is range_test_per_batch else "on_epoch"
    with pytest.raises(ZeroDivisionError):
        range_test(*parts, **options, **{event: fail})
    assert states() == before


def test_a_plain_dataloader_will_do(parts):
    make_model, make_loader, tiny = parts
    batches = DataLoader(list(make_loader(tiny)), batch_size=None, shuffle=True)
    assert per_batch((make_model, lambda recipe: batches, tiny)).lr_max > 0


def test_an_lr_that_explodes_ends_the_curve(parts):
    result = per_batch(parts, lr_low=1e-4, lr_high=1e12, iterations=60, seeds=(0,))
    assert np.isfinite(result.curves["value"]).all()
    assert len(result.curves) < 60


def test_a_loss_that_is_not_finite_ends_the_curve(parts):
    make_model, make_loader, tiny = parts
    batches = [*make_loader(tiny), *make_loader(tiny), *make_loader(tiny)]
    batches[9] = (batches[9][0] * torch.nan, batches[9][1])
    options = {"lr_low": 1e-3, "lr_high": 0.1, "iterations": 10, "seeds": (0,)}
    result = per_batch((make_model, lambda recipe: batches, tiny), **options)
    assert np.isfinite(result.curves["value"]).all()
    assert len(result.curves) == 9
    batches[2] = (batches[2][0] * torch.nan, batches[2][1])
    with pytest.raises(InputError, match="not finite even at the smallest LR"):
        per_batch((make_model, lambda recipe: batches, tiny), **options)


def test_the_precision_is_that_of_the_forward_pass(few, tiny):
    seen = set()

    def make_model():
        model = CustomResNet(10, 4)
        model.prep[0].register_forward_hook(
            lambda layer, inputs, output: seen.add((layer.training, output.dtype))
        )
        return model

    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        seen.clear()
        parts = make_model, lambda recipe: recipe.train_loader(few)
        recipe = replace(tiny, precision=precision)
        per_batch((*parts, recipe), seeds=(0,), iterations=10, lr_low=1e-4)
        assert seen == {(True, dtype)}
    with pytest.raises(InputError, match="fp16 is for"):
        per_batch((*parts, replace(tiny, precision="fp16")))


# Per epoch.


def test_per_epoch_is_what_a_plain_loop_gives(few, tiny):
    """For each seed and LR new weights, the momentum of the peak, smoothing, the same batches."""
    trained, seen = [], []

    class Spy(Recipe):
        def make_optimizer(self, model):
            trained.append(model)
            return super().make_optimizer(model)

    recipe = Spy(**{**vars(tiny), "momentum_min": 0.5})
    result = range_test_per_epoch(
        lambda: CustomResNet(10, 4), lambda recipe: recipe.train_loader(few), recipe, lr_low=1e-3,
        lr_high=0.1, epochs=3, seeds=(4, 1), on_epoch=lambda *row: seen.append(row),
    )  # fmt: skip
    expected = []
    for seed in (4, 1):
        for lr in np.linspace(1e-3, 0.1, 3):
            seed_everything(seed)
            model = CustomResNet(10, 4).to(memory_format=torch.channels_last)
            optimizer = torch.optim.AdamW(
                model.parameters(), float(lr), (0.5, recipe.beta2),
                weight_decay=recipe.weight_decay,
            )  # fmt: skip
            correct = 0
            for images, labels in replace(recipe, seed=seed).train_loader(few):
                logits = model(images)
                optimizer.zero_grad()
                nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)(
                    logits, labels
                ).backward()
                optimizer.step()
                correct += int((logits.argmax(1) == labels).sum())
            expected.append((seed, float(lr), correct / 200))
            assert torch.equal(trained[len(expected) - 1].fc.weight, model.fc.weight), expected
    assert seen == expected
    assert result.method == "per-epoch"
    curves = result.curves
    assert list(curves[["seed", "lr", "value"]].itertuples(index=False, name=None)) == expected
    assert curves["smooth"].equals(curves["value"])
    for number, seed in enumerate((4, 1)):
        curve = curves[curves["seed"] == seed]
        choice = choose_from_accuracy(curve["lr"].to_numpy(), curve["value"].to_numpy())
        assert result.choices.loc[number].to_dict() == {"seed": seed, **choice}


def test_per_epoch_uses_the_precision_of_the_recipe(few, tiny):
    with pytest.raises(InputError, match="fp16 is for GPUs"):
        range_test_per_epoch(
            lambda: CustomResNet(10, 4), lambda recipe: recipe.train_loader(few),
            replace(tiny, precision="fp16"), epochs=2,
        )  # fmt: skip


def test_an_lr_at_which_the_epoch_diverges_has_accuracy_0(few, tiny):
    result = range_test_per_epoch(
        lambda: CustomResNet(10, 4), lambda recipe: recipe.train_loader(few), tiny,
        lr_low=0.01, lr_high=1e30, epochs=2,
    )  # fmt: skip
    assert result.curves["value"].iloc[0] > 0
    assert result.curves["value"].iloc[1] == 0
    assert result.lr_max == 0.01


# The rule.

RATES = np.logspace(-6, 0, 200)


def valley(middle, noise=0.0, seed=0, rates=RATES):
    """A loss curve like that on CIFAR-10: a long gentle fall to `middle`, then a steep rise."""
    x = np.log10(rates / middle)
    loss = 2.3 - 1.6 / (1 + np.exp(-2 * (x + 1.5))) + 3 / (1 + np.exp(-8 * (x - 1)))
    return loss + noise * np.random.default_rng(seed).standard_normal(len(rates))


@given(st.floats(-3, -1))
def test_the_choice_follows_the_curve(exponent):
    # Four decades more on the left, so that every curve begins flat.
    rates = np.logspace(-10, 0, 1000)
    here, moved = (
        choose_from_loss(rates, valley(middle, rates=rates))
        for middle in (10**exponent, 10 ** (exponent - 0.5))
    )
    for name in ("lr_min", "lr_max"):
        assert np.log10(here[name] / moved[name]) == pytest.approx(0.5, abs=0.03)
    # LRMAX lies in the valley, LRMIN where learning begins, well below it.
    assert 0.3 < here["lr_max"] / 10**exponent < 3
    assert here["lr_min"] < here["lr_max"] / 3


def test_the_rule_by_hand():
    """The fall is from 3 to 1: a tenth of it is done at 2.8, nine tenths at 1.2."""
    rates = np.array([1.0, 2, 4, 8, 16, 32, 64, 128])
    smooth = np.array([3, 2.85, 2.7, 1.15, 1.0, 1.19, 1.21, 1.1])
    assert choose_from_loss(rates, smooth) == {
        "lr_min": 4.0,
        "lr_max": pytest.approx(np.sqrt(8 * 32)),  # Not the second valley, at 128.
        "steepest": 4.0,  # The central difference there is (1.15 − 2.85) / 2.
    }
    # An earlier valley does not count either: 1.2 is left again before the lowest loss.
    smooth = np.array([3, 1.15, 1.3, 1.15, 1.0, 1.19, 1.21, 1.1])
    assert choose_from_loss(rates, smooth)["lr_max"] == pytest.approx(np.sqrt(8 * 32))


def test_the_rule_is_steadier_than_the_steepest_slope():
    """Over noisy repetitions of one curve; on real images: results/lr-range-*."""
    choices = pd.DataFrame(
        choose_from_loss(RATES, gaussian_filter1d(valley(1e-2, 0.1, seed), 8, mode="nearest"))
        for seed in range(20)
    )
    spread = choices.max() / choices.min()
    assert spread["lr_max"] < 1.6
    assert spread["lr_max"] < spread["steepest"] / 2


def test_the_steepest_slope_is_what_it_says():
    rates = np.array([1.0, 2, 3, 4, 5, 6])
    # The fall after the lowest loss is not learning.
    smooth = np.array([5.0, 4.9, 3, 1, 0.9, 9])
    assert choose_from_loss(rates, smooth)["steepest"] == 3


def test_a_valley_that_reaches_the_end_of_the_range():
    choice = choose_from_loss(np.array([1.0, 10, 100]), np.array([3.0, 1.05, 1]))
    assert choice["lr_max"] == pytest.approx(np.sqrt(10 * 100))


def test_the_rule_for_accuracies():
    rates, accuracies = np.array([0.01, 0.1, 0.5, 1]), np.array([0.2, 0.50, 0.46, 0.1])
    choice = choose_from_accuracy(rates, accuracies)
    assert choice == {"lr_min": 0.05, "lr_max": 0.5, "steepest": 0.1}


@pytest.mark.parametrize("losses", [np.linspace(2, 3, 200), np.full(200, 2.3)])
def test_a_loss_that_never_falls_is_explained(losses):
    with pytest.raises(InputError, match="never fell"):
        choose_from_loss(RATES, losses)


# How far the choice can be trusted.


def lr_range(spread, seeds=2):
    curves = pd.DataFrame({"seed": 0, "lr": np.geomspace(1e-3, 1, 100), "value": 1.0})
    choices = pd.DataFrame({"seed": [0, 1], "lr_min": 1e-4, "lr_max": [0.01, 0.01 * spread]})
    return LRRange("per-batch", curves, choices.head(seeds))


def test_the_summary_says_how_far_to_trust_it():
    assert lr_range(2).spread() == pytest.approx(2)
    assert lr_range(2).spread("lr_min") == 1
    assert lr_range(1.2).summary() == (
        "LRMAX 0.011, LRMIN 0.0001. The 2 seeds agree within a factor of 1.2; train with half and "
        "double of it, too."
    )
    assert "agree within a factor of 2;" in lr_range(2).summary()
    assert "only the order of magnitude" in lr_range(10).summary()
    assert "at least three" in lr_range(10, seeds=1).summary()


def per_epoch_result(lrs, accuracies, lr_max, chance=0.1):
    frame = pd.DataFrame({"seed": 0, "lr": lrs, "value": accuracies, "smooth": accuracies})
    choices = pd.DataFrame({"seed": [0, 1], "lr_min": lr_max / 10, "lr_max": lr_max})
    return LRRange("per-epoch", frame, choices, chance)


def test_a_coarse_grid_is_no_fine_choice():
    """All seeds agree on 0.003, but the LRs beside it are far away: 0.0001 and 0.006."""
    result = per_epoch_result([0.0001, 0.003, 0.006, 0.009], [0.15, 0.22, 0.16, 0.1], 0.003)
    assert result.neighbors() == pytest.approx({0.0001: 30, 0.006: 2})
    assert result.grid_ratio() == pytest.approx(30)
    assert result.summary() == (
        "LRMAX 0.003, LRMIN 0.0003. The nearest LRs that were tried: 0.0001 (a factor of 30 "
        "below), 0.006 (a factor of 2 above). The choice is no finer than that; use more LRs or a "
        "narrower range."
    )
    fine = per_epoch_result([0.003, 0.0033, 0.006, 0.009], [0.22, 0.18, 0.12, 0.1], 0.003)
    assert fine.grid_ratio() == pytest.approx(1.1)
    assert "agree within" in fine.summary()
    only = per_epoch_result([0.003], [0.3], 0.003)
    assert only.grid_ratio() == 1


def test_where_nothing_was_learned_there_is_no_choice():
    result = per_epoch_result([0.0001, 0.003, 0.006, 0.009], [0.10, 0.11, 0.10, 0.11], 0.003)
    assert "teaches nothing" in result.summary()
    assert "10% to 11% for every LR, and guessing gives 10%" in result.summary()
    assert "LRMAX" not in result.summary()


@pytest.mark.parametrize(
    ("accuracies", "chance", "learned"),
    [
        ([0.55, 0.58, 0.61, 0.56], 0.1, True),  # A plateau, far above chance.
        ([0.55, 0.58, 0.61, 0.56], 0.5, False),  # The same of two classes.
        ([0.50, 0.65, 0.60, 0.50], 0.5, True),
        ([0.12, 0.12, 0.10, 0.10], 0.1, False),
        ([0.12, 0.13, 0.10, 0.10], 0.1, True),
        ([0.90, 0.91, 0.90, 0.90], 0.9, False),  # One class has nine tenths of the images.
        ([0.90, 0.93, 0.90, 0.90], 0.9, True),
    ],
)
def test_what_was_learned_is_compared_with_chance(accuracies, chance, learned):
    result = per_epoch_result([0.001, 0.002, 0.003, 0.004], accuracies, 0.002, chance)
    assert ("teaches nothing" in result.summary()) is not learned
    assert ("LRMAX 0.002" in result.summary()) is learned


def test_chance_is_the_share_of_the_most_frequent_class(few, tiny):
    keep = np.flatnonzero(few.train_labels < 3)
    labels = np.where(few.train_labels[keep] == 2, 2, 0)
    dataset = replace(few, train_images=few.train_images[keep], train_labels=labels)
    result = range_test_per_epoch(
        lambda: CustomResNet(10, 4), lambda recipe: recipe.train_loader(dataset), tiny,
        lr_low=1e-3, lr_high=0.1, epochs=2,
    )  # fmt: skip
    assert result.chance == pytest.approx((labels == 0).mean())


def test_where_the_largest_lr_is_chosen_larger_ones_should_be_tried():
    result = per_epoch_result([0.001, 0.002, 0.003, 0.004], [0.55, 0.58, 0.61, 0.56], 0.004)
    assert result.summary() == (
        "LRMAX 0.004, LRMIN 0.0004. That is the largest LR that was tried; try larger ones, too."
    )


@KINDS
def test_lrs_of_parameter_groups_are_not_overwritten_silently(few, tiny, range_test, options):
    class Groups(Recipe):
        def make_optimizer(self, model):
            own = {"lr": 5.0} if self.cutout else {}
            prep, fc = model.prep.parameters(), model.fc.parameters()
            return torch.optim.Adam([{"params": prep}, {"params": fc, **own}], lr=1e-3)

    parts = lambda: CustomResNet(10, 4), lambda recipe: recipe.train_loader(few)
    with pytest.raises(InputError, match="LRs of their own"):
        range_test(*parts, Groups(**vars(tiny)), **options)
    range_test(*parts, Groups(**vars(replace(tiny, cutout=0))), seeds=(0,), **options)


@KINDS
def test_a_loader_without_batches_and_a_model_without_parameters_are_refused(
    parts, range_test, options
):
    make_model, make_loader, tiny = parts
    with pytest.raises(InputError, match="no batch"):
        range_test(make_model, lambda recipe: [], tiny, **options)
    few_batches = iter(list(make_loader(tiny)))
    with pytest.raises(InputError, match="no batch"):  # It is read only once.
        range_test(make_model, lambda recipe: few_batches, tiny, **options)

    class WithWeights(Recipe):
        def make_optimizer(self, model):
            return torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)

    with pytest.raises(InputError, match=r"no parameters|no trainable weight"):
        range_test(nn.Flatten, make_loader, WithWeights(**vars(tiny)), **options)


@KINDS
def test_seeds_may_be_an_array_of_numpy(parts, range_test, options):
    result = range_test(*parts, seeds=np.arange(2), **options)
    assert result.choices["seed"].tolist() == [0, 1]
    with pytest.raises(InputError, match="at least one seed"):
        range_test(*parts, seeds=np.array([], int), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr_low": 0.0}, "smallest LR must be a number above 0"),
        ({"lr_high": float("nan")}, "largest LR must be a number above 0"),
        ({"lr_low": 0.1, "lr_high": 0.01}, "must be below the largest"),
        ({"lr_low": 0.1, "lr_high": 0.1}, "must be below the largest"),
        ({"iterations": 9}, "at least 10"),
        ({"iterations": 50.0}, "the number of LRs must be an integer"),
        ({"seeds": ()}, "at least one seed"),
    ],
)
def test_bad_ranges_are_refused(parts, options, message):
    with pytest.raises(InputError, match=message):
        per_batch(parts, **options)


def test_one_lr_is_no_range(few, tiny):
    with pytest.raises(InputError, match="at least 2 LRs"):
        range_test_per_epoch(lambda: None, lambda recipe: [], tiny, epochs=1)
