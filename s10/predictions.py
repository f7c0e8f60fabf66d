"""The network's predictions on the test images, and what follows from them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import log_softmax, softmax

from s10.runtime.errors import InputError


@dataclass(frozen=True)
class Predictions:
    """The outcome of one pass over N images with C classes.

    `logits`: float32 (N, C). `labels`: int64 (N,), the true classes. `classes`:
    their C names.
    """

    logits: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    def __post_init__(self):
        # Lists, arrays and tensors are all welcome.
        object.__setattr__(self, "logits", np.asarray(self.logits, np.float32))
        object.__setattr__(self, "labels", np.asarray(self.labels, np.int64))
        object.__setattr__(self, "classes", tuple(map(str, self.classes)))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits: float64 (N, C), rows add up to 1."""
        return softmax(self.logits.astype(np.float64), axis=1)

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class of each image: int64 (N,)."""
        return self.logits.argmax(axis=1)

    @property
    def accuracy(self) -> float:
        """Fraction of the images that are classified correctly, 0–1."""
        return float((self.predicted == self.labels).mean())

    @property
    def loss(self) -> float:
        """Mean cross-entropy over the images, in nats."""
        log_probabilities = log_softmax(self.logits.astype(np.float64), axis=1)
        return -float(log_probabilities[np.arange(len(self.labels)), self.labels].mean())

    def confusion_matrix(self) -> np.ndarray:
        """int64 (C, C): images of class row that were predicted as class column."""
        count = len(self.classes)
        pairs = self.labels * count + self.predicted
        return np.bincount(pairs, minlength=count * count).reshape(count, count)

    def class_accuracy(self) -> pd.DataFrame:
        """A row for each class: class, images, correct, accuracy, low, high (fractions).

        low and high bound the 95 % interval of Wilson, "Probable Inference"
        (1927), which stays sensible near 0 and 1, where accuracies live. A class
        without images has NaN.
        """
        from scipy.stats import binomtest  # Here, as importing it takes 0.7 seconds.

        matrix = self.confusion_matrix()
        rows = []
        for index, name in enumerate(self.classes):
            images, correct = int(matrix[index].sum()), int(matrix[index, index])
            row = {"class": name, "images": images, "correct": correct}
            row |= {"accuracy": np.nan, "low": np.nan, "high": np.nan}
            if images:
                interval = binomtest(correct, images).proportion_ci(method="wilson")
                row |= {
                    "accuracy": correct / images,
                    "low": float(interval.low),
                    "high": float(interval.high),
                }
            rows.append(row)
        return pd.DataFrame(rows)

    def confused_pairs(self) -> pd.DataFrame:
        """Pairs of classes by how often one was predicted as the other, most often first.

        Columns: true, predicted, count, fraction (of the true class's images).
        """
        matrix = self.confusion_matrix()
        rows = [
            {
                "true": self.classes[true],
                "predicted": self.classes[predicted],
                "count": int(matrix[true, predicted]),
                "fraction": matrix[true, predicted] / matrix[true].sum(),
            }
            for true, predicted in zip(*np.nonzero(matrix), strict=True)
            if true != predicted
        ]
        columns = ["true", "predicted", "count", "fraction"]
        pairs = pd.DataFrame(rows, columns=columns)
        return pairs.sort_values("count", ascending=False, kind="stable", ignore_index=True)

    def mistakes(self, true: str | None = None, predicted: str | None = None) -> pd.DataFrame:
        """The misclassified images, the most confident mistakes first.

        Args:
            true, predicted: only mistakes of this true class, or of this predicted class.

        Columns: index (into the images), true, predicted (names), probability
        (of the predicted class), probability_true.
        """
        probabilities, guess = self.probabilities, self.predicted
        index = np.nonzero(guess != self.labels)[0]
        names = np.array(self.classes)
        table = pd.DataFrame(
            {
                "index": index,
                "true": names[self.labels[index]],
                "predicted": names[guess[index]],
                "probability": probabilities[index, guess[index]],
                "probability_true": probabilities[index, self.labels[index]],
            }
        )
        for column, name in (("true", true), ("predicted", predicted)):
            if name is not None:
                self._check_class(name)
                table = table[table[column] == name]
        return table.sort_values("probability", ascending=False, kind="stable", ignore_index=True)

    def _check_class(self, name: str) -> None:
        if name not in self.classes:
            raise InputError(f"there is no class {name!r}; classes: {', '.join(self.classes)}")
