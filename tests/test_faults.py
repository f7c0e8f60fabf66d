"""Real processes, killed, stopped, and without room on the disk: what was saved is not lost."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from s10.checkpoints import CheckpointFolder, DamagedCheckpoint, read_checkpoint

HERE = Path(__file__).resolve().parent
MOMENTS = 30
KILLS = []  # of each moment: whether it hit the run, and whether while it wrote a checkpoint


class Forked:
    """An `s10` command in a process of its own, one at a time, forked by tests/zygote.py."""

    def __init__(self):
        self.zygote = subprocess.Popen(
            [sys.executable, HERE / "zygote.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, cwd=HERE.parent,
        )  # fmt: skip
        self.pid, self.status = None, None

    def start(self, output, *arguments):
        if self.pid is not None and self.status is None:  # A test failed before it waited.
            self.kill(signal.SIGKILL)
            self.wait()
        self.zygote.stdin.write(json.dumps([str(output), *map(str, arguments)]) + "\n")
        self.zygote.stdin.flush()
        self.pid, self.status = int(self.zygote.stdout.readline()), None
        assert self.pid > 1

    def kill(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self) -> int:
        pid, status = map(int, self.zygote.stdout.readline().split())
        assert pid == self.pid
        self.status = status
        return status

    def has_ended(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def after_checkpoints(self, folder, count=2):
        """Wait until so many checkpoints are there."""
        while len(CheckpointFolder(folder).files()) < count:
            assert not self.has_ended()
            time.sleep(0.005)

    def stop(self):
        self.kill(signal.SIGKILL)
        self.zygote.stdin.close()
        self.zygote.wait(timeout=60)


@pytest.fixture(scope="module")
def forked():
    process = Forked()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of 48 + 8 small pictures of two classes."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for split, count in (("train", 24), ("test", 4)):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def small(pictures):
    """The arguments of a run of 4 epochs of 6 batches, kept after every step."""
    return ("train", "--data", f"folder:{pictures}", "--width", "2", "--batch-size", "8",
            "--epochs", "4", "--precision", "fp32", "--checkpoint-minutes", "0")  # fmt: skip


@pytest.fixture(scope="module")
def whole(forked, small, tmp_path_factory):
    """The folder of the run that nothing interrupted, and its seconds."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    forked.start(folder.parent / "first", "submissions")  # Until all is imported.
    forked.wait()
    start = time.monotonic()
    forked.start(folder.parent / "output", *small, "--out", folder)
    assert forked.wait() == 0, (folder.parent / "output").read_text()
    return folder, time.monotonic() - start


def assert_same(folder, whole):
    """The same weights, bit for bit, and the same history."""
    ours, theirs = (load_file(path / "model.safetensors") for path in (folder, whole))
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    rows = [(path / "metrics.csv").read_text().splitlines() for path in (folder, whole)]
    without_seconds = [[row.rsplit(",", 1)[0] for row in lines] for lines in rows]
    assert without_seconds[0] == without_seconds[1]


def kept(folder):
    """Where the newest whole checkpoint stands, as `s10` says it; nothing if there is none."""
    for path in reversed(CheckpointFolder(folder / "checkpoints").files()):
        with contextlib.suppress(DamagedCheckpoint):
            _, notes = read_checkpoint(path)
            batches = f" and {notes['step']} of 6 batches" if notes["step"] else ""
            return f"{notes['epoch'] - 1} of 4 epochs{batches}"
    return ""


def goes_on(forked, small, folder, whole):
    """Resume to the end, or begin where nothing was there yet; the end is the same.

    Where it goes on counts, too: a run that begins anew ends with the same bits.
    """
    there = (folder / "recipe.json").exists()
    how = ("train", "--resume", folder) if there else (*small, "--out", folder)
    before, output = kept(folder), folder.parent / "resumed"
    forked.start(output, *how, "--checkpoint-minutes", "0")
    assert forked.wait() == 0, output.read_text()
    if before:
        assert f"going on after {before}\n" in output.read_text()
    assert_same(folder, whole)


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_killed_at_any_moment_it_ends_the_same(forked, small, whole, tmp_path, moment):
    """Two thirds at random, the others while a checkpoint is being written."""
    folder = tmp_path / "run"
    forked.start(tmp_path / "output", *small, "--out", folder)
    chance = random.Random(moment)
    deadline = time.monotonic() + chance.uniform(0, whole[1])
    if moment % 3 == 0:
        # When the writing of the n-th checkpoint begins.
        count = chance.randrange(1, 24)
        part = folder / "checkpoints" / f".{count:06d}.checkpoint.part"
        while not part.exists() and not forked.has_ended():
            os.sched_yield()
    else:
        time.sleep(max(0, deadline - time.monotonic()))
    forked.kill(signal.SIGKILL)
    status = forked.wait()
    assert status in (-signal.SIGKILL, 0)
    checkpoints = folder / "checkpoints"
    while_writing = bool(list(checkpoints.glob(".*.part"))) if checkpoints.is_dir() else False
    KILLS.append((status == -signal.SIGKILL, while_writing))
    goes_on(forked, small, folder, whole[0])


def test_most_of_these_kills_hit_the_run_and_some_a_writing():
    if len(KILLS) < MOMENTS:
        pytest.skip("not all moments were tried")
    hits, writings = (sum(kill[number] for kill in KILLS) for number in range(2))
    print(f"{hits} of {MOMENTS} kills hit the run, {writings} of them while it wrote a checkpoint")
    assert hits >= MOMENTS * 2 // 3
    assert writings >= MOMENTS // 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_it_finishes_the_step_and_says_how_to_go_on(
    forked, small, whole, tmp_path, number
):
    """Without a checkpoint within an epoch but that of the signal itself."""
    folder = tmp_path / "run"
    forked.start(tmp_path / "output", *small, "--checkpoint-minutes", "60", "--out", folder)
    forked.after_checkpoints(folder / "checkpoints")
    time.sleep(whole[1] / 40)
    forked.kill(number)
    status, said = forked.wait(), (tmp_path / "output").read_text()
    assert status == {signal.SIGINT: 130, signal.SIGTERM: 143}[number], said
    assert f"to go on: s10 train --resume {folder} --checkpoint-minutes 60.0\n" in said
    stopped, where = re.search(r"stopped after (.*); kept in (.*) is what there was", said).groups()
    assert where == str(folder / "checkpoints")
    assert stopped == kept(folder)
    assert "Traceback" not in said
    goes_on(forked, small, folder, whole[0])


def test_a_resume_of_something_else_is_refused_in_one_line(
    forked, small, whole, pictures, tmp_path
):
    """Another recipe, a changed picture, a missing class; nothing is touched by it."""
    mine = tmp_path / "pictures"
    shutil.copytree(pictures, mine)
    arguments = [str(mine).join(word.split(str(pictures))) for word in small]
    folder = tmp_path / "run"
    forked.start(tmp_path / "output", *arguments, "--out", folder)
    forked.after_checkpoints(folder / "checkpoints")
    forked.kill(signal.SIGTERM)
    assert forked.wait() == 143
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def refused(*words):
        output = tmp_path / "refused"
        output.unlink(missing_ok=True)
        forked.start(output, "train", "--resume", folder, *words)
        assert forked.wait() == 2
        (line,) = output.read_text().splitlines()[-1:]
        assert line.startswith(f"s10: error: cannot go on with {folder}")
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
        return line

    assert "lr_max was 0.01, not 0.02" in refused("--lr-max", "0.02")
    assert "optimizer was adam, not sgd" in refused("--recipe", "eva4-s11")
    for name in ("0.png", "1.png"):  # The same pictures, two labels changed.
        one, other = (mine / "train" / kind / name for kind in ("cat", "dog"))
        pixels = one.read_bytes(), other.read_bytes()
        one.write_bytes(pixels[1])
        other.write_bytes(pixels[0])
    assert "the images are not those" in refused()
    shutil.copy(mine / "train" / "dog" / "0.png", mine / "train" / "dog" / "more.png")
    assert "the images are not those" in refused()
    for split in ("train", "test"):
        (mine / split / "cat").rename(mine / split / "cow")
    assert "other classes than those it was trained on: cat missing; cow new" in refused()


def broken(path, how):
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


@pytest.mark.parametrize("how", ["truncated", "empty", "one bit", "foreign"])
def test_of_a_damaged_checkpoint_the_one_before_it_is_taken(forked, small, whole, tmp_path, how):
    folder = tmp_path / "run"
    forked.start(tmp_path / "output", *small, "--out", folder)
    forked.after_checkpoints(folder / "checkpoints")
    forked.kill(signal.SIGTERM)
    assert forked.wait() == 143
    before = kept(folder)
    broken(CheckpointFolder(folder / "checkpoints").files()[-1], how)
    assert kept(folder) not in ("", before)
    goes_on(forked, small, folder, whole[0])
    said = (tmp_path / "resumed").read_text()
    assert said.count("taking the one before it") == 1
    assert ("checksum" in said) == (how in ("truncated", "one bit"))


def test_if_all_are_damaged_it_says_so_and_touches_nothing(forked, small, tmp_path):
    folder = tmp_path / "run"
    forked.start(tmp_path / "output", *small, "--out", folder)
    forked.after_checkpoints(folder / "checkpoints")
    forked.kill(signal.SIGTERM)
    assert forked.wait() == 143
    files = CheckpointFolder(folder / "checkpoints").files()
    for path in files:
        broken(path, "one bit")
    before = [path.read_bytes() for path in files]
    forked.start(tmp_path / "again", "train", "--resume", folder)
    assert forked.wait() == 2
    assert "is whole; to begin anew, take another folder" in (tmp_path / "again").read_text()
    assert [path.read_bytes() for path in files] == before


def as_root(*command) -> int:
    """The exit status; CI's runners are no root, but may become it."""
    sudo = [] if os.getuid() == 0 else ["sudo", "-n"]
    try:
        return subprocess.run([*sudo, *command], capture_output=True, check=False).returncode
    except FileNotFoundError:
        return 127


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = f"size=1m,uid={os.getuid()},mode=700"
    if as_root("mount", "-t", "tmpfs", "-o", options, "tmpfs", folder):
        pytest.skip("only root may mount a tmpfs, and there is no sudo without a password")
    yield folder
    as_root("umount", "-l", folder)


@pytest.mark.parametrize("room", [1.5, 2.5])
def test_a_full_disk_is_said_and_the_last_checkpoint_stays(
    forked, small, whole, tiny_disk, tmp_path, room
):
    """With room for one and a half the first stays; with room for two and a half all goes on."""
    folder, size = tmp_path / "run", (whole[0] / "checkpoints" / "000028.checkpoint").stat().st_size
    folder.mkdir()
    (tiny_disk / "checkpoints").mkdir()
    (folder / "checkpoints").symlink_to(tiny_disk / "checkpoints")
    (tiny_disk / "filler").write_bytes(bytes(1024 * 1024 - int(room * size)))
    forked.start(tmp_path / "output", *small, "--out", folder)
    status, said = forked.wait(), (tmp_path / "output").read_text()
    assert status == 0, said
    assert ("no checkpoint: cannot write to" in said) == (room < 2)
    assert ("No space left on device" in said) == (room < 2)
    assert kept(folder) == ("0 of 4 epochs and 1 of 6 batches" if room < 2 else "4 of 4 epochs")
    assert_same(folder, whole[0])  # The training itself went on.
    (tiny_disk / "filler").unlink()
    goes_on(forked, small, folder, whole[0])


def test_where_the_whole_run_is_on_a_full_disk_it_ends_with_one_line(
    forked, small, whole, tiny_disk, tmp_path
):
    """Neither the metrics nor the pictures have room; with room again it goes on."""
    folder = tiny_disk / "run"
    forked.start(tmp_path / "output", *small, "--out", folder)
    forked.after_checkpoints(folder / "checkpoints")
    with contextlib.suppress(OSError), open(tiny_disk / "filler", "wb") as file:
        while True:
            file.write(bytes(1024))
            file.flush()
    status, said = forked.wait(), (tmp_path / "output").read_text()
    assert status == 1, said
    assert "No space left on device" in said
    assert said.splitlines()[-1].endswith(f"make room there, then s10 train --resume {folder}")
    assert "Traceback" not in said
    # Who goes on without making room is told so again.
    forked.start(tmp_path / "again", "train", "--resume", folder)
    assert forked.wait() == 1
    said = (tmp_path / "again").read_text()
    assert said.splitlines()[-1].startswith("s10: cannot write to")
    assert "Traceback" not in said
    (tiny_disk / "filler").unlink()
    assert as_root("mount", "-o", "remount,size=4m", tiny_disk) == 0
    goes_on(forked, small, folder, whole[0])


def test_a_read_only_folder_is_said_and_the_last_checkpoint_stays(
    forked, small, whole, tiny_disk, tmp_path
):
    folder = tmp_path / "run"
    folder.mkdir()
    (tiny_disk / "checkpoints").mkdir()
    (folder / "checkpoints").symlink_to(tiny_disk / "checkpoints")
    forked.start(tmp_path / "output", *small, "--out", folder)
    forked.after_checkpoints(tiny_disk / "checkpoints")
    forked.kill(signal.SIGTERM)
    assert forked.wait() == 143
    files = CheckpointFolder(tiny_disk / "checkpoints").files()
    assert as_root("mount", "-o", "remount,ro", tiny_disk) == 0
    forked.start(tmp_path / "again", "train", "--resume", folder)
    status, said = forked.wait(), (tmp_path / "again").read_text()
    assert status == 0, said
    assert "Read-only file system" in said
    assert CheckpointFolder(tiny_disk / "checkpoints").files() == files
    read_checkpoint(files[-1])
    assert_same(folder, whole[0])


def test_a_run_in_a_read_only_folder_is_refused(forked, small, tiny_disk, tmp_path):
    folder = tiny_disk / "run"
    assert as_root("mount", "-o", "remount,size=4m", tiny_disk) == 0
    forked.start(tmp_path / "output", *small, "--out", folder)
    forked.after_checkpoints(folder / "checkpoints")
    forked.kill(signal.SIGTERM)
    assert forked.wait() == 143
    assert as_root("mount", "-o", "remount,ro", tiny_disk) == 0
    forked.start(tmp_path / "again", "train", "--resume", folder)
    assert forked.wait() == 2
    said = (tmp_path / "again").read_text()
    assert said.endswith("a run goes on in its own folder\n")
    assert said.count("\n") == 1


def test_results_without_checkpoints_are_not_replaced(forked, small, whole, tmp_path):
    """Somebody removed the checkpoints of a finished run: they are large."""
    folder = tmp_path / "run"
    shutil.copytree(whole[0], folder)
    before = {p: p.read_bytes() for p in folder.rglob("*.*") if p.parent == folder}

    def resume():
        output = tmp_path / "again"
        output.unlink(missing_ok=True)
        forked.start(output, "train", "--resume", folder)
        return forked.wait(), output.read_text()

    # With them there is nothing left to do, and nothing is written anew.
    status, said = resume()
    assert status == 0, said
    assert "going on after 4 of 4 epochs\n" in said
    assert {p: p.read_bytes() for p in before} == before
    shutil.rmtree(folder / "checkpoints")
    status, said = resume()
    assert status == 2
    assert "has results, and no checkpoint to go on with" in said
    (folder / "model.safetensors").unlink()
    assert resume()[0] == 2
    assert {p for p in before if not p.exists()} == {folder / "model.safetensors"}
