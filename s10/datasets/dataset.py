"""`ImageDataset`, which every source of images returns."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from s10.datasets.pixels import SIZE, as_seen
from s10.runtime.errors import InputError


@dataclass(frozen=True)
class ImageDataset:
    """Training and test images of one source.

    Images are uint8 (N, 32, 32, 3), RGB, 0–255; labels int64 (N,), indices
    into `classes`. `mean` and `std` are the mean and standard deviation of each
    channel over all pixels of the training images, on the scale 0–1.

    Lists and CPU tensors become arrays, gray images (N, height, width) RGB, and images of
    another size are resized as those of a folder, so `.data` and `.targets` of torchvision fit.

    Raises:
        InputError: images or labels of another type, shape or range.
    """

    name: str
    classes: tuple[str, ...]
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self):
        classes = len(self.classes)
        for split in ("train", "test"):
            kinds = f"{split}_images", f"{split}_labels"
            try:
                images, labels = (np.asarray(getattr(self, kind)) for kind in kinds)
            except (TypeError, ValueError) as error:  # On a GPU, or images of several sizes.
                raise InputError(f"{' or '.join(kinds)} cannot become an array: {error}") from None
            if images.dtype != np.uint8 or images.ndim < 3 or images.shape[3:] not in ((), (3,)):
                raise InputError(
                    f"{split}_images must be uint8, 0–255, of shape (N, height, width, 3) or "
                    f"(N, height, width); they are {images.dtype} {images.shape}"
                )
            if labels.shape != images.shape[:1] or not np.isin(labels, range(classes)).all():
                raise InputError(
                    f"{split}_labels must be {len(images)} integers from 0 to {classes - 1}, "
                    "one for each image"
                )
            if images.shape[1:] != (SIZE, SIZE, 3):
                pixels = [as_seen(Image.fromarray(image)) for image in images]
                images = np.array(pixels, np.uint8).reshape(-1, SIZE, SIZE, 3)
            object.__setattr__(self, f"{split}_images", images)
            object.__setattr__(self, f"{split}_labels", labels.astype(np.int64, copy=False))

    @classmethod
    def from_arrays(
        cls, name, classes, train_images, train_labels, test_images, test_labels
    ) -> "ImageDataset":
        """A dataset whose `mean` and `std` are measured on the training images."""
        arrays = (train_images, train_labels, test_images, test_labels)
        dataset = cls(name, tuple(classes), *arrays, mean=(0.0,) * 3, std=(1.0,) * 3)
        mean, std = channel_statistics(dataset.train_images)
        return replace(dataset, mean=mean, std=std)

    def subset(self, train: int | None = None, test: int | None = None) -> "ImageDataset":
        """`train` training and `test` test images (`stratified`), with the same mean and std."""
        kept = stratified(self.train_labels, train), stratified(self.test_labels, test)
        return self._with(self.train_images, self.train_labels, kept[0],
                          self.test_images, self.test_labels, kept[1])  # fmt: skip

    def hold_out(self, count: int) -> "ImageDataset":
        """Replace the test images by `count` of the training images (`stratified`).

        This is for choosing a setting, for which the test images must not be used.
        """
        held_out = stratified(self.train_labels, count)
        rest = np.setdiff1d(np.arange(len(self.train_labels)), held_out)
        return self._with(self.train_images, self.train_labels, rest,
                          self.train_images, self.train_labels, held_out)  # fmt: skip

    def _with(self, train_images, train_labels, train, test_images, test_labels, test):
        return replace(
            self,
            train_images=train_images[train],
            train_labels=train_labels[train],
            test_images=test_images[test],
            test_labels=test_labels[test],
        )

    def fingerprint(self) -> str:
        """16 hex digits of a SHA-256 over all pixels and labels: equal for equal data."""
        digest = hashlib.sha256()
        for images, labels in (
            (self.train_images, self.train_labels),
            (self.test_images, self.test_labels),
        ):
            digest.update(f"{images.shape}".encode())
            digest.update(np.ascontiguousarray(images))
            digest.update(np.ascontiguousarray(labels, dtype="<i8"))
        return digest.hexdigest()[:16]

    def describe(self) -> dict:
        """Name, sizes, statistics and fingerprint, ready for JSON."""
        return {
            "name": self.name,
            "train_images": len(self.train_images),
            "test_images": len(self.test_images),
            "classes": list(self.classes),
            "mean": list(self.mean),
            "std": list(self.std),
            "fingerprint": self.fingerprint(),
        }


def stratified(labels: np.ndarray, count: int | None = None, seed: int = 0) -> np.ndarray:
    """Choose `count` images at random so that every class has its share, to within one image.

    A larger sample contains a smaller one. The indices are in ascending order, int64 (count,);
    all of them if there are no more than `count`, or if it is None.
    """
    generator = np.random.default_rng(seed)
    # Each image gets a place between 0 and 1, evenly spaced within its class; the shift makes
    # it random which class gets the last image.
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        place[members] = (np.arange(len(members)) + generator.random()) / len(members)
    return np.sort(np.argsort(place, kind="stable")[:count])


def channel_statistics(images: np.ndarray) -> tuple[tuple, tuple]:
    """Mean and standard deviation of each channel over all pixels.

    Args:
        images: uint8 (N, height, width, 3), 0–255.

    Returns:
        Mean and standard deviation on the scale 0–1, three numbers each,
        rounded to four digits. The standard deviation is at least 0.0001.
    """
    # A histogram holds the same information as 50 million pixels, in 256 numbers.
    counts = [np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(3)]
    shares = np.array(counts) / max(1, np.sum(counts[0]))
    values = np.arange(256) / 255
    mean = shares @ values
    std = np.sqrt((shares * (values - mean[:, None]) ** 2).sum(1))
    # Images of a single color must not lead to a division by zero.
    return tuple(mean.round(4).tolist()), tuple(np.maximum(std.round(4), 1e-4).tolist())


def per_image_std(images: np.ndarray) -> tuple[float, float, float]:
    """The standard deviation within each image, averaged over the images, per channel.

    It is smaller than the standard deviation of all pixels, because images differ
    in brightness, and is often mistaken for it: (0.2023, 0.1994, 0.2010) for
    CIFAR-10. As in torch.std, the sum of squares is divided by n − 1.

    Args:
        images: uint8 (N, height, width, 3), 0–255.

    Returns:
        Three numbers on the scale 0–1, rounded to four digits, at least 0.0001.
    """
    pixels = images.reshape(len(images), -1, 3)
    # In chunks: as float64, all of CIFAR-10 would take 1.2 GB.
    chunks = np.array_split(pixels, max(1, len(pixels) // 1000))
    stds = np.concatenate([chunk.std(axis=1, ddof=1) for chunk in chunks])
    return tuple(max(round(float(std), 4), 1e-4) for std in stds.mean(axis=0) / 255)
