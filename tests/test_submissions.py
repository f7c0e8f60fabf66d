"""The five published submissions: their networks, logs and schedules as they were published."""

import math
import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from s10 import (
    RECIPES,
    CustomResNet,
    InputError,
    Recipe,
    eval_batches,
    fit,
    load_images,
    network_summary,
    one_cycle,
    seed_everything,
    trace,
    train_batches,
)
from s10.augment import normalise
from s10.cli import main
from s10.networks import NETWORKS, make_network
from s10.plots.submissions import plot_costs, plot_five_schedules, plot_published_curves
from s10.recipe import CHOICES
from s10.submissions import SUBMISSIONS, results
from s10.submissions.fit_schedule import fit_one_cycle, printed_rates
from s10.submissions.published import EVA8, EVA8_STATED_FINAL_DIV, EVA8_STATED_LR_MAX
from s10.submissions.traps import TRAPS

ROOT = Path(__file__).resolve().parent.parent
READMES = ROOT.parent / "shared" / "submissions"
LOWEST_LOSS = math.log(1 + 9 / math.e)

needs_readmes = pytest.mark.skipif(
    not READMES.is_dir(), reason="the published READMEs are not at ../shared/submissions"
)
each = pytest.mark.parametrize("name", SUBMISSIONS)


def schedule(name):
    return trace(lambda optimizer: one_cycle(optimizer, SUBMISSIONS[name].recipe, 98), 24 * 98)


def images_of(count, seed=0):
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def test_there_are_the_five():
    assert list(SUBMISSIONS) == ["era1-s10-strided", "era1-s10", "eva4-s11", "eva8-s8", "eva6-s9"]
    assert all(RECIPES[name] == submission.recipe for name, submission in SUBMISSIONS.items())


@each
def test_the_network_has_the_published_number_of_parameters(name):
    submission = SUBMISSIONS[name]
    network = make_network(submission.recipe)
    assert sum(p.numel() for p in network.parameters()) == submission.parameters
    assert (submission.recipe.network == "custom_resnet") == isinstance(network, CustomResNet)


@needs_readmes
@pytest.mark.parametrize("name", ["era1-s10-strided", "eva8-s8"])
def test_the_printed_table_of_layers_is_ours_row_by_row(name):
    row = re.compile(r"^\s*(\w+-\d+)\s+(\[[-\d, ]+\])\s+([\d,]+)\s*$", re.M)
    published = row.findall((READMES / f"{name}.md").read_text())
    assert len(published) in (29, 31)
    ours = row.findall(network_summary(make_network(SUBMISSIONS[name].recipe)))
    assert ours == published


def test_eva4s_schedule_is_that_of_its_log():
    rates, momenta = schedule("eva4-s11")
    log = SUBMISSIONS["eva4-s11"].log()
    assert len(log) == 24
    for batch in (0, 50, 97):  # The same in the whole epoch.
        assert np.abs(np.array(rates[batch::98]) - log["lr"]).max() < 1e-15
        assert np.abs(np.array(momenta[batch::98]) - log["momentum"]).max() < 1e-15


def test_eva4s_range_test_runs_and_gives_the_figure(tmp_path, capsys):
    """20 epochs, evenly spaced LRs, the network new for each; its LRMAX is the second of them."""
    arguments = ["--recipe", "eva4-s11", "--method", "per-epoch", "--seeds", "1"]
    small = ["--data", "shapes", "--width", "4", "--images", "60", "--batch-size", "20"]
    out = tmp_path / "range"
    assert main(["lr-range", *arguments, *small, "--out", str(out)]) == 0
    curve = pd.read_csv(out / "lr_range.csv")
    assert np.abs(curve["lr"] - np.linspace(1e-4, 1, 20)).max() < 1e-15
    assert curve["lr"][1] == pytest.approx(SUBMISSIONS["eva4-s11"].recipe.lr_max, rel=1e-15)
    assert curve["value"].between(0, 1).all()
    assert (out / "lr_range.png").stat().st_size > 10_000


def test_eva8s_log_is_reproduced_by_the_fitted_settings_and_not_by_the_printed_ones():
    log = SUBMISSIONS["eva8-s8"].log()["lr_after"]
    settings = {"epochs": 24, "steps_per_epoch": 98, "pct_start": 0.2, "div_factor": 10}
    fitted = printed_rates(EVA8.max_lr, EVA8.final_div_factor, **settings)
    assert np.abs(fitted - log).max() < 1e-7
    assert EVA8.max_lr == pytest.approx(0.148202, abs=1e-6)
    assert EVA8.final_div_factor == pytest.approx(50, abs=1e-6)
    stated = printed_rates(EVA8_STATED_LR_MAX, EVA8_STATED_FINAL_DIV, **settings)
    assert np.abs(stated - log).max() == pytest.approx(7e-3, abs=5e-4)
    # Its last LR lies below the minimum of its own schedule: one step past the end.
    assert log.iloc[-1] < EVA8.max_lr / 10 / EVA8.final_div_factor


def test_eva8s_recipe_trains_with_the_rates_of_its_log():
    rates, _ = schedule("eva8-s8")
    log = SUBMISSIONS["eva8-s8"].log()["lr_after"]
    # What is printed after an epoch is the rate of the next one's first step.
    assert np.abs(np.array(rates[98::98]) - log[:-1]).max() < 1e-7
    assert rates[-1] == pytest.approx(EVA8.max_lr / 500, rel=1e-6)


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


def test_era1_strideds_crop_changes_nothing(few):
    """Trap 1: RandomCrop(32) on 32 pixels. Without the other augmentations, nothing happens."""
    recipe = replace(
        SUBMISSIONS["era1-s10-strided"].recipe, flip=False, cutout=0, batch_size=50, data="shapes"
    )
    for augment in ("batched", "albumentations"):
        batches = train_batches(few, replace(recipe, augment=augment))
        images = torch.cat([images for images, _ in batches]).flatten(1)
        plain = normalise(few.train_images, few.mean, few.std).flatten(1)
        distances = torch.cdist(images, plain, compute_mode="donot_use_mm_for_euclid_dist")
        assert distances.min(1).values.max() < 1e-3
        assert sorted(distances.argmin(1).tolist()) == list(range(len(plain)))


def test_era1_strideds_log_softmax_changes_nothing():
    """Trap 3: cross-entropy takes the log_softmax again, and that is the same."""
    torch.manual_seed(0)
    network = make_network(replace(SUBMISSIONS["era1-s10-strided"].recipe, width=4)).eval()
    logs = network(images_of(20))
    assert torch.allclose(logs.exp().sum(1), torch.ones(20), atol=1e-5)
    labels = torch.arange(20) % 10
    assert F.cross_entropy(logs, labels).item() == pytest.approx(
        F.nll_loss(logs, labels).item(), abs=1e-6
    )


@pytest.mark.parametrize("name", ["eva8-s8", "softmax"])
def test_a_softmax_before_the_loss_bounds_it(name):
    """Trap 3: even the best probabilities leave a loss of ln(1 + 9/e)."""
    torch.manual_seed(0)
    network = NETWORKS[name](10, 4).eval()
    probabilities = network(images_of(20))
    assert torch.allclose(probabilities.sum(1), torch.ones(20), atol=1e-5)
    assert probabilities.min() >= 0
    labels = torch.arange(20) % 10
    assert F.cross_entropy(probabilities, labels) > LOWEST_LOSS
    perfect = F.one_hot(labels, 10).float()
    assert F.cross_entropy(perfect, labels).item() == pytest.approx(LOWEST_LOSS, rel=1e-6)


def test_the_wrong_deviation_is_the_mean_of_single_ones(cifar10_dir):
    """Trap 4, on the real images."""
    images = load_images("cifar10", cifar10_dir)
    assert images.normalised_by("pixels") is images
    assert images.normalised_by("images").std == (0.2023, 0.1994, 0.2010)


@each
def test_what_a_readme_leaves_open_is_stated_as_our_choice(name):
    submission = SUBMISSIONS[name]
    names = {field.name for field in fields(Recipe)}
    assert set(submission.chosen) <= names
    assert all(len(reason) > 10 for reason in submission.chosen.values())
    # None of them says what the README says itself.
    assert submission.recipe.label_smoothing == 0
    assert submission.recipe.epochs == 24
    assert submission.recipe.batch_size == 512


@needs_readmes
def test_the_logs_are_the_published_digits(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "submission_logs.py", "--check", READMES],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["era1-s10-strided", "eva4-s11", "eva8-s8"])
def test_a_log_ends_where_its_readme_says(name):
    log, submission = SUBMISSIONS[name].log(), SUBMISSIONS[name]
    assert list(log["epoch"]) == list(range(1, 25))
    last = log.iloc[-1]
    assert last["train_accuracy_percent"] == pytest.approx(100 * submission.stated_train)
    if "test_accuracy_percent" in log:
        assert last["test_accuracy_percent"] == pytest.approx(100 * submission.stated_test)
        assert (log["test_correct"] / 100 - log["test_accuracy_percent"]).abs().max() < 1e-9


@pytest.mark.parametrize("name", ["era1-s10", "eva6-s9"])
def test_the_others_have_no_log(name):
    assert SUBMISSIONS[name].log() is None


@each
def test_each_trains(name, few, tiny):
    recipe = replace(
        SUBMISSIONS[name].recipe, data="shapes", width=4, batch_size=50, precision="fp32"
    ).with_epochs(10)
    recipe = recipe.with_lr_max(min(recipe.lr_max, 0.05))
    seed_everything(0)
    model = make_network(recipe, len(few.classes))
    result = fit(model, train_batches(few, recipe), eval_batches(few), recipe, few.classes)
    assert result.history["train_loss"].iloc[-1] < result.history["train_loss"].iloc[0]


def test_the_registry_of_networks_is_what_a_recipe_may_name():
    assert tuple(NETWORKS) == CHOICES["network"]
    for name in NETWORKS:
        network = make_network(replace(Recipe(), network=name, width=4), 7)
        assert network(images_of(2)).shape == (2, 7)
        with pytest.raises(InputError, match="width"):
            NETWORKS[name](10, 0)


def test_two_branches_have_no_identity_path():
    """Trap 5: both paths are computed from the layer's input, and both halve it."""
    network = NETWORKS["two_branches"](10, 4)
    layer, x = network.layer1, torch.relu(images_of(2)).repeat(1, 2, 1, 1)[:, :4]
    assert torch.allclose(layer(x), layer.pooled(x) + layer.strided(x), atol=1e-5)
    assert layer.strided(x).shape == layer.pooled(x).shape == (2, 8, 16, 16)


def test_relu_stands_before_every_batch_norm():
    layers = [type(m).__name__ for m in NETWORKS["relu_before_bn"](10, 4).modules()]
    kinds = [kind for kind in layers if kind in ("ReLU", "BatchNorm2d")]
    assert kinds == ["ReLU", "BatchNorm2d"] * 8


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_is_one_change_of_the_assignments_recipe(name):
    recipe = TRAPS[name].recipe(Recipe())
    changed = {
        f.name for f in fields(Recipe) if getattr(recipe, f.name) != getattr(Recipe(), f.name)
    }
    assert changed == set(TRAPS[name].changes)
    assert set(TRAPS[name].found_in) <= set(SUBMISSIONS)
    assert TRAPS[name].found_in
    assert TRAPS[name].in_words().count("→") == len(changed)


def test_what_a_readme_does_not_say_is_not_called_found_there():
    """eva6-s9 explains Smith's example; it does not say what it used itself."""
    assert TRAPS["LRMAX 0.8"].inferred_in("eva6-s9")
    assert TRAPS["SGD instead of Adam"].inferred_in("eva4-s11")
    assert not TRAPS["no padding before the crop"].inferred_in("era1-s10-strided")
    assert TRAPS["no padding before the crop"].in_words() == "pad 4 → 0"


def test_only_what_was_measured_as_it_was_used_is_a_part_of_the_whole():
    """An LRMAX made for SGD is measured with Adam: no part of what those with SGD lost."""
    parts = {n: [t for t in TRAPS if TRAPS[t].explains(n)] for n in SUBMISSIONS}
    assert [t for t in parts["era1-s10"] if "LRMAX" in t] == ["LRMAX 0.0054"]
    for name, submission in SUBMISSIONS.items():
        if submission.recipe.optimizer == "sgd":
            assert not any(t.startswith("LRMAX") for t in parts[name])
    assert not {"annihilation", "LRMAX 0.0019"} & set(parts["era1-s10-strided"])


def test_an_interrupted_measurement_goes_on_where_it_was(tmp_path):
    """Two names of the list, in two calls; what is there is skipped."""

    def call(*names):
        return subprocess.run(
            [sys.executable, ROOT / "benchmarks" / "submissions.py", "--data", "shapes",
             "--width", "4", "--epochs", "5", "--out", tmp_path, "--only", *names],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    first = call("ReLU before BN")
    assert first.returncode == 0, first.stderr
    second = call("ReLU before BN", "era1-s10")
    assert "seed 0" in second.stdout
    assert second.stdout.count("seed 0") == 1
    rows = (tmp_path / "runs.csv").read_text().splitlines()
    assert [row.split(",")[1] for row in rows[1:]] == ["ReLU before BN", "era1-s10"]
    assert (tmp_path / "curves" / "era1-s10-seed0.csv").read_text().count("\n") == 6
    wrong = call("era1-s11")
    assert wrong.returncode == 2
    assert "no era1-s11" in wrong.stderr


@pytest.fixture
def measured(monkeypatch):
    """Stored runs made up for a test: the recipe has 90 % ± 1, three traps differ."""

    def entry(kind, name, accuracies):
        return {
            "kind": kind, "name": name, "data": "cifar10", "width": 16,
            "seeds": list(range(len(accuracies))), "test_accuracy": accuracies,
            "train_accuracy": accuracies, "diverged": [value is None for value in accuracies],
            "test_curves": [[0.5, value] for value in accuracies if value is not None],
            "train_curves": [[0.4, value] for value in accuracies if value is not None],
        }  # fmt: skip

    recipe = {name: value for name, value in vars(Recipe(width=16)).items() if name != "seed"}
    found = {
        "training": [
            {"data": "cifar10", "recipe": recipe, "test_accuracy": [[0.5, 0.89], [0.5, 0.91]]}
        ],
        "submissions": [
            entry("submission", "eva8-s8", [0.80]),
            entry("submission", "eva6-s9", [None]),
            entry("variant", "era1-s10-strided, stepped every batch", [0.88]),
            entry("trap", "ReLU before BN", [0.88, 0.90]),
            entry("trap", "softmax before the loss", [0.85]),
            entry("trap", "LRMAX 0.8", [None]),
        ],
    }
    for module in ("s10.reference", "s10.submissions.results"):
        monkeypatch.setattr(f"{module}.stored", lambda: found)
    return found


def test_costs_are_points_below_the_recipe_and_the_dearest_comes_first(measured):
    costs = results.trap_costs("cifar10", 16)
    names = ["LRMAX 0.8", "softmax before the loss", "ReLU before BN"]
    assert list(costs["trap"]) == names
    assert list(costs["diverged"]) == [1, 0, 0]
    assert list(costs["cost"][1:]) == pytest.approx([5.0, 1.0])
    assert costs["std"][2] == pytest.approx(math.sqrt(2))
    assert costs["std"][:2].isna().all()


def test_the_parts_are_added_up_beside_the_whole(measured):
    table = results.parts_and_whole("cifar10", 16).set_index("submission")
    assert table.loc["eva8-s8", "sum of the parts"] == pytest.approx(6.0)
    assert table.loc["eva8-s8", "the whole"] == pytest.approx(10.0)
    assert table.loc["eva6-s9", "traps"] == 0  # Its LRMAX was measured with Adam.
    # A run that diverged has no number, and neither has a sum with it.
    measured["submissions"].append({**measured["submissions"][-1], "name": "SGD instead of Adam"})
    table = results.parts_and_whole("cifar10", 16).set_index("submission")
    assert table.loc["eva6-s9"][["sum of the parts", "the whole"]].isna().all()


def test_stated_and_measured_stand_side_by_side(measured, capsys):
    assert main(["submissions"]) == 0
    lines = capsys.readouterr().out.splitlines()
    row = {line.split()[0]: line.split() for line in lines if line.strip()}
    assert row["eva8-s8"][1:] == ["6,575,370", "92.15", "87.00", "80.00", "80.00"]
    assert row["eva6-s9"][1:] == ["6,573,130", "-", "-", "diverged", "diverged"]
    assert row["eva4-s11"][-2:] == ["-", "-"]


def test_the_pictures_show_every_submission_and_every_trap(measured):
    legend = plot_five_schedules().axes[0].get_legend_handles_labels()[1]
    assert [label.split()[0] for label in legend] == list(SUBMISSIONS)
    bars = plot_costs(results.trap_costs("cifar10", 16)).axes[0]
    assert [label.get_text() for label in bars.get_yticklabels()][-1] == "LRMAX 0.8"
    assert {text.get_text() for text in bars.texts} == {"diverged", "+5.0 (cut off)", "+1.0"}
    entries = results.stored_submissions("cifar10", 16, "submission", "variant")
    curves = plot_published_curves(entries)
    assert len(curves.axes) == 3
    assert [len(axes.lines) for axes in curves.axes] == [2, 1, 2]
    labels = curves.axes[0].get_legend_handles_labels()[1]
    assert labels == ["published", "ours, width 16,\nstepped every batch"]


def test_stepped_once_an_epoch_the_schedule_gives_era1_strideds_log():
    """The measurement on which its recipe rests, at the published width."""
    table = results.first_epochs()
    assert len(table) >= 2
    once = (table["test: stepped once an epoch"] - table["test: published"]).abs()
    each = (table["test: stepped every batch"] - table["test: published"]).abs()
    assert once.max() < 1
    assert each.min() > 4
    rates, _ = schedule("era1-s10-strided")
    assert max(rates) < 3e-5


def test_the_first_epochs_stand_beside_the_published_ones(monkeypatch):
    entry = {"name": "era1-s10-strided", "stepped": "once an epoch", "train_accuracy": [0.3, 0.5],
             "test_accuracy": [0.4, 0.55]}  # fmt: skip
    monkeypatch.setattr(results, "stored", lambda: {"first_epochs": [entry]})
    table = results.first_epochs()
    assert table.index.tolist() == ["epoch 1", "epoch 2"]
    assert table["train: published"].tolist() == [35.27, 51.01]
    assert table["test: stepped once an epoch"].tolist() == pytest.approx([40, 55])
