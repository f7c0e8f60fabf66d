"""The table of a network's layers, by torchsummary."""

import contextlib
import io

import torch
from torch import nn


def network_summary(model: nn.Module) -> str:
    """Layers, output shapes and parameters for an image of 3 × 32 × 32, as text.

    The model is not changed: torchsummary sends two random images through it,
    which in training mode would shift the batch norms' statistics.
    """
    from torchsummary import summary

    was_training, device = model.training, next(model.parameters()).device.type
    output = io.StringIO()
    with torch.random.fork_rng(), torch.no_grad(), contextlib.redirect_stdout(output):
        model.eval()
        try:
            summary(model, (3, 32, 32), device=device)
        finally:
            model.train(was_training)
    return output.getvalue()
