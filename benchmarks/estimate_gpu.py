"""How long the assignment would take on a GPU that is not at hand: an estimate, not a measurement.

    python benchmarks/estimate_gpu.py [--width 64]

Two times are added up. The convolutions: their multiplications and
additions, forward and backward, by what the GPU's tensor cores reach. All else
(batch norm, ReLU, pooling, the optimizer): the bytes that have to pass through
its memory, by what that reaches. Each is a peak of the data sheet times a share
of it that is usual in practice; the shares are the weak point, so they are
given as a range.
"""

import argparse
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from s10 import CustomResNet, Recipe

IMAGES, TEST_IMAGES = 50_000, 10_000
# How often such a layer reads or writes its input or the input's gradient, and its output or the
# output's gradient, in one step of training, as a plain implementation does it.
#   conv: input read, read again for the weights' gradient, the input's gradient written; output
#   written, its gradient read for the weights and for the input. BN: input read for the
#   statistics and for the result; backward input and output's gradient read twice (two sums,
#   then the result), the input's gradient written. ReLU: the gradient goes where the output is
#   above 0. Pooling: where the maxima were is kept in 8 bytes for each output.
PASSES = {
    nn.Conv2d: (3, 3),
    nn.BatchNorm2d: (5, 3),
    nn.ReLU: (2, 3),
    nn.MaxPool2d: (2, 2 + 8),
}
ADAM_BYTES = 4 * 7  # per weight: gradient, weight and two moments read; three of them written


@dataclass(frozen=True)
class GPU:
    """Peaks of the data sheet, and which share of each is usual: (bad, good)."""

    name: str
    flops: float  # dense, in the 16-bit format that s10 takes on it
    bandwidth: float  # bytes a second
    flops_share: tuple[float, float]
    bandwidth_share: tuple[float, float]


GPUS = (
    # A T4 is limited by its 70 W: it cannot keep its clock when its tensor cores are busy.
    GPU("T4 (fp16)", 65e12, 320e9, (0.25, 0.45), (0.65, 0.85)),
    GPU("H200 (bf16)", 989e12, 4.8e12, (0.35, 0.6), (0.6, 0.8)),
)


def work_of_a_step(width: int, batch: int) -> tuple[float, float]:
    """Floating-point operations and bytes of memory traffic of one training step."""
    model, traffic = CustomResNet(width=width), []

    def count(module, inputs, output):
        at_input, at_output = PASSES[type(module)]
        numbers = at_input * inputs[0].numel() + at_output * output.numel()
        traffic.append(2 * numbers)  # 16 bits are 2 bytes.

    for module in model.modules():
        if type(module) in PASSES:
            module.register_forward_hook(count)
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(2, 3, 32, 32)).sum().backward()
    weights = sum(weight.numel() for weight in model.parameters())
    return counter.get_total_flops() / 2 * batch, sum(traffic) / 2 * batch + weights * ADAM_BYTES


def seconds(gpu: GPU, width: int, recipe: Recipe) -> tuple[float, float]:
    """The whole run, test images after each epoch included: (at best, at worst)."""
    flops, traffic = work_of_a_step(width, recipe.batch_size)
    # A forward pass alone is about a third of a training step.
    steps = recipe.epochs * (IMAGES + TEST_IMAGES / 3) / recipe.batch_size
    bad, good = (
        steps * (flops / (gpu.flops * arithmetic) + traffic / (gpu.bandwidth * memory))
        for arithmetic, memory in zip(gpu.flops_share, gpu.bandwidth_share, strict=True)
    )
    return good, bad


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=64)
    options = parser.parse_args(arguments)
    recipe = Recipe(width=options.width)
    flops, traffic = work_of_a_step(options.width, recipe.batch_size)
    steps = recipe.epochs * IMAGES / recipe.batch_size
    print(
        f"width {options.width}, {recipe.epochs} epochs: {flops * steps / 1e15:.2f} PFLOP and "
        f"{traffic * steps / 1e12:.1f} TB of memory traffic"
    )
    for gpu in GPUS:
        good, bad = seconds(gpu, options.width, recipe)
        print(f"{gpu.name}: {good:.0f} to {bad:.0f} s of training and testing (estimate)")


if __name__ == "__main__":
    main()
