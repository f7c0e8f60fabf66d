"""A checkpoint file: written atomically, read back completely, and refused if it is damaged."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from faults import as_root, damage, fill
from interrupted import Killed, assert_same, interrupt, snapshot, train

from s10 import Checkpointer
from s10.runtime.checkpoint_files import (
    CheckpointFolder,
    DamagedCheckpoint,
    read_checkpoint,
    write_checkpoint,
)


@pytest.fixture(scope="module")
def dataset(shapes):
    return shapes.subset(32, 10)


@pytest.fixture(scope="module")
def recipe(tiny):
    """2 epochs of 2 batches; with a checkpoint after each step and each epoch there are 6."""
    return replace(tiny, batch_size=16, epochs=2)


@pytest.fixture(scope="module")
def whole(dataset, recipe):
    """The uninterrupted run."""
    return train(dataset, recipe)


def numbers(folder: Path) -> list[int]:
    return [int(path.stem) for path in CheckpointFolder(folder).files()]


# One file.


def test_everything_is_read_back(tmp_path):
    path = tmp_path / "000001.checkpoint"
    weight = torch.randn(8, 4, 3, 3).to(memory_format=torch.channels_last)
    content = {
        "state": {0: {"moment": weight, "step": torch.tensor(3.0)}, 1: {}},
        "numbers": [1, 0.1 + 0.2, float("inf"), -(2**70), True, None],
        "tuple": (3, (1, 2), "text"),
        "numpy": [{"lr": np.float64(0.1)}, np.int64(3)],
        "bf16": torch.ones(2, dtype=torch.bfloat16),
    }
    write_checkpoint(path, content)
    read = read_checkpoint(path)
    assert read["numbers"] == content["numbers"]
    assert read["tuple"] == content["tuple"]
    assert read["numpy"] == [{"lr": 0.1}, 3]
    assert read["bf16"].dtype == torch.bfloat16
    assert list(read["state"]) == [0, 1]
    assert torch.equal(read["state"][0]["moment"], weight)
    assert read["state"][0]["moment"].stride() == weight.stride()


@pytest.mark.parametrize(
    ("what", "words"),
    [(lambda: None, "lambda"), (Path("x"), "it holds a pathlib.*Path"), (np.arange(2), "numpy"),
     ((i for i in "ab"), "generator")],
)  # fmt: skip
def test_what_could_not_be_read_back_is_not_written(tmp_path, what, words):
    write_checkpoint(tmp_path / "000001.checkpoint", {"number": 1})
    before = snapshot(tmp_path)
    with pytest.raises(TypeError, match=words) as error:
        write_checkpoint(tmp_path / "000001.checkpoint", {"what": [what]})
    assert "\n" not in str(error.value)
    assert snapshot(tmp_path) == before


def test_a_file_of_an_older_version_is_refused(tmp_path):
    path = tmp_path / "000001.checkpoint"
    path.write_bytes(b"s10 checkpoint 1, sha256 " + b"0" * 64 + b"\nsomething")
    with pytest.raises(DamagedCheckpoint, match="is not a checkpoint of this version of s10"):
        read_checkpoint(path)


def test_a_file_that_cannot_be_read_is_reported(tmp_path):
    with pytest.raises(DamagedCheckpoint, match=r"cannot read .*: No such file or directory"):
        read_checkpoint(tmp_path / "000001.checkpoint")
    (tmp_path / "000002.checkpoint").mkdir()
    with pytest.raises(DamagedCheckpoint, match=r"cannot read .*: Is a directory"):
        read_checkpoint(tmp_path / "000002.checkpoint")


# Killed while one is written.


def kill_at(monkeypatch, operation: str, count: int) -> None:
    """Let the run be killed instead of this operation of its `count`-th checkpoint."""
    done = []

    def counted(function, kind):
        def call(*arguments, **options):
            if kind(*arguments):
                done.append(operation)
                if len(done) == count:
                    raise Killed
            return function(*arguments, **options)

        return call

    def is_folder(handle):
        return os.path.isdir(f"/proc/self/fd/{handle}")

    def is_part(path, mode="r", *_):
        return str(path).endswith(".part") and mode == "wb"

    if operation == "create":
        monkeypatch.setattr("builtins.open", counted(open, is_part))
    elif operation == "half":

        def truncate(handle):
            if not is_folder(handle):
                done.append(operation)
                if len(done) == count:
                    os.ftruncate(handle, os.fstat(handle).st_size // 2)
                    raise Killed

        monkeypatch.setattr(os, "fsync", truncate)
    elif operation == "fsync file":
        monkeypatch.setattr(os, "fsync", counted(os.fsync, lambda handle: not is_folder(handle)))
    elif operation == "rename":
        monkeypatch.setattr(os, "replace", counted(os.replace, lambda *_: True))
    elif operation == "fsync folder":
        monkeypatch.setattr(os, "fsync", counted(os.fsync, is_folder))
    elif operation == "remove":
        monkeypatch.setattr(Path, "unlink", counted(Path.unlink, lambda *_: True))


OPERATIONS = ("create", "half", "fsync file", "rename", "fsync folder", "remove")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_killed_while_a_checkpoint_is_written(
    dataset, recipe, tmp_path, whole, monkeypatch, operation
):
    """The third checkpoint is the one after the first epoch; the removal is that of the first."""
    with monkeypatch.context() as patch:
        kill_at(patch, operation, 1 if operation == "remove" else 3)
        with pytest.raises(Killed):
            train(dataset, recipe, tmp_path)
    renamed = operation in ("fsync folder", "remove")
    assert numbers(tmp_path) == ([1, 2, 3] if renamed else [1, 2])
    has_part = operation in ("half", "fsync file", "rename")
    assert len(list(tmp_path.glob(".*.part"))) == has_part
    resumed = train(dataset, recipe, tmp_path)
    assert_same(whole, resumed)
    assert resumed.steps == 2
    assert numbers(tmp_path) == [5, 6]
    assert not list(tmp_path.glob(".*.part"))


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    """Else a power cut leaves a name with nothing in its file."""
    done = []
    kinds = {True: "folder", False: "file"}
    fsync, rename = os.fsync, os.replace

    def note_fsync(handle):
        done.append(f"fsync {kinds[os.path.isdir(f'/proc/self/fd/{handle}')]}")
        fsync(handle)

    def note_rename(source, target):
        assert Path(source).stat().st_size > 100
        done.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_rename)
    write_checkpoint(tmp_path / "000001.checkpoint", {})
    assert done == ["fsync file", "rename", "fsync folder"]


# Damaged files.


@pytest.mark.parametrize("how", ["truncated", "empty", "one bit", "foreign"])
def test_of_two_checkpoints_the_intact_one_is_used(dataset, recipe, tmp_path, whole, capsys, how):
    interrupt(dataset, recipe, tmp_path, 4)
    newest = CheckpointFolder(tmp_path).files()[-1]
    damage(newest, how)
    capsys.readouterr()
    resumed = train(dataset, recipe, tmp_path)
    assert_same(whole, resumed)
    assert resumed.steps == 2  # One more than if it were intact.
    output = capsys.readouterr().out
    reason = "its checksum is wrong" if how in ("truncated", "one bit") else "is not a checkpoint"
    assert reason in output
    assert output.count("using the previous one") == 1
    assert "resuming after 1 of 2 epochs\n" in output


def test_if_all_are_damaged_it_stops_and_touches_nothing(dataset, recipe, tmp_path):
    interrupt(dataset, recipe, tmp_path, 4)
    for path in CheckpointFolder(tmp_path).files():
        damage(path, "one bit")
    before = snapshot(tmp_path)
    with pytest.raises(DamagedCheckpoint, match="is intact; use another folder to start again"):
        train(dataset, recipe, tmp_path)
    assert snapshot(tmp_path) == before


def test_a_damaged_newer_one_is_replaced_by_the_next(tmp_path):
    folder = CheckpointFolder(tmp_path)
    for number in range(3):
        folder.save({"number": number})
    damage(tmp_path / "000003.checkpoint", "truncated")
    again = CheckpointFolder(tmp_path)
    assert again.newest() == {"number": 1}
    again.save({"number": 7})
    assert numbers(tmp_path) == [2, 3]
    assert CheckpointFolder(tmp_path).newest() == {"number": 7}


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    names = {"notes.txt", "1.checkpoint", "000001.checkpoint.bak", ".000001.part"}
    for name in names:
        (tmp_path / name).write_text("mine")
    folder = CheckpointFolder(tmp_path)
    assert folder.newest() is None
    for number in range(3):
        folder.save({"number": number})
    assert {path.name for path in tmp_path.iterdir()} - names == {
        "000002.checkpoint", "000003.checkpoint",
    }  # fmt: skip
    assert all((tmp_path / name).read_text() == "mine" for name in names)


# No room, no permission.


def test_without_room_for_a_third_the_older_one_goes_and_the_newest_never(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path)
    for number in range(2):
        folder.save({"number": number})
    write = write_checkpoint

    def full(path, content):
        if len(folder.files()) > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr("s10.runtime.checkpoint_files.write_checkpoint", full)
    room = 1
    folder.save({"number": 2})
    assert numbers(tmp_path) == [2, 3]
    room = 0
    with pytest.raises(OSError, match="No space left"):
        folder.save({"number": 3})
    assert folder.newest() == {"number": 2}


def test_without_room_the_intact_one_stays_not_a_newer_damaged_one(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path)
    for number in range(2):
        folder.save({"number": number})
    damage(tmp_path / "000002.checkpoint", "truncated")
    again = CheckpointFolder(tmp_path)
    assert again.newest() == {"number": 0}

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("s10.runtime.checkpoint_files.write_checkpoint", full)
    with pytest.raises(OSError, match="No space left"):
        again.save({"number": 1})
    assert CheckpointFolder(tmp_path).newest() == {"number": 0}


def test_an_error_other_than_a_full_disk_removes_nothing(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path)
    for number in range(2):
        folder.save({"number": number})

    def broken(path, content):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("s10.runtime.checkpoint_files.write_checkpoint", broken)
    with pytest.raises(OSError, match="Input/output error"):
        folder.save({"number": 2})
    assert numbers(tmp_path) == [1, 2]


@pytest.mark.parametrize("room", [1.5, 2.5])
def test_on_a_full_disk_training_continues_and_the_last_checkpoint_stays(
    dataset, recipe, whole, small_disk, tmp_path, room, capsys
):
    """With room for 1.5 checkpoints the first one stays, with room for 2.5 all are written."""
    train(dataset, recipe, tmp_path / "elsewhere")
    size = max(p.stat().st_size for p in CheckpointFolder(tmp_path / "elsewhere").files())
    filler = fill(small_disk, leave=int(room * size) // 4096 * 4096)
    folder = small_disk / "checkpoints"
    assert_same(whole, train(dataset, recipe, folder))
    output = capsys.readouterr().out
    reported = (
        f"no checkpoint: cannot write to {folder}: No space left on device; training continues"
    )
    assert output.count(reported) == (5 if room < 2 else 0)
    if room < 2:
        assert "the checkpoint in" in output
        assert "is from after 0 of 2 epochs and 1 of 2 batches" in output
    assert numbers(folder) == ([1] if room < 2 else [5, 6])
    if room < 2:  # A resume before there is room ends the same, too, and loses nothing.
        again = train(dataset, recipe, folder)
        assert_same(whole, again)
        assert again.steps == 3
        assert numbers(folder) == [1]
    filler.unlink()
    resumed = train(dataset, recipe, folder)
    assert_same(whole, resumed)
    assert resumed.steps == (3 if room < 2 else 0)


def test_in_a_read_only_folder_training_continues(dataset, recipe, whole, small_disk, capsys):
    interrupt(dataset, recipe, small_disk / "run", 4)
    before = snapshot(small_disk)
    assert as_root("mount", "-o", "remount,ro", small_disk) == 0
    resumed = train(dataset, recipe, small_disk / "run")
    assert_same(whole, resumed)
    assert resumed.steps == 1
    assert "Read-only file system; training continues" in capsys.readouterr().out
    assert snapshot(small_disk) == before


def test_a_folder_that_is_a_file_is_reported(dataset, recipe, whole, tmp_path, capsys):
    (tmp_path / "run").write_text("mine")
    assert_same(whole, train(dataset, recipe, tmp_path / "run"))
    assert "no checkpoint: cannot write to" in capsys.readouterr().out


def test_the_home_folder_can_be_abbreviated(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Checkpointer("~/run").folder.folder == tmp_path / "run"
