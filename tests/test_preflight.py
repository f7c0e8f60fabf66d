"""The prediction of a run's minutes."""

from dataclasses import replace

import pytest
import torch

from s10 import Recipe, predicted_minutes
from s10.preflight import seconds_per_step, training_share


def test_the_minutes_follow_from_the_steps(tiny, monkeypatch):
    monkeypatch.setattr("s10.preflight.seconds_per_step", lambda *_: 2.0)
    recipe = replace(tiny, epochs=3, batch_size=100)
    # 3 epochs of 5 steps, and an evaluation that costs a third of 4 steps' arithmetic.
    minutes = predicted_minutes(recipe, torch.device("cpu"), train_images=500, test_images=400)
    assert minutes == pytest.approx(3 * (5 + 4 / 3) * 2 / 60)


def test_steps_are_really_timed_and_leave_the_random_state(tiny):
    before = torch.get_rng_state()
    small = seconds_per_step(tiny, torch.device("cpu"), 5)
    large = seconds_per_step(replace(tiny, width=32, batch_size=256), torch.device("cpu"), 5)
    assert 0 < small < large
    assert torch.equal(torch.get_rng_state(), before)


def test_shrunk_pictures_take_less_work():
    recipe = replace(Recipe(), small_until=0.5, small_size=16)
    assert training_share(recipe) == 0.5 + 0.5 / 4
    assert training_share(Recipe()) == 1
