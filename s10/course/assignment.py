"""Does a learner's own code meet the assignment? A line for each of its requirements."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn

from s10.course.tracing import Layer, join, trace
from s10.datasets import ImageDataset
from s10.recipe import Recipe
from s10.runtime.checkpoints import random_state, restore_random_state
from s10.runtime.errors import InputError, one_line
from s10.schedules import simulate_schedule

EPOCHS, STEPS = 24, 24 * 98
PARAMETERS = {64: 6_573_130, 16: 412_954}
ACCURACY = ("test_accuracy", "test_acc", "val_accuracy", "val_acc", "test_accuracy_percent")
PER_IMAGE_STD = (0.2023, 0.1994, 0.2010)  # of CIFAR-10, see `s10.datasets.dataset`
SAMPLES, REACH = 600, 8  # of the augmentation; the largest shift that is looked for, in pixels
Row = tuple[bool | None, str]


@dataclass(frozen=True, repr=False)
class AssignmentReport:
    """Prints as a list; true if something was given and all that was given passes.

    `rows` are (passed, text); passed is None for what was not given or is free.
    """

    rows: tuple[Row, ...]

    def __bool__(self) -> bool:
        return {passed for passed, _ in self.rows} - {None} == {True}

    def __repr__(self) -> str:
        marks = {True: "✓", False: "✗", None: "–"}
        return "\n".join(f"{marks[passed]} {text}" for passed, text in self.rows)


def check_assignment(
    network: nn.Module | None = None, transforms=None, schedule=None, history=None
) -> AssignmentReport:
    """Compare your own code with the assignment, line by line; what is None is not checked.

    Neither the network nor the random numbers of Python, NumPy and PyTorch change.

    Args:
        network: a Module from images (N, 3, 32, 32) to logits (N, 10), whatever its layers
            are called: they are found from what it computes.
        transforms: the training augmentation: an albumentations Compose, a torchvision
            transform, any function from an image (PIL, or uint8 (32, 32, 3)) to a tensor, or
            a Recipe, whose batches are then used. 600 samples of a test pattern are drawn.
        schedule: the LR of each step, what `simulate_schedule` returned, or a function that
            makes a PyTorch scheduler from an optimizer, to be stepped after each batch.
        history: a row for each epoch with a column test_accuracy, 0–1 or in %, such as
            `FitResult.history`; or a list of the test accuracies.
    """
    checks = {
        "network": (network, _check_network),
        "transforms": (transforms, _check_transforms),
        "schedule": (schedule, _check_schedule),
        "history": (history, _check_history),
    }
    rows, state = [], random_state()
    for name, (value, check) in checks.items():
        if value is None:
            rows.append((None, f"{name}: not given"))
            continue
        try:
            rows.extend(check(value))
        except InputError as error:
            rows.append((False, f"{name}: {error}"))
        except Exception as error:  # Whatever the learner's code raises.
            kind = type(error).__name__
            rows.append((False, one_line(f"{name}: stops with {kind}: {error}")))
    restore_random_state(state)
    return AssignmentReport(tuple(rows))


def _row(requirement: str, *faults: tuple[bool, str]) -> Row:
    """The requirement, with the first of the faults that is there."""
    found = next((text for wrong, text in faults if wrong), None)
    return (True, requirement) if found is None else (False, f"{requirement}; yours {found}")


# The network.


def _check_network(network) -> Iterator[Row]:
    if not isinstance(network, nn.Module):
        raise InputError(f"give a network, such as Net(), not {network!r}")
    layers, output = trace(network)
    if output.ndim != 2:
        shape = tuple(output.shape)
        raise InputError(f"it should make logits (2, 10) of images (2, 3, 32, 32), not {shape}")
    while layers and layers[-1].text in ("Softmax", "LogSoftmax"):
        layers = layers[:-1]
    width = next((layer.channels for layer in layers if layer.channels), 64)
    for (name, expected), part in zip(_expected(width).items(), _parts(layers, width), strict=True):
        found = join(part) or "is missing"
        unadded = "X" in expected and "X" not in found and part
        found += ", without an addition" if unadded else ""
        yield _row(f"{name}: {expected}", (found != expected, found))
    probabilities, logs = (
        bool(values.min() >= 0) and torch.allclose(values.sum(1), torch.ones(2), atol=1e-3)
        for values in (output, output.exp())
    )
    yield _row(
        "softmax: left to the loss, the network returns logits",
        (probabilities, "returns probabilities: return what the FC layer gives"),
        (logs, "returns log-probabilities: return what the FC layer gives"),
    )
    count = sum(parameter.numel() for parameter in network.parameters())
    convs = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    biases = sum(conv.bias.numel() for conv in convs if conv.bias is not None)
    hint = f", {biases:,} of them biases of convolutions (bias=False)" if biases else ""
    quarter = f"{PARAMETERS[16]:,}, the quarter-width network (16 channels, not 64)"
    yield _row(
        f"parameters: {quarter if width == 16 else f'{PARAMETERS[64]:,}'}",
        (count != PARAMETERS.get(width), f"{count:,}{hint}"),
    )


def _expected(width: int) -> dict[str, str]:
    """The assignment's layers."""

    def conv(factor: int, pool: str = "") -> str:
        return f"conv 3x3 ({factor * width}) > {pool}BN > ReLU"

    def residual(factor: int) -> str:
        return f"X + ({conv(factor)} > {conv(factor)})"

    return {
        "prep": conv(1),
        "layer 1, X": conv(2, "MaxPool 2x2 > "),
        "layer 1, X + R1": residual(2),
        "layer 2": conv(4, "MaxPool 2x2 > "),
        "layer 3, X": conv(8, "MaxPool 2x2 > "),
        "layer 3, X + R2": residual(8),
        "end": "MaxPool 4x4 > FC (10)",
    }


def _parts(layers: list[Layer], width: int) -> list[list[Layer]]:
    """The network's layers, divided as in `_expected`."""
    end = next((i for i, layer in enumerate(layers) if layer.text.startswith("FC")), len(layers))
    while end and not layers[end - 1].text.startswith(("conv", "BN", "ReLU", "X")):
        end -= 1
    one_each = sum(layer.channels is not None for layer in layers[:end]) == 4
    blocks = {width: 0, 2 * width: 1, 4 * width: 2, 8 * width: 3}
    parts, block = [[], [], [], [], [], [], layers[end:]], -1 if one_each else 0
    for layer in layers[:end]:
        if layer.channels:
            block = block + 1 if one_each else blocks.get(layer.channels, block)
        part = (0, 1, 3, 4)[max(block, 0)]
        # In layers 1 and 3, X ends where another convolution or an addition follows.
        follows = parts[part] and (layer.channels or layer.text.startswith("X"))
        if block in (1, 3) and (parts[part + 1] or follows):
            part += 1
        parts[part].append(layer)
    return parts


# The augmentation.


def _check_transforms(transforms) -> Iterator[Row]:
    # Noise of two levels: no fill color is one of them, and a shift by one pixel shows.
    noise = np.random.default_rng(0).integers(0, 2, (32, 32, 3))
    samples = _draw(transforms, (64 + 128 * noise).astype(np.uint8))
    if samples.shape[1:] != (3, 32, 32):
        raise InputError(f"an image must become (3, 32, 32), yours becomes {samples.shape[1:]}")
    low, high = (level[:, None, None] for level in _levels(samples))
    near = (high - low) / 50
    signs = 1.0 * (abs(samples - high) < near) - (abs(samples - low) < near)

    # All that shift and flip can make of it: (2, 17, 17, 3, 32, 32), 0 in the border.
    border = ((0, 0), (REACH, REACH), (REACH, REACH))
    padded = np.pad(2.0 * noise.transpose(2, 0, 1) - 1, border)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (32, 32), (1, 2))
    windows = np.stack([windows, windows[..., ::-1]]).transpose(0, 2, 3, 1, 4, 5)
    candidates = windows.reshape(-1, 3 * 32 * 32)
    agreement = signs.reshape(SAMPLES, -1) @ (candidates / abs(candidates).sum(1)[:, None]).T
    known = agreement.max(1) > 0.5
    if known.mean() < 0.4:
        raise InputError("they change images by more than a shift, a flip and a square")
    flip, top, left = np.unravel_index(agreement[known].argmax(1), windows.shape[:3])
    found = windows[flip, top, left]
    changed = ((signs[known] != found) & (found != 0)).any(1)

    shifts = np.array([top - REACH, left - REACH])
    shares = np.array([(shifts == shift).mean(1) for shift in range(-4, 5)])  # (9, 2)
    yield _row(
        "crop: 32x32 after padding by 4, so shifts of -4 to 4 pixels, equally often",
        (not shifts.any(), "shifts nothing: without padding there is only one crop"),
        ((shifts.min(), shifts.max()) != (-4, 4), f"shifts by {shifts.min()} to {shifts.max()}"),
        (shares.min() < 0.04 or shares.max() > 0.2, f"keeps {shares[4].max():.0%} in place"),
    )
    yield _row(
        "flip: horizontal, half of the images",
        (not 0.4 < flip.mean() < 0.6, f"flips {flip.mean():.0%}"),
    )
    sides = [(int(a.any(1).sum()), int(a.any(0).sum())) for a in changed if a.any()]
    share, (most, count) = len(sides) / len(changed), Counter(sides or [(0, 0)]).most_common(1)[0]
    largest = tuple(np.max(sides or [(0, 0)], axis=0))
    # A square that the image's border cuts off is smaller.
    wrong = largest != (8, 8) or most != (8, 8) or count < 0.3 * len(sides)
    yield _row(
        "CutOut: a square of 8x8 in every image",
        (not sides, "has none"),
        (wrong, f"cuts out up to {largest[0]}x{largest[1]}, most often {most[0]}x{most[1]}"),
        (share < 0.95, f"cuts {share:.0%} (p=1; the default of albumentations is p=0.5)"),
    )
    others = 1 - known.mean()
    yield _row(
        "extra: no other augmentation", (others > 0.02, f"changes {others:.0%} of the images")
    )
    if not isinstance(transforms, Recipe):
        yield None, _normalization(low.ravel(), high.ravel())


def _draw(transforms, image: np.ndarray) -> np.ndarray:
    """Samples of the augmented image: float32 (600, 3, 32, 32)."""
    if isinstance(transforms, Recipe):
        images, labels = np.repeat(image[None], SAMPLES, 0), np.zeros(SAMPLES, np.int64)
        probe = ImageDataset.from_arrays("probe", ("noise",), images, labels, images, labels)
        return torch.cat([batch for batch, _ in transforms.train_loader(probe)]).float().numpy()
    if not callable(transforms):
        raise InputError(f"give the transform of a training image, not {transforms!r}")
    forms = [Image.fromarray(image), image, torch.from_numpy(image).permute(2, 0, 1)]
    calls = [lambda form=form: _pixels(transforms(form)) for form in forms]
    if type(transforms).__module__.startswith("albumentations"):
        calls = [lambda: _pixels(transforms(image=image))]
    failed = []
    for call in calls:
        try:
            return np.stack([call() for _ in range(SAMPLES)])
        except Exception as error:  # It may expect another kind of image.
            failed.append(error)
    raise failed[0]


def _pixels(image) -> np.ndarray:
    """An augmented image of any kind as float32 (channels, height, width)."""
    image = image["image"] if isinstance(image, dict) else image
    pixels = np.asarray(image, dtype=np.float32)
    return pixels if isinstance(image, torch.Tensor) else pixels.transpose(2, 0, 1)


def _levels(samples: np.ndarray) -> np.ndarray:
    """The two most frequent values of each channel, the lower ones first: (2, 3)."""
    levels = []
    for channel in range(3):
        values, counts = np.unique(samples[:100, channel].round(4), return_counts=True)
        levels.append(np.sort(values[np.argsort(counts)[-2:]])[[0, -1]])
    return np.array(levels).T


def _normalization(low: np.ndarray, high: np.ndarray) -> str:
    """Mean and standard deviation, from what became of the levels 64 and 192."""
    std = 128 / 255 / (high - low)
    shown = [", ".join(f"{value:.3f}" for value in v) for v in (64 / 255 - low * std, std)]
    slip = np.allclose(std, PER_IMAGE_STD, atol=6e-4)
    hint = " (the std of single images; that of all pixels is 0.247, 0.243, 0.262)" if slip else ""
    return f"normalization: free; yours mean {shown[0]}, std {shown[1]}{hint}"


# The schedule and the run.


def _check_schedule(schedule) -> Iterator[Row]:
    if isinstance(schedule, torch.optim.lr_scheduler.LRScheduler):
        raise InputError("give a function: lambda optimizer: OneCycleLR(optimizer, ...)")
    if callable(schedule):
        schedule = simulate_schedule(schedule, STEPS)
    rates = np.asarray(schedule[0] if isinstance(schedule, tuple) else schedule, dtype=float)
    if rates.ndim != 1 or len(rates) < EPOCHS or not np.isfinite(rates).all():
        raise InputError("give the LR of each step, finite numbers")
    yield _row(
        f"steps: {STEPS:,}, {EPOCHS} epochs of 98 batches of 512",
        (len(rates) != STEPS, f"{len(rates):,}"),
    )
    start, end, low, top = rates[0], rates[-1], rates.min(), rates.max()
    last = np.flatnonzero(rates >= top * (1 - 1e-9))[-1]
    peak = EPOCHS * (last + 1) / len(rates)
    once = not ((np.flatnonzero(np.diff(rates)) + 1) % 98).any()
    turns = np.diff(rates) * np.where(np.arange(1, len(rates)) <= last, 1, -1)
    yield _row(
        "one cycle: the LR rises from LRMIN to LRMAX, at the end of epoch 5, and falls",
        (start == top, "never rises"),
        (
            abs(peak - 5) > 0.06,
            f"peaks after {peak:.2f} epochs"
            + (", it should step after each batch" if once else ""),
        ),
        (turns.min() < -1e-9 * top, "turns more than once"),
    )
    yield _row(
        "no annihilation: the LR ends at LRMIN, where it began, and is never lower",
        (low < 0.99 * start, f"begins at {start:.3g} and falls to {low:.3g}"),
        (end > start + 0.01 * (top - start), f"begins at {start:.3g} and ends at {end:.3g}"),
    )


def _check_history(history) -> Iterator[Row]:
    if not isinstance(history, (pd.DataFrame, dict)):
        history = list(history)
        if not any(isinstance(row, dict) for row in history):
            history = {"test_accuracy": history}
    table = pd.DataFrame(history)
    yield _row(f"epochs: {EPOCHS}", (len(table) != EPOCHS, f"{len(table)}"))
    column = next((name for name in ACCURACY if name in table), None)
    if column is None or table.empty:
        raise InputError(f"no test_accuracy; the columns are {', '.join(map(str, table))}")
    values = table[column].to_numpy(dtype=float) / (100 if table[column].max() > 1 else 1)
    best = ", and the best epoch does not count" if values.max() >= 0.9 else ""
    yield _row(
        "accuracy: at least 90 % of the test images after the last epoch",
        (not values[-1] >= 0.9, f"{values[-1]:.2%}{best}"),
    )
