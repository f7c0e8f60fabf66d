"""The short experiments of the notebooks: what one cycle, depth and single mistakes change."""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from s10.custom_resnet import conv3x3, conv_block
from s10.datasets.dataset import ImageDataset
from s10.recipe import Recipe
from s10.runtime.errors import InputError
from s10.schedules import OneCycle
from s10.submissions.pitfalls import PITFALLS
from s10.training import fit, seed_everything

# The sizes of the stored runs, which the notebooks use, too, so that both can be compared.
TRAIN_IMAGES, TEST_IMAGES = 10_000, 2_000
SCHEDULE_EPOCHS, DEPTH_EPOCHS, PITFALL_EPOCHS = 8, 5, 5
SOME_PITFALLS = ("std of single images", "softmax before the loss", "L2 of 1e-2 in Adam")
NO_PITFALL = "the recipe as it is"
DISAGREE = "the seeds disagree"


def train_each(
    dataset: ImageDataset,
    recipes: dict[str, Recipe],
    device="cpu",
    by: str = "recipe",
    seeds: int = 1,
    measure: Callable[[nn.Module], dict] | None = None,
) -> pd.DataFrame:
    """Train by each of the recipes, and return their histories one below the other.

    Args:
        recipes: name → recipe; equal seeds begin with the same weights and batches.
        by: the column with the name; the column `seed` has each run's seed.
        seeds: the runs of each recipe: with its own seed, and with those that follow.
        measure: called with each trained network; what it returns are further columns.

    An interruption ends the experiment.
    """
    histories = []
    for count, (name, recipe) in product(range(seeds), recipes.items()):
        recipe = replace(recipe, seed=recipe.seed + count)
        print(f"{name}, seed {recipe.seed}")
        seed_everything(recipe.seed)
        model = recipe.initial_model(dataset).to(device)
        train, test = recipe.train_loader(dataset, device), recipe.test_loader(dataset, device)
        result = fit(model, train, test, recipe, dataset.classes)
        measured = measure(model) if measure and not result.interrupted else {}
        histories.append(result.history.assign(**{by: name, "seed": recipe.seed}, **measured))
        if result.interrupted:
            break
    return pd.concat(histories, ignore_index=True)


def compare_variants(
    variants: dict[str, Recipe],
    dataset: ImageDataset,
    device="cpu",
    seeds: int = 3,
    measure: Callable[[nn.Module], dict] | None = None,
) -> pd.DataFrame:
    """Train each variant with several seeds: histories with the columns `variant` and `seed`.

    Show them by `s10.plots.plot_schedules(table, by="variant")` and `paired_differences(table)`.

    Args:
        variants: name → recipe; the first is what the others are compared with.
        measure: as for `train_each`.
    """
    return train_each(dataset, variants, device, by="variant", seeds=seeds, measure=measure)


def paired_differences(table: pd.DataFrame, by: str = "variant") -> pd.DataFrame:
    """Final test accuracy of each variant minus that of the first, in percentage points.

    A row for each variant but the first. Columns: one for each seed, whose runs share initial
    weights and batches; their mean; and in words whether the seeds agree. A run that was
    interrupted does not count (NaN).
    """
    runs = table.groupby([by, "seed"], sort=False)["test_accuracy"].agg(["last", "size"])
    finished = runs["size"] == runs.groupby(by)["size"].transform("max")
    final = 100 * runs["last"].where(finished).unstack("seed")
    final = final.loc[table[by].unique()]
    differences = (final - final.iloc[0]).iloc[1:]
    signs = [set(np.sign(row.dropna())) for _, row in differences.iterrows()]
    words = {1: "higher with each seed", -1: "lower with each seed"}
    agree = [words.get(min(sign), "no change") if len(sign) == 1 else DISAGREE for sign in signs]
    means = differences.mean(axis=1)
    return differences.add_prefix("seed ").assign(mean=means, seeds=agree)


def differences_by_epoch(table: pd.DataFrame, column: str, by: str = "schedule") -> pd.DataFrame:
    """This column of each run minus that of the first, compared seed by seed.

    Rows: the other runs' names and seeds. Columns: the epochs.
    """
    wide = table.pivot(index="epoch", columns=[by, "seed"], values=column)
    first, *others = table[by].unique()
    return pd.concat({name: (wide[name] - wide[first]).T for name in others})


def with_constant_lr(recipe: Recipe, lr: float) -> Recipe:
    """The recipe with this LR, and the mean of the cycle's momentum, at every step."""
    momentum = (recipe.momentum_max + recipe.momentum_min) / 2
    changes = {"lr_max": lr, "lr_min": lr, "momentum_max": momentum, "momentum_min": momentum}
    return _with_scheduler(replace(recipe, **changes), final_lr=lr)


def without_fall(recipe: Recipe) -> Recipe:
    """The recipe with an LR and a momentum that stay as they are at the peak."""

    class WithoutFall(OneCycle):
        def step(self, epoch: int | None = None) -> None:
            if self.last_epoch < self.peak_step:
                super().step(epoch)

    return _with_scheduler(recipe, cycle=WithoutFall)


def without_rise(recipe: Recipe) -> Recipe:
    """The recipe with an LR that is LRMAX from the first step to the end of its rise."""
    end = getattr(recipe, "final_lr", recipe.lr_min)
    return _with_scheduler(replace(recipe, lr_min=recipe.lr_max), final_lr=end)


def with_flat_start(recipe: Recipe) -> Recipe:
    """The recipe with the mean of the rise in place of the rise; momentum and fall are the same."""

    class FlatStart(OneCycle):
        def get_lr(self) -> list[float]:
            rates = super().get_lr()  # It also moves the momentum.
            if self.last_epoch <= self.peak_step:
                return [(recipe.lr_min + recipe.lr_max) / 2] * len(rates)
            return rates

    return _with_scheduler(recipe, cycle=FlatStart)


def with_lr(recipe: Recipe, lr: Callable[[int], float]) -> Recipe:
    """The recipe with the LR `lr(step)`, steps counted from 0; the momentum is the cycle's."""

    class OwnLR(OneCycle):
        def get_lr(self) -> list[float]:
            rates = super().get_lr()  # It also moves the momentum.
            return [lr(self.last_epoch)] * len(rates)

    return _with_scheduler(recipe, cycle=OwnLR)


def _with_scheduler(recipe: Recipe, **options) -> Recipe:
    """The recipe with these options of `Recipe.make_scheduler`."""

    class OtherSchedule(type(recipe)):
        def make_scheduler(self, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler:
            return super().make_scheduler(optimizer, steps_per_epoch, **options)

    return OtherSchedule(**asdict(recipe))


def one_cycle_and_constant_lrs(recipe: Recipe) -> dict[str, Recipe]:
    """Name → recipe: as it is, and with the constant LRs LRMAX, 0.3 of it and a tenth."""
    constant = (recipe.lr_max, 0.3 * recipe.lr_max, 0.1 * recipe.lr_max)
    recipes = {f"constant {lr:g}": with_constant_lr(recipe, lr) for lr in constant}
    return {"one cycle": recipe, **recipes}


def compare_schedules(dataset: ImageDataset, recipe: Recipe, device="cpu") -> pd.DataFrame:
    """One cycle against three constant LRs, with the mean of the cycle's momentum.

    Returns the histories one below the other, with a column `schedule`.
    """
    recipes = one_cycle_and_constant_lrs(recipe)
    return train_each(dataset, recipes, device, by="schedule")


class DeepNet(nn.Module):
    """A narrow network of `depth` 3×3 convolutions, with or without shortcuts.

    Designed to show the degradation problem (He et al. 2015, section 1): after a
    first convolution and a pooling to 8 × 8, pairs of convolutions follow, with
    an identity shortcut around each pair if `shortcuts`. Both kinds have the
    same weights.

    Input: float (N, 3, 32, 32). Output: logits, float (N, num_classes).
    """

    def __init__(self, depth: int, shortcuts: bool, num_classes: int = 10, channels: int = 16):
        super().__init__()
        self.shortcuts = shortcuts
        self.prep = nn.Sequential(conv_block(3, channels), nn.MaxPool2d(4))
        self.pairs = nn.ModuleList(
            nn.Sequential(
                conv_block(channels, channels),
                conv3x3(channels, channels),
                nn.BatchNorm2d(channels),
            )
            for _ in range((depth - 1) // 2)
        )
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.prep(x)
        for pair in self.pairs:
            x = torch.relu(x + pair(x)) if self.shortcuts else torch.relu(pair(x))
        return self.fc(x.mean(dim=(2, 3)))


def with_model(recipe: Recipe, make_model: Callable[[int], nn.Module]) -> Recipe:
    """The recipe with another network: `make_model(num_classes)` returns it, with new weights."""

    class OwnModelRecipe(type(recipe)):
        initial_model = Recipe.initial_model

        def make_model(self, num_classes: int = 10) -> nn.Module:
            return make_model(num_classes)

    return OwnModelRecipe(**asdict(recipe))


def compare_depths(
    dataset: ImageDataset, recipe: Recipe, device="cpu", depths: tuple[int, ...] = (9, 49)
) -> pd.DataFrame:
    """Train plain and residual `DeepNet`s of each depth by the recipe.

    Returns a row for each network and epoch: depth, shortcuts, step (steps
    so far), loss (mean training loss of that epoch), test_accuracy.
    """
    pairs = [(depth, shortcuts) for shortcuts in (False, True) for depth in depths]
    networks = {_network_name(*pair): pair for pair in pairs}
    recipes = {name: with_model(recipe, partial(DeepNet, *pair)) for name, pair in networks.items()}
    table = train_each(dataset, recipes, device, by="network")
    table[["depth", "shortcuts"]] = [networks[name] for name in table["network"]]
    table["step"] = table["epoch"] * -(-len(dataset.train_labels) // recipe.batch_size)
    table = table.rename(columns={"train_loss": "loss"})
    return table[["depth", "shortcuts", "step", "loss", "test_accuracy"]]


class WithoutShortcuts(Recipe):
    """The assignment's network, its residual blocks reduced to F(x) in place of x + F(x)."""

    def make_model(self, num_classes: int = 10) -> nn.Module:
        model = super().make_model(num_classes)
        for layer in (model.layer1, model.layer3):
            layer[1] = layer[1].branch
        return model


class NormBeforePooling(Recipe):
    """The assignment's network with conv → BN → MaxPool → ReLU where it pools."""

    def make_model(self, num_classes: int = 10) -> nn.Module:
        model = super().make_model(num_classes)
        for down in (model.layer1[0], model.layer2, model.layer3[0]):
            down[1], down[2] = down[2], down[1]
        return model


def compare_pitfalls(
    dataset: ImageDataset,
    recipe: Recipe,
    names: tuple[str, ...] = SOME_PITFALLS,
    epochs: int = PITFALL_EPOCHS,
    device="cpu",
) -> pd.DataFrame:
    """The recipe, and the recipe with one of these pitfalls at a time.

    Returns the histories one below the other, with a column `pitfall`.

    Raises:
        InputError: there is no pitfall of that name.
    """
    if unknown := [name for name in names if name not in PITFALLS]:
        raise InputError(f"no pitfall {unknown[0]!r}; there are {', '.join(PITFALLS)}")
    recipes = {NO_PITFALL: recipe, **{name: PITFALLS[name].recipe(recipe) for name in names}}
    recipes = {name: each.with_epochs(epochs) for name, each in recipes.items()}
    return train_each(dataset, recipes, device, by="pitfall")


def final_accuracy(table: pd.DataFrame, by: str = "schedule") -> dict[str, float]:
    """Test accuracy of each run's last epoch, from `compare_schedules` or `compare_pitfalls`."""
    return table.groupby(by, sort=False)["test_accuracy"].last().to_dict()


def final_loss(table: pd.DataFrame) -> dict[str, float]:
    """Training loss of each network's last epoch, from `compare_depths`."""
    last = table.groupby(["depth", "shortcuts"], sort=False)["loss"].last().to_dict()
    return {_network_name(*network): value for network, value in last.items()}


def _network_name(depth: int, shortcuts: bool) -> str:
    return f"{depth} layers, {'residual' if shortcuts else 'plain'}"
