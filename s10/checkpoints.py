"""Checkpoint files: written whole or not at all, checked when read, and never executed.

A file is one line, which names the format and the SHA-256 of the rest, and then
a safetensors file: the tensors, and among them `notes`, JSON as bytes.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from s10.errors import InputError

MAGIC = b"s10 checkpoint 1, sha256 "
HEAD = len(MAGIC) + 64 + 1
NAME = re.compile(r"(\d{6,12})\.checkpoint")
CHUNK = 1 << 20
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class DamagedCheckpoint(InputError):
    """The file is no checkpoint of s10, or not the one that was written."""


def write_checkpoint(path: Path, tensors: dict[str, Tensor], notes: dict) -> None:
    """Write one file so that at any moment there is the old one or the new one, whole.

    Raises:
        OSError: the disk is full, say; the file is then what it was.
    """
    text = torch.frombuffer(bytearray(json.dumps(notes).encode()), dtype=torch.uint8)
    # Copies: safetensors refuses tensors that share their memory, such as tied weights.
    copies = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
    }
    body = save({**copies, "notes": text})
    temporary = path.with_name(f".{path.name}.part")
    try:
        with open(temporary, "wb") as file:
            file.write(MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n")
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Tensors (on the CPU) and notes of one file. Nothing in it is executed.

    The file is summed up piece by piece before any of it is believed, so a
    damaged or foreign one of any size takes no memory.

    Raises:
        DamagedCheckpoint: it is truncated, changed, or something else.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
            if not head.startswith(MAGIC):
                raise DamagedCheckpoint(f"{path} is no checkpoint of this version of s10")
            digest = hashlib.sha256()
            while piece := file.read(CHUNK):
                digest.update(piece)
            if head[len(MAGIC) :] != digest.hexdigest().encode() + b"\n":
                raise DamagedCheckpoint(f"{path} is truncated or changed: its checksum is wrong")
            file.seek(HEAD)
            tensors = load(file.read())
        notes = json.loads(tensors.pop("notes").numpy().tobytes())
    except OSError as error:
        raise DamagedCheckpoint(f"cannot read {path}: {error.strerror}") from None
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, DamagedCheckpoint):
            raise
        raise DamagedCheckpoint(f"{path} holds no training of s10") from None
    if not isinstance(notes, dict):
        raise DamagedCheckpoint(f"{path} holds no training of s10")
    return tensors, notes


@dataclass
class CheckpointFolder:
    """The newest checkpoints of one run, `000001.checkpoint` and so on; the last two are kept."""

    folder: Path
    keep: int = 2
    number: int | None = None  # of the one that was written or read last

    def files(self) -> list[Path]:
        """The checkpoints, the oldest first."""
        if not self.folder.is_dir():
            return []
        found = [path for path in self.folder.iterdir() if NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: int(path.stem))

    def save(self, tensors: dict[str, Tensor], notes: dict) -> Path:
        """Write the next one; then remove those that are too old.

        Where there is no room for a third beside two, the older goes first.

        Raises:
            OSError: it could not be written; the newest that was there still is.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.number is None:
            self.number = max((int(path.stem) for path in self.files()), default=0)
        path = self.folder / f"{self.number + 1:06d}.checkpoint"
        for part in self.folder.glob(".*.checkpoint.part"):  # Of a process that was killed.
            with contextlib.suppress(OSError):
                part.unlink()
        try:
            write_checkpoint(path, tensors, notes)
        except OSError as error:
            others = [old for old in self.files() if int(old.stem) != self.number]
            if error.errno not in NO_ROOM or not others:
                raise
            for old in others:
                old.unlink()
            write_checkpoint(path, tensors, notes)
        self.number += 1
        for old in self.files():
            # One with a larger number was found damaged, or belongs to a later
            # part of the run that is now trained again.
            if not self.number - self.keep < int(old.stem) <= self.number:
                with contextlib.suppress(OSError):
                    old.unlink()
        return path

    def newest(self) -> tuple[dict[str, Tensor], dict] | None:
        """The newest that is whole; None if there is none at all. Says which ones it passes over.

        Raises:
            DamagedCheckpoint: there are some, and every one is damaged.
        """
        for path in reversed(files := self.files()):
            try:
                found = read_checkpoint(path)
            except DamagedCheckpoint as error:
                print(f"{error}; taking the one before it", flush=True)
                continue
            self.number = int(path.stem)
            return found
        if files:
            raise DamagedCheckpoint(
                f"no checkpoint in {self.folder} is whole; to begin anew, take another folder"
            )
        return None


def _sync_folder(folder: Path) -> None:
    """Make the new name itself last; not every file system (or Windows) knows how."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
