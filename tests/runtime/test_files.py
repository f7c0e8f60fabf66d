"""Files that are written completely or not at all."""

import errno
import os
import time
from types import SimpleNamespace

import pytest
from processes import exit_code, start, wait_for

from s10 import InputError
from s10.runtime import files
from s10.runtime.files import check_writable, lock_folder, write_atomically


@pytest.mark.parametrize("content", ["text: ½ × é\n", b"\x00bytes\r\n"])
def test_what_is_written_is_read(tmp_path, content):
    path = tmp_path / "file"
    for _ in range(2):  # A new file, then one that replaces it.
        write_atomically(path, content)
        assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_if_it_fails_the_old_file_stays(tmp_path, monkeypatch, fails):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "file"
    write_atomically(path, "old")
    monkeypatch.setattr(os, fails, full)
    with pytest.raises(OSError, match="No space left on device"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_system_that_cannot_sync_folders_will_do(tmp_path, monkeypatch):
    fsync = os.fsync

    def files_only(handle):
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", files_only)
    write_atomically(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"


def test_a_folder_that_can_be_created_is_not_created(tmp_path, monkeypatch):
    check_writable(tmp_path)
    check_writable(tmp_path / "a" / "b")
    monkeypatch.chdir(tmp_path)
    check_writable(type(tmp_path)("relative/folder"))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_created_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(InputError, match=r"cannot write to .*: .*file is not a directory"):
            check_writable(path)
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path))
    with pytest.raises(InputError) as error:
        check_writable(tmp_path / "a" / "b", "ask its owner")
    assert str(error.value) == (
        f"cannot write to {tmp_path / 'a' / 'b'}: no permission in {tmp_path}; ask its owner"
    )


# One process in a folder.


def hold(folder) -> int:
    """Lock it until this process is killed, or for a minute."""
    with lock_folder(folder):
        (folder / "locked").touch()
        time.sleep(60)
    return 0


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path):
    process = start(hold, tmp_path, output=tmp_path / "output")
    wait_for((tmp_path / "locked").exists, process)
    for _ in range(2):  # Nor does the attempt release it.
        with pytest.raises(InputError, match="is in use by another process"):
            lock_folder(tmp_path).__enter__()
    process.kill()
    exit_code(process)
    assert (tmp_path / ".lock").exists()  # The file is not the lock.
    with lock_folder(tmp_path):
        pass
    assert not (tmp_path / ".lock").exists()


def test_a_folder_is_created_to_be_locked(tmp_path):
    with lock_folder(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("function", ["open", "lock"])
def test_where_no_lock_can_be_had_it_goes_on(tmp_path, monkeypatch, function):
    """The disk is full, or the file system, some Google Drive, knows no locks."""

    def fails(*_):
        raise OSError(errno.ENOSPC if function == "open" else errno.ENOLCK, "no")

    if function == "open":
        monkeypatch.setattr(files.os, "open", fails)
    else:
        monkeypatch.setattr(files.fcntl, "lockf", fails)
    with lock_folder(tmp_path):
        entered = True
    assert entered


@pytest.mark.parametrize("taken", [False, True])
def test_on_windows(tmp_path, monkeypatch, taken):
    """With a stand-in: there is no fcntl, and a file that is open cannot be removed."""
    locked = []

    def locking(file, mode, count):
        locked.append((os.fstat(file).st_ino, mode, count))
        if taken:
            raise PermissionError(errno.EACCES, "Permission denied")

    def unlink(path):
        raise PermissionError(errno.EACCES, "it is open")

    monkeypatch.setattr(files, "fcntl", None)
    stand_in = SimpleNamespace(locking=locking, LK_NBLCK=2)
    monkeypatch.setattr(files, "msvcrt", stand_in, raising=False)
    monkeypatch.setattr(type(tmp_path), "unlink", unlink)
    if taken:
        with pytest.raises(InputError, match="is in use"):
            lock_folder(tmp_path).__enter__()
    else:
        with lock_folder(tmp_path):
            pass
    assert locked == [((tmp_path / ".lock").stat().st_ino, 2, 1)]
