"""Files that are written completely or not at all."""

import errno
import os

import pytest

from s10 import InputError
from s10.runtime.files import check_writable, write_atomically


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
