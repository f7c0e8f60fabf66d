"""Loss and accuracy of an epoch, summed up while it runs."""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from s10.errors import S10Error


class TrainingDiverged(S10Error):
    """The loss was no longer a finite number; the message says at which step and LR."""


class EpochResult(NamedTuple):
    """Mean loss and accuracy (0–1) over an epoch's images; LR and momentum of its last step.

    The loss is the plain cross-entropy, also when training smooths the labels.
    """

    loss: float
    accuracy: float
    lr: float
    momentum: float


class Meter:
    """Sums loss and hits over images, on the device: reading a number waits for the GPU."""

    def __init__(self):
        self.images, self.batches = 0, 0
        self.loss_sum, self.hits = 0, 0
        self.lr = self.momentum = float("nan")  # of the last step
        self.losses, self.rates = [], []  # of the steps since it was made

    def add(self, logits, labels, lr: float, momentum: float) -> None:
        """Take in one batch: its logits (B, C), its labels (B,), its LR and momentum."""
        logits = logits.detach().float()
        loss = F.cross_entropy(logits, labels)  # Without smoothing: comparable with the test's.
        self.losses.append(loss)
        self.rates.append(lr)
        self.lr, self.momentum = lr, momentum
        self.batches += 1
        self.images += len(labels)
        self.loss_sum = self.loss_sum + loss.double() * len(labels)
        self.hits = self.hits + (logits.argmax(1) == labels).sum()
        if loss.device.type == "cpu":
            self.check_finite(since=len(self.losses) - 1)

    @property
    def loss(self) -> float:
        return float(self.loss_sum) / self.images

    @property
    def accuracy(self) -> float:
        return int(self.hits) / self.images

    def check_finite(self, since: int = 0) -> None:
        """Raise TrainingDiverged at the first loss that is not finite."""
        if not self.losses[since:]:
            return
        finite = torch.stack(self.losses[since:]).isfinite()
        if not finite.all():
            step = since + int(finite.int().argmin())
            number = self.batches - len(self.losses) + step + 1
            raise TrainingDiverged(
                f"the loss is {float(self.losses[step])} at batch {number} of this epoch, "
                f"LR {self.rates[step]:.3g}; take a smaller lr_max"
            )

    def totals(self) -> dict:
        """The sums as plain numbers, from which `go_on` goes on."""
        return {
            "images": self.images, "batches": self.batches, "loss_sum": float(self.loss_sum),
            "hits": int(self.hits), "lr": self.lr, "momentum": self.momentum,
        }  # fmt: skip

    def result(self) -> EpochResult:
        """Loss and accuracy over all images so far; raises TrainingDiverged as `check_finite`."""
        self.check_finite()
        totals = self.totals()
        images = totals["images"]
        return EpochResult(
            totals["loss_sum"] / images, totals["hits"] / images, self.lr, self.momentum
        )

    def go_on(self, totals: dict) -> None:
        """Begin with the sums of an epoch that was interrupted."""
        for name in ("images", "batches", "hits"):
            setattr(self, name, int(totals[name]))
        for name in ("loss_sum", "lr", "momentum"):
            setattr(self, name, float(totals[name]))
