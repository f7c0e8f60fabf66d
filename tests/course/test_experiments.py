"""The short experiments of the notebooks: equal conditions, one difference."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from s10 import FitResult, InputError, Recipe
from s10.course.experiments import (
    NO_PITFALL,
    DeepNet,
    NormBeforePooling,
    WithoutShortcuts,
    compare_depths,
    compare_pitfalls,
    compare_schedules,
    compare_variants,
    differences_by_epoch,
    final_accuracy,
    final_loss,
    paired_differences,
    with_constant_lr,
    with_flat_start,
    with_lr,
    with_model,
    without_fall,
    without_rise,
)
from s10.plots import plot_schedules
from s10.schedules import simulate_schedule
from s10.speed.muon import Muon
from s10.speed.recipes import LAPTOP


def test_the_schedules_are_compared_from_the_same_start(few, tiny):
    table = compare_schedules(few, tiny)
    assert table["schedule"].unique().tolist() == [
        "one cycle", "constant 0.01", "constant 0.003", "constant 0.001",
    ]  # fmt: skip
    assert len(table) == 12
    constant = table[table["schedule"] == "constant 0.001"]
    assert constant["lr"].tolist() == pytest.approx([0.001] * 3)
    assert constant["momentum"].tolist() == pytest.approx([0.9] * 3)
    assert set(final_accuracy(table)) == set(table["schedule"])
    assert len(plot_schedules(table).axes) == 2


def lrs_and_momenta(recipe):
    def make_scheduler(optimizer):
        return recipe.make_scheduler(optimizer, steps_per_epoch=10)

    return np.array(simulate_schedule(make_scheduler, 10 * recipe.epochs))


@pytest.mark.parametrize(("recipe", "peak"), [(Recipe(), 49), (replace(LAPTOP, peak_epoch=2), 19)])
def test_a_variant_changes_one_half_of_the_cycle(recipe, peak):
    cycle, no_fall, no_rise, flat = map(
        lrs_and_momenta,
        (recipe, without_fall(recipe), without_rise(recipe), with_flat_start(recipe)),
    )
    assert flat[0, : peak + 1] == pytest.approx(cycle[0, : peak + 1].mean())
    assert (flat[0, peak + 1 :] == cycle[0, peak + 1 :]).all()
    assert (flat[1] == cycle[1]).all()
    assert (no_fall[:, : peak + 1] == cycle[:, : peak + 1]).all()
    assert no_fall[0, peak:] == pytest.approx(recipe.lr_max)
    assert no_fall[1, peak:] == pytest.approx(recipe.momentum_min)
    assert no_rise[0, : peak + 1] == pytest.approx(recipe.lr_max)
    assert no_rise[:, peak:] == pytest.approx(cycle[:, peak:])
    assert (no_rise[1] == cycle[1]).all()


@pytest.mark.parametrize("recipe", [Recipe(), LAPTOP])
def test_a_schedule_may_be_a_function_of_the_step(recipe):
    rates, momenta = lrs_and_momenta(with_lr(recipe, lambda step: 0.001 * step))
    assert rates == pytest.approx(0.001 * np.arange(len(rates)))
    assert (momenta == lrs_and_momenta(recipe)[1]).all()


@pytest.mark.parametrize("recipe", [Recipe(), LAPTOP])
def test_a_constant_lr_is_exactly_constant(recipe):
    rates, momenta = lrs_and_momenta(with_constant_lr(recipe, 0.003))
    assert set(rates) == {0.003}
    assert momenta == pytest.approx((recipe.momentum_max + recipe.momentum_min) / 2, abs=1e-12)


def test_differences_are_of_the_same_seed_and_epoch():
    table = pd.DataFrame(
        {"schedule": name, "seed": seed, "epoch": epoch, "train_loss": loss + seed / epoch}
        for name, loss in (("one cycle", 1.0), ("B", 1.5), ("A", 0.5))
        for seed in (0, 1)
        for epoch in (1, 2)
    )
    differences = differences_by_epoch(table, "train_loss")
    assert differences.index.tolist() == [("B", 0), ("B", 1), ("A", 0), ("A", 1)]
    assert differences.loc["B"].to_numpy() == pytest.approx(0.5)
    assert differences.loc["A"].to_numpy() == pytest.approx(-0.5)
    table.loc[0, "train_loss"] = 3.0
    assert differences_by_epoch(table, "train_loss").loc[("B", 0), 1] == -1.5


def test_the_depths_are_compared(few, tiny):
    table = compare_depths(few, tiny, depths=(3, 5))
    assert table.groupby(["depth", "shortcuts"]).size().tolist() == [3] * 4
    assert table["step"].unique().tolist() == [4, 8, 12]
    losses = final_loss(table)
    assert set(losses) == {f"{d} layers, {k}" for d in (3, 5) for k in ("plain", "residual")}
    assert len(set(losses.values())) == 4
    assert all(np.isfinite(list(losses.values())))


def test_the_pitfalls_are_compared_from_the_same_start(few, tiny):
    names = ("std of single images", "softmax before the loss", "peak at 0.2 of the run")
    recipe = replace(tiny, epochs=24, peak_epoch=5)
    table = compare_pitfalls(few, recipe, names, epochs=3)
    assert table["pitfall"].unique().tolist() == [NO_PITFALL, *names]
    assert len(table) == 12
    assert set(final_accuracy(table, by="pitfall")) == {NO_PITFALL, *names}
    softmax = table[table["pitfall"] == "softmax before the loss"]
    assert softmax["train_loss"].min() > np.log(1 + 9 / np.e)
    assert len(set(table.groupby("pitfall")["train_loss"].last())) == 4
    legend = plot_schedules(table, by="pitfall").axes[0].get_legend().get_texts()
    assert [text.get_text() for text in legend] == [NO_PITFALL, *names]
    # The same as by itself: no run depends on those before it.
    alone = compare_pitfalls(few, recipe, names[1:2], epochs=3)
    same = alone["pitfall"] == "softmax before the loss"
    assert alone[same]["train_loss"].tolist() == softmax["train_loss"].tolist()


def test_variants_are_compared_seed_by_seed(few, tiny):
    variants = {
        "as it is": tiny,
        "no flip": replace(tiny, flip=False),
        "own network": with_model(tiny, lambda n: nn.Sequential(nn.Flatten(), nn.Linear(3072, n))),
    }
    table = compare_variants(
        variants, few, seeds=2, measure=lambda model: {"layers": len([*model.children()])}
    )
    assert table.groupby(["variant", "seed"]).size().tolist() == [3] * 6
    networks = table.groupby("variant", sort=False)["layers"].unique()
    assert networks.map(list).to_dict() == {"as it is": [6], "no flip": [6], "own network": [2]}
    # Each run is that of `compare_schedules` with this seed.
    alone = compare_schedules(few, replace(tiny, seed=1))
    alone = alone[alone["schedule"] == "one cycle"]["train_loss"].tolist()
    mine = table[(table["variant"] == "as it is") & (table["seed"] == 1)]
    assert mine["train_loss"].tolist() == alone
    assert set(paired_differences(table).index) == {"no flip", "own network"}
    assert len(plot_schedules(table, by="variant").axes) == 2


def test_paired_differences_say_whether_the_seeds_agree():
    accuracies = {"A": (0.5, 0.6, 0.7), "B": (0.51, 0.63, 0.72), "C": (0.4, 0.7, 0.7),
                  "D": (0.49, 0.58, 0.2)}  # fmt: skip
    table = pd.DataFrame(
        {"variant": name, "seed": seed, "epoch": epoch, "test_accuracy": value * epoch / 2}
        for seed in range(3)
        for name, values in accuracies.items()
        for epoch, value in ((1, values[seed]), (2, values[seed]))
    ).iloc[:-1]  # The last run, D with seed 2, was interrupted.
    found = paired_differences(table)
    assert found.index.tolist() == ["B", "C", "D"]
    assert found.loc["B"].tolist() == [pytest.approx(x) for x in (1, 3, 2, 2)] + [
        "higher with each seed"
    ]
    assert found.loc["C", "seeds"] == "the seeds disagree"
    assert found.loc["D", ["seed 0", "seed 1", "mean"]].tolist() == pytest.approx([-1, -2, -1.5])
    assert np.isnan(found.loc["D", "seed 2"])
    assert found.loc["D", "seeds"] == "lower with each seed"


@dataclass(frozen=True)
class OwnRecipe(Recipe):
    """A learner's recipe: an own network with own initial weights, and SGD."""

    nesterov: bool = True

    def make_model(self, num_classes=10):
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, num_classes))

    def initial_model(self, dataset):
        model = super().initial_model(dataset)
        nn.init.zeros_(model[1].weight)
        return model

    def make_optimizer(self, model, momentum=0.9):
        return torch.optim.SGD(model.parameters(), self.lr_min, momentum, nesterov=self.nesterov)


@pytest.fixture
def trained(monkeypatch):
    """(recipe, model before its first step, optimizer) of each run; nothing is trained."""
    runs = []

    def untrained(model, train, test, recipe, classes):
        runs.append((recipe, model, recipe.make_optimizer(model)))
        row = {"epoch": 1, "train_loss": 2.0, "test_accuracy": 0.1}
        return FitResult(pd.DataFrame([row]), None, 1.0, interrupted=False)

    monkeypatch.setattr("s10.course.experiments.fit", untrained)
    return runs


def test_the_experiments_train_the_network_and_the_optimizer_of_the_recipe(few, tiny, trained):
    own = OwnRecipe(**vars(tiny))
    compare_schedules(few, own)
    assert len(trained) == 4
    for recipe, model, optimizer in trained:
        assert isinstance(recipe, OwnRecipe)
        assert isinstance(model, nn.Sequential)
        assert not model[1].weight.any()
        assert type(optimizer) is torch.optim.SGD
    constant = trained[1][0].make_scheduler(trained[1][2], 4)
    assert constant.optimizer.param_groups[0]["lr"] == own.lr_max
    del trained[:]
    compare_depths(few, own, depths=(3,))
    assert [type(model) for _, model, _ in trained] == [DeepNet] * 2
    assert [type(optimizer) for *_, optimizer in trained] == [torch.optim.SGD] * 2
    del trained[:]
    compare_schedules(few, replace(LAPTOP, data="shapes", width=4))
    whitenings = [model.whitening.weight for _, model, _ in trained]
    assert all(torch.equal(each, whitenings[0]) for each in whitenings)
    assert [type(optimizer) for *_, optimizer in trained] == [Muon] * 4


def test_the_pitfalls_start_from_the_recipes_own_weights(few, tiny, trained, monkeypatch):
    def zeros(self, dataset):
        model = self.make_model(len(dataset.classes))
        nn.init.zeros_(model.fc.weight)
        return model

    monkeypatch.setattr(Recipe, "initial_model", zeros)
    compare_pitfalls(few, tiny, ("std of single images", "ReLU before BN"), epochs=3)
    assert [bool(model.fc.weight.any()) for _, model, _ in trained] == [False] * 3


def test_an_unknown_pitfall_is_named(few, tiny):
    with pytest.raises(InputError, match="no pitfall 'softmx'"):
        compare_pitfalls(few, tiny, ("softmx",))


@pytest.mark.parametrize("compare", [compare_schedules, compare_depths, compare_pitfalls])
def test_the_stop_button_stops_the_whole_comparison(few, tiny, monkeypatch, compare):
    calls = []

    def interrupted(*arguments, **options):
        calls.append(arguments)
        row = {"epoch": 1, "train_loss": 2.0, "test_accuracy": 0.1}
        return FitResult(pd.DataFrame([row]), None, 1.0, interrupted=True)

    monkeypatch.setattr("s10.course.experiments.fit", interrupted)
    assert len(compare(few, tiny)) == 1
    assert len(calls) == 1


@pytest.mark.parametrize("depth", [3, 9])
def test_a_deep_net_has_so_many_convolutions_and_shortcuts_cost_nothing(depth):
    nets = [DeepNet(depth, shortcuts) for shortcuts in (False, True)]
    for net in nets:
        assert sum(isinstance(m, torch.nn.Conv2d) for m in net.modules()) == depth
        assert net(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    counts = [sum(p.numel() for p in net.parameters()) for net in nets]
    assert counts[0] == counts[1]


def test_a_shortcut_passes_on_what_the_layers_leave_out():
    """With its last batch norm at zero a residual pair is the identity, a plain one is zero."""
    for shortcuts in (False, True):
        net = DeepNet(3, shortcuts).eval()
        torch.nn.init.zeros_(net.pairs[0][-1].weight)
        x = torch.randn(2, 3, 32, 32)
        identity = net.fc(net.prep(x).mean(dim=(2, 3)))
        assert torch.allclose(net(x), identity if shortcuts else net.fc.bias.expand(2, -1))


def test_without_shortcuts_or_with_an_early_batch_norm_one_thing_is_changed(few, tiny):
    def network(recipe):
        torch.manual_seed(1)
        model = type(recipe)(**vars(tiny)).initial_model(few).eval()
        for module in model.modules():  # Statistics that make a difference, as after training.
            if isinstance(module, nn.BatchNorm2d):
                module.bias.data.normal_()
                module.weight.data.normal_()  # Of either sign: BN and MaxPool do not commute then.
        return model

    model, reduced, earlier = map(network, (tiny, WithoutShortcuts(), NormBeforePooling()))
    prepared = model.prep(torch.randn(2, 3, 32, 32))
    (down, block), (conv, pool, norm, relu) = model.layer1, model.layer1[0]
    assert torch.equal(reduced.layer1(prepared), block.branch(down(prepared)))
    assert torch.equal(earlier.layer1[0](prepared), relu(pool(norm(conv(prepared)))))
    assert not torch.allclose(earlier.layer1[0](prepared), down(prepared))
    for changed in (reduced, earlier):  # The same weights.
        assert torch.equal(changed.fc.weight, model.fc.weight)
        sizes = [sorted(p.numel() for p in each.parameters()) for each in (model, changed)]
        assert sizes[0] == sizes[1]
