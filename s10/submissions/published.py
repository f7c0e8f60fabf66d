"""The five published submissions: what their READMEs state, and what they leave open.

Where a README is silent we take what the assignment says, and where that is
silent, too, the default of PyTorch. Every such choice stands in `chosen`, with
its reason; whatever a recipe sets beyond that, the README states.
"""

import csv
import importlib.resources
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s10.recipe import Recipe
from s10.submissions.fit_schedule import FittedCycle, fit_one_cycle

if TYPE_CHECKING:
    import pandas as pd

ASSIGNMENT = "the README is silent; the assignment's"
PYTORCH = "the README is silent; PyTorch's default"


@dataclass(frozen=True)
class Submission:
    """One of the five, mistakes included.

    `stated_train` and `stated_test` are the accuracies of its README (fractions,
    None where it states none), `parameters` those of its network at width 64.
    `chosen` names the fields of `recipe` that the README leaves open, and why they
    are as they are. `mistakes` says in a line each what a learner can take from it.
    """

    name: str
    recipe: Recipe
    parameters: int
    stated_train: float | None
    stated_test: float | None
    chosen: dict[str, str]
    mistakes: tuple[str, ...] = ()

    def log(self) -> "pd.DataFrame | None":
        """Its published log, a row for each epoch with the printed digits; None if it has none."""
        import pandas as pd

        path = _log_file(self.name)
        if not path.is_file():
            return None
        with path.open(encoding="utf-8") as file:
            return pd.read_csv(file, float_precision="round_trip")


def _log_file(name: str):
    return importlib.resources.files("s10.submissions") / "logs" / f"{name}.csv"


def _as_published(**fields) -> Recipe:
    """A recipe without what is ours: no label smoothing, no decay, PyTorch's β2."""
    ours = {"label_smoothing": 0.0, "weight_decay": 0.0, "decoupled_weight_decay": False,
            "beta2": 0.999, "momentum_max": 0.95, "momentum_min": 0.85}  # fmt: skip
    return Recipe(**{**ours, **fields})


def _one_cycle_as_pytorch(lr_max: float, div: float, final_div: float, **fields) -> Recipe:
    """A recipe with OneCycleLR's own arguments: LRMIN is LRMAX / div, the end LRMIN / final_div."""
    lr_min = lr_max / div
    return _as_published(lr_max=lr_max, lr_min=lr_min, final_lr=lr_min / final_div, **fields)


def _eva8() -> FittedCycle:
    """What eva8-s8's log was made with: its README prints other settings."""
    with _log_file("eva8-s8").open(encoding="utf-8", newline="") as file:
        return fit_one_cycle([float(row["lr_after"]) for row in csv.DictReader(file)])


EVA8 = _eva8()
EVA8_STATED_LR_MAX, EVA8_STATED_FINAL_DIV = 0.1552225357427048, 100
# The second of the 20 evenly spaced LRs of its range test.
EVA4_LR_MAX = 1e-4 + (1 - 1e-4) / 19

SUBMISSIONS = {
    submission.name: submission
    for submission in (
        Submission(
            "era1-s10-strided",
            _one_cycle_as_pytorch(
                1.91e-3,
                div=100,
                final_div=100,
                anneal="cos",
                network="era1-s10-strided",
                schedule="one_cycle_stepped_once_an_epoch",
                weight_decay=1e-2,
                pad=0,
                cutout_probability=0.5,
                cutout_fill="black",
                std_of="images",
            ),
            parameters=5_362_954,
            stated_train=0.8894,
            stated_test=0.7837,
            chosen={
                "schedule": "the README does not show the loop; stepped once an epoch (or not at "
                "all) it comes within 1.4 points of the log's first two epochs, stepped after "
                "every batch it is 3 to 11 off (results/first-epochs-cifar10-width64)",
                "batch_size": "its log has 98 batches an epoch, which 512 makes",
                "momentum_max": PYTORCH + " of OneCycleLR, which cycles β1, too",
                "momentum_min": PYTORCH + " of OneCycleLR",
                "beta2": PYTORCH,
            },
            mistakes=(
                "a crop of 32 without padding changes nothing",
                "an L2 term of 1e-2 inside Adam is heavy",
                "two downsampling branches are added: no identity path",
                "divides by the mean of the images' deviations",
                "by its log the schedule is hardly stepped, and its LR never leaves the start",
            ),
        ),
        Submission(
            "era1-s10",
            _as_published(lr_max=5.4e-3, lr_min=5.4e-3 / 25, anneal="cos"),
            parameters=6_573_130,
            stated_train=0.94486,
            stated_test=0.9151,
            chosen={
                "lr_min": PYTORCH + " of OneCycleLR: a 25th of LRMAX",
                "final_lr": "no annihilation, as its list of tasks says",
                "peak_epoch": ASSIGNMENT,
                "anneal": PYTORCH + " of OneCycleLR",
                "weight_decay": PYTORCH,
                "momentum_max": PYTORCH + " of OneCycleLR",
                "momentum_min": PYTORCH + " of OneCycleLR",
                "beta2": PYTORCH,
                "pad_mode": "the README is silent; albumentations' default of its time",
                "cutout_fill": "the README is silent; the assignment recipe's",
                "std_of": "the README is silent; the right one",
            },
        ),
        Submission(
            "eva4-s11",
            _as_published(
                optimizer="sgd",
                nesterov=False,
                schedule="one_cycle_per_epoch",
                lr_max=EVA4_LR_MAX,
                lr_min=EVA4_LR_MAX / 10,
                momentum_min=0.8,
            ),
            parameters=6_573_130,
            stated_train=0.9636,
            stated_test=0.9140,
            chosen={
                "optimizer": "its log prints one momentum, and an LR that suits SGD, not Adam",
                "nesterov": PYTORCH,
                "weight_decay": PYTORCH,
                "pad_mode": "the README is silent; albumentations' default of its time",
                "cutout_fill": "the README is silent; the assignment recipe's",
                "std_of": "the README is silent; the right one",
            },
            mistakes=(
                "LRMAX is the second of 20 evenly spaced LRs: the range test was too coarse",
            ),
        ),
        Submission(
            "eva8-s8",
            _one_cycle_as_pytorch(
                EVA8.max_lr,
                div=10,
                final_div=EVA8.final_div_factor,
                peak_epoch=4.8,
                network="eva8-s8",
                optimizer="sgd",
                nesterov=False,
            ),
            parameters=6_575_370,
            stated_train=0.92146,
            stated_test=0.87,
            chosen={
                "lr_max": "what its log was made with; the README prints another one",
                "final_lr": "what its log was made with; the README prints another divisor",
                "optimizer": "an LR of 0.15 suits SGD, not Adam",
                "nesterov": PYTORCH,
                "weight_decay": PYTORCH,
                "batch_size": "98 batches an epoch explain its LRs, which 512 makes",
                "momentum_max": PYTORCH + " of OneCycleLR",
                "momentum_min": PYTORCH + " of OneCycleLR",
                "pad": "the README only says crop 32×32; the assignment pads by 4",
                "pad_mode": "the README is silent; albumentations' default of its time",
                "cutout_fill": "the README is silent; the assignment recipe's",
                "std_of": "the README is silent; the right one",
            },
            mistakes=(
                "a softmax before cross-entropy keeps the loss above ln(1 + 9/e)",
                "the ReLU before the batch norm",
                "the schedule is stepped once past its end, below its minimum",
                "the README does not print the settings that made its log",
            ),
        ),
        Submission(
            "eva6-s9",
            _as_published(
                optimizer="sgd",
                nesterov=False,
                lr_max=0.8,
                lr_min=0.08,
                final_lr=0.008,
                momentum_min=0.8,
            ),
            parameters=6_573_130,
            stated_train=None,
            stated_test=None,
            chosen={
                "optimizer": "the README explains the policy for SGD",
                "nesterov": PYTORCH,
                "weight_decay": PYTORCH,
                "lr_max": "of the example that it explains (Smith's, for a ResNet-56)",
                "lr_min": "of the same example",
                "final_lr": "of the same example: a tenth of LRMIN; it contradicts the list of "
                "tasks, which forbids annihilation",
                "momentum_min": "of the same example",
                "momentum_max": "of the same example",
                "peak_epoch": ASSIGNMENT,
                "pad_mode": "the README is silent; albumentations' default of its time",
                "cutout_fill": "the README is silent; the assignment recipe's",
                "std_of": "the README is silent; the right one",
            },
            mistakes=("states a target, 93 %, and no result",),
        ),
    )
}
