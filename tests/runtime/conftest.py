"""What the tests of the runtime share."""

import os

import numpy as np
import pytest
from faults import as_root
from PIL import Image


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = f"size=1m,uid={os.getuid()},mode=700"
    if as_root("mount", "-t", "tmpfs", "-o", options, "tmpfs", folder):
        pytest.skip("only root can mount a tmpfs, and sudo asks for a password")
    yield folder
    as_root("umount", "-l", folder)


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A folder of 48 + 8 small images of two classes."""
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for split, count in (("train", 24), ("test", 4)):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
    return folder
