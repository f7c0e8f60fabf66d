"""The estimate for GPUs that are not at hand counts the work correctly."""

import estimate_gpu
import pytest

from s10 import Recipe


def test_the_operations_are_those_of_the_network():
    """2.272 GFLOP per image, forward and backward: an independent count of the same network."""
    flops, _ = estimate_gpu.work_of_a_step(64, 512)
    assert flops / 512 == pytest.approx(2.272e9, rel=0.002)
    assert estimate_gpu.work_of_a_step(64, 256)[0] == flops / 2


def test_the_traffic_is_that_of_the_activations():
    """Counted by hand for the prep layer: 64 × 32 × 32 outputs of an image, three times."""
    _, traffic = estimate_gpu.work_of_a_step(64, 512)
    _, twice_as_wide = estimate_gpu.work_of_a_step(128, 512)
    assert twice_as_wide / traffic == pytest.approx(2, rel=0.15)  # It grows with the width.
    prep = 2 * 32 * 32 * (3 * 3 + 64 * (3 + 8 + 5))
    # The rest, by hand as well: conv, pooling, BN, ReLU of three layers, two residual blocks.
    layers = [(64, 128, 32), (128, 256, 16), (256, 512, 8)]
    down = sum(
        2 * (side**2 * (3 * c_in + 3 * c_out + 2 * c_out) + (side // 2) ** 2 * c_out * (10 + 8 + 5))
        for c_in, c_out, side in layers
    )
    blocks = sum(2 * 2 * side**2 * c * (6 + 8 + 5) for c, side in ((128, 16), (512, 4)))
    last = 2 * 512 * (2 * 16 + 10)
    assert traffic == pytest.approx((prep + down + blocks + last) * 512 + 6_573_130 * 28)


def test_the_estimate_is_a_range_and_the_faster_gpu_is_faster():
    slow, fast = (estimate_gpu.seconds(gpu, 64, Recipe()) for gpu in estimate_gpu.GPUS)
    for shortest, longest in (slow, fast):
        assert 0 < shortest < longest < 5 * shortest
    assert fast[1] < slow[0]
    # No faster than the convolutions alone at the peak of the data sheet.
    assert slow[0] > 2.73e15 / 65e12


def test_it_says_that_it_is_an_estimate(capsys):
    estimate_gpu.main(["--width", "16"])
    out = capsys.readouterr().out
    assert out.count("(estimate)") == 2
    assert "0.17 PFLOP" in out
