"""What goes wrong on disks."""

import contextlib
import os
import subprocess
from pathlib import Path


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "truncated":
        data = data[: len(data) // 2]
    elif how == "empty":
        data = b""
    elif how == "one bit":
        data[len(data) * 2 // 3] ^= 4
    elif how == "foreign":
        data = b"PK\x03\x04 something else altogether"
    path.write_bytes(data)


def as_root(*command) -> int:
    """The exit status; CI's runners are not root, but may become it."""
    sudo = [] if os.getuid() == 0 else ["sudo", "-n"]
    try:
        return subprocess.run([*sudo, *command], capture_output=True, check=False).returncode
    except FileNotFoundError:
        return 127


def fill(folder: Path, leave: int = 0) -> Path:
    """A file that takes all room but so many bytes."""
    filler = folder / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    os.truncate(filler, max(0, filler.stat().st_size - leave))
    return filler


def at_every_write(monkeypatch, moment) -> None:
    """Call `moment` before and after everything that changes the disk, and within writing."""

    def wrap(owner, name):
        function = getattr(owner, name)

        def wrapped(*arguments, **options):
            moment()
            try:
                return function(*arguments, **options)
            finally:
                moment()

        monkeypatch.setattr(owner, name, wrapped)

    for name in ("open", "fsync", "replace"):
        wrap(os, name)
    for name in ("mkdir", "unlink"):
        wrap(Path, name)
