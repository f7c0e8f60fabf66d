"""The files of checkpoints: written atomically, verified by a checksum, loaded without executing.

A file is one line, which names the format and the SHA-256 of the rest, followed by what
`torch.save` writes. It is loaded with `weights_only=True`, so nothing in it is executed.
"""

import contextlib
import errno
import hashlib
import io
import pickle
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from s10.runtime.errors import InputError
from s10.runtime.files import write_atomically

MAGIC = b"s10 checkpoint 2, sha256 "
HEADER = len(MAGIC) + 64 + 1
NAME = re.compile(r"(\d{6,12})\.checkpoint")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class DamagedCheckpoint(InputError):
    """The file is not a checkpoint of s10, or not the one that was written."""


def write_checkpoint(path: Path, content: dict) -> None:
    """Write one file atomically: tensors, numbers, strings, and containers of these.

    Raises:
        TypeError: the content holds something else, which could not be loaded again.
        OSError: the disk is full, say; the file is then what it was.
    """
    buffer = io.BytesIO()
    try:
        torch.save(_without_numpy_numbers(content), buffer)
        buffer.seek(0)
        torch.load(buffer, weights_only=True, map_location="cpu")
    except (pickle.PickleError, AttributeError) as error:
        unknown = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it holds a {unknown[1]}" if unknown else str(error).splitlines()[0]
        raise TypeError(reason) from None
    body = buffer.getvalue()
    write_atomically(path, MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def _without_numpy_numbers(value):
    """Python's numbers instead: an LR from np.geomspace could not be loaded again."""
    if type(value) is dict:
        return {key: _without_numpy_numbers(inner) for key, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_without_numpy_numbers(inner) for inner in value)
    return value.item() if isinstance(value, np.generic) else value


def read_checkpoint(path: Path) -> dict:
    """The content of one file, tensors on the CPU.

    The checksum is compared piece by piece before anything is loaded, so a damaged or
    foreign file of any size takes no memory.

    Raises:
        DamagedCheckpoint: the file is truncated, changed, or something else.
    """
    try:
        with open(path, "rb") as file:
            header = file.read(HEADER)
            if not header.startswith(MAGIC):
                raise DamagedCheckpoint(f"{path} is not a checkpoint of this version of s10")
            digest = hashlib.sha256()
            while piece := file.read(1 << 20):
                digest.update(piece)
            if header[len(MAGIC) :] != digest.hexdigest().encode() + b"\n":
                raise DamagedCheckpoint(f"{path} is truncated or changed: its checksum is wrong")
            file.seek(HEADER)
            body = io.BytesIO(file.read())
    except OSError as error:
        raise DamagedCheckpoint(f"cannot read {path}: {error.strerror}") from None
    try:
        return torch.load(body, weights_only=True, map_location="cpu")
    except Exception as error:  # Of any type, where somebody made the checksum fit.
        raise DamagedCheckpoint(
            f"{path} is not a checkpoint of s10 ({type(error).__name__})"
        ) from None


@dataclass
class CheckpointFolder:
    """The newest checkpoints of one run, `000001.checkpoint` and so on; the last two are kept."""

    folder: Path
    keep: int = 2
    number: int | None = None  # of the one that was written or read last

    def files(self) -> list[Path]:
        """The checkpoints, oldest first."""
        if not self.folder.is_dir():
            return []
        found = [path for path in self.folder.iterdir() if NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: int(path.stem))

    def save(self, content: dict) -> Path:
        """Write the next one, then remove those that are too old.

        Where there is no room for a third beside two, the older one goes first.

        Raises:
            OSError: it could not be written; the newest one that was there still is.
            TypeError: as in `write_checkpoint`.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.number is None:
            self.number = max((int(path.stem) for path in self.files()), default=0)
        path = self.folder / f"{self.number + 1:06d}.checkpoint"
        for part in self.folder.glob(".*.checkpoint.part"):  # Of a process that was killed.
            _remove(part)
        try:
            write_checkpoint(path, content)
        except OSError as error:
            others = [old for old in self.files() if int(old.stem) != self.number]
            if error.errno not in NO_ROOM or not others:
                raise
            for old in others:
                old.unlink()
            write_checkpoint(path, content)
        self.number += 1
        for old in self.files():
            # One with a larger number was damaged, or belongs to a later part of the run
            # that is now trained again.
            if not self.number - self.keep < int(old.stem) <= self.number:
                _remove(old)
        return path

    def newest(self) -> dict | None:
        """The newest intact one; None if there are none. Prints which ones it skips.

        Raises:
            DamagedCheckpoint: there are some, and every one is damaged.
        """
        for path in reversed(files := self.files()):
            try:
                content = read_checkpoint(path)
            except DamagedCheckpoint as error:
                print(f"{error}; using the previous one", flush=True)
                continue
            self.number = int(path.stem)
            return content
        if files:
            raise DamagedCheckpoint(
                f"no checkpoint in {self.folder} is intact; use another folder to start again"
            )
        return None


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # What stays costs room, and nothing else.
        path.unlink()
