"""The schedules of the submissions that are not `s10.schedules.OneCycle`."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from s10.runtime.errors import InputError, positive_int
from s10.schedules import OneCycle, check_single_lr


class OneCyclePerEpoch(LambdaLR):
    """One cycle in steps of an epoch: LR and momentum are the same for all its batches.

    Epoch 1 has `lr_min`, `peak_epoch` has `lr_max` and the last epoch `lr_min`, with
    straight lines between them; the momentum cycles inversely. This is how it was done by
    hand before PyTorch had OneCycleLR. Call `step()` after every batch, as for `OneCycle`.

    Raises:
        InputError: the peak is not an integer from 2 to the last epoch but one.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        lr_max: float,
        lr_min: float,
        epochs: int,
        steps_per_epoch: int,
        peak_epoch: int,
        momentum_max: float = 0.95,
        momentum_min: float = 0.85,
    ):
        check_single_lr(optimizer)
        self.epochs = positive_int("epochs", epochs)
        self.steps_per_epoch = positive_int("steps_per_epoch", steps_per_epoch)
        self.peak_epoch = positive_int("peak_epoch", peak_epoch)
        if not 1 < peak_epoch < epochs:
            raise InputError(
                f"peak_epoch ({peak_epoch}) must lie between the first and the last epoch "
                f"({epochs}) for a cycle in steps of an epoch"
            )
        self.rates = (lr_min, lr_max)
        self.momenta = (momentum_max, momentum_min)
        for group in optimizer.param_groups:
            group["lr"] = 1.0  # LambdaLR multiplies by it; so the factor is the LR itself.
            group.pop("initial_lr", None)
        super().__init__(optimizer, lambda step: self.at(self.rates, step))

    def at(self, values: tuple[float, float], step: int) -> float:
        """The value in this step's epoch, on the lines from the first value to the peak and back.

        Args:
            values: at the start and the end, and at the peak.
        """
        end, peak = values
        epoch = min(step // self.steps_per_epoch + 1, self.epochs)
        if epoch <= self.peak_epoch:
            return end + (peak - end) * (epoch - 1) / (self.peak_epoch - 1)
        return peak + (end - peak) * (epoch - self.peak_epoch) / (self.epochs - self.peak_epoch)

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        momentum = self.at(self.momenta, self.last_epoch)
        for group in self.optimizer.param_groups:
            if "betas" in group:  # Adam's β1
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum


class OneCycleSteppedOncePerEpoch(OneCycle):
    """A mistake, kept to be measured: a `OneCycle` made for batches, stepped once per epoch.

    24 epochs are then the first 24 of its 2,352 steps, and the LR hardly leaves `lr_min`.
    The loop of `s10.training` steps after every batch; only the last step of an epoch counts.
    """

    def __init__(self, optimizer: Optimizer, *, steps_per_epoch: int, **settings):
        self.batches, self.batches_per_epoch = 0, steps_per_epoch
        super().__init__(optimizer, steps_per_epoch=steps_per_epoch, **settings)

    def step(self, epoch: int | None = None) -> None:
        if self.last_epoch >= 0:  # Not the step with which PyTorch sets the first LR.
            self.batches += 1
        if self.batches % self.batches_per_epoch == 0:
            super().step(epoch)
