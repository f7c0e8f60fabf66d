"""The Muon optimizer: each step changes a layer's filters equally in all directions."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from s10.runtime.errors import InputError

ADAM_LR_SCALE = 0.1  # of the LR, for biases, batch norms and the last layer
COEFFICIENTS = 3 * ((3.4445, -4.775, 2.0315),)  # a, b and c of each iteration


def orthogonalize(
    matrix: Tensor, coefficients: Sequence[tuple[float, float, float]] = COEFFICIENTS
) -> Tensor:
    """Approximately the nearest orthogonal matrix: float (M, N) → float32 (M, N).

    For a matrix U·S·Vᵀ it is about U·Vᵀ, with singular values between about 0.7 and 1.2
    unless they were very small. Each of these Newton–Schulz iterations maps every singular value s
    to a s + b s³ + c s⁵, by default 3.4445 s − 4.775 s³ + 2.0315 s⁵, which makes small ones
    grow fastest and leaves large ones near 1. It consists of matrix products only, so bfloat16
    is precise enough.
    """
    x = matrix.bfloat16()
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T
    x = x / (x.norm() + 1e-7)  # The iteration needs singular values of at most 1.
    for a, b, c in coefficients:
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return (x if wide else x.T).float()


class Muon(Optimizer):
    """Muon for the filters of convolutions, AdamW for all other weights.

    The filters of a layer form a matrix with a row for each output channel. The step is
    the Nesterov momentum of its gradient, orthogonalized: a direction in which the
    gradient is faint counts as much as its strongest one. Before each step the filters
    are rescaled to the norm √channels, because a batch norm follows, for which only their
    direction matters. The orthogonal matrix has the same norm, so the LR is the fraction
    of the filters that a step replaces. (A layer with more filters than weights in each
    has a step of smaller norm.)

    Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024); AdamW:
    Loshchilov & Hutter (2017). PyTorch's own `torch.optim.Muon` accepts matrices only.

    Args:
        parameters: weights; those with four dimensions (out, in, height, width)
            are filters, all others are trained with `lr · ADAM_LR_SCALE`.
        lr: the fraction of the filters that a step replaces, 0–1; 0.1 is a tenth.
        momentum: of Muon, and Adam's β1.
        beta2, weight_decay: of AdamW; the filters have a fixed norm and no decay.

    Raises:
        InputError: there are no filters.
    """

    def __init__(
        self,
        parameters,
        lr: float,
        momentum: float = 0.6,
        beta2: float = 0.95,
        weight_decay: float = 0.0,
        eps: float = 1e-8,
    ):
        weights = [weight for weight in parameters if weight.requires_grad]
        filters = [weight for weight in weights if weight.ndim == 4]
        others = [weight for weight in weights if weight.ndim != 4]
        if not filters:
            raise InputError("Muon is for networks with convolutions; this one has none to train")
        groups = [{"params": filters, "filters": True}]
        if others:
            groups.append({"params": others, "filters": False})
        settings = {"beta2": beta2, "weight_decay": weight_decay, "eps": eps}
        super().__init__(groups, {"lr": lr, "momentum": momentum, **settings})

    coefficients = COEFFICIENTS  # of the orthogonalization

    @torch.no_grad()
    def step(self, closure=None):
        """Take one step; weights without a gradient stay unchanged."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            update = self._muon_update if group["filters"] else self._update_of_others
            for weight in group["params"]:
                if weight.grad is not None:
                    update(weight, weight.grad, self.state[weight], group)
        return loss

    def _muon_update(self, weight: Tensor, gradient: Tensor, state: dict, group: dict) -> None:
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        buffer = state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)
        nesterov = gradient.add(buffer, alpha=group["momentum"])
        step = orthogonalize(nesterov.flatten(1), self.coefficients).view_as(weight)
        # Rescaled before the step, so that the step replaces exactly that fraction.
        weight.mul_(len(weight) ** 0.5 / weight.norm().clamp_min(1e-7))
        weight.sub_(step, alpha=group["lr"])

    def _update_of_others(self, weight: Tensor, gradient: Tensor, state: dict, group: dict) -> None:
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(weight)
            state["exp_avg_sq"] = torch.zeros_like(weight)
        beta1, beta2, lr = group["momentum"], group["beta2"], group["lr"] * ADAM_LR_SCALE
        state["step"] += 1
        mean = state["exp_avg"].lerp_(gradient, 1 - beta1)
        square = state["exp_avg_sq"].lerp_(gradient.square(), 1 - beta2)
        # Both averages start at zero; the divisors correct that (Kingma & Ba 2014, section 3).
        mean = mean / (1 - beta1 ** state["step"].item())
        root = (square / (1 - beta2 ** state["step"].item())).sqrt()
        weight.mul_(1 - lr * group["weight_decay"]).sub_(lr * mean / (root + group["eps"]))
