"""What the tests share: small data sets, the real CIFAR-10 where it is, one demo run."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from s10 import Recipe, load_dataset

# The machine may be busy with other work: a slow example is no failure. 2 cores in CI are
# better spent on few examples of many properties.
settings.register_profile(
    "s10", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("s10")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shapes():
    """The whole data set of drawn shapes."""
    return load_dataset("shapes")


@pytest.fixture(scope="session")
def few(shapes):
    """200 + 100 images of the drawn shapes."""
    return shapes.subset(200, 100)


@pytest.fixture(scope="session")
def tiny():
    """A recipe that trains on `few` in a second: 3 epochs of 4 batches, width 4."""
    return replace(
        Recipe(), data="shapes", width=4, batch_size=64, epochs=3, peak_epoch=1, precision="fp32"
    )


@pytest.fixture
def image_folder(tmp_path):
    """train/ and test/ with the classes cat and dog, 4 + 2 PNG images each."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 2)):
        for name in ("cat", "dog"):
            folder = tmp_path / "pets" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "pets"


@pytest.fixture(scope="session")
def cifar10_dir(tmp_path_factory):
    """A folder with the real CIFAR-10: $S10_DATA, or unpacked from ../shared/data."""
    own = os.environ.get("S10_DATA")
    if own and (Path(own) / "cifar-10-batches-py").is_dir():
        return Path(own)
    parts = sorted((ROOT.parent / "shared" / "data").glob("cifar10.part*.zip"))
    unpacker = ROOT.parent / "shared" / "tools" / "cifar10_parts.py"
    if not parts or not unpacker.exists():
        pytest.skip("no real CIFAR-10: neither $S10_DATA nor ../shared/data has it")
    folder = tmp_path_factory.mktemp("cifar10")
    subprocess.run([sys.executable, unpacker, "unpack", folder, *parts], check=True)
    return folder


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A small run by the command line (`make demo` is a larger one): its folder, its output."""
    folder = tmp_path_factory.mktemp("demo") / "run"
    words = f"train --data shapes --width 4 --epochs 2 --precision fp32 --out {folder}"
    done = subprocess.run(
        [sys.executable, "-m", "s10", *words.split()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout
