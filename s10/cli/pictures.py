"""What a trained network says about pictures of your own."""

import contextlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from s10.cli.pretrained import find_run
from s10.datasets import ImageDataset
from s10.datasets.download import fetch
from s10.datasets.folder import image_files, load_image
from s10.datasets.pixels import SIZE
from s10.loaders import eval_loader
from s10.plots.images import plot_images
from s10.runtime.device import device_of
from s10.runtime.errors import InputError, one_line
from s10.training import evaluate

UNLIKE_ABOVE = 0.3  # 5 % of CIFAR-10's test images lie above.
UNLIKE = "unlike the training images"
MAX_BYTES = 1 << 26  # of a picture from a URL
EXPECTED = "name a file, a folder or a URL"


@dataclass(frozen=True, repr=False)
class PicturePredictions:
    """What a network with C classes says about N pictures; in a notebook, their top classes.

    `names`: file names or URLs. `images`: uint8 (N, 32, 32, 3), the pictures as the network
    sees them. `probabilities`: float64 (N, C). `classes`: C names. `distances`: float64 (N,),
    how unlike the training images each is.

    **The distance** is that of batch norm's statistics: in each batch-norm layer, the mean of
    each channel over the picture is compared with the running mean, in units of the running
    standard deviation, squared and averaged over the channels; of these numbers, one a layer,
    it is the median. It is NaN if the network has no batch norm.

    **What the warning is worth**, measured with "assignment-width16" (seed 0): above 0.3 are 5 %
    of CIFAR-10's test images, 4 % of the misclassified ones; and 100 % of noise, 99 % of drawn
    shapes, 100 % of close-ups of brick, grass and gravel, 89 % of handwritten digits, but
    only 46 % of photographs of other things, 21 % of scans, and none of 100 faces. (Warning
    where the largest probability is low, at the same 5 %, would find 19 % to 27 % of noise and
    35 % of the shapes: a network can be confident about anything.) A network that was trained
    on drawn shapes has 1 % of CIFAR-10 above 0.3. So the warning notices some other colors
    and textures, not other objects: without it, an answer may still be nonsense.
    """

    names: tuple[str, ...]
    images: np.ndarray
    probabilities: np.ndarray
    classes: tuple[str, ...]
    distances: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    @property
    def unlike(self) -> np.ndarray:
        """The pictures to warn of, bool (N,): their distance is above 0.3."""
        return self.distances > UNLIKE_ABOVE

    def plot(self, count: int = 20) -> Figure:
        """The first `count` pictures as the network sees them, with what it says about each."""
        answers = zip(self.names, self._answers(), strict=True)
        names = ["\n".join([Path(name).name, *answer]) for name, answer in answers]
        title = f"As the network sees {'it' if len(self) == 1 else 'them'}"
        title += f", the first {count} of {len(self)}" if count < len(self) else ""
        size = 2.6 if len(self) == 1 else 1.9
        return plot_images(
            self.images[:count], names[:count], columns=min(5, len(self)), size=size, fontsize=9,
            title=title,
        )  # fmt: skip

    def __repr__(self) -> str:
        answers = zip(self.names, self._answers(), strict=True)
        return "\n".join(f"{one_line(name)}: {', '.join(answer)}" for name, answer in answers)

    def _answers(self) -> list[list[str]]:
        """Of each picture the top three classes, "cat 81.2%" and so on, and the warning."""
        order = (-self.probabilities).argsort(axis=1, kind="stable")[:, :3]
        return [
            [f"{one_line(self.classes[i])} {row[i]:.1%}" for i in best] + [UNLIKE] * int(unlike)
            for row, best, unlike in zip(self.probabilities, order, self.unlike, strict=True)
        ]


def predict(
    model: nn.Module | str | Path,
    pictures: str | Path | np.ndarray | Sequence[str | Path],
    dataset: ImageDataset | None = None,
) -> PicturePredictions:
    """The classes that a trained network sees in your pictures.

    A picture is turned upright, its center square is cut out and resized to 32×32: nothing is
    distorted, but what lies outside that square is not seen. So crop a picture around the
    object first. Transparency is shown over white.

    Args:
        model: a network, the folder of a run, or the name of a network that comes with
            s10 (`load_pretrained`).
        pictures: a file of any format that Pillow reads (PNG, JPEG, WebP …), a folder of
            them, a URL (http or https), a list of these, or images, uint8 (N, 32, 32, 3).
        dataset: of a network, the one that it was trained on, for its classes and
            normalization. A run has its own.

    Raises:
        InputError: a picture cannot be read or downloaded (the message names each), there is
            none, there is no such run, or the network has other classes than the data set.
    """
    if isinstance(model, nn.Module):
        if dataset is None:
            raise InputError(
                "a network alone knows neither its classes nor its normalization: pass the data "
                "set that it was trained on, predict(model, pictures, dataset)"
            )
        classes, mean, std = dataset.classes, dataset.mean, dataset.std
    else:
        model, metadata = find_run(model).load_model()
        classes, mean, std = (metadata[name] for name in ("classes", "mean", "std"))
    names, images = read_pictures(pictures)
    unknown = np.zeros(len(images), np.int64)  # In place of labels.
    batches = eval_loader(images, unknown, mean, std, device_of(model))
    with _batch_norm_distances(model) as distances:
        found = evaluate(model, batches, classes)
    if found.logits.shape[1] != len(classes):
        raise InputError(
            f"the network has {found.logits.shape[1]} classes and the data set {len(classes)}: "
            "pass the one that it was trained on"
        )
    layers = [torch.cat(layer).double().cpu().numpy() for layer in distances]
    distance = np.median(layers, axis=0) if layers else np.full(len(images), np.nan)
    return PicturePredictions(names, images, found.probabilities, found.classes, distance)


@contextlib.contextmanager
def _batch_norm_distances(model: nn.Module):
    """For each batch-norm layer, a list of the distances of each batch that it sees."""
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    distances = {layer: [] for layer in layers}

    def measure(layer, inputs):
        mean = inputs[0].float().flatten(2).mean(2)
        squares = (mean - layer.running_mean) ** 2 / layer.running_var
        distances[layer].append(squares.mean(1))

    with contextlib.ExitStack() as hooks:
        for layer in layers:
            hooks.enter_context(layer.register_forward_pre_hook(measure))
        yield distances.values()


def read_pictures(pictures) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and pixels, uint8 (N, 32, 32, 3), of what `predict` is given; see there."""
    if isinstance(pictures, np.ndarray):
        if pictures.dtype != np.uint8 or pictures.shape[1:] != (SIZE, SIZE, 3) or not len(pictures):
            raise InputError(
                "an array of pictures must be uint8 (N, 32, 32, 3), as those of a data set; it is "
                f"{pictures.dtype} {pictures.shape}"
            )
        return tuple(f"image {index}" for index in range(len(pictures))), pictures
    files, images, errors = [], [], []
    for picture in pictures if isinstance(pictures, (list, tuple)) else [pictures]:
        try:
            files += _files(picture)
        except InputError as error:
            errors.append(str(error))
    for name, file in files:
        try:
            images.append(load_image(file, name)[0])
        except InputError as error:
            errors.append(str(error))
    if errors:
        raise InputError(*errors)
    if not images:
        raise InputError(f"there is no picture: {EXPECTED}")
    return tuple(name for name, _ in files), np.stack(images)


def _files(picture: str | Path) -> list[tuple[str, Path | io.BytesIO]]:
    """The name and the file of a picture, or of each in a folder."""
    if not isinstance(picture, (str, Path)):
        raise InputError(f"a {type(picture).__name__} is no picture: {EXPECTED}")
    if str(picture).startswith(("http://", "https://")):
        return [(str(picture), io.BytesIO(fetch(str(picture), MAX_BYTES)))]
    path = Path(picture).expanduser()
    if path.is_dir():
        return [(str(file), file) for file in image_files(path, Counter())]
    if not path.is_file():
        raise InputError(f"there is no picture {path}: {EXPECTED}")
    return [(str(path), path)]
