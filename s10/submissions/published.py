"""The five published submissions: what their READMEs state, and what they leave open.

Where a README is silent, we use what the assignment says; where that is silent, too, the
default of PyTorch. Each such choice is listed in `chosen` with its reason; everything else
that a recipe sets is stated in the README.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from s10.recipe import Recipe
from s10.submissions.recipes import Era1S10, Era1S10Strided, Eva4S11, Eva6S9, Eva8S8

# Reasons that several have in common.
ADAM_DEFAULTS = {"beta2": "0.999: PyTorch's default"}
MOMENTUM_DEFAULTS = {
    "momentum_max": "0.95: the default of PyTorch's OneCycleLR, which also cycles Adam's β1",
    "momentum_min": "0.85: the default of PyTorch's OneCycleLR",
}
SGD_DEFAULTS = {"nesterov": "no: PyTorch's default", "weight_decay": "0: PyTorch's default"}
IMAGES = {
    "pad_mode": "reflect: the default of albumentations at that time",
    "cutout_fill": "the mean color: that of our recipe",
    "normalization": "the standard deviation of all pixels: the correct one",
}


@dataclass(frozen=True)
class Submission:
    """One of the five, with its mistakes.

    `chosen` names the settings that the README leaves open, each with the value that we use
    and the reason. `stated_train` and `stated_test` are the accuracies of its README
    (fractions; None if it states none), `parameters` those of its network at width 64, by
    default the assignment's. `mistakes` are sentences about what a learner can see in it.
    `source` is the address that its README names as its own. `is_example`: the recipe is that
    of an example which the README explains, so its accuracy is not the submission's.
    """

    name: str
    recipe: Recipe
    chosen: dict[str, str]
    stated_train: float | None = None
    stated_test: float | None = None
    parameters: int = 6_573_130
    mistakes: tuple[str, ...] = ()
    source: str = ""
    is_example: bool = False

    def history(self) -> pd.DataFrame | None:
        """Its log with the names and units of `FitResult.history`, as far as it goes."""
        log = self.log()
        if log is None:
            return None
        log = log.rename(columns={"lr_after": "lr", "test_loss_printed": "test_loss"})
        for split in ("train", "test"):
            if f"{split}_accuracy_percent" in log:
                log[f"{split}_accuracy"] = log[f"{split}_accuracy_percent"] / 100
        return log

    def log(self) -> pd.DataFrame | None:
        """Its published log, one row per epoch with the printed digits; None if it has none."""
        path = Path(__file__).parent / "logs" / f"{self.name}.csv"
        if not path.is_file():
            return None
        # pandas' own reader rounds the last digit in some of its versions.
        return pd.DataFrame(np.genfromtxt(path, delimiter=",", names=True, dtype=None))


_IN_ORDER = (
    Submission(
        "era1-s10-strided",
        Era1S10Strided(),
        source="https://github.com/senthilva/ERA1",
        parameters=5_362_954,
        stated_train=0.8894,
        stated_test=0.7837,
        chosen={
            "schedule": "stepped once per epoch: the README does not show the loop; stepped "
            "once per epoch (or never) our run is within 1.4 points of its log's first two "
            "epochs, stepped after every batch it is 3 to 11 points off "
            "(results/first-epochs-cifar10-width64)",
            "batch_size": "512: makes the 98 batches per epoch of its log",
            **MOMENTUM_DEFAULTS,
            **ADAM_DEFAULTS,
        },
        mistakes=(
            "A random crop of 32 pixels without padding changes nothing.",
            "An L2 term of 1e-2 in Adam is a strong one.",
            "Two downsampling branches are added, so there is no identity path.",
            "The images are divided by the mean standard deviation of single images.",
            "Its log shows that the schedule was hardly stepped: the LR stays at its start.",
        ),
    ),
    Submission(
        "era1-s10",
        Era1S10(),
        source="https://github.com/phaninandula/ERA-Session10",
        stated_train=0.94486,
        stated_test=0.9151,
        chosen={
            "lr_min": "0.000216: OneCycleLR starts at a 25th of LRMAX by default",
            "final_lr": "LRMIN: no annihilation, as its list of tasks says",
            "peak_epoch": "5: the assignment's",
            "anneal": "cos: the default of PyTorch's OneCycleLR",
            "weight_decay": "0: PyTorch's default",
            **MOMENTUM_DEFAULTS,
            **ADAM_DEFAULTS,
            **IMAGES,
        },
    ),
    Submission(
        "eva4-s11",
        Eva4S11(),
        source="https://github.com/pratikiiitb2013/EVA4",
        stated_train=0.9636,
        stated_test=0.9140,
        chosen={
            "optimizer": "SGD: a guess; 0.053 is a usual LR for SGD, and a large one for Adam",
            **SGD_DEFAULTS,
            **IMAGES,
        },
        mistakes=("LRMAX is the second of 20 evenly spaced LRs: the range test was too coarse.",),
    ),
    Submission(
        "eva8-s8",
        Eva8S8(),
        source="https://github.com/gremlin97/EVA-8",
        parameters=6_575_370,
        stated_train=0.92146,
        stated_test=0.87,
        chosen={
            "lr_max": "0.1482: that of its log; the README prints 0.1552",
            "final_lr": "a 50th of LRMIN: that of its log; the README prints a 100th",
            "optimizer": "SGD: an LR of 0.15 suits SGD, not Adam",
            **SGD_DEFAULTS,
            "batch_size": "512: makes the 98 batches per epoch that explain its LRs",
            **MOMENTUM_DEFAULTS,
            "pad": "4: the assignment's; the README says only that it crops 32 × 32",
            **IMAGES,
        },
        mistakes=(
            "A softmax before the cross-entropy keeps the loss above ln(1 + 9/e).",
            "The ReLU comes before the batch norm.",
            "The schedule is stepped once past its end, below its minimum.",
            "The README prints other settings than those that made its log.",
        ),
    ),
    Submission(
        "eva6-s9",
        Eva6S9(),
        source="https://github.com/RohinSequeira/pytorch_cifar10",
        is_example=True,
        chosen={
            "optimizer": "SGD: the README explains the policy for SGD",
            **SGD_DEFAULTS,
            "lr_max": "0.8: from the example that it explains (Smith's, for a ResNet-56)",
            "lr_min": "0.08: from the same example",
            "final_lr": "a 10th of LRMIN: from the same example; it contradicts the list of "
            "tasks, which forbids annihilation",
            "momentum_min": "0.8: from the same example",
            "momentum_max": "0.95: from the same example",
            "peak_epoch": "5: the assignment's",
            **IMAGES,
        },
        mistakes=("It states a target of 93% and no result.",),
    ),
)

SUBMISSIONS = {submission.name: submission for submission in _IN_ORDER}
