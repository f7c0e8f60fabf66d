"""Everything that a run depends on, in one frozen dataclass."""

import dataclasses
import difflib
import json
import math
from dataclasses import dataclass
from pathlib import Path

from s10.errors import InputError, positive_float, positive_int

CHOICES = {
    # The assignment's network, those of `s10.submissions`, single changes to the former; that
    # of the laptop's recipe, and single changes to it.
    "network": (
        "custom_resnet",
        "era1-s10-strided",
        "eva8-s8",
        "softmax",
        "relu_before_bn",
        "two_branches",
        "whitened_net",
        "trained_first_layer",
        "random_filters",
    ),
    "optimizer": ("adam", "sgd", "muon"),
    "schedule": ("one_cycle", "one_cycle_per_epoch", "one_cycle_stepped_once_an_epoch"),
    "anneal": ("linear", "cos"),
    "augment": ("batched", "albumentations"),
    "pad_mode": ("reflect", "constant"),
    "cutout_fill": ("mean", "black"),
    "std_of": ("pixels", "images"),
    "precision": ("auto", "fp32", "bf16", "fp16"),
}
VIEWS = (1, 2, 6)  # of a test image; see `s10.views`
# Larger ones are slips of the finger, and would fill the memory before they fail.
MOST = {"width": 1024, "epochs": 10_000, "batch_size": 1_000_000}
# The least and the most of each.
WHOLE_NUMBERS = (
    ("seed", 0, 2**32 - 1), ("pad", 0, 16), ("cutout", 0, 32), ("small_size", 16, 32),
)  # fmt: skip
MAX_BYTES = 1 << 20  # of a recipe's file


def _at_least_zero(name: str, value: object, below: float) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value < below:
        limit = "" if below == math.inf else f" and below {below}"
        raise InputError(f"{name} must be a number of at least 0{limit}, not {value!r}")


@dataclass(frozen=True)
class Recipe:
    """The assignment's recipe; change a field with `dataclasses.replace`.

    Raises InputError, which names the field, when a value makes no sense.
    """

    # What is trained on what.
    data: str = "cifar10"  # cifar10, shapes or folder:PATH
    network: str = "custom_resnet"  # or another of `s10.networks`
    width: int = 64  # channels of the prep layer; 16 for a laptop's CPU
    seed: int = 0  # initial weights, order of the images, augmentation
    precision: str = "auto"  # auto takes the fastest that the device does well

    # The assignment: 24 epochs of Adam at batch 512, augmented by
    # pad 4 → crop 32 → flip → CutOut 8×8.
    epochs: int = 24
    batch_size: int = 512
    optimizer: str = "adam"
    nesterov: bool = True  # for sgd
    augment: str = "batched"  # or albumentations: the same distribution, slower
    pad: int = 4  # pixels on each side before the crop
    pad_mode: str = "reflect"  # mirror the border, or "constant": the mean colour
    flip: bool = True
    # Each image is mirrored in every second epoch, in place of by chance; see `s10.augment`.
    flip_alternately: bool = False
    cutout: int = 8  # side of the square, in pixels; 0 for none
    cutout_probability: float = 1.0  # of each image
    cutout_fill: str = "mean"  # the square's colour
    # What the images are divided by: the deviation of all pixels, or, as many published
    # solutions do by mistake, the mean of the deviations of single images.
    std_of: str = "pixels"
    # The first part of the run on shrunk pictures, from 0 (none of it) to 1 (all of it).
    small_until: float = 0.0
    small_size: int = 24  # their side, in pixels

    # One-cycle: lr_min → lr_max at the end of peak_epoch → lr_min at the end.
    schedule: str = "one_cycle"  # or another of `s10.schedules`, as published
    peak_epoch: float = 5  # with a fraction, the peak lies within an epoch
    lr_max: float = 0.01
    lr_min: float = 0.00001
    final_lr: float | None = None  # below lr_min: annihilation; the assignment has none
    anneal: str = "linear"
    momentum_max: float = 0.95  # β1 of Adam; it falls to momentum_min at the peak
    momentum_min: float = 0.85

    # What the assignment leaves open; results/README.md says how these were chosen.
    beta2: float = 0.99
    weight_decay: float = 0.1
    decoupled_weight_decay: bool = True  # AdamW's (Loshchilov & Hutter 2017); False: L2
    label_smoothing: float = 0.1  # for training; the losses that are shown are without it
    # With 2 or 6, the last epoch's network is tested once more, on so many views of each
    # image (`s10.views`); that accuracy is stated apart.
    test_views: int = 1

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type in (bool, "bool") and not isinstance(value, bool):
                raise InputError(f"{field.name} must be true or false, not {value!r}")
            if field.type in (str, "str") and not isinstance(value, str):
                raise InputError(f"{field.name} must be a text, not {value!r}")
        for name, most in MOST.items():
            if positive_int(name, getattr(self, name)) > most:
                raise InputError(f"{name} must be at most {most:,}, not {getattr(self, name):,}")
        for name in ("lr_max", "lr_min", "peak_epoch"):
            positive_float(name, getattr(self, name))
        if self.final_lr is not None:
            positive_float("final_lr", self.final_lr)
        if isinstance(self.test_views, bool) or self.test_views not in VIEWS:
            raise InputError(f"test_views must be 1, 2 or 6, not {self.test_views!r}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name} must be {' or '.join(choices)}, not {getattr(self, name)!r}"
                )
        for name, low, high in WHOLE_NUMBERS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise InputError(
                    f"{name} must be a whole number from {low} to {high}, not {value!r}"
                )
        fractions = ("momentum_max", "momentum_min", "beta2", "label_smoothing")
        for name in fractions:
            _at_least_zero(name, getattr(self, name), below=1)
        for name in ("cutout_probability", "small_until"):
            _at_least_zero(name, getattr(self, name), below=math.inf)
            if getattr(self, name) > 1:
                raise InputError(f"{name} must be from 0 to 1, not {getattr(self, name)}")
        if self.flip_alternately and not self.flip:
            raise InputError("flip_alternately needs flip: take true for both, or false")
        if self.augment == "albumentations" and (self.flip_alternately or self.small_until):
            raise InputError(
                "alternating flips and shrunk pictures need augment batched, not albumentations"
            )
        _at_least_zero("weight_decay", self.weight_decay, below=math.inf)
        if self.lr_min > self.lr_max:
            raise InputError(f"lr_min ({self.lr_min}) must not be above lr_max ({self.lr_max})")
        if self.peak_epoch > self.epochs:
            raise InputError(
                f"peak_epoch ({self.peak_epoch}) must not be after the last epoch ({self.epochs})"
            )

    def with_epochs(self, epochs: int) -> "Recipe":
        """The same recipe over another number of epochs, its peak at the same fraction."""
        positive_int("epochs", epochs)
        peak = self.peak_epoch / self.epochs * epochs
        if float(self.peak_epoch).is_integer():  # Then the new one is whole, too.
            peak = min(epochs, max(1, round(peak)))
        return dataclasses.replace(self, epochs=epochs, peak_epoch=peak)

    def with_lr_max(self, lr_max: float) -> "Recipe":
        """The same recipe with another peak; lr_min and final_lr keep their ratio to it."""
        factor = positive_float("lr_max", lr_max) / self.lr_max
        final_lr = None if self.final_lr is None else self.final_lr * factor
        return dataclasses.replace(
            self, lr_max=lr_max, lr_min=self.lr_min * factor, final_lr=final_lr
        )

    def differences(self, other: "Recipe") -> list[str]:
        """What is different in the other one, such as "lr_max was 0.01, not 0.02"."""
        ours, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return [f"{n} was {v}, not {theirs[n]}" for n, v in ours.items() if theirs[n] != v]

    def to_json(self) -> str:
        """One field on each line; `Recipe.from_file` reads it back."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_dict(cls, values: object, where: str = "the recipe") -> "Recipe":
        """A recipe from field → value; fields that are absent keep their default."""
        if not isinstance(values, dict):
            raise InputError(f"{where} must be a JSON object of fields and values")
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for name, value in values.items():
            if name not in fields:
                nearest = difflib.get_close_matches(name, fields, 1, cutoff=0.4)
                hint = f"; did you mean {nearest[0]}?" if nearest else ""
                raise InputError(f"{where} has an unknown field {name!r}{hint}")
            # JSON knows no difference between 1 and 1.0; where a float belongs, both will do.
            if isinstance(fields[name].default, float) and type(value) is int:
                values = {**values, name: float(value)}
        try:
            return cls(**values)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None

    @classmethod
    def from_file(cls, path: str | Path) -> "Recipe":
        """Read a `recipe.json`.

        Raises:
            InputError: the file cannot be read, is no JSON, or names a field
                that does not exist or has the wrong type.
        """
        try:
            with open(path, encoding="utf-8") as file:
                values = json.loads(file.read(MAX_BYTES))
        except OSError as error:
            raise InputError(f"cannot read the recipe {path}: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"the recipe {path} is not JSON: {error}") from None
        return cls.from_dict(values, f"the recipe {path}")
