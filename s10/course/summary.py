"""The table of a network's layers."""

import copy

import torch
from torch import Tensor, nn


@torch.no_grad()
def network_summary(model: nn.Module) -> str:
    """Layers, output shapes and parameters for an image of 3 × 32 × 32, as text.

    The table is like torchsummary's. A layer that is used again is shown again, without new
    parameters. The image goes through a copy of the model, which itself is not changed; the
    memory is that of float32, with the gradients of all outputs.
    """
    model = copy.deepcopy(model).float().cpu().eval()
    rows, counted, numbers = [], set(), []

    def add_row(layer: nn.Module, _, output) -> None:
        new = set(layer.parameters(recurse=False)) - counted
        counted.update(new)
        name = f"{type(layer).__name__}-{len(rows) + 1}"
        shape = [-1, *output.shape[1:]] if isinstance(output, Tensor) else type(output).__name__
        count = sum(weight.numel() for weight in new)
        numbers.append(output.numel() if isinstance(output, Tensor) else 0)
        rows.append(f"{name:>20}  {shape!s:>25} {count:>15,}")

    for layer in model.modules():
        if layer is not model and not isinstance(layer, (nn.Sequential, nn.ModuleList)):
            layer.register_forward_hook(add_row)
    model(torch.zeros(1, 3, 32, 32))
    weights = list(model.parameters())
    total = sum(weight.numel() for weight in weights)
    trainable = sum(weight.numel() for weight in weights if weight.requires_grad)
    sizes = {"Input": 3 * 32 * 32, "Forward/backward pass": 2 * sum(numbers), "Params": total}
    memory = [f"{name} size (MB): {4 * count / 2**20:.2f}" for name, count in sizes.items()]
    memory.append(f"Estimated Total Size (MB): {4 * sum(sizes.values()) / 2**20:.2f}")
    head = f"{'Layer (type)':>20}  {'Output Shape':>25} {'Param #':>15}"
    sums = f"Total params: {total:,}\nTrainable params: {trainable:,}\n"
    sums += f"Non-trainable params: {total - trainable:,}"
    line, double = "-" * 64, "=" * 64
    return "\n".join([line, head, double, *rows, double, sums, line, *memory, line, ""])
