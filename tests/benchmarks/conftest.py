"""What the tests of the benchmarks share: the scripts, and few images for them."""

import sys
from pathlib import Path

import pytest

# The scripts are not a package; the tests import them by their names.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))


@pytest.fixture
def load_few(shapes):
    """Takes the place of `load_dataset`: 600 + 100 images, two batches of 512."""
    return lambda *_: shapes.subset(600, 100)
