"""The estimate of a run's duration."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from s10 import Recipe, train_epoch
from s10.course import timing
from s10.speed.airbench import AirbenchRecipe
from s10.speed.recipes import LAPTOP, FastRecipe

CPU = torch.device("cpu")


def test_the_minutes_follow_from_the_steps(tiny, monkeypatch):
    recipe = replace(tiny, epochs=9, batch_size=100)
    # 3 epochs of 5 steps, and an evaluation that costs a third of the arithmetic of 4 steps.
    assert timing.run_minutes(recipe, 3, 2.0, 500, 400) == pytest.approx(3 * (5 + 4 / 3) * 2 / 60)
    monkeypatch.setattr(timing, "seconds_per_step", lambda *_: 2.0)
    expected = 9 * (500 + 100 / 3) * 2 / 60
    assert timing.predicted_minutes(recipe, CPU) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("recipe", "timed"),
    [
        (Recipe(width=2, batch_size=8), 8),
        (replace(LAPTOP, width=2, batch_size=8, low_res_fraction=1.0), 8),
        (Recipe(width=4, batch_size=2048), 1024),  # Half of a batch, and the time of a whole one.
    ],
)
def test_real_steps_at_full_resolution_are_timed(recipe, timed, monkeypatch):
    batches, clock = [], itertools.count(10.0, 1.0)
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: next(clock)))

    def train(model, loader, *arguments, **options):
        def counted():
            for images, labels in loader:
                batches.append(tuple(images.shape))
                yield images, labels

        return train_epoch(model, counted(), *arguments, **options)

    monkeypatch.setattr(timing, "train_epoch", train)
    before = torch.get_rng_state()
    # The clock is read at the start, and in each of four steps around the optimizer and at the end.
    assert timing.seconds_per_step(recipe, CPU, 12.0) == 2 * recipe.batch_size / timed + 1
    assert batches == [(timed, 3, 32, 32)] * (2 + 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_step_that_was_disturbed_does_not_count(monkeypatch):
    clock = itertools.accumulate(itertools.chain([1, 1, 1, 1, 90, 1, 90], itertools.repeat(1)))
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    assert timing.seconds_per_step(Recipe(width=2, batch_size=8), CPU, 200.0) == 3


def test_low_resolution_and_rest_take_less_work():
    for recipe, share in (
        (Recipe(), 1),
        (FastRecipe(), 1),
        (replace(LAPTOP, low_res_fraction=0.5, low_res_size=16), 0.5 + 0.5 / 4),
        (AirbenchRecipe(batch_size=512, low_res_fraction=0, rest=0.25), 0.75),
    ):
        assert timing.run_minutes(recipe, 1, 60.0, 512, 0) == pytest.approx(share)
