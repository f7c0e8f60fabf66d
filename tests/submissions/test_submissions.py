"""The five published submissions: their networks, logs and images as they were published."""

import csv
import math
import re
import subprocess
import sys
import warnings
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from s10 import (
    CustomResNet,
    InputError,
    Recipe,
    fit,
    load_dataset,
    range_test_per_epoch,
    seed_everything,
)
from s10.course.summary import network_summary
from s10.submissions import SUBMISSIONS
from s10.submissions.networks import ReluFirstNet, StridedNet
from s10.submissions.pitfalls import PerImageStd
from s10.submissions.recipes import Era1S10Strided, Eva4S11
from s10.submissions.variants import ReluBeforeBNNet, SoftmaxNet, TwoBranchesNet
from s10.transforms import normalize

ROOT = Path(__file__).resolve().parents[2]
READMES = ROOT.parent / "shared" / "submissions"
LOWEST_LOSS = math.log(1 + 9 / math.e)
ALPHA = 1e-4  # how rarely a correct loader fails a test; the seeds are fixed

needs_readmes = pytest.mark.skipif(
    not READMES.is_dir(), reason="the published READMEs are not in ../shared/submissions"
)
each = pytest.mark.parametrize("name", SUBMISSIONS)


def random_images(count, seed=0):
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def test_there_are_five():
    assert list(SUBMISSIONS) == ["era1-s10-strided", "era1-s10", "eva4-s11", "eva8-s8", "eva6-s9"]
    assert all(submission.name == name for name, submission in SUBMISSIONS.items())
    assert len({type(submission.recipe) for submission in SUBMISSIONS.values()}) == 5


# Their networks.


@each
def test_the_network_has_the_published_number_of_parameters(name):
    submission = SUBMISSIONS[name]
    model = submission.recipe.make_model()
    assert sum(p.numel() for p in model.parameters()) == submission.parameters
    assert isinstance(model, CustomResNet) == (name in ("era1-s10", "eva4-s11", "eva6-s9"))


@needs_readmes
@pytest.mark.parametrize("name", ["era1-s10-strided", "eva8-s8"])
def test_the_printed_table_of_layers_is_ours_row_by_row(name):
    row = re.compile(r"^\s*(\w+-\d+)\s+(\[[-\d, ]+\])\s+([\d,]+)\s*$", re.M)
    published = row.findall((READMES / f"{name}.md").read_text())
    assert len(published) in (29, 31)
    assert row.findall(network_summary(SUBMISSIONS[name].recipe.make_model())) == published


@pytest.mark.parametrize(
    "network", [StridedNet, ReluFirstNet, SoftmaxNet, ReluBeforeBNNet, TwoBranchesNet]
)
def test_every_network_scales_with_width_and_classes(network):
    assert network(7, 4)(random_images(2)).shape == (2, 7)
    for bad in ((10, 0), (0, 4)):
        with pytest.raises(InputError, match=r"width|num_classes"):
            network(*bad)


def test_era1_strideds_log_softmax_changes_nothing():
    """Cross-entropy takes the log_softmax again, and that is the same."""
    torch.manual_seed(0)
    model = StridedNet(10, 4).eval()
    logs = model(random_images(20))
    assert torch.allclose(logs.exp().sum(1), torch.ones(20), atol=1e-5)
    labels = torch.arange(20) % 10
    assert F.cross_entropy(logs, labels).item() == pytest.approx(
        F.nll_loss(logs, labels).item(), abs=1e-6
    )


@pytest.mark.parametrize("network", [ReluFirstNet, SoftmaxNet])
def test_a_softmax_before_the_loss_bounds_it(network):
    """Even perfect probabilities leave a loss of ln(1 + 9/e)."""
    torch.manual_seed(0)
    probabilities = network(10, 4).eval()(random_images(20))
    assert torch.allclose(probabilities.sum(1), torch.ones(20), atol=1e-5)
    assert probabilities.min() >= 0
    labels = torch.arange(20) % 10
    assert F.cross_entropy(probabilities, labels) > LOWEST_LOSS
    perfect = F.one_hot(labels, 10).float()
    assert F.cross_entropy(perfect, labels).item() == pytest.approx(LOWEST_LOSS, rel=1e-6)


def test_two_branches_have_no_identity_path():
    """Both paths are computed from the layer's input, and both halve it."""
    layer, x = TwoBranchesNet(10, 4).layer1, torch.relu(random_images(2)).repeat(1, 2, 1, 1)[:, :4]
    assert torch.allclose(layer(x), layer.pooled(x) + layer.strided(x), atol=1e-5)
    assert layer.strided(x).shape == layer.pooled(x).shape == (2, 8, 16, 16)


def test_the_relu_comes_before_every_batch_norm():
    layers = [type(module).__name__ for module in ReluBeforeBNNet(10, 4).modules()]
    kinds = [kind for kind in layers if kind in ("ReLU", "BatchNorm2d")]
    assert kinds == ["ReLU", "BatchNorm2d"] * 8


# Their images.


def test_era1_strideds_crop_changes_nothing(few):
    """RandomCrop(32) of 32 pixels. Without the other augmentations, the images are unchanged."""
    recipe = Era1S10Strided(flip=False, cutout=0, batch_size=50)
    images = torch.cat([images for images, _ in recipe.train_loader(few)]).flatten(1)
    plain = normalize(few.train_images, *recipe.normalization(few)).flatten(1)
    distances = torch.cdist(images, plain, compute_mode="donot_use_mm_for_euclid_dist")
    assert distances.min(1).values.max() < 1e-3
    assert sorted(distances.argmin(1).tolist()) == list(range(len(plain)))


@pytest.fixture(scope="module")
def white(shapes):
    """2,000 white images, on which black squares and their mean color would be visible."""
    images = np.full((2000, 32, 32, 3), 255, np.uint8)
    return replace(shapes, train_images=images, train_labels=np.arange(2000) % 2)


class AllPixels(Era1S10Strided):
    """The standard deviation of each of these images would be 0."""

    def normalization(self, dataset):
        return dataset.mean, dataset.std


def test_every_second_image_has_a_black_square(white):
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (white.mean, white.std))
    images = torch.cat([images for images, _ in AllPixels().train_loader(white)]) * std + mean
    is_black = images.abs().amax(1) < 1e-6
    assert set(is_black.sum((1, 2)).tolist()) == {0, 64}
    assert torch.allclose(images[~is_black[:, None].expand_as(images)], torch.tensor(1.0))
    cut = is_black.any(2).any(1)
    assert stats.binomtest(int(cut.sum()), 2000, 0.5).pvalue > ALPHA
    # It is a square, and anywhere in the image.
    rows, columns = is_black[cut].any(2), is_black[cut].any(1)
    assert (rows.sum(1) == 8).all()
    assert (columns.sum(1) == 8).all()
    for side in (rows, columns):
        assert set(side.int().argmax(1).tolist()) == set(range(25))


def test_all_other_parameters_are_those_of_the_assignment(white):
    """Whether there is a square is sampled last, so that the same seed has the same crops."""
    fields = {"pad": 4, "seed": 3}
    ours, theirs = (
        recipe.train_loader(white).sample_params(torch.Generator().manual_seed(1))
        for recipe in (AllPixels(**fields), Recipe(**fields))
    )
    for name in ("top", "left", "flip", "cut_left"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name))
    cut = ours.cut_top < 32
    assert torch.equal(ours.cut_top[cut], theirs.cut_top[cut])
    assert 900 < cut.sum() < 1100


def test_albumentations_has_another_cutout_and_is_refused():
    with pytest.raises(InputError, match="Era1S10Strided needs augment batched"):
        Era1S10Strided(augment="albumentations")
    assert Eva4S11(augment="albumentations").augment == "albumentations"


@pytest.mark.parametrize("recipe", [Era1S10Strided(), PerImageStd()])
def test_the_wrong_standard_deviation_is_the_mean_over_single_images(recipe, cifar10_dir):
    dataset = load_dataset("cifar10", cifar10_dir)
    assert recipe.normalization(dataset) == (dataset.mean, (0.2023, 0.1994, 0.2010))
    assert Recipe().normalization(dataset) == (dataset.mean, dataset.std)
    few = dataset.subset(100, 10)
    (images, _), *_ = recipe.test_loader(few)
    expected = normalize(few.test_images, *recipe.normalization(few))
    assert torch.equal(images, expected)


# What their READMEs say, and what not.


@each
def test_what_a_readme_leaves_open_is_stated_with_our_choice(name):
    submission, names = SUBMISSIONS[name], {field.name for field in fields(Recipe)}
    methods = {"optimizer", "nesterov", "schedule", "anneal", "final_lr", "normalization"}
    assert set(submission.chosen) <= names | methods | {"cutout_fill"}
    for setting, reason in submission.chosen.items():
        assert ": " in reason
        if setting in names:
            value = getattr(submission.recipe, setting)
            value = value if isinstance(value, str) else f"{value:.4g}"
            assert re.split("[:;]", reason)[0] == value, setting
    # In these, no README is silent.
    assert submission.recipe.label_smoothing == 0
    assert submission.recipe.epochs == 24
    assert submission.recipe.batch_size == 512


@each
def test_mistakes_are_sentences(name):
    for sentence in SUBMISSIONS[name].mistakes:
        assert sentence[0].isupper()
        assert sentence.endswith(".")


@needs_readmes
def test_the_logs_are_the_published_digits():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "submission_logs.py", "--check", READMES],
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


@pytest.mark.parametrize("name", ["era1-s10-strided", "eva4-s11", "eva8-s8"])
def test_a_log_has_the_printed_digits(name):
    """To the last one, with any version of pandas, and no function of it that is deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log = SUBMISSIONS[name].log()
    with open(ROOT / "s10" / "submissions" / "logs" / f"{name}.csv", newline="") as file:
        printed = list(csv.DictReader(file))
    assert list(log) == list(printed[0])
    for column, values in log.items():
        assert values.tolist() == [float(row[column]) for row in printed]
    assert log["epoch"].dtype == np.int64


@pytest.mark.parametrize("name", ["era1-s10", "eva6-s9"])
def test_the_others_have_no_log(name):
    assert SUBMISSIONS[name].log() is None


# Their runs.


@pytest.mark.parametrize(
    ("name", "kind", "settings"),
    [
        ("era1-s10-strided", torch.optim.Adam, {"betas": (0.95, 0.999), "weight_decay": 0.01}),
        ("era1-s10", torch.optim.Adam, {"betas": (0.95, 0.999), "weight_decay": 0}),
        *(
            (name, torch.optim.SGD, {"momentum": 0.95, "nesterov": False, "weight_decay": 0})
            for name in ("eva4-s11", "eva8-s8", "eva6-s9")
        ),
    ],
)
def test_the_optimizer(name, kind, settings):
    recipe, model = SUBMISSIONS[name].recipe, torch.nn.Linear(2, 2)
    optimizer = recipe.make_optimizer(model)
    assert type(optimizer) is kind  # Adam, not AdamW: the decay is an L2 term.
    assert {"lr": recipe.lr_min, **settings}.items() <= optimizer.defaults.items()
    if kind is torch.optim.Adam:
        assert not optimizer.defaults["decoupled_weight_decay"]
    low = recipe.at_peak().make_optimizer(model).defaults
    assert low.get("momentum", low.get("betas", [0])[0]) == recipe.momentum_min


@each
def test_each_trains(name, few):
    recipe = replace(
        SUBMISSIONS[name].recipe, data="shapes", width=4, batch_size=50, precision="fp32"
    ).with_epochs(10)
    recipe = recipe.with_lr_max(min(recipe.lr_max, 0.05))
    seed_everything(0)
    model = recipe.initial_model(few)
    train, test = recipe.train_loader(few), recipe.test_loader(few)
    result = fit(model, train, test, recipe, few.classes)
    assert result.history["train_loss"].iloc[-1] < result.history["train_loss"].iloc[0]


def test_eva4s_range_test(few):
    """20 epochs, evenly spaced LRs, a new network for each; its LRMAX is the second of them."""
    dataset = few.subset(60, 20)
    recipe = replace(SUBMISSIONS["eva4-s11"].recipe, width=4, batch_size=20, precision="fp32")
    result = range_test_per_epoch(
        recipe.make_model, lambda seeded: seeded.train_loader(dataset), recipe
    )
    assert np.abs(result.curves["lr"] - np.linspace(1e-4, 1, 20)).max() < 1e-15
    assert result.curves["lr"][1] == pytest.approx(recipe.lr_max, rel=1e-15)
    assert result.curves["value"].between(0, 1).all()


def test_era1_s10_strided_divides_by_the_std_of_single_images(few):
    recipe = SUBMISSIONS["era1-s10-strided"].recipe
    pixels = few.train_images.reshape(len(few.train_images), -1, 3) / 255
    mean, std = recipe.normalization(few)
    assert mean == few.mean
    assert std == pytest.approx(pixels.std(1).mean(0), rel=0.01)
    assert std != pytest.approx(few.std, rel=0.01)
    loader = replace(recipe, data="shapes", batch_size=100).train_loader(few)
    assert (loader.transform.transform.std.flatten() / 255).tolist() == pytest.approx(std)
