"""What the tests of damaged and hostile files share."""

import contextlib
import os
import pickle
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

from hypothesis import strategies as st

from s10.runtime.errors import InputError


def error_of(read: Callable[[], object]) -> str:
    """The message of the InputError that `read` raises, or "". Any other error fails the test."""
    try:
        read()
    except InputError as error:
        return str(error)
    return ""


@st.composite
def mutated(draw, content: bytes) -> bytes:
    """The bytes with one to four changes: bits flipped, bytes replaced, duplicated or cut off."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(changed) - 1)))
        kind = draw(st.sampled_from(["flip", "cut", "duplicate", "replace"]))
        if kind == "flip" and changed:
            changed[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del changed[place:]
        elif kind == "duplicate":
            changed[place:place] = changed[place : place + 64]
        else:
            changed[place : place + 8] = draw(st.binary(max_size=16))
    return bytes(changed)


@contextlib.contextmanager
def bounded_memory(megabytes: int = 64) -> Iterator[None]:
    """Fail if the Python objects allocated inside the block ever take more than `megabytes`."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < megabytes << 20


@contextlib.contextmanager
def pickled_command(folder: Path) -> Iterator[bytes]:
    """A pickle that creates a file when it is loaded; fail if that happens."""
    witness = folder / "it-was-run"

    class Command:
        def __reduce__(self):
            return os.system, (f"touch {witness}",)

    yield pickle.dumps(Command())
    assert not witness.exists()


def resident_megabytes(setup: str, read: str) -> tuple[str, int]:
    """Run two pieces of code in a process of their own; measure the second.

    tracemalloc sees neither Pillow nor torch; the resident set size sees all.

    Returns:
        "read" or "refused" (an InputError), and the growth of the peak resident
        set size in MiB.
    """
    code = f"""
import resource
from s10.runtime.errors import InputError
{setup}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    {read}
    print("read", end=" ")
except InputError as error:
    print("refused", end=" ")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    what, kilobytes = done.stdout.split()
    return what, int(kilobytes) // 1024
