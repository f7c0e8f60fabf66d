"""What the loop asks of the model, optimizer and scheduler that it is given."""

import contextlib

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from s10.runtime.errors import InputError


def check_parts(model: nn.Module, optimizer: Optimizer, scheduler: object | None) -> None:
    """Raise an InputError unless the optimizer trains the model, and the scheduler steps it."""
    weights = {id(weight) for weight in model.parameters() if weight.requires_grad}
    groups = optimizer.param_groups
    if not any(id(weight) in weights for group in groups for weight in group["params"]):
        raise InputError(
            "the optimizer holds no trainable weight of this model; make it from model.parameters()"
        )
    if getattr(scheduler, "optimizer", optimizer) is not optimizer:
        raise InputError("the scheduler sets the LR of another optimizer; pass that one, too")
    if isinstance(scheduler, ReduceLROnPlateau):
        raise InputError("ReduceLROnPlateau needs a loss to step on; step it in a hook's on_epoch")


@contextlib.contextmanager
def evaluation_mode(model: nn.Module):
    """Inside, the model is in evaluation mode; afterwards each layer is in its own mode again."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
