"""Whatever is in a checkpoint file: one clear error, little memory, and nothing is executed."""

import hashlib
import io
import os
import zipfile

import pytest
import torch
from fuzzing import bounded_memory, mutated, pickled_command
from hypothesis import given
from hypothesis import strategies as st

from s10.runtime.checkpoint_files import (
    MAGIC,
    CheckpointFolder,
    DamagedCheckpoint,
    read_checkpoint,
    write_checkpoint,
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "000001.checkpoint"
    write_checkpoint(path, {"a": torch.arange(12.0).view(3, 4), "epoch": 1, "state": [1.5, None]})
    return path.read_bytes()


def with_checksum(body: bytes) -> bytes:
    return MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


@given(data=st.data())
def test_a_changed_checkpoint_is_noticed(tmp_path_factory, checkpoint, data):
    path = tmp_path_factory.getbasetemp() / "000002.checkpoint"
    content = data.draw(mutated(checkpoint))
    path.write_bytes(content)
    if content == checkpoint:
        return
    with pytest.raises(DamagedCheckpoint) as error:
        read_checkpoint(path)
    assert "\n" not in str(error.value)


@given(st.binary(max_size=200) | st.binary(max_size=50).map(lambda end: b"\x80\x02" + end))
def test_a_checksum_that_fits_over_anything(tmp_path_factory, body):
    path = tmp_path_factory.getbasetemp() / "000003.checkpoint"
    path.write_bytes(with_checksum(body))
    with pytest.raises(DamagedCheckpoint) as error:
        read_checkpoint(path)
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_checkpoint_that_would_run_a_command(tmp_path):
    with pickled_command(tmp_path) as command:
        for number, content in enumerate(
            (command, command + b"x" * 500, with_checksum(command), with_checksum(saved(command)))
        ):
            path = tmp_path / f"{number:06d}.checkpoint"
            path.write_bytes(content)
            with pytest.raises(DamagedCheckpoint, match="is not a checkpoint"):
                read_checkpoint(path)


def saved(pickled: bytes) -> bytes:
    """A file as torch.save writes it, with this pickle in it."""
    buffer, changed = io.BytesIO(), io.BytesIO()
    torch.save({"state": torch.zeros(3)}, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            target.writestr(name, pickled if name.endswith("data.pkl") else source.read(name))
    return changed.getvalue()


def test_a_file_of_torch_save_is_refused(tmp_path):
    torch.save({"x": torch.zeros(2)}, tmp_path / "000009.checkpoint")
    with pytest.raises(DamagedCheckpoint, match=r"no checkpoint in .* is intact"):
        CheckpointFolder(tmp_path).newest()


def test_a_checkpoint_that_never_ends(tmp_path, checkpoint):
    path = tmp_path / "000001.checkpoint"
    path.write_bytes(checkpoint)
    os.truncate(path, 1 << 28)
    with bounded_memory(), pytest.raises(DamagedCheckpoint, match="checksum"):
        read_checkpoint(path)
