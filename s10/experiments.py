"""The short experiments of the notebooks: what cycle, depth and single mistakes do."""

from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR

from s10.batches import eval_batches, train_batches
from s10.custom_resnet import CustomResNet, conv3x3, conv_block
from s10.errors import InputError
from s10.images.dataset import Images
from s10.networks import make_network
from s10.recipe import Recipe
from s10.submissions.traps import TRAPS
from s10.training import fit, make_optimizer, seed_everything

# What the notebooks and the stored runs have in common, so that they can be compared.
FEW_TRAIN, FEW_TEST = 10_000, 2_000
SCHEDULE_EPOCHS, DEPTH_EPOCHS, TRAP_EPOCHS = 8, 5, 5
FEW_TRAPS = ("std of single images", "softmax before the loss", "L2 of 1e-2 in Adam")
NO_TRAP = "the recipe as it is"


def compare_schedules(images: Images, recipe: Recipe, device="cpu") -> pd.DataFrame:
    """The recipe's one cycle against two constant LRs, everything else the same.

    Each starts from the same weights and gets the same batches. The constant
    LRs are LRMAX and a tenth of it; their momentum is the mean of the cycle's.
    Gives back the histories under one another, with a column `schedule`.
    """
    histories = []
    for name, rate in (
        ("one cycle", None),
        (f"constant {recipe.lr_max:g}", recipe.lr_max),
        (f"constant {recipe.lr_max / 10:g}", recipe.lr_max / 10),
    ):
        print(name)
        seed_everything(recipe.seed)
        model = CustomResNet(len(images.classes), recipe.width).to(device)
        optimizer = scheduler = None  # fit takes those of the recipe
        if rate is not None:
            middle = (recipe.momentum_max + recipe.momentum_min) / 2
            optimizer = make_optimizer(model, replace(recipe, lr_min=rate, lr_max=rate), middle)
            scheduler = ConstantLR(optimizer, factor=1)
        result = fit(
            model, train_batches(images, recipe, device), eval_batches(images, device), recipe,
            images.classes, optimizer=optimizer, scheduler=scheduler,
        )  # fmt: skip
        histories.append(result.history.assign(schedule=name))
        if result.interrupted:  # The stop button stops all of them.
            break
    return pd.concat(histories, ignore_index=True)


class DeepNet(nn.Module):
    """A narrow network of `depth` 3×3 convolutions, with or without shortcuts.

    Made to show the degradation problem (He et al. 2015, section 1): after a
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


def compare_depths(
    images: Images, recipe: Recipe, device="cpu", depths: tuple[int, ...] = (9, 49)
) -> pd.DataFrame:
    """Train plain and residual `DeepNet`s of each depth by the recipe.

    Gives back a row for each network and epoch: depth, shortcuts, step (steps
    so far), loss (mean training loss of that epoch), test_accuracy.
    """
    rows = []
    for shortcuts in (False, True):
        for depth in depths:
            print(f"{depth} layers, {'with' if shortcuts else 'without'} shortcuts")
            seed_everything(recipe.seed)
            model = DeepNet(depth, shortcuts, len(images.classes)).to(device)
            batches = train_batches(images, recipe, device)
            result = fit(model, batches, eval_batches(images, device), recipe, images.classes)
            rows += [
                {
                    "depth": depth,
                    "shortcuts": shortcuts,
                    "step": int(row.epoch) * len(batches),
                    "loss": row.train_loss,
                    "test_accuracy": row.test_accuracy,
                }
                for row in result.history.itertuples()
            ]
            if result.interrupted:  # The stop button stops all of them.
                return pd.DataFrame(rows)
    return pd.DataFrame(rows)


def compare_traps(
    images: Images,
    recipe: Recipe,
    names: tuple[str, ...] = FEW_TRAPS,
    epochs: int = TRAP_EPOCHS,
    device="cpu",
) -> pd.DataFrame:
    """The recipe, and the recipe with each of these traps alone (`s10.submissions.traps`).

    All start from the same seed and see the same images. Gives back the
    histories under one another, with a column `trap`.

    Raises:
        InputError: there is no trap of that name.
    """
    if unknown := [name for name in names if name not in TRAPS]:
        raise InputError(f"no trap {unknown[0]!r}; there are {', '.join(TRAPS)}")
    histories = []
    for name in (NO_TRAP, *names):
        print(name)
        changed = TRAPS[name].recipe(recipe) if name in TRAPS else recipe
        changed = changed.with_epochs(epochs)
        seen = images.normalised_by(changed.std_of)
        seed_everything(changed.seed)
        model = make_network(changed, len(images.classes)).to(device)
        result = fit(
            model, train_batches(seen, changed, device), eval_batches(seen, device), changed,
            images.classes,
        )  # fmt: skip
        histories.append(result.history.assign(trap=name))
        if result.interrupted:  # The stop button stops all of them.
            break
    return pd.concat(histories, ignore_index=True)


def final_accuracy(table: pd.DataFrame, by: str = "schedule") -> dict[str, float]:
    """Test accuracy of each run's last epoch, from `compare_schedules` or (by "trap") the traps."""
    last = table.groupby(by, sort=False).last()
    return {name: float(value) for name, value in last["test_accuracy"].items()}


def final_loss(table: pd.DataFrame) -> dict[str, float]:
    """Training loss of each network's last epoch, from `compare_depths`."""
    last = table.groupby(["depth", "shortcuts"], sort=False).last()
    return {
        f"{depth} layers, {'residual' if shortcuts else 'plain'}": float(value)
        for (depth, shortcuts), value in last["loss"].items()
    }
