"""What every image source gives back."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Images:
    """Training and test images of one source.

    Images are uint8 (N, 32, 32, 3), RGB, 0–255; labels int64 (N,), indices
    into `classes`. `mean` and `std` are the pixel mean and deviation of each
    channel over the training images, on the scale 0–1.
    """

    name: str
    classes: tuple[str, ...]
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def measured(
        cls, name, classes, train_images, train_labels, test_images, test_labels
    ) -> "Images":
        """`Images` whose mean and deviation are measured on the training images."""
        mean, std = channel_statistics(train_images)
        return cls(
            name, tuple(classes), train_images, train_labels, test_images, test_labels, mean, std
        )

    def subset(self, train: int | None = None, test: int | None = None) -> "Images":
        """The first `train` training and `test` test images, all else the same."""
        return replace(
            self,
            train_images=self.train_images[:train],
            train_labels=self.train_labels[:train],
            test_images=self.test_images[:test],
            test_labels=self.test_labels[:test],
        )

    def hold_out(self, count: int) -> "Images":
        """The last `count` training images take the place of the test images.

        For choosing a setting: the test images must not be used for that.
        """
        return replace(
            self,
            train_images=self.train_images[:-count],
            train_labels=self.train_labels[:-count],
            test_images=self.train_images[-count:],
            test_labels=self.train_labels[-count:],
        )

    def normalised_by(self, std_of: str) -> "Images":
        """The same images with the `std` that a recipe's `std_of` names, "pixels" or "images"."""
        return self if std_of == "pixels" else replace(self, std=per_image_std(self.train_images))

    def fingerprint(self) -> str:
        """16 hex digits of a SHA-256 over all pixels and labels: same digits, same data."""
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
        """Name, sizes, fingerprint and statistics, ready for JSON."""
        return {
            "name": self.name,
            "train_images": len(self.train_images),
            "test_images": len(self.test_images),
            "classes": list(self.classes),
            "mean": list(self.mean),
            "std": list(self.std),
            "fingerprint": self.fingerprint(),
        }


def per_image_std(images: np.ndarray) -> tuple[float, float, float]:
    """Mean over the images of each one's own deviation, scale 0–1, to four digits.

    Smaller than the deviation of all pixels, because images differ in brightness;
    often taken for it by mistake: (0.2023, 0.1994, 0.2010) for CIFAR-10. As in
    torch.std, the sum of squares is divided by n − 1.
    """
    pixels = images.reshape(len(images), -1, 3)
    # In pieces: as float64 all of CIFAR-10 would take 1.2 GB.
    parts = [
        part.std(axis=1, ddof=1) for part in np.array_split(pixels, max(1, len(pixels) // 1000))
    ]
    return tuple(max(round(float(x), 4), 1e-4) for x in np.concatenate(parts).mean(axis=0) / 255)


def channel_statistics(images: np.ndarray) -> tuple[tuple, tuple]:
    """Mean and standard deviation of each channel, on the scale 0–1, to four digits.

    The deviation is that of all pixels. The often-seen (0.2023, 0.1994, 0.2010)
    for CIFAR-10 is another thing: the mean of the deviations of single images.
    """
    means, stds = [], []
    for channel in range(3):
        # A histogram holds the same information as 50 million pixels, in 256 numbers.
        counts = np.bincount(images[..., channel].ravel(), minlength=256) / images[..., 0].size
        values = np.arange(256) / 255
        mean = (counts * values).sum()
        means.append(round(float(mean), 4))
        stds.append(round(float(np.sqrt((counts * (values - mean) ** 2).sum())), 4))
    # A set of one-coloured pictures must not lead to a division by zero.
    return tuple(means), tuple(max(std, 1e-4) for std in stds)
