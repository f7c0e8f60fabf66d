"""Single differences between the submissions and the assignment's recipe, one at a time.

Each is the assignment's recipe with one thing changed, and all the rest as it
is: what such a run loses against the recipe is what that one thing costs.
"""

from dataclasses import dataclass, replace

from s10.recipe import Recipe
from s10.submissions.published import SUBMISSIONS


@dataclass(frozen=True)
class Trap:
    """`changes` are the fields of the recipe; `found_in` the submissions that have it.

    `part_of` are those among them whose loss it explains a part of, when it is
    measured as it is here; None stands for all of `found_in`.
    """

    name: str
    changes: dict
    found_in: tuple[str, ...] = ()
    why: str = ""
    part_of: tuple[str, ...] | None = None

    def recipe(self, base: Recipe) -> Recipe:
        """The base recipe with this one thing changed."""
        return replace(base, **self.changes)

    def explains(self, submission: str) -> bool:
        """Whether it is among the parts of what that submission lost."""
        return submission in (self.found_in if self.part_of is None else self.part_of)

    def inferred_in(self, submission: str) -> bool:
        """Whether the submission's README does not say so: then it is our conclusion or choice."""
        return next(iter(self.changes)) in SUBMISSIONS[submission].chosen

    def in_words(self) -> str:
        """What it changes in the assignment's recipe, such as "pad 4 → 0"."""
        return ", ".join(
            f"{field} {_short(_value(Recipe(), field))} → {_short(value)}"
            for field, value in self.changes.items()
        )


def _value(recipe: Recipe, field: str):
    """The recipe's value; without a final LR of its own the run ends at LRMIN."""
    value = getattr(recipe, field)
    return recipe.lr_min if field == "final_lr" and value is None else value


def _short(value) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def _peak(lr_max: float) -> dict:
    """Another LRMAX; LRMIN keeps its ratio to it, so that the cycle keeps its shape."""
    moved = Recipe().with_lr_max(lr_max)
    return {"lr_max": moved.lr_max, "lr_min": moved.lr_min}


def _lr_max_traps() -> list[Trap]:
    return [
        Trap(
            f"LRMAX {submission.recipe.lr_max:.2g}",
            _peak(submission.recipe.lr_max),
            (name,),
            "Adam's steps do not shrink with the gradient, so an LR made for SGD is far too large",
            # Measured with Adam: of those that used SGD, or never got there, it explains nothing.
            part_of=(name,)
            if (submission.recipe.optimizer, submission.recipe.schedule) == ("adam", "one_cycle")
            else (),
        )
        for name, submission in SUBMISSIONS.items()
    ]


TRAPS = {
    trap.name: trap
    for trap in (
        Trap("no padding before the crop", {"pad": 0}, ("era1-s10-strided",),
             "a crop of 32 from 32 pixels moves nothing"),
        Trap("L2 of 1e-2 in Adam", {"weight_decay": 1e-2, "decoupled_weight_decay": False},
             ("era1-s10-strided",),
             "the decay goes through Adam's division by the gradient's size"),
        Trap("softmax before the loss", {"network": "softmax"}, ("eva8-s8",),
             "the loss cannot fall below ln(1 + 9/e)"),
        Trap("ReLU before BN", {"network": "relu_before_bn"}, ("eva8-s8",),
             "batch norm sees what the ReLU has cut off"),
        Trap("two branches, no residual", {"network": "two_branches"}, ("era1-s10-strided",),
             "no identity path"),
        Trap("std of single images", {"std_of": "images"}, ("era1-s10-strided",),
             "the inputs are a fifth to a third larger; the first batch norm undoes it"),
        Trap("schedule stepped once an epoch", {"schedule": "one_cycle_stepped_once_an_epoch"},
             ("era1-s10-strided",), "24 of its 2,352 steps: the LR stays near LRMIN"),
        Trap("SGD instead of Adam",
             {"optimizer": "sgd", "lr_max": 0.4, "lr_min": 0.0004, "weight_decay": 5e-4,
              "decoupled_weight_decay": False},
             ("eva4-s11", "eva8-s8", "eva6-s9"),
             "Nesterov's momentum with the LR and decay of Page's DAWNBench entry"),
        *_lr_max_traps(),
        Trap("peak at 0.2 of the run", {"peak_epoch": 4.8}, ("eva8-s8",), "19 steps earlier"),
        Trap("annihilation", {"final_lr": Recipe().lr_min / 100},
             ("era1-s10-strided", "eva8-s8", "eva6-s9"), "the LR ends at a hundredth of LRMIN",
             part_of=("eva8-s8", "eva6-s9")),  # The schedule of the first never got to its end.
        Trap("LRMIN a tenth of LRMAX", {"lr_min": Recipe().lr_max / 10}, ("eva4-s11",),
             "without annihilation the LR ends there, a hundred times above ours"),
    )
}  # fmt: skip
