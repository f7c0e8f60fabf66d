"""Epochs without their easiest images: what the network knows already rests."""

import torch
import torch.nn.functional as F
from torch import Tensor

from s10.loaders import epoch_order
from s10.runtime.errors import InputError
from s10.runtime.hooks import Hook
from s10.speed.loaders import FastLoader

IN_A_ROW = 2  # epochs in which an image may rest, before it is looked at again


class RestingLoader(FastLoader):
    """Batches as from `FastLoader`, in each epoch of those images that do not rest.

    Args:
        rest: the share of the images that an epoch leaves out, 0–½. The hook
            `RestEasyImages` chooses them; without it they are random.
        *args, **options: of `FastLoader`.
    """

    def __init__(self, *args, rest: float, **options):
        super().__init__(*args, **options)
        self.resting: Tensor | None = None  # bool (N,), on the CPU
        self.count -= round(rest * self.count)  # images of an epoch

    def order(self) -> Tensor:
        order = epoch_order(len(self.labels), self.seed, self.epoch)
        return order[: self.count] if self.resting is None else order[~self.resting[order]]


class RestEasyImages(Hook):
    """Lets those images rest that had the smallest losses when last seen.

    So the steps go where the network still has something to learn. None rests more than twice in
    a row, so what it forgets meanwhile comes back. In the first epoch random images rest. To choose
    by loss is the idea of Jiang et al., "Accelerating Deep Learning by Focusing on the Biggest
    Losers" (2019); the loss of an earlier epoch costs nothing (Qin et al., "InfoBatch", 2024).

    Raises:
        InputError: by `fit`, if the training loader is no `RestingLoader`.
    """

    def on_start(self, state) -> None:
        self.loader = loader = state.train_loader
        if not isinstance(loader, RestingLoader):
            raise InputError(
                f"{type(state.recipe).__name__} chooses the images of an epoch: use its own "
                "train_loader, or set rest to 0"
            )
        images = len(loader.labels)
        self.losses = torch.full((images,), torch.inf, device=loader.device)
        self.rested = torch.zeros(images, dtype=torch.int64)  # epochs in a row, with this one
        self.rested[epoch_order(images, loader.seed, 1)[loader.count :]] = 1
        loader.resting = self.rested > 0

    def on_step(self, state) -> None:
        losses = F.cross_entropy(
            *state.metrics.last_batch,
            label_smoothing=state.recipe.label_smoothing,
            reduction="none",
        )
        self.losses[self.loader.index] = losses

    def on_epoch(self, state) -> None:
        # So that an image comes back mirrored if it was not when last seen.
        self.loader.mirrored_first ^= self.loader.resting
        count = len(self.losses) - self.loader.count
        self.rested = rest_easiest(self.losses.cpu(), self.rested, count)
        self.loader.resting = self.rested > 0

    def state_dict(self) -> dict:
        """What it knows of each image; a checkpoint contains it."""
        return {
            "losses": self.losses,
            "rested": self.rested,
            "mirrored_first": self.loader.mirrored_first,
        }

    def load_state_dict(self, values: dict) -> None:
        """Continue with what `state_dict` gave."""
        self.losses.copy_(values["losses"])
        self.rested, self.loader.mirrored_first = values["rested"], values["mirrored_first"]
        self.loader.resting = self.rested > 0


def rest_easiest(losses: Tensor, rested: Tensor, count: int) -> Tensor:
    """For how many epochs in a row each image will have rested after the next one: int64 (N,).

    `count` images rest: those with the smallest losses (float (N,)), but none that has already
    rested for `IN_A_ROW` epochs (`rested`, int64 (N,)).
    """
    order = losses.masked_fill(rested >= IN_A_ROW, torch.inf).argsort(stable=True)
    resting = torch.zeros_like(rested)
    resting[order[:count]] = 1
    return resting * (rested + 1)
