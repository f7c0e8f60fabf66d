"""Writing files so that an interruption never leaves half of one."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from s10.runtime.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    fcntl = None


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write one file: at any moment there is the old one or the new one, complete.

    Raises:
        OSError: the disk is full, say; the file is then what it was.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.part")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable; not every file system (or Windows) supports it."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def check_writable(folder: Path, advice: str = "name another folder with --out") -> None:
    """Raise an InputError if `folder` plainly cannot be created or written; writes nothing."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise InputError(f"cannot write to {folder}: {existing} is not a directory")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"cannot write to {folder}: no permission in {existing}; {advice}")


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other processes out of `folder`; the lock of a killed process is gone with it.

    Where no lock can be had (on a full disk, or a file system without locks), there is none.

    Raises:
        InputError: another process is in it.
    """
    path, file = folder / ".lock", None
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    if file is not None and not _lock(file):
        os.close(file)
        raise InputError(f"{folder} is in use by another process; wait until it ends, or stop it")
    try:
        yield
    finally:
        if file is not None:
            with contextlib.suppress(OSError):
                path.unlink()  # Before it is closed: then it may be another process's.
            os.close(file)


def _lock(file: int) -> bool:
    """Lock it for this process, without those that it starts; False if another one has it."""
    try:
        if fcntl:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    return True
