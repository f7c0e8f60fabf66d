"""Muon: every step turns all directions of a layer's filters by the same amount."""

import torch
from torch import Tensor
from torch.optim import Optimizer

from s10.errors import InputError

ADAM_PART = 0.1  # of the LR: what biases, batch norms and the last layer are trained with
ITERATIONS = 3


class Muon(Optimizer):
    """Muon for the filters of convolutions, AdamW for all other weights.

    The filters of a layer are a matrix with a row for each output channel. The
    momentum of its gradient (Nesterov's) is made orthogonal, so that a direction
    that the gradient hardly knows counts as much as its main one, and that is
    the step. Before each step the filters get back their length, √channels: behind
    them is a batch norm, for which only their direction counts. The orthogonal matrix
    is just as long, so the LR says what part of the filters a step replaces. (Where
    there are more filters than weights in each, it is shorter, and so is the step.)

    Jordan et al., "Muon: An optimizer for hidden layers in neural networks"
    (2024); AdamW: Loshchilov & Hutter (2017). PyTorch's own `torch.optim.Muon`
    takes matrices only, and no other weights beside them.

    Args:
        parameters: weights; those with four dimensions (out, in, height, width)
            are filters, all others are trained with `lr · ADAM_PART`.
        lr: the part of the filters that a step replaces, 0–1; 0.1 is a tenth.
        momentum: of Muon, and Adam's β1.
        beta2, weight_decay: of AdamW; the filters have a fixed length, and no decay.

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

    @torch.no_grad()
    def step(self, closure=None):
        """Take one step; weights without a gradient stay as they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    update = self._turn if group["filters"] else self._adam
                    update(weight, weight.grad, self.state[weight], group)
        return loss

    def _turn(self, weight: Tensor, gradient: Tensor, state: dict, group: dict) -> None:
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        buffer = state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)
        ahead = gradient.add(buffer, alpha=group["momentum"])
        step = orthogonal(ahead.flatten(1)).view_as(weight)
        # To its length before the step, so that the step replaces just that part of it.
        weight.mul_(len(weight) ** 0.5 / weight.norm().clamp_min(1e-7))
        weight.sub_(step, alpha=group["lr"])

    def _adam(self, weight: Tensor, gradient: Tensor, state: dict, group: dict) -> None:
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(weight)
            state["exp_avg_sq"] = torch.zeros_like(weight)
        beta1, beta2, lr = group["momentum"], group["beta2"], group["lr"] * ADAM_PART
        state["step"] += 1
        mean = state["exp_avg"].lerp_(gradient, 1 - beta1)
        square = state["exp_avg_sq"].lerp_(gradient.square(), 1 - beta2)
        # Both begin at zero; the divisors undo it (Kingma & Ba 2014, section 3).
        mean = mean / (1 - beta1 ** state["step"].item())
        root = (square / (1 - beta2 ** state["step"].item())).sqrt()
        weight.mul_(1 - lr * group["weight_decay"]).sub_(lr * mean / (root + group["eps"]))


def orthogonal(matrix: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """The orthogonal matrix nearest to this one, roughly: float (M, N) → float32 (M, N).

    A matrix is a product U·S·Vᵀ; this gives about U·Vᵀ, all singular values
    between 0.6 and 1.3, unless they were very small. Each of these Newton–Schulz
    iterations takes every singular value s to 3.4445 s − 4.775 s³ + 2.0315 s⁵,
    which blows up small ones fastest and leaves large ones near 1. It takes only
    products of matrices, so it is done in bfloat16.
    """
    x = matrix.bfloat16()
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T
    x = x / (x.norm() + 1e-7)  # No singular value is above 1 now, as the iteration needs it.
    for _ in range(iterations):
        square = x @ x.T
        x = 3.4445 * x + (-4.775 * square + 2.0315 * square @ square) @ x
    return (x if wide else x.T).float()
