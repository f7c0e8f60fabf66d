"""`check_assignment`: right code passes however it is written, and each mistake has its line."""

import random
import re
from dataclasses import replace

import albumentations as A
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from albumentations.pytorch import ToTensorV2
from torch import nn
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR
from torchvision import transforms as T
from torchvision.transforms import v2

from s10 import CustomResNet, Recipe, check_assignment, simulate_schedule
from s10.custom_resnet import conv3x3
from s10.speed.recipes import LAPTOP
from s10.submissions import SUBMISSIONS
from s10.submissions.variants import ReluBeforeBNNet, SoftmaxNet, TwoBranchesNet
from s10.transforms import albumentations_pipeline

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
RESIDUALS = {"layer 1, X + R1", "layer 3, X + R2"}
LAYERS = {"prep", "layer 1, X", "layer 2", "layer 3, X", *RESIDUALS}

PAD, CROP, FLIP = A.Pad(4), A.RandomCrop(32, 32), A.HorizontalFlip(p=0.5)
SQUARE = {"num_holes_range": (1, 1), "hole_height_range": (8, 8), "hole_width_range": (8, 8)}
CUTOUT = A.CoarseDropout(**SQUARE, fill=125, p=1)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    np.random.seed(0)


def failed(*given, **named):
    """The names of the lines that fail, and their texts."""
    rows = check_assignment(*given, **named).rows
    return {text.split(":")[0]: text for passed, text in rows if passed is False}


def schedule_of(recipe):
    return lambda optimizer: recipe.make_scheduler(optimizer, 98)


def one_cycle(**changes):
    settings = {"max_lr": 0.01, "total_steps": 2352, "pct_start": 5 / 24, "final_div_factor": 1}
    return lambda optimizer: OneCycleLR(optimizer, **settings | changes)


# The assignment's own code, and the five submissions.


@pytest.mark.parametrize("augment", ["batched", "albumentations"])
def test_the_assignments_own_code_passes(augment):
    recipe = replace(Recipe(), augment=augment)
    history = pd.DataFrame({"test_accuracy": [0.5] * 23 + [0.94]})
    report = check_assignment(recipe.make_model(), recipe, schedule_of(recipe), history)
    assert report
    assert str(report).count("✓") == len(report.rows) == 18
    assert "✓ parameters: 6,573,130\n" in str(report)


def test_the_quarter_width_is_named():
    assert "✓ parameters: 412,954, the quarter-width network" in str(
        check_assignment(CustomResNet(width=16))
    )


STRIDED = {
    *RESIDUALS, "layer 2", "end", "softmax", "parameters", "crop", "CutOut", "one cycle",
    "no annihilation", "accuracy",
}  # fmt: skip
RELU_FIRST = {*LAYERS, "softmax", "parameters", "one cycle", "no annihilation", "accuracy"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("era1-s10-strided", STRIDED),
        ("era1-s10", set()),
        ("eva4-s11", set()),
        ("eva8-s8", RELU_FIRST),
        ("eva6-s9", {"no annihilation"}),
    ],
)
def test_the_deviations_of_the_submissions_are_found_and_nothing_else(name, expected):
    submission = SUBMISSIONS[name]
    recipe, log = submission.recipe, submission.log()
    if name == "eva8-s8":  # Its log has no test accuracy; its README states 87%.
        log["test_accuracy_percent"] = 87.0
    found = failed(recipe.make_model(), recipe, schedule_of(recipe), log)
    assert set(found) == expected
    if name == "era1-s10-strided":
        assert "from before X" in found["layer 3, X + R2"]
        assert "it should step after each batch" in found["one cycle"]
        assert "yours cuts 5" in found["CutOut"]
    if name == "eva8-s8":
        assert "6,575,370, 2,240 of them biases" in found["parameters"]


def test_the_transform_of_era1_s10_strided_as_its_readme_prints_it():
    normalize = A.Normalize(MEAN, (0.2023, 0.1994, 0.2010))
    cutout = A.CoarseDropout(**SQUARE, fill=0, p=0.5)
    report = check_assignment(transforms=A.Compose([CROP, FLIP, cutout, normalize, ToTensorV2()]))
    assert [text.split(":")[0] for passed, text in report.rows if passed is False] == [
        "crop", "CutOut",
    ]  # fmt: skip
    assert "mean 0.491, 0.482, 0.446, std 0.202, 0.199, 0.201 (the std of single" in str(report)


def test_the_log_of_eva4_s11_is_a_schedule():
    rates = np.repeat(SUBMISSIONS["eva4-s11"].log()["lr"], 98)
    assert check_assignment(schedule=rates)


# Networks.


class Functional(nn.Module):
    """The network in another style: functions, in place, with names that say nothing."""

    def __init__(self, width=16):
        super().__init__()
        self.last = nn.Linear(8 * width, 10)
        sizes = {"z": (4, 8), "q": (2, 2), "r": (2, 2), "k": (1, 2), "m": (2, 4), "u": (8, 8)}
        for name, (size_in, size_out) in {**sizes, "v": (8, 8), "a": (3 / width, 1)}.items():
            conv = nn.Conv2d(int(size_in * width), size_out * width, 3, padding="same", bias=False)
            setattr(self, name, conv)
            setattr(self, f"{name}2", nn.BatchNorm2d(size_out * width))

    def step(self, name, x, pool=False):
        x = getattr(self, name)(x)
        x = getattr(self, f"{name}2")(F.max_pool2d(x, 2) if pool else x)
        return F.dropout(torch.relu_(x), 0.1, self.training)

    def forward(self, images):
        x = self.step("a", images.contiguous(memory_format=torch.channels_last))
        x = self.step("k", x, pool=True)
        x = self.step("r", self.step("q", x)).add_(x)
        x = self.step("z", self.step("m", x, pool=True), pool=True)
        x = x.clone() + self.step("v", self.step("u", x))
        return self.last(F.adaptive_max_pool2d(x, 1).squeeze())


def frozen():
    return CustomResNet(width=16).requires_grad_(False)


def change(function):
    """A CustomResNet of quarter width, changed by the function."""

    def make():
        model = CustomResNet(width=16)
        function(model)
        return model

    make.__name__ = function.__name__
    return make


@change
def large_stride_at_the_end(model):
    model.pool = nn.MaxPool2d(4, 2)  # A single window has no stride.


@change
def amax_at_the_end(model):
    model.pool.forward = lambda x: x.amax((2, 3))


@pytest.mark.parametrize("make", [Functional, frozen, large_stride_at_the_end, amax_at_the_end])
def test_it_does_not_matter_how_a_network_is_written(make):
    assert failed(make()) == {}


class NoResidual(nn.Sequential):
    def __init__(self, block):
        super().__init__(*block.branch)


class Changed(nn.Module):
    """Another way to join x and its branch."""

    def __init__(self, block, join):
        super().__init__()
        self.branch, self.join = block.branch, join

    def forward(self, x):
        return self.join(x, self.branch(x))


@change
def bn_before_pooling(model):
    block = model.layer2
    block[1], block[2] = block[2], block[1]


@change
def no_relu_in_layer_3(model):
    model.layer3[0][3] = nn.Identity()


@change
def leaky_relu_in_the_prep_layer(model):
    model.prep[2] = nn.LeakyReLU()


@change
def no_bn_in_the_branch(model):
    model.layer1[1].branch[0][1] = nn.Identity()


@change
def bias(model):
    model.layer2[0].bias = nn.Parameter(torch.zeros(64))


@change
def no_residual_in_layer_3(model):
    model.layer3[1] = NoResidual(model.layer3[1])


@change
def no_residuals(model):
    model.layer1[1], model.layer3[1] = NoResidual(model.layer1[1]), NoResidual(model.layer3[1])


@change
def layers_1_and_3_without_branches(model):
    model.layer1[1] = model.layer3[1] = nn.Identity()


@change
def residual_on_layer_2(model):
    block = CustomResNet(width=32).layer1[1]
    model.layer2.append(block)


@change
def relu_after_the_addition(model):
    model.layer3.append(nn.ReLU())


@change
def branch_twice(model):
    model.layer1[1] = Changed(model.layer1[1], lambda x, r: r + r)


@change
def half_of_the_branch(model):
    model.layer1[1] = Changed(model.layer1[1], lambda x, r: torch.add(x, r, alpha=0.5))


@change
def twice_the_shortcut(model):
    model.layer1[1] = Changed(model.layer1[1], lambda x, r: r + 2 * x)


@change
def product(model):
    model.layer1[1] = Changed(model.layer1[1], lambda x, r: x * r)


@change
def strided_conv_in_layer_2(model):
    model.layer2[0].stride, model.layer2[1] = (2, 2), nn.Identity()


@change
def average_at_the_end(model):
    model.pool = nn.AdaptiveAvgPool2d(1)


@change
def no_fc(model):
    model.fc = nn.Identity()


@change
def two_fc(model):
    model.fc = nn.Sequential(nn.Linear(128, 16), nn.Linear(16, 10))


@change
def five_by_five_in_the_prep_layer(model):
    model.prep[0] = nn.Conv2d(3, 16, 5, padding=2, bias=False)


class LogSoftmaxNet(CustomResNet):
    def forward(self, x):
        return F.log_softmax(super().forward(x), 1)


def wide_in_layer_3():
    model = CustomResNet(width=64)
    model.layer3[0][0] = conv3x3(256, 256)
    model.layer3[0][2] = nn.BatchNorm2d(256)
    model.layer3[1] = CustomResNet(width=128).layer1[1]
    model.fc = nn.Linear(256, 10)
    return model


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (bn_before_pooling, {"layer 2": "yours conv 3x3 (64) > BN > MaxPool 2x2 > ReLU"}),
        (no_relu_in_layer_3, {"layer 3, X"}),
        (leaky_relu_in_the_prep_layer, {"prep"}),
        (no_bn_in_the_branch, {"layer 1, X + R1", "parameters"}),
        (bias, {"parameters": "yours 413,018, 64 of them biases of convolutions (bias=False)"}),
        (no_residual_in_layer_3, {"layer 3, X + R2": "BN > ReLU, without an addition"}),
        (no_residuals, RESIDUALS),
        (
            layers_1_and_3_without_branches,
            {**dict.fromkeys(RESIDUALS, "yours is missing"), "parameters": ""},
        ),
        (
            residual_on_layer_2,
            {
                "layer 2": "> X + (conv 3x3 (64) > BN > ReLU > conv 3x3 (64) > BN > ReLU)",
                "parameters": "",
            },
        ),
        (relu_after_the_addition, {"layer 3, X + R2"}),
        (branch_twice, {"layer 1, X + R1"}),
        (half_of_the_branch, {"layer 1, X + R1": "yours X + 0.5 * (conv"}),
        (twice_the_shortcut, {"layer 1, X", "layer 1, X + R1"}),
        (product, {"layer 1, X + R1"}),
        (strided_conv_in_layer_2, {"layer 2": "yours conv 3x3 (64), stride 2x2 > BN > ReLU"}),
        (average_at_the_end, {"end": "yours Mean > FC (10)"}),
        (no_fc, {"end", "parameters"}),
        (two_fc, {"end", "parameters"}),
        (five_by_five_in_the_prep_layer, {"prep", "parameters"}),
        (lambda: SoftmaxNet(width=16), {"softmax": "yours returns probabilities"}),
        (lambda: LogSoftmaxNet(width=16), {"softmax": "yours returns log-probabilities"}),
        (lambda: ReluBeforeBNNet(width=16), LAYERS),
        (lambda: TwoBranchesNet(width=16), {*RESIDUALS, "parameters"}),
        (lambda: CustomResNet(width=8), {"parameters"}),
        (lambda: CustomResNet(100, width=16), {"end", "parameters"}),
        (wide_in_layer_3, {"layer 3, X", "layer 3, X + R2", "parameters"}),
    ],
)
def test_a_wrong_network_fails_in_its_line(make, expected):
    found = failed(make())
    assert set(found) == set(expected)
    if isinstance(expected, dict):  # What the lines say.
        assert all(text in found[name] for name, text in expected.items())


class Odd(CustomResNet):
    def __init__(self, end):
        super().__init__(width=4)
        self.end = end

    def forward(self, x):
        return self.end(super().forward(x))


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (CustomResNet, "give a network, such as Net(), not <class 's10.custom_resnet.C"),
        (Odd(lambda x: (x, x)), "forward must return one tensor, not a tuple"),
        (Odd(lambda x: x.argmax(1)), "no gradient reaches the images"),
        (Odd(lambda x: x.detach()), "no gradient reaches the images"),
        (nn.Identity(), "should make logits (2, 10) of images (2, 3, 32, 32), not (2, 3, 32, 32)"),
        (Odd(lambda x: x + torch.ones(3)), "stops with RuntimeError: The size of tensor"),
    ],
)
def test_a_network_that_cannot_be_read_is_one_line(network, text):
    found = failed(network)
    assert list(found) == ["network"]
    assert text in found["network"]


def test_the_lines_of_a_network_with_very_many_paths_stay_short():
    class Dense(nn.Module):
        def __init__(self):
            super().__init__()
            self.convs = nn.ModuleList(nn.Conv2d(4 * n or 3, 4, 3, padding=1) for n in range(16))
            self.fc = nn.Linear(64, 10)

        def forward(self, x):
            found = [self.convs[0](x)]
            for conv in self.convs[1:]:
                found.append(conv(torch.cat(found, 1)))
            return self.fc(torch.cat(found, 1).amax((2, 3)))

    assert all(len(text) < 500 for text in failed(Dense()).values())


def test_nothing_changes():
    model = CustomResNet(width=16)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    check_assignment(model, own_augmentation)
    assert states == (
        random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    )  # fmt: skip
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


# Augmentations.


def torchvision(pad=4, flip=0.5, side=8, cut=1.0, *more):
    erase = T.RandomErasing(cut, scale=((side / 32) ** 2,) * 2, ratio=(1, 1), value=0)
    crop = T.RandomCrop(32, padding=pad)
    flip = T.RandomHorizontalFlip(flip)
    return T.Compose([crop, flip, *more, T.ToTensor(), T.Normalize(MEAN, STD), erase])


def pipeline(**changes):
    settings = {"pad": 4, "pad_mode": "reflect", "flip": True, "cutout": 8}
    return albumentations_pipeline(MEAN, STD, **settings | changes)


def own_augmentation(image):
    """By hand, with NumPy, and the CutOut of DeVries & Taylor, which the border may cut off."""
    pixels = np.pad(np.asarray(image), ((4, 4), (4, 4), (0, 0)))
    top, left = np.random.randint(0, 9, 2)
    pixels = pixels[top : top + 32, left : left + 32]
    pixels = pixels[:, ::-1] if random.random() < 0.5 else pixels
    y, x = np.random.randint(0, 32, 2)
    pixels = pixels / 255
    pixels[max(0, y - 4) : y + 4, max(0, x - 4) : x + 4] = 0.5
    return torch.from_numpy(pixels.transpose(2, 0, 1)).float()


ON_TENSORS = v2.Compose(
    [v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True),
     v2.Normalize(MEAN, STD), v2.RandomErasing(1.0, scale=(1 / 16, 1 / 16), ratio=(1, 1))]
)  # fmt: skip


class WithNumPy:
    """How albumentations is often wrapped for torchvision's data sets."""

    def __init__(self):
        self.pipeline = pipeline(pad_mode="constant")

    def __call__(self, image):
        return self.pipeline(image=np.array(image))["image"]


@pytest.mark.parametrize(
    "transform",
    [torchvision(), pipeline(), own_augmentation, ON_TENSORS, WithNumPy()],
    ids=["torchvision", "albumentations", "by hand", "v2 on tensors", "wrapped"],
)
def test_right_augmentations_pass(transform):
    assert failed(transforms=transform) == {}


def composed(*steps):
    return A.Compose([*steps, A.Normalize(MEAN, STD), ToTensorV2()])


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (pipeline(pad=0), {"crop": "yours shifts nothing: without padding"}),
        (pipeline(pad=2), {"crop": "yours shifts by -2 to 2"}),
        (pipeline(pad=8), {"crop": "yours shifts by -8 to 8"}),
        (composed(A.Compose([PAD, CROP], p=0.5), FLIP, CUTOUT), {"crop": "in place"}),
        (composed(PAD, A.CenterCrop(32, 32), FLIP, CUTOUT), {"crop": "shifts nothing"}),
        (torchvision(flip=1.0), {"flip": "yours flips 100%"}),
        (pipeline(flip=False), {"flip": "yours flips 0%"}),
        (composed(PAD, CROP, FLIP, A.CoarseDropout(p=1)), {"CutOut": "cuts out up to "}),
        (pipeline(cutout=0), {"CutOut": "yours has none"}),
        (pipeline(cutout=16), {"CutOut": "yours cuts out up to 16x16, most often 16x16"}),
        (torchvision(side=6), {"CutOut": "up to 6x6"}),
        (composed(PAD, CROP, FLIP, CUTOUT, A.VerticalFlip(p=0.5)), {"extra": "yours changes"}),
        (torchvision(4, 0.5, 8, 1.0, T.RandomGrayscale()), {"extra": "1"}),
        (torchvision(4, 0.5, 8, 1.0, T.ColorJitter(0.4)), {"transforms": "by more than a shift"}),
        (torchvision(4, 0.5, 8, 1.0, T.RandomRotation(15)), {"transforms": "by more than a shift"}),
        (composed(PAD, FLIP, CUTOUT), {"transforms": "yours becomes (3, 40, 40)"}),
        (composed(CUTOUT), {"crop": "", "flip": ""}),
        (T.ToTensor(), {"crop": "", "flip": "", "CutOut": ""}),
        (lambda image: 1 / 0, {"transforms": "stops with ZeroDivisionError: division by zero"}),
        (lambda image: torch.zeros(3, 32, 32), {"transforms": "by more than a shift"}),
        ([T.ToTensor()], {"transforms": "give the transform of a training image, not [ToTensor"}),
    ],
)
def test_a_wrong_augmentation_fails_in_its_line(transform, expected):
    found = failed(transforms=transform)
    assert set(found) == set(expected)
    for name, text in expected.items():
        assert text in found[name]


def test_a_cutout_of_every_second_image_is_named():
    found = failed(transforms=composed(PAD, CROP, FLIP, A.CoarseDropout(**SQUARE, fill=0)))
    assert set(found) == {"CutOut"}
    (share,) = re.findall(r"yours cuts (\d+)% \(p=1; the default", found["CutOut"])
    assert 38 <= int(share) <= 62  # 600 draws: six standard deviations


def test_another_recipe_has_another_augmentation():
    assert "yours becomes (3, 24, 24)" in failed(transforms=LAPTOP)["transforms"]
    assert set(failed(transforms=replace(LAPTOP, low_res_fraction=0.0))) == {"crop", "CutOut"}


# Schedules.


@pytest.mark.parametrize(
    "schedule",
    [
        one_cycle(),
        one_cycle(anneal_strategy="linear"),
        simulate_schedule(one_cycle(), 2352),
        simulate_schedule(one_cycle(), 2352)[0],
        np.interp(np.arange(2352) / 98, [0, 5, 24], [0.001, 0.01, 0.001]),
        pd.Series(np.interp(np.arange(2352), [0, 489, 2351], [0.0, 0.01, 0.0])),
        torch.tensor(simulate_schedule(one_cycle(), 2352)[0]),
    ],
    ids=["cos", "linear", "simulated", "rates", "by hand", "series", "tensor"],
)
def test_right_schedules_pass(schedule):
    assert failed(schedule=schedule) == {}


PER_EPOCH = np.repeat(simulate_schedule(one_cycle(), 24)[0], 98)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (one_cycle(pct_start=0.2), {"one cycle": "yours peaks after 4.81 epochs"}),
        (one_cycle(pct_start=0.3), {"one cycle": "yours peaks after 7.20 epochs"}),
        (one_cycle(final_div_factor=1e4),
         {"no annihilation": "yours begins at 0.0004 and falls to 4e-08"}),
        (PER_EPOCH, {"one cycle": "after 24.00 epochs, it", "no annihilation": "and ends at"}),
        (one_cycle(total_steps=24), {"schedule": "stops with ValueError: Tried to step"}),
        (np.interp(np.arange(9384), [0, 1954, 9383], [0.001, 0.01, 0.001]), {"steps": "9,384"}),
        (np.interp(np.arange(1470), [0, 305, 1469], [0.001, 0.01, 0.001]), {"steps": "1,470"}),
        (SUBMISSIONS["eva4-s11"].log()["lr"].tolist(), {"steps": "yours 24"}),
        (np.full(2352, 0.01), {"one cycle": "yours never rises"}),
        (np.linspace(0.01, 0.001, 2352), {"one cycle": "never rises", "no annihilation": ""}),
        (lambda optimizer: CyclicLR(optimizer, 0.001, 0.01, 490, 490, cycle_momentum=False),
         {"one cycle": "", "no annihilation": ""}),
        (np.interp(np.arange(2352), [0, 100, 200, 489, 2351], [0.001, 0.005, 0.003, 0.01, 0.001]),
         {"one cycle": "yours turns more than once"}),
        ([0.1] * 2351 + [np.nan], {"schedule": "give the LR of each step"}),
        (0.01, {"schedule": "give the LR of each step"}),
        (OneCycleLR(torch.optim.SGD([torch.zeros(1)], 1), 1, 24), {"schedule": "give a function"}),
    ],
)  # fmt: skip
def test_a_wrong_schedule_fails_in_its_line(schedule, expected):
    found = failed(schedule=schedule)
    assert set(found) == set(expected)
    for name, text in expected.items():
        assert text in found[name]


# Histories.

GOOD = [0.5] * 23 + [0.9]


@pytest.mark.parametrize(
    "history",
    [
        GOOD,
        np.array(GOOD),
        [100 * value for value in GOOD],
        {"test_acc": GOOD, "train_acc": GOOD},
        [{"epoch": epoch, "val_accuracy": value} for epoch, value in enumerate(GOOD)],
        pd.DataFrame({"test_accuracy": GOOD}),
        pd.Series(GOOD),
    ],
)
def test_right_histories_pass(history):
    assert check_assignment(history=history)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (GOOD[1:], {"epochs": "yours 23"}),
        ([*GOOD, 0.91], {"epochs": "yours 25"}),
        (
            [*GOOD[:-2], 0.95, 0.899],
            {"accuracy": "yours 89.90%, and the best epoch does not count"},
        ),
        ([*GOOD[:-1], np.nan], {"accuracy": "yours nan%"}),
        (
            SUBMISSIONS["eva8-s8"].log(),
            {"history": "no test_accuracy; the columns are epoch, train"},
        ),
        ([], {"epochs": "yours 0", "history": "no test_accuracy"}),
        (7, {"history": "stops with TypeError: 'int' object is not iterable"}),
    ],
)
def test_a_wrong_history_fails_in_its_line(history, expected):
    found = failed(history=history)
    assert set(found) == set(expected)
    for name, text in expected.items():
        assert text in found[name]


# The report.


def test_nothing_given_is_shown_and_is_not_a_success():
    report = check_assignment()
    parts = ("network", "transforms", "schedule", "history")
    assert repr(report) == "\n".join(f"– {part}: not given" for part in parts)
    assert not report


def test_parts_that_pass_are_a_success_and_one_failure_is_none():
    assert check_assignment(history=GOOD)
    assert not check_assignment(history=GOOD, schedule=np.full(2352, 0.01))
