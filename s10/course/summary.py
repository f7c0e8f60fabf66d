"""The table of a network's layers, by torchsummary."""

import contextlib
import copy
import io
import re

import torch
from torch import nn

from s10.runtime.errors import InputError


def network_summary(model: nn.Module) -> str:
    """Layers, output shapes and parameters for an image of 3 × 32 × 32, as text.

    The images go through a copy of the model, in float32 and evaluation mode, so the model
    itself is not changed.

    Raises:
        InputError: the model has no parameters.
    """
    from torchsummary import summary

    weights = list(model.parameters())
    if not weights:
        raise InputError("the network has no parameters, so there is nothing to summarize")
    output = io.StringIO()
    with torch.random.fork_rng(), torch.no_grad(), contextlib.redirect_stdout(output):
        summary(copy.deepcopy(model).float().cpu().eval(), (3, 32, 32), device="cpu")
    total = sum(weight.numel() for weight in weights)
    trainable = sum(weight.numel() for weight in weights if weight.requires_grad)
    # torchsummary counts a layer each time it is used, and no parameter outside a layer.
    sums = {"Total": total, "Trainable": trainable, "Non-trainable": total - trainable}
    text = output.getvalue()
    for name, count in sums.items():
        text = re.sub(f"^{name} params: .*", f"{name} params: {count:,}", text, flags=re.M)
    return text
