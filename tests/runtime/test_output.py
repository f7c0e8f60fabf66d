"""A stdout or stderr that cannot be written; what it does to a real run is in test_faults.py."""

import errno
import io
import sys
from types import SimpleNamespace

import pytest
from interrupted import train

from s10.runtime.checkpoint_files import CheckpointFolder
from s10.runtime.progress import ignore_output_errors


class Gone(io.StringIO):
    """A stream that takes nothing any more."""

    def __init__(self, number=errno.EPIPE):
        super().__init__()
        self.number = number

    def write(self, text):
        raise OSError(self.number, "gone")

    def flush(self):
        raise OSError(self.number, "gone")


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_what_cannot_be_written_is_passed_over(monkeypatch, name, number):
    monkeypatch.setattr(sys, name, Gone(number))
    with ignore_output_errors():
        print("text", file=getattr(sys, name), flush=True)
        assert getattr(sys, name).write("text") == 4
        assert getattr(sys, name).encoding == Gone().encoding
    # Python flushes it once more when it ends, and would exit with 120.
    getattr(sys, name).flush()


def test_a_stream_that_works_is_what_it_was_before(capsys):
    before = sys.stdout, sys.stderr
    with ignore_output_errors():
        print("text")
        print("error", file=sys.stderr)
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr() == ("text\n", "error\n")


def test_what_an_encoding_lacks_is_escaped(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    with ignore_output_errors():
        print("ä 猫 \udcff")
    assert stream.buffer.getvalue().decode("cp1252") == "ä \\u732b \\udcff\n"


def test_a_stream_that_can_only_write_and_flush(monkeypatch):
    """Such as a user's own that writes to two places."""
    written = []
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(write=written.append, flush=list))
    with ignore_output_errors():
        print("text", end="")
    assert "".join(written) == "text"


def test_other_errors_are_raised(monkeypatch):
    before = sys.stdout
    with pytest.raises(ZeroDivisionError), ignore_output_errors():
        print(1 / 0)
    assert sys.stdout is before


def test_without_streams(monkeypatch):
    """As under pythonw on Windows."""
    monkeypatch.setattr(sys, "stdout", None)
    with ignore_output_errors():
        print("text", flush=True)
    assert sys.stdout is None


def test_a_run_without_stdout_is_trained_and_saved(few, tiny, tmp_path, monkeypatch):
    """By the library: `python script.py | head`."""
    monkeypatch.setattr(sys, "stdout", Gone())
    outcome = train(few, tiny, tmp_path)
    assert len(outcome.result.history) == 3
    assert len(CheckpointFolder(tmp_path).files()) == 2
    assert train(few, tiny, tmp_path).steps == 0
