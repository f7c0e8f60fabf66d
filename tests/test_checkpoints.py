"""A checkpoint's file and what is in it: written in the right order, and everything of it back."""

import errno
import os
import random

import numpy as np
import pytest
import torch

from s10.checkpoints import CheckpointFolder, read_checkpoint, write_checkpoint
from s10.schedules import one_cycle
from s10.training import make_optimizer
from s10.training_state import TrainingState


def new_state(tiny, seed):
    torch.manual_seed(seed)
    model = torch.nn.Linear(3, 2)
    optimizer = make_optimizer(model, tiny)
    # fp16's scaler, on a CPU: it halves its scale where a gradient is not finite.
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    return TrainingState(model, optimizer, one_cycle(optimizer, tiny, 4), scaler)


def draws() -> tuple:
    return random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(3)


def test_every_generator_the_scaler_and_the_schedule_are_what_they_were(tiny, tmp_path):
    state = new_state(tiny, 0)
    random.gauss(0, 1)  # Python and NumPy keep the second of two for the next time.
    np.random.randn()
    loss = state.model(torch.ones(1, 3)).sum() * float("inf")
    state.scaler.scale(loss).backward()
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.step()
    state.scheduler.step()
    assert state.scaler.get_scale() == 512

    tensors, packed = state.take_apart()
    write_checkpoint(tmp_path / "000001.checkpoint", tensors, {"state": packed})
    before = draws()
    tensors, notes = read_checkpoint(tmp_path / "000001.checkpoint")
    other = new_state(tiny, 1)
    random.seed(9)
    np.random.seed(9)
    other.put_back(tensors, notes["state"])
    after = draws()
    assert after[:4] == before[:4]
    assert torch.equal(after[4], before[4])
    assert other.scaler.get_scale() == 512
    assert other.optimizer.param_groups[0]["lr"] == state.optimizer.param_groups[0]["lr"]
    assert other.scheduler.last_epoch == 1


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    """Else a power cut leaves a new name with nothing behind it."""
    done = []
    kinds = {True: "folder", False: "file"}
    fsync, replace = os.fsync, os.replace

    def note_fsync(handle):
        done.append(f"fsync {kinds[os.path.isdir(f'/proc/self/fd/{handle}')]}")
        fsync(handle)

    def note_replace(source, target):
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    write_checkpoint(tmp_path / "000001.checkpoint", {}, {})
    assert done == ["fsync file", "rename", "fsync folder"]


def test_where_a_third_has_no_room_the_older_of_two_goes_and_the_newest_never(
    tmp_path, monkeypatch
):
    folder = CheckpointFolder(tmp_path)
    for number in range(2):
        folder.save({}, {"number": number})
    write = write_checkpoint

    def full(path, *content):
        if len(folder.files()) > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, *content)

    monkeypatch.setattr("s10.checkpoints.write_checkpoint", full)
    room = 1
    folder.save({}, {"number": 2})
    assert [path.name for path in folder.files()] == ["000002.checkpoint", "000003.checkpoint"]
    room = 0
    with pytest.raises(OSError, match="No space left"):
        folder.save({}, {"number": 3})
    assert folder.newest()[1] == {"number": 2}


def test_without_room_the_whole_one_stays_not_a_newer_one_that_is_damaged(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path)
    for number in range(2):
        folder.save({}, {"number": number})
    (tmp_path / "000002.checkpoint").write_bytes(b"torn")
    again = CheckpointFolder(tmp_path)
    assert again.newest()[1] == {"number": 0}

    def full(path, *content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("s10.checkpoints.write_checkpoint", full)
    with pytest.raises(OSError, match="No space left"):
        again.save({}, {"number": 1})
    assert CheckpointFolder(tmp_path).newest()[1] == {"number": 0}
