"""The schedules of the submissions, and the LRs that a log was made with."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from s10 import InputError, Recipe, simulate_schedule
from s10.schedules import momentum_of
from s10.submissions import SUBMISSIONS
from s10.submissions.fit_schedule import fit_one_cycle, printed_rates
from s10.submissions.pitfalls import SteppedOncePerEpoch
from s10.submissions.recipes import Era1S10StridedPerBatch
from s10.submissions.schedules import OneCyclePerEpoch

# What the README of eva8-s8 prints, and how it calls OneCycleLR besides.
EVA8_STATED = {"max_lr": 0.1552225357427048, "final_div_factor": 100}
EVA8_SETTINGS = {"epochs": 24, "steps_per_epoch": 98, "pct_start": 0.2, "div_factor": 10}


def cycle(recipe, steps_per_epoch=98, epochs=24):
    return simulate_schedule(
        lambda optimizer: recipe.make_scheduler(optimizer, steps_per_epoch),
        epochs * steps_per_epoch,
    )


@given(
    st.integers(3, 60), st.integers(1, 30), st.data(), st.floats(1e-4, 1), st.floats(1, 1000),
    st.booleans(),
)  # fmt: skip
def test_one_cycle_per_epoch_moves_once_per_epoch(epochs, steps, data, lr_max, div, with_sgd):
    peak, lr_min = data.draw(st.integers(2, epochs - 1)), lr_max / div
    parameter = [torch.zeros(1, requires_grad=True)]
    optimizer = torch.optim.SGD(parameter, 1) if with_sgd else torch.optim.Adam(parameter)
    scheduler = OneCyclePerEpoch(
        optimizer, lr_max=lr_max, lr_min=lr_min, epochs=epochs, steps_per_epoch=steps,
        peak_epoch=peak,
    )  # fmt: skip
    rates, momenta = [], []
    for _ in range(epochs * steps + 3):  # After the end nothing changes.
        rates.append(optimizer.param_groups[0]["lr"])
        momenta.append(momentum_of(optimizer.param_groups[0]))
        optimizer.step()
        scheduler.step()
    by_epoch = rates[::steps][:epochs]
    assert all(rates[i] == by_epoch[min(i // steps, epochs - 1)] for i in range(len(rates)))
    assert by_epoch[0] == pytest.approx(lr_min)
    assert by_epoch[peak - 1] == max(rates) == pytest.approx(lr_max)
    assert by_epoch[-1] == pytest.approx(lr_min)
    for start, middle, end in ((0, peak - 1, peak - 1), (peak - 1, epochs - 1, epochs - 1)):
        line = np.diff(by_epoch[start : end + 1])
        assert line == pytest.approx(np.full(middle - start, line[0]), abs=1e-12)
    assert momenta[0] == momenta[-1] == pytest.approx(0.95)
    assert min(momenta) == momenta[(peak - 1) * steps] == pytest.approx(0.85)


@pytest.mark.parametrize("peak", [1, 24, 4.8])
def test_one_cycle_per_epoch_needs_a_peak_between_its_ends(peak):
    with pytest.raises(InputError, match="peak_epoch"):
        cycle(replace(SUBMISSIONS["eva4-s11"].recipe, peak_epoch=peak))


def test_stepped_once_per_epoch_a_run_has_only_the_first_steps():
    """The mistake of many loops: 24 epochs are the first 24 of 2,352 steps."""
    rates, momenta = cycle(SteppedOncePerEpoch())
    intended_rates, intended_momenta = cycle(Recipe())
    assert rates == [rate for rate in intended_rates[:24] for _ in range(98)]
    assert momenta == [momentum for momentum in intended_momenta[:24] for _ in range(98)]
    assert max(rates) < Recipe().lr_max / 20


def test_era1_strided_hardly_moves_and_its_variant_does():
    recipe = SUBMISSIONS["era1-s10-strided"].recipe
    rates, _ = cycle(recipe)
    assert max(rates) < 3e-5
    intended, _ = cycle(Era1S10StridedPerBatch())
    assert rates[::98] == intended[:24]
    assert max(intended) == pytest.approx(recipe.lr_max)
    assert intended[-1] == pytest.approx(recipe.lr_min / 100)


def test_eva4s_schedule_is_that_of_its_log():
    rates, momenta = cycle(SUBMISSIONS["eva4-s11"].recipe)
    log = SUBMISSIONS["eva4-s11"].log()
    assert len(log) == 24
    for batch in (0, 50, 97):  # The same in the whole epoch.
        assert np.abs(np.array(rates[batch::98]) - log["lr"]).max() < 1e-15
        assert np.abs(np.array(momenta[batch::98]) - log["momentum"]).max() < 1e-15


def test_eva8s_recipe_has_the_settings_that_fit_its_log():
    recipe, log = SUBMISSIONS["eva8-s8"].recipe, SUBMISSIONS["eva8-s8"].log()["lr_after"]
    fitted = fit_one_cycle(log)
    assert fitted.largest_error < 1e-7
    assert fitted.final_div_factor == pytest.approx(50)
    assert recipe.lr_max == pytest.approx(fitted.max_lr, rel=1e-12)
    rates, _ = cycle(recipe)
    # What is printed after an epoch is the LR of the next one's first step.
    assert np.abs(np.array(rates[98::98]) - log[:-1]).max() < 1e-7
    assert rates[-1] == pytest.approx(fitted.max_lr / 10 / fitted.final_div_factor, rel=1e-9)


def test_eva8s_log_does_not_fit_the_settings_that_its_readme_prints():
    log = SUBMISSIONS["eva8-s8"].log()["lr_after"]
    stated = printed_rates(**EVA8_STATED, **EVA8_SETTINGS)
    assert np.abs(stated - log).max() == pytest.approx(7e-3, abs=5e-4)
    # Its last LR is below the minimum of its own schedule: one step past the end.
    assert log.iloc[-1] < fit_one_cycle(log).max_lr / 10 / 50


@pytest.mark.parametrize("max_lr", [0.01, 0.5])
@pytest.mark.parametrize("final_div", [1, 30, 1e4])
def test_the_fit_finds_what_made_a_log(max_lr, final_div):
    settings = {"steps_per_epoch": 20, "pct_start": 0.3, "div_factor": 25}
    found = fit_one_cycle(printed_rates(max_lr, final_div, epochs=10, **settings), **settings)
    assert found.max_lr == pytest.approx(max_lr)
    assert found.final_div_factor == pytest.approx(final_div, rel=1e-4)
    assert found.largest_error < 1e-12


def test_a_log_of_another_kind_is_not_fitted():
    assert fit_one_cycle(SUBMISSIONS["eva4-s11"].log()["lr"]).largest_error > 1e-3


def test_the_final_lrs_of_the_others():
    finals = {name: cycle(SUBMISSIONS[name].recipe)[0][-1] for name in ("era1-s10", "eva6-s9")}
    assert finals["era1-s10"] == pytest.approx(SUBMISSIONS["era1-s10"].recipe.lr_min)
    assert finals["eva6-s9"] == pytest.approx(0.008)
