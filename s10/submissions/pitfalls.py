"""Single differences between the submissions and the assignment's recipe.

Each is the assignment's recipe with one thing changed: a field, or one overridden method.
What such a run loses against the recipe is the cost of that one thing.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from s10.recipe import Recipe
from s10.runtime.errors import InputError
from s10.submissions import recipes
from s10.submissions.published import SUBMISSIONS
from s10.submissions.schedules import OneCycleSteppedOncePerEpoch
from s10.submissions.variants import ReluBeforeBNNet, SoftmaxNet, TwoBranchesNet


class L2InAdam(Recipe):
    """Adam with an L2 term instead of decoupled decay."""

    make_optimizer = recipes.PublishedRecipe.make_optimizer


class SGDInsteadOfAdam(Recipe):
    """SGD with Nesterov momentum instead of Adam."""

    def make_optimizer(self, model: nn.Module) -> Optimizer:
        return torch.optim.SGD(
            model.parameters(),
            lr=self.lr_min,
            momentum=self.momentum_max,
            weight_decay=self.weight_decay,
            nesterov=self.momentum_min > 0,
        )


class SoftmaxBeforeLoss(Recipe):
    """A softmax at the end of the network."""

    def make_model(self, num_classes: int = 10) -> nn.Module:
        return SoftmaxNet(num_classes, self.width)


class ReluBeforeBN(Recipe):
    """The ReLU before the batch norm, in every block."""

    def make_model(self, num_classes: int = 10) -> nn.Module:
        return ReluBeforeBNNet(num_classes, self.width)


class TwoBranches(Recipe):
    """Two downsampling branches instead of the residual ones."""

    def make_model(self, num_classes: int = 10) -> nn.Module:
        return TwoBranchesNet(num_classes, self.width)


class PerImageStd(Recipe):
    """The standard deviation within each image, averaged, instead of that of all pixels."""

    normalization = recipes.Era1S10Strided.normalization


class SteppedOncePerEpoch(Recipe):
    """A schedule made for batches, stepped once per epoch."""

    def make_scheduler(self, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler:
        cycle = OneCycleSteppedOncePerEpoch
        return super().make_scheduler(optimizer, steps_per_epoch, cycle=cycle)


class Annihilation(Recipe):
    """The LR ends at a hundredth of LRMIN."""

    def make_scheduler(self, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler:
        final_lr = self.lr_min / 100
        return super().make_scheduler(optimizer, steps_per_epoch, final_lr=final_lr)


@dataclass(frozen=True)
class Pitfall:
    """One difference: a class that overrides a method of Recipe, changed fields, or both.

    `found_in` names the submissions that have it; `setting` is what it changes, as in
    `Submission.chosen`. `part_of` are the submissions whose loss
    it explains in part when it is measured in our recipe; None stands for all of `found_in`.
    """

    name: str
    found_in: tuple[str, ...]
    setting: str
    recipe_class: type[Recipe] = Recipe
    changes: dict = field(default_factory=dict)
    part_of: tuple[str, ...] | None = None

    def recipe(self, base: Recipe) -> Recipe:
        """The assignment's recipe `base` with this one difference; all other fields are kept.

        Raises:
            InputError: `base` is not the assignment's recipe, but of another class.
        """
        if type(base) is not Recipe:
            raise InputError(
                f"a pitfall changes the assignment's recipe; this one is a {type(base).__name__}"
            )
        return self.recipe_class(**vars(replace(base, **self.changes)))

    def explains(self, submission: str) -> bool:
        """Whether it explains a part of what that submission lost."""
        return submission in (self.found_in if self.part_of is None else self.part_of)

    @property
    def is_choice(self) -> bool:
        """Whether the task leaves it open: LRMAX, LRMIN, mostly also the optimizer."""
        return self.setting in ("lr_max", "lr_min", "optimizer")

    @property
    def is_demonstration(self) -> bool:
        """Whether nobody did it: the LRMAX of a submission with SGD, in our Adam."""
        with_sgd = isinstance(SUBMISSIONS[self.found_in[0]].recipe, recipes.SGDRecipe)
        return self.setting == "lr_max" and with_sgd

    def mark(self, submission: str) -> str:
        """Where we have it from: "" its README, "*" its log, "†" our choice or an example in it."""
        reason = SUBMISSIONS[submission].chosen.get(self.setting)
        return "" if reason is None else "*" if "its log" in reason else "†"

    def summary(self) -> str:
        """What it changes in the assignment's recipe, such as "pad 4 → 0"."""
        changes = [
            f"{name} {_short(getattr(Recipe, name))} → {_short(value)}"
            for name, value in self.changes.items()
        ]
        if self.recipe_class is not Recipe:
            changes.insert(0, self.recipe_class.__doc__.splitlines()[0].removesuffix("."))
        return "; ".join(changes)


def _short(value) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def _lr_max_of(name: str) -> Pitfall:
    """A submission's LRMAX; LRMIN keeps its ratio to it, so that the cycle keeps its shape."""
    lr_max = SUBMISSIONS[name].recipe.lr_max
    return Pitfall(
        f"LRMAX {lr_max:.2g}", (name,), "lr_max",
        changes={"lr_max": lr_max, "lr_min": Recipe().with_lr_max(lr_max).lr_min},
        # It is measured with Adam, and only this submission trained with Adam up to its LRMAX.
        part_of=(name,) if name == "era1-s10" else (),
    )  # fmt: skip


# The names are those of the stored runs, in `results/`.
PITFALLS = {
    pitfall.name: pitfall
    for pitfall in (
        Pitfall("no padding before the crop", ("era1-s10-strided",), "pad", changes={"pad": 0}),
        Pitfall("L2 of 1e-2 in Adam", ("era1-s10-strided",), "weight_decay",
                L2InAdam, {"weight_decay": 1e-2}),
        Pitfall("softmax before the loss", ("eva8-s8",), "model", SoftmaxBeforeLoss),
        Pitfall("ReLU before BN", ("eva8-s8",), "model", ReluBeforeBN),
        Pitfall("two branches, no residual", ("era1-s10-strided",), "model", TwoBranches),
        Pitfall("std of single images", ("era1-s10-strided",), "normalization", PerImageStd),
        Pitfall("schedule stepped once an epoch", ("era1-s10-strided",), "schedule",
                SteppedOncePerEpoch),
        # With the LR and the decay of Page's DAWNBench entry.
        Pitfall("SGD instead of Adam", ("eva4-s11", "eva8-s8", "eva6-s9"), "optimizer",
                SGDInsteadOfAdam, {"lr_max": 0.4, "lr_min": 0.0004, "weight_decay": 5e-4}),
        *map(_lr_max_of, SUBMISSIONS),
        Pitfall("peak at 0.2 of the run", ("eva8-s8",), "peak_epoch", changes={"peak_epoch": 4.8}),
        Pitfall("annihilation", ("era1-s10-strided", "eva8-s8", "eva6-s9"), "final_lr",
                Annihilation,
                part_of=("eva8-s8", "eva6-s9")),  # The first one's schedule never got to its end.
        Pitfall("LRMIN a tenth of LRMAX", ("eva4-s11", "eva8-s8", "eva6-s9"), "lr_min",
                changes={"lr_min": Recipe.lr_max / 10}),
    )
}  # fmt: skip
