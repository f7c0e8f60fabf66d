"""Schedules: peak and end exactly where they belong, for any number of steps."""

import math
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from s10 import InputError, OneCycle, simulate_schedule, triangular
from s10.schedules import momentum_of
from s10.submissions.schedules import OneCyclePerEpoch

# What eva4-s11 printed for its 24 epochs, one value an epoch (its README, to the last digit).
EVA4_MAX = 0.05272631578947369
EVA4_LR = {1: EVA4_MAX / 10, 2: 0.017136052631578948, 5: EVA4_MAX, 6: 0.05022875346260389}
EVA4_MOMENTUM = {1: 0.95, 2: 0.9125, 5: 0.80, 6: 0.8078947368421053, 24: 0.95}


def make(epochs=24, steps=98, peak=5, lr_max=0.01, lr_min=1e-5, **options):
    return simulate_schedule(
        lambda optimizer: OneCycle(
            optimizer, lr_max=lr_max, lr_min=lr_min, epochs=epochs, steps_per_epoch=steps,
            peak_epoch=peak, **options,
        ),
        epochs * steps,
    )  # fmt: skip


@st.composite
def cycles(draw, most_epochs=40, most_steps=100):
    epochs, steps = draw(st.integers(1, most_epochs)), draw(st.integers(1, most_steps))
    assume(epochs * steps > 1)
    peak = draw(st.integers(1 if steps > 1 else 2, epochs))
    lr_max = draw(st.floats(1e-4, 10))
    lr_min = lr_max / draw(st.floats(1, 1e6))
    return {
        "epochs": epochs,
        "steps": steps,
        "peak": peak,
        "lr_max": lr_max,
        "lr_min": lr_min,
        "anneal": draw(st.sampled_from(["linear", "cos"])),
    }


@given(cycles())
def test_one_cycle_peaks_and_ends_exactly(cycle):
    rates, momenta = make(**cycle)
    peak = cycle["peak"] * cycle["steps"] - 1
    last = len(rates) - 1
    assert math.isclose(rates[0], cycle["lr_min"], rel_tol=1e-9)
    assert math.isclose(rates[peak], cycle["lr_max"], rel_tol=1e-12)
    assert math.isclose(momenta[peak], 0.85, rel_tol=1e-12)
    if peak < last:
        assert abs(rates[last] - cycle["lr_min"]) <= 1e-12 * cycle["lr_max"]
        assert math.isclose(momenta[last], 0.95, rel_tol=1e-12)
    slack = 1e-12 * cycle["lr_max"]
    assert all(a <= b + slack for a, b in pairwise(rates[: peak + 1]))
    assert all(a + slack >= b for a, b in pairwise(rates[peak:]))
    # No annihilation, and no step past either end.
    assert min(rates) >= cycle["lr_min"] - slack
    assert max(rates) <= cycle["lr_max"] + slack


@given(cycles(20, 20), st.integers(1, 20))
def test_steps_after_the_last_one_change_nothing(cycle, more):
    optimizer = torch.optim.Adam([torch.zeros(1)])
    total = cycle["epochs"] * cycle["steps"]
    scheduler = OneCycle(
        optimizer, lr_max=cycle["lr_max"], lr_min=cycle["lr_min"], epochs=cycle["epochs"],
        steps_per_epoch=cycle["steps"], peak_epoch=cycle["peak"],
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(total - 1):
            scheduler.step()
        end = optimizer.param_groups[0]["lr"]
        for _ in range(more):
            scheduler.step()
    assert optimizer.param_groups[0]["lr"] == end


def test_the_assignment_peaks_at_step_489():
    rates, _ = make()
    assert len(rates) == 2352
    assert rates.index(max(rates)) == 489
    assert rates[489] == 0.01
    assert rates[-1] == pytest.approx(1e-5, rel=1e-9)


@pytest.mark.parametrize("anneal", ["linear", "cos"])
def test_it_is_pytorchs_one_cycle(anneal):
    """PyTorch is the oracle: the same schedule as OneCycleLR set by hand."""
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    theirs = OneCycleLR(
        optimizer, max_lr=0.01, total_steps=2352, pct_start=5 / 24, anneal_strategy=anneal,
        div_factor=1000, final_div_factor=1, base_momentum=0.85, max_momentum=0.95,
    )  # fmt: skip
    rates, momenta = make(anneal=anneal)
    for step in range(2352):
        group = optimizer.param_groups[0]
        assert group["lr"] == pytest.approx(rates[step], rel=1e-9)
        assert group["betas"][0] == pytest.approx(momenta[step], rel=1e-9)
        optimizer.step()
        if step < 2351:
            theirs.step()


def test_it_reproduces_the_log_of_eva4_s11_to_the_last_digit():
    rates, momenta = make(
        steps=1, lr_max=EVA4_MAX, lr_min=EVA4_MAX / 10, momentum_max=0.95, momentum_min=0.80
    )
    for epoch, rate in EVA4_LR.items():
        assert rates[epoch - 1] == pytest.approx(rate, abs=1e-15)
    for epoch, momentum in EVA4_MOMENTUM.items():
        assert momenta[epoch - 1] == pytest.approx(momentum, abs=1e-15)
    assert rates[23] == pytest.approx(EVA4_MAX / 10, abs=1e-15)


def test_a_peak_between_two_steps_is_pytorchs_pct_start():
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    theirs = OneCycleLR(
        optimizer, max_lr=0.01, total_steps=2352, pct_start=0.2, anneal_strategy="linear",
        div_factor=10, final_div_factor=50,
    )  # fmt: skip
    rates, _ = make(peak=4.8, lr_min=0.001, final_lr=0.001 / 50)
    for step in range(2352):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rates[step], rel=1e-9)
        optimizer.step()
        if step < 2351:
            theirs.step()
    assert 0.0099 < max(rates) < 0.01  # Never quite reached.


def test_a_final_lr_below_the_minimum_annihilates():
    rates, _ = make(final_lr=1e-7)
    assert rates[0] == pytest.approx(1e-5)
    assert rates[-1] == pytest.approx(1e-7, rel=1e-6)


@pytest.mark.parametrize(
    ("optimizer_type", "options", "expected"),
    [
        (torch.optim.Adam, {"betas": (0.7, 0.99)}, 0.7),
        (torch.optim.SGD, {"momentum": 0.9}, 0.9),
        (torch.optim.Adagrad, {}, 0.0),
    ],
)
def test_the_momentum_of_any_optimizer(optimizer_type, options, expected):
    optimizer = optimizer_type([torch.zeros(1)], lr=0.1, **options)
    assert momentum_of(optimizer.param_groups[0]) == expected


def test_the_momentum_of_sgd_is_cycled_too():
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1, momentum=0.9)
    OneCycle(optimizer, lr_max=0.1, lr_min=0.01, epochs=2, steps_per_epoch=5, peak_epoch=1)
    assert momentum_of(optimizer.param_groups[0]) == 0.95


@given(st.integers(1, 50), st.floats(1e-5, 1e-1), st.floats(1.5, 100), st.integers(1, 5))
def test_the_triangular_schedule(half_cycle, lr_min, factor, cycles):
    lr_max = lr_min * factor
    rates, _ = simulate_schedule(
        lambda optimizer: triangular(
            optimizer, lr_min=lr_min, lr_max=lr_max, half_cycle=half_cycle
        ),
        2 * half_cycle * cycles + 1,
    )
    for cycle in range(cycles):
        assert rates[2 * half_cycle * cycle] == pytest.approx(lr_min, rel=1e-6)
        assert rates[2 * half_cycle * cycle + half_cycle] == pytest.approx(lr_max, rel=1e-6)
    assert min(rates) >= lr_min * (1 - 1e-6)
    assert max(rates) <= lr_max * (1 + 1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr_max": 0.0}, "lr_max must be a number above 0"),
        ({"lr_min": -1.0}, "lr_min must be a number above 0"),
        ({"lr_max": math.nan}, "lr_max must be a number above 0"),
        ({"final_lr": 0.0}, "final_lr must be a number above 0"),
        ({"epochs": 0}, "epochs must be an integer"),
        ({"steps": 0}, "steps_per_epoch must be an integer"),
        ({"peak": 0}, "peak_epoch must be a number above 0"),
        ({"peak": 25}, "must not be after the last epoch"),
        ({"peak": 1, "steps": 1}, "no step to rise in"),
    ],
)
def test_a_bad_value_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        make(**change)


@pytest.mark.parametrize("name", ["lr_min", "lr_max", "half_cycle"])
def test_a_bad_triangle_is_refused(name):
    values = {"lr_min": 0.1, "lr_max": 1.0, "half_cycle": 5, name: 0}
    with pytest.raises(InputError, match=name):
        triangular(torch.optim.Adam([torch.zeros(1)]), **values)


@pytest.mark.filterwarnings("error")
def test_a_simulation_calls_the_scheduler_as_training_does():
    """PyTorch warns where a scheduler steps before its optimizer does."""
    seen = []

    def make_scheduler(optimizer):
        seen.append(optimizer)
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))

    rates, momenta = simulate_schedule(make_scheduler, 3)
    assert rates == pytest.approx([1e-3, 1e-3 / 2, 1e-3 / 3])
    assert momenta == [0.9] * 3
    assert len(seen) == 1


SCHEDULES = pytest.mark.parametrize(
    "schedule",
    [
        lambda optimizer, **lrs: OneCycle(
            optimizer, **lrs, epochs=4, steps_per_epoch=2, peak_epoch=2
        ),
        lambda optimizer, **lrs: triangular(optimizer, **lrs, half_cycle=3),
        lambda optimizer, **lrs: OneCyclePerEpoch(
            optimizer, **lrs, epochs=4, steps_per_epoch=2, peak_epoch=2
        ),
    ],
    ids=["OneCycle", "triangular", "OneCyclePerEpoch"],
)
LRS = {"lr_max": 0.1, "lr_min": 0.01}


def two_groups(**own):
    first, second = (nn.Linear(2, 2) for _ in range(2))
    groups = [{"params": first.parameters()}, {"params": second.parameters(), **own}]
    return torch.optim.SGD(groups, lr=0.5, momentum=0.9)


@SCHEDULES
def test_lrs_of_parameter_groups_are_not_overwritten_silently(schedule):
    optimizer = two_groups(lr=1e-4)
    with pytest.raises(InputError, match=r"LRs of their own \(0.0001, 0.5\)"):
        schedule(optimizer, **LRS)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 1e-4]
    optimizer = two_groups(weight_decay=0.1)
    schedule(optimizer, **LRS)
    schedule(optimizer, **LRS)  # A second schedule for the same optimizer.
    assert len({group["lr"] for group in optimizer.param_groups}) == 1


@pytest.mark.parametrize("kind", [torch.optim.Adagrad, torch.optim.Rprop, torch.optim.ASGD])
def test_an_optimizer_without_momentum_gets_the_lr_alone(kind):
    optimizer = kind([torch.zeros(1, requires_grad=True)])
    before = set(optimizer.param_groups[0])
    scheduler = OneCycle(optimizer, **LRS, epochs=4, steps_per_epoch=2, peak_epoch=2)
    rates = []
    for _ in range(8):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == make(epochs=4, steps=2, peak=2, **LRS)[0]
    assert not {"momentum", "betas"} & set(optimizer.param_groups[0]) - before
    assert momentum_of(optimizer.param_groups[0]) == 0


@pytest.mark.parametrize(
    "bounds", [{"lr_min": 0.2}, {"momentum_max": 0.5, "momentum_min": 0.6}], ids=str
)
def test_a_cycle_upside_down_is_refused(bounds):
    with pytest.raises(InputError, match="must not be above"):
        make(epochs=4, steps=2, peak=2, **{**LRS, **bounds})
    if "lr_min" in bounds:
        with pytest.raises(InputError, match="must not be above"):
            triangular(two_groups(), lr_max=0.1, lr_min=0.2, half_cycle=3)


def test_numbers_of_numpy_will_do():
    numbers = {"epochs": np.int64(4), "steps": np.int32(2), "peak": np.int64(2)}
    lrs = {name: np.float64(value) for name, value in LRS.items()}
    assert make(**numbers, **lrs) == make(epochs=4, steps=2, peak=2, **LRS)
