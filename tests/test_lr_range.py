"""The LR range test: the rule, its steadiness, and that it leaves everything as it was."""

import copy
import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from s10 import (
    CustomResNet,
    InputError,
    LRRange,
    make_optimizer,
    one_cycle,
    plot_lr_range,
    range_test_per_batch,
    range_test_per_epoch,
    train_batches,
)
from s10.lr_range import choose_from_accuracy, choose_from_loss


@pytest.fixture
def parts(few, tiny):
    model = CustomResNet(10, 4)
    optimizer = make_optimizer(model, tiny, momentum=tiny.momentum_min)
    return model, optimizer, train_batches(few, tiny)


def per_batch(parts, **options):
    return range_test_per_batch(*parts, **{"iterations": 30, "precision": "fp32", **options})


def test_it_gives_back_curve_choice_and_words(parts):
    result = per_batch(parts, lr_low=1e-5, lr_high=1.0)
    assert result.method == "per-batch"
    assert set(result.curves["seed"]) == {0, 1, 2}
    first = result.curves[result.curves["seed"] == 0]
    assert first["lr"].iloc[0] == pytest.approx(1e-5)
    assert (np.diff(np.log(first["lr"])) > 0).all()
    assert 1e-5 <= result.lr_min < result.lr_max <= 1.0
    assert "LRMAX" in result.in_words()
    assert len(plot_lr_range(result).axes) == 1


def test_model_optimizer_and_random_state_are_what_they_were(parts):
    model, optimizer, batches = parts
    # Not a fresh one: its moments exist, and a scheduler has left its marks.
    for images, labels in batches:
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    one_cycle(optimizer, batches.recipe, len(batches))
    model.eval()
    weights = copy.deepcopy(model.state_dict())
    state = copy.deepcopy(optimizer.state_dict())
    random_states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    per_batch(parts)
    assert not model.training
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    after = optimizer.state_dict()
    assert after["param_groups"] == state["param_groups"]
    for index, moments in state["state"].items():
        assert all(torch.equal(after["state"][index][key], value) for key, value in moments.items())
    assert torch.equal(torch.get_rng_state(), random_states[0])
    assert np.array_equal(np.random.get_state()[1], random_states[1])
    assert random.getstate() == random_states[2]


def test_a_second_call_works_and_gives_the_same(parts):
    assert per_batch(parts).curves.equals(per_batch(parts).curves)


def test_training_after_it_gets_the_batches_that_it_would_have_got(parts):
    batches = parts[2]
    before = [labels.tolist() for _, labels in batches]
    per_batch(parts)
    assert [labels.tolist() for _, labels in batches] == before


def test_a_plain_dataloader_will_do(parts):
    model, optimizer, batches = parts
    loader = torch.utils.data.DataLoader(list(batches), batch_size=None, shuffle=True)
    assert per_batch((model, optimizer, loader)).lr_max > 0


def test_an_lr_that_explodes_ends_the_curve(parts):
    result = per_batch(parts, lr_low=1e-4, lr_high=1e12, iterations=60, seeds=(0,))
    assert np.isfinite(result.curves["value"]).all()
    assert len(result.curves) < 60


def test_the_classic_kind(few, tiny, parts):
    seen = []
    torch.manual_seed(5)
    before = torch.get_rng_state()
    result = range_test_per_epoch(
        lambda: CustomResNet(10, 4), lambda recipe: train_batches(few, recipe), tiny,
        epochs=4, seeds=(0, 1), on_epoch=lambda *row: seen.append(row),
    )  # fmt: skip
    assert torch.equal(torch.get_rng_state(), before)
    assert result.curves["lr"].unique() == pytest.approx(np.linspace(1e-4, 1, 4))
    assert len(seen) == 8
    assert result.curves["value"].between(0, 1).all()
    assert result.lr_min == pytest.approx(result.lr_max / 10)
    assert len(plot_lr_range(result).axes) == 1


def test_the_classic_kind_starts_each_lr_from_the_same_weights(few, tiny):
    models = []

    def make_model():
        models.append(CustomResNet(10, 4))
        return models[-1]

    frozen = replace(tiny, augment="batched")
    first = []
    range_test_per_epoch(
        make_model, lambda recipe: train_batches(few, recipe), frozen, epochs=2,
        lr_low=1e-12, lr_high=2e-12, on_epoch=lambda *row: first.append(models[-1].fc.weight),
    )  # fmt: skip
    assert torch.allclose(first[0], first[1], atol=1e-9)


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


def test_the_rule_is_steadier_than_the_steepest_slope():
    """Over noisy repetitions of one curve; on real images: results/lr-range-*."""
    from scipy.ndimage import gaussian_filter1d

    choices = pd.DataFrame(
        choose_from_loss(RATES, gaussian_filter1d(valley(1e-2, 0.1, seed), 8, mode="nearest"))
        for seed in range(20)
    )
    spread = choices.max() / choices.min()
    assert spread["lr_max"] < 1.6
    assert spread["lr_max"] < spread["steepest"] / 2


def test_the_steepest_slope_is_what_it_says():
    rates = np.array([1.0, 2, 3, 4, 5])
    assert choose_from_loss(rates, np.array([5.0, 4.9, 3, 1, 0.9]))["steepest"] == 3


def test_a_valley_that_reaches_the_end_of_the_range():
    choice = choose_from_loss(np.array([1.0, 10, 100]), np.array([3.0, 1.05, 1]))
    assert choice["lr_max"] == pytest.approx(np.sqrt(10 * 100))


def test_the_rule_for_accuracies():
    rates, accuracies = np.array([0.01, 0.1, 0.5, 1]), np.array([0.2, 0.50, 0.46, 0.1])
    choice = choose_from_accuracy(rates, accuracies)
    assert choice == {"lr_min": 0.05, "lr_max": 0.5, "steepest": 0.1}


def test_a_loss_that_never_falls_is_explained():
    with pytest.raises(InputError, match="never fell"):
        choose_from_loss(RATES, np.linspace(2, 3, len(RATES)))


def test_trust_in_words():
    curves = pd.DataFrame({"seed": 0, "lr": np.geomspace(1e-3, 1, 100), "value": 1.0})
    words = []
    for spread in (1.2, 2, 10):
        choices = pd.DataFrame({"seed": [0, 1], "lr_min": 1e-4, "lr_max": [0.01, 0.01 * spread]})
        words.append(LRRange("per-batch", curves, choices).in_words())
    assert "tens of per cent" in words[0]
    assert "factor of 2" in words[1]
    assert "order of magnitude" in words[2]
    one = LRRange("per-batch", curves, choices.head(1))
    assert "at least three" in one.in_words()


def per_epoch_result(rates, accuracies, lr_max):
    frame = pd.DataFrame({"seed": 0, "lr": rates, "value": accuracies, "smooth": accuracies})
    choices = pd.DataFrame({"seed": [0, 1], "lr_min": lr_max / 10, "lr_max": lr_max})
    return LRRange("per-epoch", frame, choices)


def test_a_coarse_grid_is_no_fine_choice():
    """All seeds agree on 0.003, and the LR beside it is 0.006: a factor of two, not of one."""
    result = per_epoch_result([0.0001, 0.003, 0.006, 0.009], [0.15, 0.22, 0.16, 0.1], 0.003)
    assert result.coarseness() == pytest.approx(2)
    assert "2 times as large" in result.in_words()
    fine = per_epoch_result([0.003, 0.0033, 0.006, 0.009], [0.22, 0.18, 0.12, 0.1], 0.003)
    assert "tens of per cent" in fine.in_words()


def test_where_nothing_was_learnt_there_is_no_choice():
    result = per_epoch_result([0.0001, 0.003, 0.006, 0.009], [0.10, 0.11, 0.10, 0.11], 0.003)
    assert "teaches nothing" in result.in_words()
    assert "LRMAX" not in result.in_words()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr_low": 0.0}, "smallest LR must be a number above 0"),
        ({"lr_high": float("nan")}, "largest LR must be a number above 0"),
        ({"lr_low": 0.1, "lr_high": 0.01}, "must be below the largest"),
        ({"iterations": 5}, "at least 10"),
        ({"seeds": ()}, "at least one seed"),
    ],
)
def test_senseless_ranges_are_refused(parts, options, message):
    with pytest.raises(InputError, match=message):
        per_batch(parts, **options)
