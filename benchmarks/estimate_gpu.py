"""How long the assignment would take on GPUs that are not at hand: an estimate, no measurement.

    python benchmarks/estimate_gpu.py [--width 64]

The sum of two times. Convolutions: their multiplications and additions, forward and
backward, at the rate of the GPU's tensor cores. Everything else (batch norm, ReLU, pooling,
the optimizer): the bytes that it moves through the GPU's memory, at the memory's bandwidth.
Each rate is the peak of the data sheet times the fraction of it that is usual in practice.
These fractions are the weak point, so the result is a range.
"""

import argparse
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from s10 import CustomResNet, Recipe

IMAGES, TEST_IMAGES = 50_000, 10_000
# How many times a layer reads or writes each number of its input (or of the input's gradient),
# and of its output (or of the output's gradient), in a training step of a plain implementation.
#   conv: the input is read, read again for the weights' gradient, and its gradient written; the
#   output is written, and its gradient read for the weights and for the input. BN: the input is
#   read for the statistics and for the result; backward, input and output gradient are read
#   twice (two sums, then the result), and the input's gradient is written. ReLU: the output's
#   sign gates the gradient. Pooling: the position of each maximum is kept in 8 bytes.
PASSES = {
    nn.Conv2d: (3, 3),
    nn.BatchNorm2d: (5, 3),
    nn.ReLU: (2, 3),
    nn.MaxPool2d: (2, 2 + 8),
}
ADAM_BYTES = 4 * 7  # per weight: gradient, weight and two moments read; three of them written


@dataclass(frozen=True)
class GPU:
    """Peaks of the data sheet, and the usual fraction of each: (low, high)."""

    name: str
    flops: float  # per second, dense, in the 16-bit format that s10 chooses for it
    bandwidth: float  # bytes per second
    flops_fraction: tuple[float, float]
    bandwidth_fraction: tuple[float, float]


GPUS = (
    # A T4 is limited to 70 W: with busy tensor cores it cannot hold its clock rate.
    GPU("T4 (fp16)", 65e12, 320e9, (0.25, 0.45), (0.65, 0.85)),
    GPU("H200 (bf16)", 989e12, 4.8e12, (0.35, 0.6), (0.6, 0.8)),
)


def work_of_a_step(width: int, batch: int) -> tuple[float, float]:
    """Floating-point operations and bytes of memory traffic of one training step."""
    model, traffic = CustomResNet(width=width), []

    def count(module, inputs, output):
        input_passes, output_passes = PASSES[type(module)]
        numbers = input_passes * inputs[0].numel() + output_passes * output.numel()
        traffic.append(2 * numbers)  # 16 bits are 2 bytes.

    for module in model.modules():
        if type(module) in PASSES:
            module.register_forward_hook(count)
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(2, 3, 32, 32)).sum().backward()
    weights = sum(weight.numel() for weight in model.parameters())
    return counter.get_total_flops() / 2 * batch, sum(traffic) / 2 * batch + weights * ADAM_BYTES


def seconds(gpu: GPU, width: int, recipe: Recipe) -> tuple[float, float]:
    """Shortest and longest time of a run, with the evaluation after each epoch."""
    flops, traffic = work_of_a_step(width, recipe.batch_size)
    # A forward pass is about a third of a training step.
    steps = recipe.epochs * (IMAGES + TEST_IMAGES / 3) / recipe.batch_size
    longest, shortest = (
        steps * (flops / (gpu.flops * arithmetic) + traffic / (gpu.bandwidth * memory))
        for arithmetic, memory in zip(gpu.flops_fraction, gpu.bandwidth_fraction, strict=True)
    )
    return shortest, longest


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
        shortest, longest = seconds(gpu, options.width, recipe)
        print(f"{gpu.name}: {shortest:.0f} to {longest:.0f} s of training and testing (estimate)")


if __name__ == "__main__":
    main()
