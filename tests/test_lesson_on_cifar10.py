"""The lesson on the real CIFAR-10, where it is available; elsewhere these tests are skipped."""

from dataclasses import replace

import pytest

from s10 import Recipe, fit, load_dataset, range_test_per_batch, seed_everything


@pytest.fixture(scope="module")
def cifar10(cifar10_dir):
    return load_dataset("cifar10", cifar10_dir)


def test_an_epoch_has_98_batches(cifar10):
    assert len(Recipe().train_loader(cifar10)) == 98
    assert 50_000 - 97 * 512 == 336


def test_two_epochs_at_quarter_width_learn_something(cifar10):
    """The real loop on 10,000 real images: far above the 10 % of chance."""
    dataset = cifar10.subset(10_000, 2_000)
    recipe = replace(Recipe().with_epochs(2), width=16)
    seed_everything(0)
    history = fit(
        recipe.make_model(),
        recipe.train_loader(dataset),
        recipe.test_loader(dataset),
        recipe,
        dataset.classes,
    ).history
    assert history["test_accuracy"].iloc[-1] > 0.3
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]


def test_the_range_test_finds_a_usable_lr(cifar10):
    """One seed, quarter width: within a factor of 4 of the result of three seeds (results/)."""
    recipe = replace(Recipe(), width=16)
    result = range_test_per_batch(
        recipe.make_model, lambda recipe: recipe.train_loader(cifar10), recipe,
        iterations=60, seeds=(0,),
    )  # fmt: skip
    assert 0.0025 < result.lr_max < 0.04
    assert result.lr_min < result.lr_max / 30
