"""The estimate for GPUs that are not at hand counts the work rightly."""

import importlib.util
import sys
from pathlib import Path

import pytest

from s10 import Recipe

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location(
    "estimate_gpu", ROOT / "benchmarks" / "estimate_gpu.py"
)
estimate = importlib.util.module_from_spec(spec)
sys.modules["estimate_gpu"] = estimate
spec.loader.exec_module(estimate)


def test_the_arithmetic_is_that_of_the_network():
    """2.272 GFLOP an image, forward and backward: an independent count of the same network."""
    flops, _ = estimate.work_of_a_step(64, 512)
    assert flops / 512 == pytest.approx(2.272e9, rel=0.002)
    assert estimate.work_of_a_step(64, 256)[0] == flops / 2


def test_the_traffic_is_that_of_the_activations():
    """Counted by hand for the prep layer: 64 × 32 × 32 outputs of an image, thrice."""
    _, wide = estimate.work_of_a_step(64, 512)
    _, wider = estimate.work_of_a_step(128, 512)
    assert wider / wide == pytest.approx(2, rel=0.15)  # Activations grow with the width.
    prep = 2 * 32 * 32 * (3 * 3 + 64 * (3 + 8 + 5))
    # The rest, by hand as well: conv, pooling, BN, ReLU of three layers, two residual blocks.
    halves = [(64, 128, 32), (128, 256, 16), (256, 512, 8)]
    down = sum(
        2 * (side**2 * (3 * few + 3 * many + 2 * many) + (side // 2) ** 2 * many * (10 + 8 + 5))
        for few, many, side in halves
    )
    blocks = sum(2 * 2 * side**2 * many * (6 + 8 + 5) for many, side in ((128, 16), (512, 4)))
    last = 2 * 512 * (2 * 16 + 10)
    assert wide == pytest.approx((prep + down + blocks + last) * 512 + 6_573_130 * 28)


def test_the_estimate_is_a_range_and_the_faster_gpu_is_faster():
    slow, fast = (estimate.seconds(gpu, 64, Recipe()) for gpu in estimate.GPUS)
    for good, bad in (slow, fast):
        assert 0 < good < bad < 5 * good
    assert fast[1] < slow[0]
    # No faster than the arithmetic alone at the peak of the data sheet.
    assert slow[0] > 2.73e15 / 65e12


def test_it_says_that_it_is_an_estimate(capsys):
    estimate.main(["--width", "16"])
    out = capsys.readouterr().out
    assert out.count("(estimate)") == 2
    assert "0.17 PFLOP" in out
