"""Writing files so that an interruption never leaves half of one."""

import contextlib
import os
from pathlib import Path

from s10.runtime.errors import InputError


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
