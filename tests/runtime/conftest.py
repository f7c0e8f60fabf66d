"""What the tests of the runtime share."""

import os

import pytest
from faults import as_root


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
