"""Loss and accuracy of an epoch, accumulated while it runs."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from s10.runtime.device import widest_float
from s10.runtime.errors import InputError, S10Error
from s10.schedules import momentum_of

# Of the history, a row for each epoch: LR and momentum of its last step, mean losses
# (cross-entropy, nats), accuracies (0–1), and its duration.
COLUMNS = (
    "epoch", "lr", "momentum", "train_loss", "train_accuracy", "test_loss", "test_accuracy",
    "seconds",
)  # fmt: skip
NO_BATCH = "the training loader gave no batch; an iterator gives each only once"


class TrainingDiverged(S10Error):
    """The loss is no longer finite; the message says at which step and LR."""


class EpochResult(NamedTuple):
    """Mean loss and accuracy (0–1) over an epoch's images; LR and momentum of its last step.

    The loss is the plain cross-entropy, also when training smooths the labels. `skipped`
    counts the steps that fp16 left out.
    """

    loss: float
    accuracy: float
    lr: float
    momentum: float
    skipped: int = 0


class RunningMetrics:
    """Sums of loss and correct predictions, kept on the device: reading one waits for a GPU.

    `all_reduce` adds up a list of numbers over the processes that train together; by
    default there is one.
    """

    def __init__(self):
        self.all_reduce = lambda sums: sums
        self.reset()

    def reset(self) -> None:
        """Begin an epoch."""
        self.images, self.batches, self.skipped = 0, 0, 0
        self.loss_sum, self.correct = 0, 0
        self.lr = self.momentum = float("nan")  # of the last step
        self.losses, self.lrs = [], []  # of the steps since the last reset or load

    def update(
        self, logits: Tensor, labels: Tensor, optimizer: Optimizer, skipped: bool = False
    ) -> None:
        """Add one batch: logits (B, C), labels (B,), and the optimizer that made the step."""
        logits = logits.detach().float()
        self.last_batch = logits, labels  # for hooks
        loss = F.cross_entropy(logits, labels)  # Unsmoothed: comparable with the test loss.
        group = optimizer.param_groups[0]
        self.lr, self.momentum = group["lr"], momentum_of(group)
        self.losses.append(loss)
        self.lrs.append(self.lr)
        self.batches += 1
        self.images += len(labels)
        self.skipped += skipped
        self.loss_sum = self.loss_sum + loss.to(widest_float(loss.device)) * len(labels)
        self.correct = self.correct + (logits.argmax(1) == labels).sum()
        if loss.device.type == "cpu":
            self.check_finite(since=len(self.losses) - 1)

    @property
    def loss(self) -> float:
        """Mean loss of this process so far."""
        return float(self.loss_sum) / self.images

    @property
    def accuracy(self) -> float:
        """Accuracy of this process so far, 0–1."""
        return int(self.correct) / self.images

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
                f"LR {self.lrs[step]:.3g}; use a smaller lr_max"
            )

    def result(self) -> EpochResult:
        """Loss and accuracy over all images so far, those of all processes.

        Raises:
            TrainingDiverged: a loss is not finite.
            InputError: there was no image.
        """
        self.check_finite()
        if not self.images:
            raise InputError(NO_BATCH)
        sums = self.state_dict()
        loss, accuracy = sums["loss_sum"] / sums["images"], sums["correct"] / sums["images"]
        return EpochResult(loss, accuracy, self.lr, self.momentum, self.skipped)

    def state_dict(self) -> dict:
        """The sums over all processes, as numbers."""
        sums = self.all_reduce([self.images, int(self.correct), float(self.loss_sum)])
        images, correct, loss_sum = sums
        return {
            "images": int(images), "correct": int(correct), "loss_sum": loss_sum,
            "batches": self.batches, "lr": self.lr, "momentum": self.momentum,
            "skipped": self.skipped,
        }  # fmt: skip

    def load_state_dict(self, state: dict) -> None:
        """Continue with the sums of an epoch that was interrupted."""
        self.reset()
        for name, value in state.items():
            setattr(self, name, value)
