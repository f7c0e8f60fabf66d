"""Real processes, killed, stopped, and without room on the disk: what was saved is not lost."""

import contextlib
import os
import random
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest
import torch
from faults import as_root, damage, fill
from interrupted import snapshot, train_to_the_end
from processes import exit_code, start, wait_for
from safetensors.torch import load_file

from s10.cli.main import main
from s10.runtime.checkpoint_files import CheckpointFolder, DamagedCheckpoint, read_checkpoint
from s10.runtime.signals import SIGNALS


def newest(folder) -> tuple[int, int]:
    """(epoch, step) of the newest intact checkpoint; (1, 0) without one."""
    for path in reversed(CheckpointFolder(folder).files()):
        with contextlib.suppress(DamagedCheckpoint):
            content = read_checkpoint(path)
            return content["epoch"], content["step"]
    return 1, 0


# SIGKILL at any moment.


@pytest.fixture(scope="module")
def end(tmp_path_factory):
    """What the uninterrupted run ends with, and the seconds that it took here."""
    folder = tmp_path_factory.mktemp("end")
    assert exit_code(start(train_to_the_end, folder / "first", output=folder / "output")) == 0
    begin = time.monotonic()
    assert exit_code(start(train_to_the_end, folder / "run", output=folder / "output")) == 0
    return torch.load(folder / "run" / "end.pt"), time.monotonic() - begin


@pytest.mark.parametrize("kills", [6, pytest.param(40, marks=pytest.mark.slow)])
def test_killed_at_any_moment_it_ends_the_same(end, tmp_path, kills):
    """At random moments after the first checkpoint."""
    whole, seconds = end
    for number in range(kills):
        output = tmp_path / f"output-{number}"
        delay = random.Random(number).uniform(0, seconds / 2)
        while True:
            folder = Path(tempfile.mkdtemp(dir=tmp_path))
            process = start(train_to_the_end, folder, output=output)
            wait_for(lambda folder=folder: CheckpointFolder(folder).files(), process)
            time.sleep(delay)
            process.kill()
            if exit_code(process) == -signal.SIGKILL:
                break
            delay /= 2  # It had ended before.
        epoch, step = newest(folder)
        assert exit_code(start(train_to_the_end, folder, output=output)) == 0, output.read_text()
        resumed = torch.load(folder / "end.pt")
        assert resumed["steps"] == 12 - 4 * (epoch - 1) - step
        assert resumed["history"] == whole["history"]
        assert all(torch.equal(resumed["weights"][k], v) for k, v in whole["weights"].items())


# The command line.


@pytest.fixture(scope="module")
def small(images):
    """The arguments of a run of 4 epochs of 6 batches with a checkpoint after every step."""
    return ("train", "--data", f"folder:{images}", "--width", "2", "--set", "batch_size=8",
            "--epochs", "4", "--precision", "fp32", "--checkpoint-minutes", "0")  # fmt: skip


class Command:
    """`s10` in a process of its own."""

    def __init__(self, folder, *words):
        self.file = folder / "output"
        self.file.unlink(missing_ok=True)
        self.process = start(main, list(map(str, words)), output=self.file)

    def kill_after_checkpoints(self, folder, number, count=2):
        """Send it this signal when it has written so many checkpoints."""
        wait_for(lambda: len(CheckpointFolder(folder).files()) >= count, self.process)
        os.kill(self.process.pid, number)

    def end(self) -> tuple[int, str]:
        """Its exit status and what it printed; never a traceback."""
        status = exit_code(self.process)
        output = self.file.read_text()
        assert "Traceback" not in output
        return status, output


@pytest.fixture(scope="module")
def whole(small, tmp_path_factory):
    """The folder of the uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    status, output = Command(folder, *small, "--out", folder / "run").end()
    assert status == 0, output
    return folder / "run"


def assert_same(folder, whole):
    """The same weights, bit for bit, and the same history."""
    ours, theirs = (load_file(path / "model.safetensors") for path in (folder, whole))
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    rows = [(path / "metrics.csv").read_text().splitlines() for path in (folder, whole)]
    without_seconds = [[row.rsplit(",", 1)[0] for row in lines] for lines in rows]
    assert without_seconds[0] == without_seconds[1]


def position(folder) -> str:
    """Of the newest intact checkpoint, as `s10` prints it."""
    epoch, step = newest(folder / "checkpoints")
    batches = f" and {step} of 6 batches" if step else ""
    return f"{epoch - 1} of 4 epochs{batches}"


def resume(folder, whole, tmp_path, *words) -> str:
    """Resume the run to its end, which is that of the uninterrupted one; return what it printed."""
    before = position(folder)
    status, output = Command(tmp_path, "train", "--resume", folder, *words).end()
    assert status == 0, output
    assert f"resuming after {before}\n" in output
    assert_same(folder, whole)
    return output


@pytest.fixture(scope="module")
def stopped(small, tmp_path_factory):
    """The folder of a run that SIGTERM stopped; to be copied."""
    folder = tmp_path_factory.mktemp("stopped")
    command = Command(folder, *small, "--out", folder / "run")
    command.kill_after_checkpoints(folder / "run" / "checkpoints", signal.SIGTERM)
    status, output = command.end()
    assert status == 143, output
    return folder / "run"


def test_a_killed_run_resumes(small, whole, tmp_path):
    folder = tmp_path / "run"
    command = Command(tmp_path, *small, "--out", folder)
    command.kill_after_checkpoints(folder / "checkpoints", signal.SIGKILL)
    assert command.end()[0] == -signal.SIGKILL
    resume(folder, whole, tmp_path)


@pytest.mark.parametrize("number", SIGNALS)
def test_told_to_stop_it_finishes_the_step_and_prints_how_to_resume(small, whole, tmp_path, number):
    """Without a checkpoint within an epoch but that of the signal itself."""
    folder = tmp_path / "run"
    command = Command(tmp_path, *small, "--checkpoint-minutes", "60", "--out", folder)
    command.kill_after_checkpoints(folder / "checkpoints", number, count=1)
    status, output = command.end()
    assert status == 128 + number, output
    assert f"resume with: s10 train --resume {folder} --checkpoint-minutes 60.0\n" in output
    found = re.search(r"stopped after (.*)\nthe checkpoint in (.*) is from after (.*)\n", output)
    assert found.groups() == (position(folder), str(folder / "checkpoints"), position(folder))
    resume(folder, whole, tmp_path)


def test_a_log_on_a_full_disk_stops_nothing(small, whole, tmp_path):
    folder = tmp_path / "run"
    words = [*small, "--out", str(folder)]
    assert exit_code(start(main, words, output=Path("/dev/full"))) == 0
    assert_same(folder, whole)


@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGHUP])
def test_if_nobody_reads_its_output_any_more(small, whole, tmp_path, number):
    """`| head`; or Ctrl-C with `| tee log`, which ends tee first; or the terminal is closed."""
    folder, pipe = tmp_path / "run", tmp_path / "pipe"
    os.mkfifo(pipe)
    process = start(main, [*small, "--out", str(folder)], output=pipe)
    with open(pipe) as reader:
        assert reader.readline().startswith("device"), reader.read()
    if number:
        wait_for(lambda: CheckpointFolder(folder / "checkpoints").files(), process)
        os.kill(process.pid, number)
    assert exit_code(process) == (128 + number if number else 0)
    if number:
        assert newest(folder / "checkpoints") != (1, 0)
        resume(folder, whole, tmp_path)
    else:
        assert_same(folder, whole)


def test_a_run_in_progress_is_left_alone(small, whole, tmp_path):
    """Somebody takes it for dead, and resumes or replaces it."""
    folder = tmp_path / "run"
    command = Command(tmp_path, *small, "--out", folder)
    wait_for(lambda: CheckpointFolder(folder / "checkpoints").files(), command.process)
    os.kill(command.process.pid, signal.SIGSTOP)
    try:
        before = snapshot(folder)
        (tmp_path / "second").mkdir()
        for words in (("train", "--resume", folder), (*small, "--out", folder, "--overwrite")):
            status, output = Command(tmp_path / "second", *words).end()
            assert status == 2
            assert output.splitlines()[-1] == (
                f"s10: error: {folder / 'checkpoints'} is in use by another process; wait until "
                "it ends, or stop it"
            )
            assert snapshot(folder) == before
    finally:
        os.kill(command.process.pid, signal.SIGCONT)
    assert command.end()[0] == 0
    assert_same(folder, whole)


def test_resuming_something_else_is_refused_in_one_line(small, images, tmp_path):
    """Another recipe, a changed image, a missing class; nothing is touched by it."""
    own = tmp_path / "images"
    shutil.copytree(images, own)
    folder = tmp_path / "run"
    words = [word.replace(str(images), str(own)) for word in small]
    command = Command(tmp_path, *words, "--out", folder)
    command.kill_after_checkpoints(folder / "checkpoints", signal.SIGTERM)
    assert command.end()[0] == 143
    before = snapshot(folder)

    def refused(*words):
        status, output = Command(tmp_path, "train", "--resume", folder, *words).end()
        assert status == 2
        line = output.splitlines()[-1]
        assert line.startswith("s10: error: cannot resume ")
        assert str(folder) in line
        assert snapshot(folder) == before
        return line

    assert "lr_max is 0.02, was 0.01" in refused("--lr-max", "0.02")
    assert "class is" in refused("--recipe", "laptop", "--data", f"folder:{own}")
    for name in ("0.png", "1.png"):  # The same images, two labels changed.
        one, other = (own / "train" / kind / name for kind in ("cat", "dog"))
        pixels = one.read_bytes(), other.read_bytes()
        one.write_bytes(pixels[1])
        other.write_bytes(pixels[0])
    assert "these are not the images" in refused()
    shutil.copy(own / "train" / "dog" / "0.png", own / "train" / "dog" / "more.png")
    assert "these are not the images" in refused()
    for split in ("train", "test"):
        (own / split / "cat").rename(own / split / "cow")
    assert "other classes (cow, dog) than those it was trained on (cat, dog)" in refused()


def test_if_the_newest_checkpoint_is_damaged_the_previous_one_is_used(stopped, whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    before = position(folder)
    damage(CheckpointFolder(folder / "checkpoints").files()[-1], "one bit")
    assert position(folder) != before
    assert resume(folder, whole, tmp_path).count("using the previous one") == 1


def test_if_all_are_damaged_it_says_so_and_touches_nothing(stopped, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    for path in CheckpointFolder(folder / "checkpoints").files():
        damage(path, "one bit")
    before = snapshot(folder)
    status, output = Command(tmp_path, "train", "--resume", folder).end()
    assert status == 2
    assert "is intact; use another folder to start again" in output
    assert snapshot(folder) == before


def test_where_the_whole_run_is_on_a_full_disk_it_ends_with_one_line(
    small, whole, small_disk, tmp_path
):
    """Neither the metrics nor the figures have room; with room again it is resumed."""
    folder = small_disk / "run"
    command = Command(tmp_path, *small, "--out", folder)
    wait_for(lambda: len(CheckpointFolder(folder / "checkpoints").files()) >= 2, command.process)
    filler = fill(small_disk)
    status, output = command.end()
    assert status == 1, output
    assert "No space left on device" in output
    expected = f"make room there, then s10 train --resume {folder}"
    assert output.splitlines()[-1].endswith(expected)
    # Whoever resumes it without making room is told so again.
    status, output = Command(tmp_path, "train", "--resume", folder).end()
    assert status == 1
    assert output.splitlines()[-1].startswith("s10: cannot write to")
    filler.unlink()
    assert as_root("mount", "-o", "remount,size=4m", small_disk) == 0
    resume(folder, whole, tmp_path)


def test_a_run_in_a_read_only_folder_is_refused(stopped, small_disk, tmp_path):
    folder = small_disk / "run"
    assert as_root("mount", "-o", "remount,size=4m", small_disk) == 0
    shutil.copytree(stopped, folder)
    assert as_root("mount", "-o", "remount,ro", small_disk) == 0
    status, output = Command(tmp_path, "train", "--resume", folder).end()
    assert status == 2
    assert output.endswith("a run is resumed in its own folder\n")
    assert output.count("\n") == 1


def test_results_without_checkpoints_are_not_replaced(whole, tmp_path):
    """Somebody removed the checkpoints of a finished run: they are large."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    shutil.rmtree(folder / "checkpoints")
    for missing in (None, "model.safetensors"):
        if missing:
            (folder / missing).unlink()
        before = snapshot(folder)
        status, output = Command(tmp_path, "train", "--resume", folder).end()
        assert status == 2
        assert "has results, and no checkpoint to resume from" in output
        assert snapshot(folder) == before
